"""All that the path does to frames, once: short enough to be run under valgrind (``make test-valgrind``)."""

from __future__ import annotations

import socket

from peers.hosts import Host, cabled, transfer
from peers.net import wait_until
from vecwire import Impairment

PATIENCE = 60.0
OCTETS = 512 * 1024
#: Nobody listens there (RFC 863), and the filter of the test refuses what is sent to it.
DISCARD = 9


def send_datagram(source: Host, address: str) -> None:
    """Sends one datagram to the port of a service that is not there."""
    with source.namespace.enter():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.sendto(b"unwanted", (address, DISCARD))


def test_one_pass_through_all_of_the_path() -> None:
    """TCP passes both ways through a tunnel, cut, joined, sent in trains, filtered, delayed and doubled."""
    with cabled("l2tpv3", "raw", options=",bpfflash=1") as (left, right, joined):
        tunnel, wire = joined.ports
        transfer(left, right, "10.9.0.2", OCTETS)
        transfer(right, left, "10.9.0.1", OCTETS)
        wait_until(lambda: wire.stats.tx_joined, timeout=PATIENCE, what="frames out of the tunnel are joined")
        assert tunnel.stats.tx_split > 0, "no super-frame was cut for the tunnel"
        assert tunnel.stats.tx_trains > 0, "no segments left in one message"

        tunnel.attach_filter(f"not udp port {DISCARD}")
        send_datagram(left, "10.9.0.2")
        wait_until(lambda: tunnel.stats.rx_filtered, timeout=PATIENCE, what="the filter refuses a frame")

        for port in (tunnel, wire):
            port.impair(Impairment(delay=0.002, jitter=0.001, duplicate=0.05, seed=1))
        before = tunnel.stats, wire.stats
        transfer(left, right, "10.9.0.2", OCTETS // 4)
        transfer(right, left, "10.9.0.1", OCTETS // 4)
        for passed in (tunnel.stats - before[0], wire.stats - before[1]):
            assert passed.tx_delayed > 0
            assert passed.tx_duplicated > 0
