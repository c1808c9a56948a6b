"""What the targets of the tunnels share: a packet is received through a socket, and judged twice."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from oracle.exact import Exact
from oracle.received import Receiver
from oracle.tunnels import ETHERNET_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecwire.wire.encap import Encapsulation

INCOMING, OUTGOING = lasting(*socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
#: An IPv4 header without options, of which only the version and the length are read.
IPV4 = b"\x45" + bytes(19)
FRAME = bytes.fromhex("020000000002020000000001 88b5") + b"a frame"


class End(NamedTuple):
    """One end of a tunnel.

    Attributes:
        layout: how vecwire reads it.
        sender: the other end, which writes what this one reads.
        read: how the RFC reads it: where the frame begins in a packet, or why there is none.
        receiver: the path over a socket.
        before: what stands before the header of the tunnel.
    """

    layout: Encapsulation
    sender: Encapsulation
    read: Callable[[bytes], int | str]
    receiver: Receiver
    before: bytes


def end(
    layout: Encapsulation, sender: Encapsulation, read: Callable[[bytes], int | str], before: bytes = b""
) -> End:
    """An end whose packets come through a socket."""
    return End(layout, sender, read, Receiver(INCOMING.fileno(), layout=layout), before)


def hold(end: End, packet: bytes) -> None:
    """Asserts that a packet is delivered where the RFC finds a frame, else counted under its reason."""
    expected = end.read(packet)
    try:
        found: int | str = end.layout.offset(Exact(packet).view)
    except ValueError as error:
        found = str(error)
    assert found == expected, (found, expected)
    OUTGOING.send(packet)
    received = end.receiver.receive(max(len(packet), 1))
    if isinstance(expected, int):
        assert received.frames == [packet[expected:]]
        assert not received.dropped
    else:
        assert received.frames == []
        assert received.dropped == [expected]
        assert received.counted[expected] == 1


def exchanged(end: End, counter: int, frame: bytes) -> None:
    """Asserts that what the other end sends is delivered here, wherever its counter is."""
    end.sender.counter = counter
    packet = end.before + end.sender.header() + frame
    assert end.read(packet) == len(packet) - len(frame)
    hold(end, packet)


def judge(ends: list[End], octets: bytes) -> None:
    """Takes an input as a packet for one of the ends; or as a frame that the other end sends to it."""
    feed = Feed(octets)
    choice = feed.number(1)
    chosen = ends[choice % 128 % len(ends)]
    if choice >= 128:
        counter, frame = feed.number(4), feed.rest()
        exchanged(chosen, counter, frame.ljust(ETHERNET_HEADER, b"\0"))
    else:
        hold(chosen, feed.rest())


def seeds(ends: list[End]) -> list[bytes]:
    """For each end a packet, as ``judge`` takes it, and a frame to send."""
    packets = [bytes([number]) + each.before + each.sender.header() for number, each in enumerate(ends)]
    return [*(packet + FRAME for packet in packets), b"\xff\xff\xff\xff\xff" + FRAME]
