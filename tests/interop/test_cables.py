"""Two cables make a tunnel between two hosts, and what a cable costs when it starts and when it idles."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from peers.cable import Cable
from peers.net import namespaces, veth, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.needs("iperf3", "ping", "ip", "nsenter")]

PORTS = "udp=1,srcport=1701,dstport=1701"


def test_two_cables_carry_tcp_both_ways_without_a_retransmission_storm() -> None:
    """`tap - l2tpv3 - l2tpv3 - tap`: nothing is lost at rest, and TCP resends less than 1 in 50."""
    with namespaces("left", "right") as (left, right):
        veth(
            (left, "wire0"),
            (right, "wire0"),
            addresses_a=["10.88.0.1/24"],
            addresses_b=["10.88.0.2/24"],
            mtu=1600,
        )
        left.tap("tap0", "10.77.0.1/24", "fd77::1/64")
        right.tap("tap0", "10.77.0.2/24", "fd77::2/64")
        specs = [
            f"l2tpv3,{PORTS},src=10.88.0.{own},dst=10.88.0.{other},rx_session={own},tx_session={other}"
            for own, other in ((1, 2), (2, 1))
        ]
        with (
            Cable(f"tap,ifname=tap0,netns={left.name}", f"{specs[0]},netns={left.name}"),
            Cable(f"tap,ifname=tap0,netns={right.name}", f"{specs[1]},netns={right.name}"),
        ):
            left.wait_reachable("10.77.0.2")
            assert left.ping("10.77.0.2", count=20, size=1400).lost == 0
            assert right.ping("fd77::1", count=20, size=1400).lost == 0
            for port, reverse in ((5201, False), (5202, True)):
                with right.iperf3_server("10.77.0.2", port=port):
                    run = left.iperf3("10.77.0.2", port=port, seconds=2, reverse=reverse)
                segments = run.report["end"]["sum_sent"]["bytes"] / 1448
                assert run.retransmits < segments / 50, run
        assert left.checksum_errors() == {}
        assert right.checksum_errors() == {}


@pytest.mark.unsanitized("a sanitized interpreter takes longer to begin")
def test_a_cable_is_ready_in_half_a_second_and_idles_for_nothing() -> None:
    """From the command to `ready` under 0.5 s, on a machine that is not always busy; and idle below 1%."""
    with namespaces("left", "right") as (left, right):
        left.tap("tap0")
        right.tap("tap0")
        specs = [f"tap,ifname=tap0,netns={side.name}" for side in (left, right)]

        def quickly_ready() -> bool:
            start = time.monotonic()
            with Cable(*specs):
                return time.monotonic() - start < 0.5

        wait_until(quickly_ready, timeout=30, what="a cable is ready in half a second")
        with Cable(*specs) as cable:
            process = cable.process.process.pid
            used, at = _processor_seconds(process), time.monotonic()
            wait_until(lambda: time.monotonic() - at > 2, timeout=5, what="two idle seconds")
            assert _processor_seconds(process) - used < 0.02


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
