"""`vecwire probe` in real runs: as root, and as an ordinary user."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from peers.command import ordinary, users_may_have_namespaces, vecwire_command

TRANSPORTS = ["raw", "tap", "hybrid", "gre", "l2tpv3", "bess"]


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    return subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)


def probe(argv: list[str]) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of a run with --json, which prints nothing else."""
    done = run(argv)
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def by_name(report: dict[str, Any]) -> dict[str, Any]:
    """The findings by capability."""
    return {each["name"]: each for each in report["findings"]}


def links() -> list[str]:
    """The interfaces of the namespace that the tests run in."""
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def test_as_root_every_transport_is_usable() -> None:
    """The exit code is 0 and no interface is left behind."""
    before = links()
    code, report = probe(vecwire_command("probe", "--json"))
    assert links() == before
    assert [each["transport"] for each in report["transports"]] == TRANSPORTS
    assert [each["usable"] for each in report["transports"]] == [True] * 6
    assert (code, report["usable"]) == (0, True)
    for name in ("packet sockets", "making a tap", "gre over IPv4", "udp segmentation", "udp coalescing"):
        assert by_name(report)[name]["works"] is True


def test_as_an_ordinary_user_what_is_refused_has_a_remedy() -> None:
    """It does not crash: the exit code is 77, and each refusal is told with its reason and a remedy."""
    code, report = probe(ordinary(vecwire_command("probe", "--json")))
    assert (code, report["usable"]) == (77, False)
    found = by_name(report)
    for name in ("packet sockets", "tun device", "gre over IPv4", "entering namespaces"):
        assert found[name]["works"] is False
        assert found[name]["why"]
        assert found[name]["remedy"]
    assert found["making a tap"]["works"] is None  # not tried without the device
    usable = {each["transport"]: each["usable"] for each in report["transports"]}
    assert usable == {name: name in {"l2tpv3", "bess"} for name in TRANSPORTS}


def test_an_open_tun_device_is_seen() -> None:
    """Where the device is open and yet no tap may be made, each is told for itself."""
    found = by_name(probe(ordinary(vecwire_command("probe", "--json"), tun=True))[1])
    assert found["tun device"]["works"] is True
    assert found["making a tap"]["works"] is False


def test_what_works_in_a_user_namespace_is_advised() -> None:
    """The advice to use a user namespace is given where the same was tried in one and worked."""
    if not users_may_have_namespaces():
        pytest.skip("ordinary users may not make user namespaces on this host")
    found = by_name(probe(ordinary(vecwire_command("probe", "--json")))[1])
    assert found["user namespaces"]["works"] is True
    assert found["packet sockets"]["in_user_namespace"] is True
    assert "unshare --user" in found["packet sockets"]["remedy"]
    assert found["tun device"]["in_user_namespace"] is False
    assert "unshare --user" not in found["tun device"]["remedy"]


def test_as_root_of_a_user_namespace_all_but_the_tun_device_works() -> None:
    """The advice is good: with it the packet sockets work."""
    if not users_may_have_namespaces():
        pytest.skip("ordinary users may not make user namespaces on this host")
    inside = ["unshare", "--user", "--map-root-user", "--net", *vecwire_command("probe", "--json")]
    code, report = probe(ordinary(inside, tun=True))
    assert (code, report["usable"]) == (0, True)


def test_for_people_it_ends_with_what_to_do() -> None:
    """The text names every transport, and each remedy once."""
    done = run(ordinary(vecwire_command("probe")))
    assert (done.returncode, done.stderr) == (77, "")
    _, _, advice = done.stdout.partition("what to do\n")
    assert all(f" {name} " in done.stdout for name in TRANSPORTS)
    remedies = [line.partition(": ")[2] for line in advice.splitlines()]
    assert len(set(remedies)) == len(remedies) >= 2
