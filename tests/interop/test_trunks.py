"""VLANs of a switch between kernels: it tags the super-frames of hosts, on a trunk of any transport."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.exchange import Hop, exchange
from peers.hosts import ATTACHED_BY, JUMBO, WHOLE, Host, assert_healthy, attached
from peers.lan import balanced
from peers.overheard import overheard
from peers.ports import joined
from peers.tagger import tag
from vecwire import Membership
from vecwire.transports import TransportPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.net import Namespace

pytestmark = [pytest.mark.interop, pytest.mark.needs("iperf3", "ping", "ip", "nsenter")]

VLAN = 10
#: Inside.
MTUS = (1400, 1500, 9000)
ACCESS, TRUNK = Membership(vlan=VLAN), Membership(tagged=frozenset({VLAN}))
#: What is between two switches: the kind of the link, the transports of its ends, where its frames are heard
#: and behind how many octets of Ethernet, IPv4 and encapsulation.
LINKS: dict[str, tuple[tuple[str, str], tuple[str, int] | None]] = {
    "raw": (("raw", "raw"), ("right0", 0)),
    "tap": (("tap", "raw"), ("right0", 0)),
    "hybrid": (("hybrid", "raw"), ("right0", 0)),
    "gre": (("gre", "gre"), ("lo", 14 + 20 + 4)),
    "l2tpv3-udp": (("l2tpv3", "l2tpv3"), ("lo", 14 + 20 + 8 + 8)),
    "l2tpv3-ip-cookies": (("l2tpv3-ip", "l2tpv3-ip"), ("lo", 14 + 20 + 4 + 4)),
    "bess": (("bess", "bess"), None),
}


@contextlib.contextmanager
def switched(access: TransportPort, trunk: TransportPort) -> Iterator[None]:
    """A running switch of two ports, one without tags and one with them."""
    with balanced([access, trunk]), vecwire.Switch() as switch:
        switch.add(access, ACCESS)
        switch.add(trunk, TRUNK)
        yield


@contextlib.contextmanager
def access() -> Iterator[tuple[Host, TransportPort]]:
    """A host on a tap, and the port that a switch has there."""
    with attached("tap") as host, vecwire.open(host.spec) as port:
        yield host, port


@contextlib.contextmanager
def trunk(kind: str) -> Iterator[tuple[Namespace, TransportPort, TransportPort]]:
    """A link with room for 9000 octets and a tag: the namespace that it is in, and the ports at its ends."""
    with joined(kind) as link:
        assert link.namespace is not None
        assert isinstance(link.left, TransportPort)
        assert isinstance(link.right, TransportPort)
        for _, name in socket.if_nameindex():  # this thread is in the namespace
            if name != "lo":
                link.namespace.up(name, mtu=JUMBO)
        yield link.namespace, link.left, link.right


@pytest.mark.parametrize("kind", ATTACHED_BY)
def test_a_trunk_leads_to_a_kernel_that_tags(kind: str) -> None:
    """Hosts on an access port, and behind a trunk with tags of their own kernel, exchange super-frames."""
    with (
        access() as (left, port),
        attached(kind, outer_mtu=JUMBO) as right,
        vecwire.open(right.spec) as tagged,
        switched(port, tagged),
    ):
        left.configure(1, 1500)
        right.configure(2, 1500)
        tag(right.namespace, right.link, VLAN)
        left.namespace.wait_reachable("10.9.0.2")
        left.namespace.wait_reachable("fd09::2")
        for mtu in MTUS:
            exchange(left, right, [Hop(("tap", kind), (port, tagged))], mtu)
        assert_healthy(left, right)


@pytest.mark.parametrize("kind", LINKS)
def test_a_trunk_joins_two_switches(kind: str) -> None:
    """What is on the trunk has tags, and is super-frames where it takes them; no port drops anything."""
    kinds, wire = LINKS[kind]
    with (
        trunk(kind) as (namespace, near, far),
        access() as (left, first),
        access() as (right, last),
        switched(first, near),
        switched(last, far),
    ):
        left.configure(1, 1500)
        right.configure(2, 1500)
        left.namespace.wait_reachable("10.9.0.2")
        left.namespace.wait_reachable("fd09::2")
        hops = [Hop(("tap", kinds[0]), (first, near)), Hop((kinds[1], "tap"), (far, last))]
        for mtu in MTUS:
            with contextlib.ExitStack() as stack:
                heard = [stack.enter_context(overheard(namespace, wire[0], VLAN, wire[1]))] if wire else []
                exchange(left, right, hops, mtu)
            for seen in heard:
                assert seen.tagged > 0
                assert seen.untagged == 0
                assert seen.longest > 2 * mtu or kinds[0] not in {*WHOLE, "l2tpv3"}
        assert_healthy(left, right, between=[namespace])
        for port in (first, near, far, last):
            assert (port.stats.rx_dropped, port.stats.tx_dropped) == (0, 0), f"{port.spec}: {port.stats}"
