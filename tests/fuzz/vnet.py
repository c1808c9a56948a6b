"""A virtio-net header is believed where it names octets of its packet; what is judged is what leaves."""

from __future__ import annotations

import socket
from dataclasses import replace

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from oracle import internet
from oracle.exact import Exact
from oracle.internet import Segment
from oracle.received import Receiver
from oracle.settled import believed, completed, hold_as_judged, settled, too_much
from oracle.shapes import SHAPES, asking
from peers.passage import Passage
from vecwire import bpf
from vecwire.wire.segment import segments
from vecwire.wire.vnet import LONG, SHORT, Vnet, complete

INCOMING, OUTGOING = lasting(*socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
OUTGOING.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
RECEIVERS = {size: Receiver(INCOMING.fileno(), vnet=size) for size in (SHORT, LONG)}
(PASSAGE,) = lasting(Passage())
PASSAGE.way_in.filter(bpf.matcher(bpf.accept_all()))
LONGEST = 65535
#: Segments that the far end has room for; what is cut into more, `segment` looks at.
FEW = 64


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
    right = believed(frame, header)
    assert header.suits(frame) == right
    assert header.fits(len(frame)) or not right

    place = Exact(frame)
    done = complete(place.view, header)
    assert done == (right and bool(header.flags & 1))
    assert bytes(place) == (completed(frame, header) if done else frame)

    message = packed[:size] + frame
    OUTGOING.send(message)
    received = RECEIVERS[size].receive(max(len(message), 1))
    if len(frame) < 14:
        assert received.dropped == ["rx_runt"]
    elif not right or too_much(frame, header):
        assert received.dropped == ["rx_bad_vnet"]
    else:
        header = replace(header, num_buffers=0)
        assert (received.frames, received.headers) == ([frame], [header])
        assert not received.dropped
        if header.gso_type == 0 or len(frame) <= FEW * header.gso_size:
            PASSAGE.write(frame, header)
            left = PASSAGE.pass_on()
            judged = settled(frame, header)
            # Datagrams that cannot be cut cannot be judged.
            refused = header.gso_type & 0x7F == 5 and segments(*judged) is None
            assert PASSAGE.received == ([] if refused else [judged])
            hold_as_judged(*judged, left)


def seeds() -> list[bytes]:
    """What hosts ask for: every shape, as a super-frame and for its checksum alone; and the longest frame."""
    made = [bytes([0xFF, 0xFF, 0xF0]) + Vnet(flags=1, csum_start=65510, csum_offset=6).pack(LONG) + bytes(20)]
    for number, shape in enumerate(SHAPES.values()):
        segment = internet.located(replace(shape, payload=b"some octets of payload"))
        asked = asking(segment, 9)
        plain = replace(asked, gso_type=0, gso_size=0)
        made += [
            bytes([number % 2]) + each.pack(LONG) + internet.build(segment, partial=True)
            for each in (asked, plain, replace(plain, csum_start=segment.network_at), Vnet())
        ]
    sctp = internet.build(internet.located(Segment(protocol=132)), partial=True)
    return [*made, b"\0" + Vnet(flags=1, csum_start=34, csum_offset=8).pack(LONG) + sctp]
