"""A packet socket delivers the frame that was sent, its VLAN tag in it, its checksum done or asked for."""

from __future__ import annotations

import itertools
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from oracle import internet
from oracle.received import Receiver
from oracle.settled import believed
from oracle.shapes import SHAPES, asking
from vecwire.transports import _packet
from vecwire.transports._unshare import own_network
from vecwire.wire.vnet import SHORT, Vnet

#: For nobody here, so that the host has nothing to answer; by the second octet a mark is known.
DESTINATION, MARK = bytes.fromhex("020100000000"), bytes.fromhex("020200000000")
TAGS = (None, (0x8100, 0x2005), (0x88A8, 0x0FFF), (0x8100, 0))


def _sockets() -> tuple[socket.socket, socket.socket]:
    """A packet socket that receives as the transport has it, and one that sends, on a loopback of its own."""
    own_network()
    incoming, outgoing = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2))
    for each in (incoming, outgoing):
        each.setsockopt(_packet.SOL_PACKET, _packet.PACKET_VNET_HDR, 1)
    incoming.setsockopt(_packet.SOL_PACKET, _packet.PACKET_AUXDATA, 1)
    incoming.setsockopt(_packet.SOL_PACKET, _packet.PACKET_IGNORE_OUTGOING, 1)
    incoming.bind(("lo", _packet.ETH_P_ALL))
    outgoing.bind(("lo", 0))
    return incoming, outgoing


with ThreadPoolExecutor(max_workers=1) as _pool:
    INCOMING, OUTGOING = lasting(*_pool.submit(_sockets).result())
RECEIVER = Receiver(INCOMING.fileno(), vnet=SHORT, flags=("auxdata",))
NUMBERS = itertools.count()
READY = select.poll()
READY.register(INCOMING, select.POLLIN)


def _arrived(source: bytes, room: int) -> tuple[bytes | None, Vnet | None, list[str]]:
    """The frame from ``source`` and its header, where it comes before the mark that was sent after it."""
    frame, header, dropped = None, None, []
    while True:
        received = RECEIVER.receive(room)
        if "rx_calls" not in received.counted:
            assert READY.poll(5000), "the mark has not come"
            continue
        dropped += received.dropped
        for each, its in zip(received.frames, received.headers, strict=True):
            if each[6:12] == source and each[:6] == MARK:
                return frame, header, dropped
            if each[6:12] == source:
                frame, header = each, its


def target(octets: bytes) -> None:
    """Sends a frame, of which the input has the rest, with a request for a checksum or without one."""
    feed = Feed(octets)
    tag = TAGS[feed.among(len(TAGS))]
    asked = Vnet(flags=feed.among(2), csum_start=feed.number(2), csum_offset=feed.number(2))
    source = b"\6" + next(NUMBERS).to_bytes(5)
    addresses = DESTINATION + source
    tagged = b"" if tag is None else tag[0].to_bytes(2) + tag[1].to_bytes(2)
    frame = addresses + tagged + feed.rest()
    try:
        OUTGOING.send((asked if asked.flags else Vnet()).pack() + frame)
    except OSError:
        return
    OUTGOING.send(Vnet().pack() + MARK + source + b"\x88\xb5" + bytes(46))
    found, header, dropped = _arrived(source, SHORT + max(len(frame), 60))
    if found is None:
        assert set(dropped) <= {"rx_bad_vnet", "rx_runt"}
        assert not dropped or not believed(frame, asked)
        return
    assert header is not None
    assert not dropped
    assert believed(found, header)
    if header.flags & 1:
        assert (header.csum_start, header.csum_offset) == (asked.csum_start, asked.csum_offset)
    elif asked.flags:
        # The kernel has done it itself, and for every protocol writes 0xffff in the place of zero.
        at = asked.csum_start + asked.csum_offset
        check = ~internet.total(frame[asked.csum_start :]) & 0xFFFF or 0xFFFF
        frame = frame[:at] + check.to_bytes(2) + frame[at + 2 :]
    assert found == frame


def seeds() -> list[bytes]:
    """Frames of every shape, tagged and not, whole and with a checksum to be done."""
    made = []
    for number, shape in enumerate(SHAPES.values()):
        segment = internet.located(replace(shape, payload=b"payload"))
        asked = asking(segment, 0)
        tag = number % len(TAGS)
        moved = asked.csum_start + (4 if TAGS[tag] else 0)
        head = bytes([tag, number % 2]) + moved.to_bytes(2) + asked.csum_offset.to_bytes(2)
        made.append(head + internet.build(segment, partial=bool(number % 2))[12:])
    return made
