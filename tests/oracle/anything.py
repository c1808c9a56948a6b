"""Hypothesis strategies for what the wire formats are given: good frames, nearly good ones, and anything."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from oracle import internet
from oracle.internet import Segment
from oracle.shapes import SHAPES
from vecwire.wire.vnet import Vnet

UINT8 = st.integers(0, 0xFF)
UINT16 = st.integers(0, 0xFFFF)
UINT32 = st.integers(0, 0xFFFFFFFF)

#: Any virtio-net header, the values that mean something more often than the others.
VNETS = st.builds(
    Vnet,
    flags=st.sampled_from([0, 1, 2, 3]) | UINT8,
    gso_type=st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84]) | UINT8,
    hdr_len=UINT16,
    gso_size=st.sampled_from([0, 1, 7, 8, 9, 1448, 65535]) | UINT16,
    csum_start=st.integers(0, 100) | UINT16,
    csum_offset=st.sampled_from([6, 16]) | UINT16,
    num_buffers=UINT16,
)


@st.composite
def extensions(draw: st.DrawFn) -> tuple[tuple[int, bytes], ...]:
    """IPv6 extension headers that may stand before TCP and UDP, each of padding options only."""
    sizes = draw(st.lists(st.sampled_from([6, 14, 30]), max_size=3))
    numbers = draw(st.lists(st.sampled_from([0, 60]), min_size=len(sizes), max_size=len(sizes)))
    return tuple(
        (number, b"\1" + bytes([size - 2]) + bytes(size - 2))
        for number, size in zip(numbers, sizes, strict=True)
    )


@st.composite
def stream_segments(draw: st.DrawFn, *, longest: int = 4000) -> Segment:
    """A TCP or UDP frame of any shape, with all of its fields drawn."""
    version = draw(st.sampled_from([4, 6]))
    tcp = draw(st.booleans())
    segment = Segment(
        version=version,
        protocol=internet.TCP_PROTOCOL if tcp else internet.UDP_PROTOCOL,
        payload=draw(st.binary(max_size=longest)),
        tags=tuple(draw(st.lists(st.tuples(st.sampled_from([0x8100, 0x88A8]), UINT16), max_size=2))),
        source_port=draw(UINT16),
        destination_port=draw(UINT16),
    )
    if version == 4:
        options = b"\1" * 4 * draw(st.integers(0, 10))
        segment = replace(segment, options=options, identification=draw(UINT16))
    else:
        segment = replace(segment, extensions=draw(extensions()))
    if tcp:
        options = draw(st.binary(max_size=40).map(lambda octets: octets[: len(octets) // 4 * 4]))
        segment = replace(segment, tcp_options=options, sequence=draw(UINT32), flags=draw(UINT8))
    return internet.located(segment)


@st.composite
def spoiled_frames(draw: st.DrawFn) -> bytes:
    """A good frame with some octets of its headers changed, cut somewhere or with more behind it."""
    segment = replace(SHAPES[draw(st.sampled_from(sorted(SHAPES)))], payload=draw(st.binary(max_size=100)))
    frame = bytearray(internet.build(segment))
    for at, octet in draw(st.lists(st.tuples(st.integers(12, len(frame) - 1), UINT8), max_size=4)):
        frame[at] = octet
    length = draw(st.just(len(frame)) | st.integers(0, len(frame)))
    return bytes(frame[:length]) + draw(st.just(b"") | st.binary(max_size=40))


#: Octets that may be a frame.
FRAMES = st.binary(max_size=200) | spoiled_frames()
