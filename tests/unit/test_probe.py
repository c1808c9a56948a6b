"""What findings mean: for transports, and for the advice that is given."""

import errno
from dataclasses import replace

import pytest

from vecwire import probe
from vecwire.probe import OWN_NAMESPACE, Finding
from vecwire.probe.checks import CAPABILITIES
from vecwire.spec import SPEC_CLASSES
from vecwire.transports._offload import Offload
from vecwire.transports._refusal import PRIVILEGES, REMEDIES, WITHOUT

WORKING = [Finding(each.name, each.meaning, works=True) for each in CAPABILITIES]


def without(*names: str) -> list[Finding]:
    """All findings, of which those named do not work."""
    return [replace(each, works=each.name not in names) for each in WORKING]


def usability(findings: list[Finding]) -> dict[str, probe.Usability]:
    """What they mean, by transport."""
    return {each.transport: each for each in probe.usability(findings)}


def test_every_transport_has_its_needs() -> None:
    """The table knows all transports, and no capability that is not tried."""
    assert list(probe.NEEDS) == list(SPEC_CLASSES)
    named = {name for needs, wants in probe.NEEDS.values() for name in (*sum(needs, ()), *wants)}
    assert named <= {each.name for each in CAPABILITIES}


def test_what_a_port_can_do_without_has_its_remedy() -> None:
    """Each name under which a port notes a refusal has a remedy, and what is tried is looked up by such."""
    assert {*WITHOUT} == {*Offload}
    assert {each.row for each in CAPABILITIES} <= {*Offload, *REMEDIES}


def test_needs_of_capabilities_come_before_them() -> None:
    """A capability is tried after the one without which it makes no sense."""
    seen: set[str] = set()
    for each in CAPABILITIES:
        assert each.needs is None or each.needs in seen
        seen.add(each.name)


def test_where_all_works_all_is_usable() -> None:
    """Every transport is usable, and goes without nothing."""
    for each in usability(WORKING).values():
        assert (each.usable, each.missing, each.without, each.in_user_namespace) == (True, (), (), None)


@pytest.mark.parametrize(
    ("broken", "unusable"),
    [
        (["packet sockets"], ["raw", "hybrid"]),
        (["tun device"], ["tap", "hybrid"]),
        (["making a tap"], ["tap", "hybrid"]),
        (["gre over IPv6"], []),
        (["gre over IPv4", "gre over IPv6"], ["gre"]),
        (["udp over IPv4", "l2tp over IPv4"], []),
        (["unix seqpacket"], ["bess"]),
        (["udp segmentation", "udp coalescing", "large buffers", "ignore outgoing"], []),
    ],
)
def test_what_a_transport_needs_decides(broken: list[str], unusable: list[str]) -> None:
    """A transport is usable where it has one of each group of its needs; the rest is told."""
    found = usability(without(*broken))
    assert [name for name, each in found.items() if not each.usable] == unusable
    told = {name for each in found.values() for name in (*each.missing, *each.without)}
    assert told == set(broken)


@pytest.mark.parametrize(
    ("remedy", "works", "better"),
    [
        (f"{PRIVILEGES}; CAP_NET_RAW", True, f"{OWN_NAMESPACE}; or run as root"),
        (f"{PRIVILEGES}; CAP_NET_RAW", False, "run as root; CAP_NET_RAW"),
        ("modprobe tun", False, "modprobe tun"),
        ("ask root", True, f"{OWN_NAMESPACE}; or ask root"),
        ("", True, OWN_NAMESPACE),
    ],
)
def test_a_user_namespace_is_advised_where_it_helps(remedy: str, works: bool, better: str) -> None:
    """The advice follows from what a second try in a user namespace gave."""
    finding = Finding("packet sockets", "", works=False, why="no", remedy=remedy)
    after = probe._with_second_try(finding, works)
    assert (after.remedy, after.in_user_namespace) == (better, works)


def test_what_the_kernel_says_is_told_with_a_remedy() -> None:
    """The errno's text is why, and the tables of remedies say what to do."""
    tun = next(each for each in CAPABILITIES if each.name == "tun device")
    found = probe._finding(tun, OSError(errno.ENOENT, "x"))
    assert (found.works, found.why) == (False, "No such file or directory")
    assert "modprobe tun" in found.remedy
