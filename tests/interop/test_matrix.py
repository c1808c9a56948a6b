"""Offloads between any two transports: two kernels exchange by iperf3, whatever the MTU, tagged or not."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from peers.exchange import Hop, exchange, udp
from peers.hosts import ATTACHED_BY, FAMILIES, JUMBO, WHOLE, assert_healthy, cabled
from peers.overheard import overheard
from peers.tagger import tag

pytestmark = [pytest.mark.interop, pytest.mark.needs("iperf3", "ping", "ip", "nsenter")]

#: Priority 5, VLAN 10.
TCI = 5 << 13 | 10
#: Inside.
MTUS = (1400, 1500, 9000)
#: Octets in front of a datagram in a packet of IPv6, which is the longer one.
HEADERS = 40 + 8
EACH_PAIR = pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(ATTACHED_BY, 2)))


@EACH_PAIR
def test_iperf3_passes_between_any_two_transports(a: str, b: str) -> None:
    """IPv4 and IPv6, both ways, an MTU of 1400, 1500 and 9000 inside, offloaded; no checksum is wrong."""
    with cabled(a, b, outer_mtu=JUMBO) as (left, right, joined):
        right.namespace.wait_reachable("fd09::1")
        for mtu in MTUS:
            exchange(left, right, [Hop((a, b), joined.ports)], mtu)
        assert_healthy(left, right)


@EACH_PAIR
def test_iperf3_passes_with_tags_between_any_two_transports(a: str, b: str) -> None:
    """The same where both kernels put a VLAN tag into all that they send, and take in nothing without it."""
    with cabled(a, b, outer_mtu=JUMBO, tci=TCI) as (left, right, joined):
        right.namespace.wait_reachable("fd09::1")
        for mtu in MTUS:
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


@EACH_PAIR
def test_iperf3_loses_no_datagram_between_any_two_transports(a: str, b: str) -> None:
    """UDP of both families and directions, each MTU, tagged or not: each datagram arrives, fragments too."""
    ways = list(itertools.product(FAMILIES.values(), (False, True)))
    with cabled(a, b, outer_mtu=JUMBO) as (left, right, _):
        right.namespace.wait_reachable("fd09::1")
        for tagged in (False, True):
            for host in (left, right):
                if tagged:
                    tag(host.namespace, host.link, TCI)
            for mtu in MTUS:
                for host in (left, right):
                    host.namespace.up(host.link, mtu=mtu)
                # Of whole datagrams and of fragments, each way has the one with tags and the other without.
                sizes = itertools.cycle((mtu - HEADERS, 2 * mtu)[:: -1 if tagged else 1])
                for ((_, address), reverse), size in zip(ways, sizes, strict=False):
                    udp(left.namespace, right.namespace, address, size, reverse=reverse)
        assert_healthy(left, right)
