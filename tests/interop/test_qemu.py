"""QEMU without a guest, an independent implementation of L2TPv3, reaches a tap through a cable."""

from __future__ import annotations

import json
from typing import Any

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
)
from peers.net import namespaces, veth
from vectors import capture_qemu

pytestmark = [pytest.mark.interop, pytest.mark.needs("qemu-system-x86_64", "ping", "ip", "nsenter")]

EACH_CASE = pytest.mark.parametrize("case", QEMU_CASES, ids=lambda case: case.name)


def _vector(case: QemuCase) -> dict[str, Any]:
    vectors = json.loads(capture_qemu.FILE.read_text(encoding="ascii"))["cases"]
    return next(vector for vector in vectors if vector["name"] == case.name)


@EACH_CASE
def test_qemu_pings_through_a_cable_and_is_pinged(case: QemuCase) -> None:
    """Pings of 56 and 1300 octets lose nothing, IPv4 and IPv6, in both directions."""
    src, dst = (ends[case.v6].split("/")[0] for ends in (PEER_UNDERLAY, NEAR_UNDERLAY))
    with namespaces("peer", "near", "far") as (peer, near, far):
        veth(
            (peer, "under0"),
            (near, "under0"),
            addresses_a=PEER_UNDERLAY,
            addresses_b=NEAR_UNDERLAY,
            mtu=UNDERLAY_MTU,
        )
        far.tap("far0", *FAR_ADDRESSES)
        peer.tap("qemu0", *PEER_ADDRESSES)
        near_spec = f"{case.vecwire_spec(dst, src)},netns={near.name}"
        with (
            qemu.bridge(peer, "qemu0", case.qemu_netdev(src, dst)),
            Cable(near_spec, f"tap,ifname=far0,netns={far.name}") as cable,
        ):
            peer.wait_reachable(FAR_V4)
            for near_side, addresses in ((peer, (FAR_V4, FAR_V6)), (far, (PEER_V4, PEER_V6))):
                for address in addresses:
                    for size in (56, 1300):
                        assert near_side.ping(address, count=10, size=size).lost == 0
            cable.stop()
        assert peer.checksum_errors() == {}
        assert far.checksum_errors() == {}


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
