"""Opening and closing, again and again, failures included: nothing leaks.

``VECWIRE_CYCLES`` says how many cycles of each transport; the default is short enough for every run. For the
figure of 10,000: ``VECWIRE_CYCLES=10000 make test PYTEST_ARGS='tests/faults/test_cycles.py --timeout 0'``.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.net import Namespace, open_descriptors, veth
from peers.ports import LEFT6, LOOPBACK, RIGHT4, RIGHT6
from vecwire import PortError

if TYPE_CHECKING:
    from collections.abc import Iterator

CYCLES = int(os.environ.get("VECWIRE_CYCLES", "200"))
#: For each transport a spec that opens, and specs that fail, early and late.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "raw": ("raw,ifname=left0", ("raw,ifname=absent0", "raw,ifname=left0,bpffile=/dev/null")),
    "tap": ("tap,ifname=tap0", ("tap,ifname=left0", "tap,ifname=tap0,bpffile=/dev/null")),
    "hybrid": ("hybrid,ifname=tap0", ("hybrid,ifname=left0", "hybrid,ifname=tap0,bpffile=/dev/null")),
    "gre": (LOOPBACK["gre"][0], ("gre,src=10.99.99.99,dst=127.0.0.2", "gre,src=127.0.0.1,dst=10.99.99.99")),
    "l2tpv3": (
        LOOPBACK["l2tpv3-udp-ipv6-cookies64-counter"][0],
        (LOOPBACK["l2tpv3-udp"][0].replace("127.0.0.1", "10.99.99.99"),),
    ),
    "bess": ("bess,listen=@cycles", ("bess,dst=@nobody", "bess,listen=/nonexistent/path")),
}


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in, with what the specs need."""
    with Namespace("cycles") as made, made.enter():
        made.up("lo", f"{RIGHT4}/8", f"{LEFT6}/128", f"{RIGHT6}/128")
        veth((made, "left0"), (made, "right0"))
        made.ip("tuntap add dev tap0 mode tap")
        yield made


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("transport", CASES)
def test_cycles_of_opening_and_closing_leave_nothing(transport: str) -> None:
    """However often a transport is opened, used, closed and failed, descriptors and threads stay as many."""
    good, failing = CASES[transport]
    with vecwire.open(good):
        pass
    before, threads = open_descriptors(), threading.active_count()
    for number in range(CYCLES):
        with vecwire.open(good) as port:
            port.send(port.batch(1))
        with pytest.raises(PortError):
            vecwire.open(failing[number % len(failing)])
    assert open_descriptors() == before
    assert threading.active_count() == threads
