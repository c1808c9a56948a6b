"""Recipes of ``docs/interop.md`` that no other test runs."""

from __future__ import annotations

import pytest

from peers import qemu
from peers.cable import Cable
from peers.net import namespaces

pytestmark = [pytest.mark.interop, pytest.mark.needs("qemu-system-x86_64", "ping", "ip", "nsenter", "iperf3")]


def test_a_raw_port_on_the_tap_of_qemu() -> None:
    """QEMU's tap is reached by a raw port on its interface: pings lose nothing and TCP moves both ways."""
    with namespaces("peer", "far") as (peer, far):
        far.tap("far0", "10.77.0.2/24", "fd77::2/64")
        peer.tap("guest0", "10.77.0.1/24", "fd77::1/64")
        peer.tap("qemu0")
        # The hub stands for the guest's card: what QEMU reads from its tap comes out of the other one.
        with (
            qemu.hub(peer, "tap,ifname=qemu0,script=no,downscript=no", "guest0"),
            Cable(f"raw,ifname=qemu0,netns={peer.name}", f"tap,ifname=far0,netns={far.name}"),
        ):
            peer.wait_reachable("10.77.0.2")
            for address in ("10.77.0.2", "fd77::2"):
                assert peer.ping(address, count=10, size=1400).lost == 0
            for reverse in (False, True):
                with far.iperf3_server("10.77.0.2"):
                    assert peer.iperf3("10.77.0.2", seconds=1, reverse=reverse).bits_per_second > 5e6
        assert peer.checksum_errors() == {}
        assert far.checksum_errors() == {}
