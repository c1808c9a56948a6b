"""Guests of User Mode Linux, the seed's own code, reach a tap through a cable on each of the transports."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

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
    UML_CASES,
    UNDERLAY_MTU,
    UmlCase,
)
from peers.net import Namespace, namespaces, veth
from peers.uml import Uml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.needs("linux.uml", "iperf3", "ping", "ip", "nsenter")]

# Bits per second that every case must carry, far below what the slowest does.
TCP_FLOOR = 5e6


@contextlib.contextmanager
def _stage(case: UmlCase, folder: Path) -> Iterator[tuple[Uml, Cable, Namespace]]:
    """A guest and a far tap, with a running cable between them."""
    with namespaces("peer", "near", "far") as (peer, near, far), contextlib.ExitStack() as stack:
        if case.bridged:
            peer.tap("uml0")
            peer.tap("cable0")
            peer.bridge("bridge0", "uml0", "cable0")
        else:
            veth(
                (peer, "under0"),
                (near, "under0"),
                addresses_a=() if case.name == "raw" else PEER_UNDERLAY,
                addresses_b=() if case.name == "raw" else NEAR_UNDERLAY,
                mtu=1500 if case.name == "raw" else UNDERLAY_MTU,
            )
        far.tap("far0", *FAR_ADDRESSES)
        side = peer if case.bridged else near
        near_spec = case.vecwire.format(netns=side.name, folder=folder)
        cable = stack.enter_context(Cable(near_spec, f"tap,ifname=far0,netns={far.name}"))
        guest = stack.enter_context(Uml(peer, case.uml.format(folder=folder)))
        guest.configure(*PEER_ADDRESSES)
        far.wait_reachable(PEER_V4)
        yield guest, cable, far


@pytest.mark.parametrize("case", UML_CASES, ids=lambda case: case.name)
def test_a_guest_pings_and_moves_tcp_through_a_cable(case: UmlCase, tmp_path: Path) -> None:
    """Pings of 56 and 1300 octets lose nothing over IPv4 and IPv6, and TCP moves both ways."""
    with _stage(case, tmp_path) as (guest, cable, far):
        for address in (FAR_V4, FAR_V6):
            for size in (56, 1300):
                assert guest.ping(address, count=10, size=size).lost == 0
        assert far.ping(PEER_V6, count=10, size=1300).lost == 0
        for port, reverse in ((5201, False), (5202, True)):
            guest.iperf3_server(port=port)
            run = far.iperf3(PEER_V4, port=port, seconds=1, reverse=reverse)
            assert run.bits_per_second > TCP_FLOOR, run.report["end"]
        assert guest.statistics()["rx_encaps_errors"] == 0
        assert far.checksum_errors() == {}
        assert guest.power_off() == 0
        cable.stop()
