"""What an ordinary user is told where the kernel refuses: what it is about, whose fault, and what to do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from peers.command import ordinary
from peers.net import Namespace

if TYPE_CHECKING:
    from pathlib import Path

#: Opens each spec, and writes to standard output what was told about it.
SCRIPT = """
import json, sys, vecwire
told = []
for spec in sys.argv[1:]:
    try:
        vecwire.open(spec).close()
    except vecwire.VecwireError as error:
        told.append([type(error).__name__, str(error), error.remedy or ""])
    else:
        told.append(["", "", ""])
print(json.dumps(told))
"""
UDP = "l2tpv3,udp=1,rx_session=1,tx_session=2"
CASES = {
    f"{UDP},src=127.0.0.1,dst=127.0.0.1,srcport=80,dstport=1": (
        *("UnsupportedError", "bind to src=127.0.0.1,srcport=80: Permission denied"),
        "CAP_NET_BIND_SERVICE",
    ),
    f"{UDP},src=127.0.0.1,dst=10.8.0.1,srcport=4000,dstport=1701": (
        *("PortError", "connect to dst=10.8.0.1,dstport=1701: Permission denied"),
        "a route prohibits it",
    ),
    f"{UDP},src=127.0.0.1,dst=127.0.0.1,srcport=4000,dstport=nosuch": (
        *("PortError", "dstport=nosuch is no service"),
        "the port's number",
    ),
    f"{UDP},v6=1,src=fe80::1,dst=::1,srcport=4000,dstport=1701": (
        *("PortError", "bind to src=fe80::1,srcport=4000: Invalid argument"),
        "fe80::1%eth0",
    ),
    "bess,listen={closed}/a": ("PortError", "bind to listen={closed}/a: Permission denied", "namei -l"),
    "bess,dst={closed}/a": ("PortError", "connect to dst={closed}/a: Permission denied", "namei -l"),
    "bess,listen=/usr/a": ("PortError", "bind to listen=/usr/a: Permission denied", "namei -l"),
    "bess,listen=@refusals,netns=/etc/passwd": (
        *("PortError", "network namespace /etc/passwd: Invalid argument"),
        "no network namespace; list them",
    ),
}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that only root may look into."""
    path = tmp_path_factory.mktemp("refusals")
    path.chmod(0o700)
    return path


@pytest.fixture(scope="module")
def told(closed: Path) -> dict[str, list[str]]:
    """What was told of each case."""
    with Namespace("refusals") as namespace:
        namespace.up("lo")
        namespace.ip("route add prohibit 10.8.0.0/24")
        specs = [case.format(closed=closed) for case in CASES]
        done = namespace.run(ordinary([sys.executable, "-c", SCRIPT, *specs]))
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_says_what_and_what_to_do(case: str, closed: Path, told: dict[str, list[str]]) -> None:
    """The error names the option that was refused, is of the kind of its fault, and has a remedy for that."""
    kind, message, remedy = CASES[case]
    assert told[case][0] == kind
    assert message.format(closed=closed) in told[case][1]
    assert remedy in told[case][2]
