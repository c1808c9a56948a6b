"""A virtio-net header is believed where it names octets of its frame alone; completing writes those two."""

from __future__ import annotations

import socket
from dataclasses import replace

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from oracle import internet
from oracle.exact import Exact
from oracle.received import Receiver
from oracle.shapes import SHAPES, asking
from vecwire.wire.vnet import LONG, SHORT, Vnet, complete

INCOMING, OUTGOING = lasting(*socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
OUTGOING.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
RECEIVERS = {size: Receiver(INCOMING.fileno(), vnet=size) for size in (SHORT, LONG)}
LONGEST = 65535


def believed(header: Vnet, length: int) -> bool:
    """Whether a header is to be believed, by the letter of the virtio specification (5.1.6) and of ours."""
    if header.flags & ~0b11:
        return False
    if header.flags & 1 and not 14 <= header.csum_start <= length - 2 - header.csum_offset:
        return False
    if header.gso_type == 0:
        return True
    return header.gso_type & 0x7F in {1, 4, 5} and header.gso_size > 0


def completed(frame: bytes, header: Vnet) -> bytes:
    """The frame with the checksum that its header asks for (RFC 1071; RFC 768 on zero)."""
    check = ~internet.total(frame[header.csum_start :]) & 0xFFFF
    if check == 0 and header.csum_offset == 6:
        check = 0xFFFF
    at = header.csum_start + header.csum_offset
    return frame[:at] + check.to_bytes(2) + frame[at + 2 :]


def target(octets: bytes) -> None:
    """Takes an octet as the form, twelve as the header and the rest as a frame; now and then a long one."""
    feed = Feed(octets)
    form = feed.number(1)
    size = (SHORT, LONG)[form % 2]
    more = feed.number(2) if form >= 0xF0 else 0
    packed = feed.take(LONG).ljust(LONG, b"\0")
    frame = feed.rest()
    frame += bytes(max(0, min(more, LONGEST - size) - len(frame)))
    header = Vnet.unpack(packed[:size])
    assert header.pack(size) == packed[:size]
    right = believed(header, len(frame))
    assert header.fits(len(frame)) == right

    place = Exact(frame)
    done = complete(place.view, header)
    assert done == (right and bool(header.flags & 1))
    assert bytes(place) == (completed(frame, header) if done else frame)

    message = packed[:size] + frame
    OUTGOING.send(message)
    received = RECEIVERS[size].receive(max(len(message), 1))
    if len(frame) < 14:
        assert received.dropped == ["rx_runt"]
    elif not right:
        assert received.dropped == ["rx_bad_vnet"]
    else:
        assert received.frames == [frame]
        assert received.headers == [replace(header, num_buffers=0)]
        assert not received.dropped


def seeds() -> list[bytes]:
    """What hosts ask for: every shape, as a super-frame and for its checksum alone; and the longest frame."""
    made = [bytes([0xFF, 0xFF, 0xF0]) + Vnet(flags=1, csum_start=65510, csum_offset=6).pack(LONG) + bytes(20)]
    for number, shape in enumerate(SHAPES.values()):
        segment = internet.located(replace(shape, payload=b"some octets of payload"))
        asked = asking(segment, 9)
        made += [
            bytes([number % 2]) + each.pack(LONG) + internet.build(segment, partial=True)
            for each in (asked, replace(asked, gso_type=0, gso_size=0), Vnet())
        ]
    return made
