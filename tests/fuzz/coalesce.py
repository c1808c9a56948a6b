"""Frames leave as they came, or in super-frames that are cut to the same frames; nothing wrong is joined."""

from __future__ import annotations

import ctypes
from dataclasses import replace

from fuzzing.feed import Feed
from oracle import compiled, internet
from oracle.exact import Exact
from oracle.internet import ACK, PSH, Segment, pseudo_header, total
from oracle.joined import hold_all, hold_right
from oracle.shapes import SHAPES
from oracle.streams import JOINABLE, STREAM
from vecwire.wire import coalesce as compiled_coalesce
from vecwire.wire.coalesce import coalesced

MOST = 12
SHORT, FLAGS, IDENTIFICATION, JUMP, SPOILED, CHANGED, TWICE = (1 << bit for bit in range(7))
TRAIN = ctypes.POINTER(compiled.Train)
BEGIN, JOIN = (
    compiled.function(compiled_coalesce, name, ctypes.c_int, TRAIN, ctypes.c_void_p, ctypes.c_uint32)
    for name in ("begin", "join")
)


def summed(frame: bytearray, place: Segment) -> None:
    """Makes the checksums of a TCP frame right again, where its headers are still where they were."""
    network, transport = place.network_at, place.transport_at
    if place.version == 4:
        frame[network + 10 : network + 12] = bytes(2)
        frame[network + 10 : network + 12] = (~total(bytes(frame[network:transport])) & 0xFFFF).to_bytes(2)
    addresses = bytes(
        frame[network + (12 if place.version == 4 else 8) : network + (20 if place.version == 4 else 40)]
    )
    frame[transport + 16 : transport + 18] = bytes(2)
    segment = bytes(frame[transport:])
    check = ~total(pseudo_header(addresses, internet.TCP_PROTOCOL, len(segment)) + segment) & 0xFFFF
    frame[transport + 16 : transport + 18] = check.to_bytes(2)


def stream(feed: Feed) -> list[bytes]:
    """The frames of a flow, each as the input says: shorter, flagged, out of turn, changed, spoiled."""
    shape = SHAPES[JOINABLE[feed.among(len(JOINABLE))]]
    size = 6 + feed.among(60)
    sequence, identification, at = feed.number(4), feed.number(2), 0
    frames: list[bytes] = []
    while feed and len(frames) < MOST:
        what = feed.number(1)
        length = feed.among(80) if what & SHORT else size
        flags = feed.number(1) if what & FLAGS else ACK
        if what & IDENTIFICATION:
            identification = feed.number(2)
        if what & JUMP:
            sequence += feed.number(1)
        segment = internet.located(
            replace(
                shape,
                payload=STREAM[at : at + length],
                flags=flags,
                sequence=sequence % 2**32,
                identification=identification % 2**16,
            )
        )
        frame = bytearray(internet.build(segment))
        if what & (SPOILED | CHANGED):
            frame[feed.number(1) % len(frame)] ^= feed.number(1)
        if what & CHANGED:
            summed(frame, segment)
        frames += [bytes(frame)] * (2 if what & TWICE else 1)
        at += length
        sequence += length
        identification += 1
    return frames


def alone(frames: list[bytes]) -> int:
    """How many frames are joined where each lies in memory of its own."""
    places = [Exact(frame) for frame in frames]
    train = compiled.Train()
    if not BEGIN(ctypes.byref(train), places[0].address, len(frames[0])):
        return 1
    for place, frame in zip(places[1:], frames[1:], strict=True):
        if not JOIN(ctypes.byref(train), place.address, len(frame)):
            break
    count: int = train.count
    return count


def target(octets: bytes) -> None:
    """Joins a flow that the input describes."""
    frames = stream(Feed(octets))
    if frames:
        assert alone(frames) == coalesced(frames)[0]
        hold_all(frames)
        hold_right(frames)


def seeds() -> list[bytes]:
    """A plain flow of every shape, one that PSH ends, and one of each fault."""
    start = bytes([20]) + bytes.fromhex("01020304 fffe")
    flows = [bytes([number]) + start + bytes(4) for number in range(len(JOINABLE))]
    push = bytes([FLAGS, ACK | PSH])
    faults = [
        bytes([SHORT, 7]),
        bytes([IDENTIFICATION, 0, 1]),
        bytes([JUMP, 1]),
        bytes([SPOILED, 60, 1]),
        bytes([CHANGED, 15, 1]),
        bytes([TWICE]),
        push,
    ]
    return [*flows, *(b"\0" + start + b"\0" + fault + b"\0\0" for fault in faults)]
