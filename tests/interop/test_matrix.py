"""Offloads between any two transports: two kernels exchange by iperf3, whatever the MTU, tagged or not."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from peers.exchange import Hop, exchange, served, udp
from peers.hosts import ATTACHED_BY, FAMILIES, JUMBO, WHOLE, assert_healthy, cabled
from peers.overheard import overheard

pytestmark = [pytest.mark.interop, pytest.mark.needs("iperf3", "ping", "ip", "nsenter")]

#: Priority 5, VLAN 10.
TCI = 5 << 13 | 10
EACH_PAIR = pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(ATTACHED_BY, 2)))


@EACH_PAIR
def test_iperf3_passes_between_any_two_transports(a: str, b: str) -> None:
    """IPv4 and IPv6, both ways, an MTU of 1400, 1500 and 9000 inside, offloaded; no checksum is wrong."""
    with cabled(a, b, outer_mtu=JUMBO) as (left, right, joined):
        right.namespace.wait_reachable("fd09::1")
        for mtu in (1400, 1500, 9000):
            exchange(left, right, [Hop((a, b), joined.ports)], mtu)
        assert_healthy(left, right)


@EACH_PAIR
def test_iperf3_passes_with_tags_between_any_two_transports(a: str, b: str) -> None:
    """The same where both kernels put a VLAN tag into all that they send, and take in nothing without it."""
    with cabled(a, b, outer_mtu=JUMBO, tci=TCI) as (left, right, joined):
        right.namespace.wait_reachable("fd09::1")
        for mtu in (1500, 9000):
            with contextlib.ExitStack() as stack:
                heard = [
                    (host.kind, stack.enter_context(overheard(*host.wire, TCI, host.inside)))
                    for host in (left, right)
                    if host.wire
                ]
                exchange(left, right, [Hop((a, b), joined.ports)], mtu)
            for kind, seen in heard:
                assert seen.tagged > 0
                assert seen.untagged == 0
                assert seen.longest > 2 * mtu or kind not in {*WHOLE, "l2tpv3"}
        assert_healthy(left, right)


@pytest.mark.parametrize("tci", [0, TCI], ids=["plain", "tagged"])
@EACH_PAIR
def test_iperf3_loses_no_datagram_between_any_two_transports(a: str, b: str, tci: int) -> None:
    """UDP of both families and directions arrives, each datagram once and in order, in fragments too."""
    with cabled(a, b, outer_mtu=JUMBO, tci=tci) as (left, right, _):
        right.namespace.wait_reachable("fd09::1")
        for (_, address), reverse, size in itertools.product(FAMILIES.values(), (False, True), (1200, 4000)):
            with served(right.namespace, address) as port:
                udp(left.namespace, address, port, size, reverse=reverse)
        assert_healthy(left, right)
