"""Datagrams that the kernel gives in one piece (UDP_GRO) are delivered one by one, as they were sent."""

from __future__ import annotations

import select
import socket
import struct

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from fuzzing.tunnel import FRAME
from oracle import tunnels
from oracle.received import Receiver
from vecwire.wire import encap

UDP_SEGMENT, UDP_GRO = 103, 104  # linux/udp.h
MOST = 64
LAYOUT = encap.l2tpv3(rx_session=1, tx_session=1, rx_cookie=0xDEADBEEF, tx_cookie=0xDEADBEEF, udp=True)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """Two ends of a flow of UDP on the loopback."""
    incoming, outgoing = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for each in (incoming, outgoing):
        each.bind(("127.0.0.1", 0))
    incoming.connect(outgoing.getsockname())
    outgoing.connect(incoming.getsockname())
    incoming.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    incoming.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return incoming, outgoing


INCOMING, OUTGOING = lasting(*_sockets())
RECEIVER = Receiver(INCOMING.fileno(), layout=LAYOUT, pieces=MOST, flags=("udp_gro",))
READY = select.poll()
READY.register(INCOMING, select.POLLIN)


def _read(packet: bytes) -> int | str:
    """How the RFC reads a datagram."""
    return tunnels.l2tpv3(packet, session=1, cookie=b"\xde\xad\xbe\xef", sublayer=False, udp=True)


def target(octets: bytes) -> None:
    """Sends the input as datagrams of one length, the last one shorter, in one message."""
    feed = Feed(octets)
    size, whole = 1 + feed.number(2) % 1400, feed.rest()
    whole = whole[: size * MOST] or b"\0"
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))] if len(pieces) > 1 else []
    try:
        OUTGOING.sendmsg([whole], control)
    except OSError:
        return
    frames: list[bytes] = []
    counted: dict[str, int] = {}
    taken = 0
    while taken < len(pieces):
        assert READY.poll(5000), "a datagram has not come"
        received = RECEIVER.receive(len(whole))
        frames += received.frames
        for name in received.dropped:
            counted[name] = counted.get(name, 0) + received.counted[name]
        taken = len(frames) + sum(counted.values())
    places = [_read(piece) for piece in pieces]
    assert frames == [
        piece[place:] for piece, place in zip(pieces, places, strict=True) if isinstance(place, int)
    ]
    reasons = [place for place in places if isinstance(place, str)]
    assert counted == {reason: reasons.count(reason) for reason in reasons}


def seeds() -> list[bytes]:
    """One datagram, three of one length, and three with a shorter one behind them."""
    packet = LAYOUT.header() + FRAME
    size = (len(packet) - 1).to_bytes(2)
    return [size + packet, size + packet * 3, size + packet * 3 + packet[:20], size + packet + bytes(9)]
