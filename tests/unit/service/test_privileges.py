"""Which capabilities a spec takes to be opened again, and what is refused before anything is given up."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from vecwire.confine.capabilities import NAMES, Privileges
from vecwire.errors import PortError
from vecwire.service import privileges
from vecwire.service.config import loads
from vecwire.service.privileges import account_of, buffers_are_limited, keep, needed
from vecwire.spec import SPEC_CLASSES, parse

RAW, ADMIN, BIND, NAMESPACES = "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN"
UDP = "l2tpv3,udp=1,src=192.0.2.1,dst=192.0.2.2,dstport=1701,rx_session=1,tx_session=2"
CASES: dict[str, set[str]] = {
    "raw,ifname=eth1": {RAW},
    "tap,ifname=tap0": {ADMIN},
    "hybrid,ifname=tap0": {RAW, ADMIN},
    "gre,src=192.0.2.1,dst=192.0.2.2": {RAW},
    "l2tpv3,src=192.0.2.1,dst=192.0.2.2,rx_session=1,tx_session=2": {RAW},
    f"{UDP},srcport=1701": set(),
    f"{UDP},srcport=1023": {BIND},
    f"{UDP},srcport=l2tp": {BIND},
    "bess,dst=/run/guest": set(),
    "bess,listen=@guest": set(),
    "bess,dst=/run/guest,netns=blue": {NAMESPACES},
    "raw,ifname=eth1,netns=/proc/42/ns/net": {RAW, NAMESPACES, "CAP_SYS_PTRACE"},
}


@pytest.mark.parametrize(("spec", "capabilities"), CASES.items())
def test_what_a_spec_needs(spec: str, capabilities: set[str]) -> None:
    """Just what it takes, by the transport and its options."""
    assert needed([parse(spec)], force_buffers=False) == capabilities


def test_every_transport_is_in_the_table() -> None:
    """The cases above leave none out."""
    assert {parse(spec).transport for spec in CASES} == set(SPEC_CLASSES)


def test_large_buffers_need_a_capability() -> None:
    """Where the host's limits are to be passed, any port takes CAP_NET_ADMIN; no port takes nothing."""
    assert needed([parse("bess,dst=/run/guest")]) == {ADMIN}
    assert needed([]) == frozenset()


def test_several_specs_need_what_each_needs() -> None:
    """All that any of them takes, once."""
    specs = [parse(spec) for spec in CASES]
    assert needed(specs, force_buffers=False) == set[str]().union(*CASES.values())


@pytest.mark.parametrize(("limit", "limited"), [("212992", True), ("4194304", False), ("no number", True)])
def test_whether_the_host_limits_buffers(
    limit: str, *, limited: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does where its sysctls are below what sockets ask for; unknown counts as limited."""
    path = tmp_path / "rmem_max"
    monkeypatch.setattr(privileges, "_MEMORY", (path,))
    assert buffers_are_limited()
    path.write_text(f"{limit}\n", encoding="ascii")
    assert buffers_are_limited() is limited


def test_names_are_those_of_the_kernel() -> None:
    """The table has every capability of the kernel's header, in its order."""
    header = Path("/usr/include/linux/capability.h").read_text(encoding="utf-8")
    numbers = {name: int(number) for name, number in re.findall(r"#define (CAP_\w+)\s+(\d+)\n", header)}
    assert {name: NAMES.index(name) for name in numbers} == numbers


def test_this_process_is_read() -> None:
    """What is read is a subset of what there is, and no set is larger than the one above it."""
    now = Privileges.read()
    assert now.effective <= now.permitted
    assert now.ambient <= now.permitted & now.inheritable
    assert set(NAMES) >= now.bounding


def test_an_unknown_capability_is_an_error_of_the_caller() -> None:
    """Nothing is given up before its name is found wrong."""
    before = Privileges.read()
    with pytest.raises(ValueError, match="CAP_FLY"):
        keep({"CAP_NET_RAW", "CAP_FLY"})
    assert Privileges.read() == before


def test_other_threads_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would keep everything; the error names them, and nothing is given up."""
    monkeypatch.setattr(privileges, "PATIENCE", 0)
    before, done = Privileges.read(), threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="before threads are started"):
            keep(())
    finally:
        done.set()
        thread.join()
    assert Privileges.read() == before


def test_a_user_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to make one, and nothing is given up."""
    monkeypatch.setattr(privileges, "_be_alone", lambda: None)
    before = Privileges.read()
    with pytest.raises(PortError, match="no user vecwire-nobody") as caught:
        keep((), "vecwire-nobody")
    assert "useradd --system" in str(caught.value.remedy)
    assert Privileges.read() == before


@pytest.mark.parametrize("user", ["0", "root", "65534", "nobody"])
def test_a_user_is_named_or_numbered(user: str) -> None:
    """The name or the number of a user, as text, is what a file may say, and the user is found by either."""
    told = loads(f'[service]\nuser = "{user}"').service.user
    assert told == user
    assert user in {(account := account_of(told)).pw_name, str(account.pw_uid)}


@pytest.mark.parametrize("number", ["4294967294", "99999999999999999999999"])
def test_a_number_that_no_user_has_is_told(number: str) -> None:
    """No user is made of it: the remedy is to name one who is there."""
    with pytest.raises(PortError, match=f"no user has the number {number}") as caught:
        account_of(number)
    assert "useradd" not in str(caught.value.remedy)
