"""QEMU without a guest, an independent implementation of L2TPv3, reaches a tap through a cable."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from peers import collect, qemu
from peers.cable import Cable
from peers.cases import (
    FAR_ADDRESSES,
    FAR_V4,
    FAR_V6,
    NEAR_UNDERLAY,
    PEER_ADDRESSES,
    PEER_UNDERLAY,
    PEER_V4,
    PEER_V6,
    QEMU_CASES,
    UNDERLAY_MTU,
    QemuCase,
    kind_of,
)
from peers.exchange import assert_all_offloaded, served, tcp
from peers.hosts import JUMBO
from peers.net import Namespace, namespaces, veth
from peers.tagger import tag
from vectors import capture_qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, pytest.mark.needs("qemu-system-x86_64", "iperf3", "ping", "ip", "nsenter")]

#: By MTU inside, the directions of TCP. QEMU takes frames of 2048 octets, and sends what it is given.
MTUS = {1400: (False, True), 1500: (False, True), 2030: (False, True), 9000: (True,)}
EACH_CASE = pytest.mark.parametrize("case", QEMU_CASES, ids=lambda case: case.name)


def _vector(case: QemuCase) -> dict[str, Any]:
    vectors = json.loads(capture_qemu.FILE.read_text(encoding="ascii"))["cases"]
    return next(vector for vector in vectors if vector["name"] == case.name)


@contextlib.contextmanager
def _stage(
    case: QemuCase, underlay_mtu: int, *, offloaded: bool = False
) -> Iterator[tuple[Namespace, Namespace]]:
    """The namespaces of QEMU's tap and of a far tap, with QEMU and a running cable between them.

    No kernel on the way counts a wrong checksum; where it is said, the cable has counted offloads both ways.
    """
    src, dst = (ends[case.v6].split("/")[0] for ends in (PEER_UNDERLAY, NEAR_UNDERLAY))
    with namespaces("peer", "near", "far") as (peer, near, far):
        veth(
            (peer, "under0"),
            (near, "under0"),
            addresses_a=PEER_UNDERLAY,
            addresses_b=NEAR_UNDERLAY,
            mtu=underlay_mtu,
        )
        far.tap("far0", *FAR_ADDRESSES)
        peer.tap("qemu0", *PEER_ADDRESSES)
        near_spec = f"{case.vecwire_spec(dst, src)},netns={near.name}"
        with (
            qemu.bridge(peer, "qemu0", case.qemu_netdev(src, dst)),
            Cable(near_spec, f"tap,ifname=far0,netns={far.name}") as cable,
        ):
            peer.wait_reachable(FAR_V4)
            yield peer, far
            cable.stop()
            if offloaded:
                assert_all_offloaded((kind_of(near_spec), "tap"), cable.stats())
        for namespace in (peer, near, far):
            assert namespace.checksum_errors() == {}, namespace


@EACH_CASE
def test_qemu_pings_through_a_cable_and_is_pinged(case: QemuCase) -> None:
    """Pings of 56 and 1300 octets lose nothing, IPv4 and IPv6, in both directions."""
    with _stage(case, UNDERLAY_MTU) as (peer, far):
        for near_side, addresses in ((peer, (FAR_V4, FAR_V6)), (far, (PEER_V4, PEER_V6))):
            for address in addresses:
                for size in (56, 1300):
                    assert near_side.ping(address, count=10, size=size).lost == 0


@EACH_CASE
def test_qemu_and_a_cable_that_offloads_move_tcp(case: QemuCase) -> None:
    """iperf3 passes both ways, IPv4 and IPv6, whatever the MTU inside, offloaded, with tags too."""
    with _stage(case, JUMBO, offloaded=True) as (peer, far):
        for tci in (0, 10):
            if tci:
                tag(peer, "qemu0", tci)
                tag(far, "far0", tci)
            for mtu, directions in MTUS.items():
                peer.up("qemu0", mtu=mtu)
                far.up("far0", mtu=mtu)
                for address, reverse in itertools.product((PEER_V4, PEER_V6), directions):
                    with served(peer, address) as port:
                        tcp(far, address, port, reverse=reverse)


@EACH_CASE
def test_qemu_sends_what_the_golden_vectors_hold(case: QemuCase) -> None:
    """The first packets of the QEMU installed here are, octet for octet, those kept in the vectors."""
    count = 3
    vector, now = _vector(case), capture_qemu.capture(case, count)
    assert now == {**vector, "packets": vector["packets"][:count]}


@EACH_CASE
def test_golden_vectors_count_and_carry_every_frame(case: QemuCase) -> None:
    """Each vector holds the known frames in order, under a header of one length."""
    packets = _vector(case)["packets"]
    assert [packet["frame"] for packet in packets] == [
        collect.frame(number).hex() for number in range(collect.COUNT)
    ]
    assert len({len(packet["header"]) for packet in packets}) == 1
