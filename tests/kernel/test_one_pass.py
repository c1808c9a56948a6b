"""All that the path does to frames, once: short enough to be run under valgrind (``make test-valgrind``)."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import vecwire
from peers.frames import fill, frame, ours
from peers.hosts import Host, cabled, transfer
from peers.net import Namespace, veth, wait_until
from peers.ports import LOOPBACK, RIGHT4
from vecwire import Impairment

if TYPE_CHECKING:
    from pathlib import Path

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


#: Two ends that hear each other: VLAN tags put back, an encapsulation taken off, records.
PAIRS = (
    ("raw,ifname=left0", "raw,ifname=right0"),
    LOOPBACK["l2tpv3-udp"],
    LOOPBACK["gre-key-sequence"],
    ("bess,listen=@one-pass", "bess,dst=@one-pass"),
)


def test_all_that_is_received_was_written(tmp_path: Path) -> None:
    """Every octet of the frames that a port gives its user has come from somewhere: it is written to a file.

    valgrind tells of write(2) where an octet of what it is given was never written.
    """
    tag = bytes.fromhex("8100000a")
    plain = [frame(number, 60 + 200 * number) for number in range(7)]
    sent = [each if number % 2 else each[:12] + tag + each[12:] for number, each in enumerate(plain)]
    with Namespace("pass", ipv6=False) as made, made.enter(), contextlib.ExitStack() as stack:
        made.ip(f"addr add {RIGHT4}/8 dev lo")
        veth((made, "left0"), (made, "right0"))
        file = os.open(tmp_path / "received", os.O_WRONLY | os.O_CREAT)
        stack.callback(os.close, file)
        for here, there in PAIRS:
            receiver, sender = (stack.enter_context(vecwire.open(spec)) for spec in (here, there))
            batch, into = sender.batch(), receiver.batch()
            fill(batch, sent)
            # A server takes its client by the way.
            receiver.recv(into)
            assert sender.send(batch) == len(sent)
            came: list[bytes] = []

            def arrived() -> bool:
                receiver.recv(into)  # noqa: B023 # called at once
                for each in into:  # noqa: B023
                    os.write(file, each)
                    came.append(bytes(each))  # noqa: B023
                return len([each for each in came if ours(each) or each[12:16] == tag]) >= len(sent)  # noqa: B023

            wait_until(arrived, timeout=PATIENCE, what=f"frames come to {here}")
            assert [each for each in came if ours(each) or each[12:16] == tag] == sent
    assert (tmp_path / "received").stat().st_size >= len(PAIRS) * sum(map(len, sent))
