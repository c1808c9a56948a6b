"""Segmentation: what leaves in the place of a super-frame, held against two other implementations."""

import ctypes
import struct
from dataclasses import replace
from typing import Any

import pytest

from oracle import compiled, internet
from oracle.cliff import Cliff
from oracle.internet import ACK, CWR, FIN, PSH, Segment
from oracle.shapes import SHAPES, asking, gso_type
from vecwire.wire import segment as compiled_segment
from vecwire.wire.segment import segments
from vecwire.wire.vnet import Vnet

STREAM = bytes(range(251)) * 300

#: Octets of payload and of one segment: none, one, exact multiples, remainders, more than there are.
CUTS = [
    (0, 1448),
    (1, 1448),
    (1447, 1448),
    (1448, 1448),
    (1449, 1448),
    (2896, 1448),
    (64001, 1448),
    (100, 8),
    (1001, 9),
    (100, 65535),
]


def cut(segment: Segment, size: int, *, partial: bool = True) -> list[bytes]:
    """The frames that a super-frame becomes."""
    segment = internet.located(segment)
    frames = segments(internet.build(segment, partial=partial), asking(segment, size))
    assert frames is not None
    return frames


def wanted(segment: Segment, size: int) -> list[Segment]:
    """What the frames must be, field by field."""
    segment = internet.located(segment)
    pieces = [segment.payload[at : at + size] for at in range(0, len(segment.payload), size)] or [b""]
    last = len(pieces) - 1
    made = []
    for index, piece in enumerate(pieces):
        fields: dict[str, Any] = {"payload": piece}
        if segment.protocol == internet.TCP_PROTOCOL:
            dropped = (0 if index == last else FIN | PSH) | (CWR if index else 0)
            fields |= {
                "sequence": (segment.sequence + index * size) % 2**32,
                "flags": segment.flags & ~dropped,
            }
        if segment.version == 4:
            fields["identification"] = (segment.identification + index) % 2**16
        made.append(replace(segment, **fields))
    return made


@pytest.mark.parametrize("partial", [True, False], ids=["unfinished", "finished"])
@pytest.mark.parametrize(("length", "size"), CUTS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_and_size(name: str, length: int, size: int, partial: bool) -> None:
    """Each segment has the fields that it must have, right lengths and checksums, in every shape of frame."""
    segment = replace(SHAPES[name], payload=STREAM[:length])
    frames = cut(segment, size, partial=partial)
    assert [internet.read(frame) for frame in frames] == wanted(segment, size)


@pytest.mark.parametrize("name", SHAPES)
def test_scapy_would_write_the_same(name: str) -> None:
    """Scapy, told to compute every length and checksum of a segment anew, changes no octet of it."""
    for frame in cut(replace(SHAPES[name], payload=STREAM[:4001]), 1448):
        assert internet.rebuilt_by_scapy(frame) == frame


@pytest.mark.parametrize("name", SHAPES)
def test_the_layer_2_header_is_copied(name: str) -> None:
    """Addresses and tags of each segment are those of the super-frame."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:100]))
    front = internet.build(segment)[: segment.network_at]
    assert all(frame.startswith(front) for frame in cut(segment, 64))


@pytest.mark.parametrize("name", SHAPES)
def test_cut_at_every_octet(name: str) -> None:
    """A super-frame that ends before its packet does, wherever, makes no segments and is not read past."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:40]))
    frame = internet.build(segment, partial=True)
    cliff = Cliff()
    for length in range(len(frame)):
        assert segments(cliff.before_the_end(frame[:length]), asking(segment, 16)) is None, length
    assert segments(cliff.before_the_end(frame), asking(segment, 16)) == cut(segment, 16)


@pytest.mark.parametrize("name", SHAPES)
def test_padding_is_not_sent(name: str) -> None:
    """What follows the packet in its frame is in no segment and in no checksum."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:41]))
    frame = internet.build(segment, partial=True)
    assert segments(frame + b"\xa5" * 33, asking(segment, 16)) == cut(segment, 16)


@pytest.mark.parametrize("name", SHAPES)
def test_headers_written_over_dirty_memory(name: str) -> None:
    """Headers are written whole over any memory, in any order and again, and nothing beyond them is."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:100]))
    frame = bytearray(internet.build(segment, partial=True))
    asked = asking(segment, 16)
    header = compiled.VnetHeader.from_buffer_copy(asked.pack(12))
    segments_of = ctypes.POINTER(compiled.Segments)
    plan = compiled.function(
        compiled_segment,
        "plan",
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.POINTER(compiled.VnetHeader),
        segments_of,
    )
    write_headers = compiled.function(
        compiled_segment,
        "write_headers",
        None,
        ctypes.c_void_p,
        segments_of,
        ctypes.c_uint32,
        ctypes.c_void_p,
    )
    layout = compiled.Segments.from_buffer_copy(b"\xa5" * ctypes.sizeof(compiled.Segments))
    start = compiled.address(frame)
    assert plan(start, len(frame), ctypes.byref(header), ctypes.byref(layout))
    expected = cut(segment, 16)
    assert layout.count == len(expected) == 7
    for index in (6, 0, 3, 3, 1, 2, 4, 5, 6):
        room = bytearray(b"\xa5" * 500)
        write_headers(start, ctypes.byref(layout), index, compiled.address(room) + 50)
        assert room[50 : 50 + layout.payload] == expected[index][: layout.payload]
        assert set(room[:50]) | set(room[50 + layout.payload :]) == {0xA5}
    assert frame == internet.build(segment, partial=True)


@pytest.mark.parametrize("version", [4, 6])
def test_flags_stay_where_they_belong(version: int) -> None:
    """FIN and PSH stay on the last segment, CWR on the first, and every other flag on all of them."""
    others = 0xFF & ~(FIN | PSH | CWR)
    segment = Segment(version=version, flags=0xFF, payload=STREAM[:30])
    flags = [internet.read(frame).flags for frame in cut(segment, 10)]
    assert flags == [others | CWR, others, others | FIN | PSH]


def test_one_segment_keeps_all_flags() -> None:
    """A super-frame that is one segment long is first and last at once."""
    assert [internet.read(frame).flags for frame in cut(Segment(flags=0xFF, payload=b"x" * 9), 9)] == [0xFF]


@pytest.mark.parametrize("version", [4, 6])
def test_ecn_super_frames_are_cut_alike(version: int) -> None:
    """The ECN mark on the type of a super-frame says that CWR may be set, and changes nothing here."""
    segment = internet.located(Segment(version=version, flags=ACK | CWR, payload=STREAM[:30]))
    asked = asking(segment, 10)
    marked = replace(asked, gso_type=asked.gso_type | 0x80)
    frame = internet.build(segment, partial=True)
    assert segments(frame, marked) == segments(frame, asked) == cut(segment, 10)


def test_identifications_wrap() -> None:
    """The IPv4 identification counts past 0xFFFF to 0."""
    frames = cut(Segment(identification=0xFFFE, payload=STREAM[:40]), 10)
    assert [internet.read(frame).identification for frame in frames] == [0xFFFE, 0xFFFF, 0, 1]


@pytest.mark.parametrize("sequence", [0xFFFFFFFF, 0xFFFFFFF6, 0x7FFFFFFB])
def test_sequence_numbers_wrap(sequence: int) -> None:
    """TCP sequence numbers count past 2^32 - 1 to 0, and through 2^31 without a sign."""
    frames = cut(Segment(sequence=sequence, payload=STREAM[:30]), 10)
    assert [internet.read(frame).sequence for frame in frames] == [
        (sequence + at) % 2**32 for at in (0, 10, 20)
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_udp_checksums_are_never_zero(version: int) -> None:
    """A segment whose sum comes out as zero carries 0xFFFF: zero would say that it has no checksum."""
    plain = Segment(version=version, protocol=internet.UDP_PROTOCOL, payload=bytes(2) + b"0123456")
    at = internet.located(plain).transport_at + 6
    balance = cut(replace(plain, payload=bytes(10)), 10)[0][at : at + 2]
    frames = cut(replace(plain, payload=balance + bytes(8) + b"next"), 10)
    assert frames[0][at : at + 2] == b"\xff\xff"
    assert internet.read(frames[0]).payload == balance + bytes(8)


@pytest.mark.parametrize("name", ["tcp4", "tcp6", "udp4", "udp6", "tcp4-two-tags"])
def test_packets_above_64_kib(name: str) -> None:
    """A super-frame whose lengths say zero since they do not fit is cut to the end of its frame."""
    segment = replace(SHAPES[name], payload=STREAM[:70001])
    frames = cut(segment, 1400)
    assert [internet.read(frame) for frame in frames] == wanted(segment, 1400)


@pytest.mark.parametrize(
    ("name", "longest"),
    [("tcp4", 65495), ("tcp6", 65515), ("udp4", 65507), ("udp6", 65527), ("tcp6-extensions", 65459)],
)
def test_a_segment_is_a_packet_of_at_most_16_bits(name: str, longest: int) -> None:
    """Segments as long as a packet can be are made; one more, whose length would wrap, is refused."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:70000]))
    frame = internet.build(segment, partial=True)
    frames = segments(frame, asking(segment, longest))
    assert frames is not None
    assert [internet.read(piece) for piece in frames] == wanted(segment, longest)
    assert segments(frame, asking(segment, longest + 1)) is None


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("name", ["tcp4", "tcp6"])
def test_tcp_segments_of_fewer_than_8_octets_are_refused(name: str, size: int) -> None:
    """No TCP has so small segments: 536 less all options is far more, and Linux refuses them too."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:40]))
    assert segments(internet.build(segment, partial=True), asking(segment, size)) is None


@pytest.mark.parametrize("size", [1, 2, 7])
def test_short_datagrams_are_cut_as_far_as_linux_asks(size: int) -> None:
    """UDP_SEGMENT of a few octets is allowed: up to 128 datagrams are made, more are refused."""
    segment = replace(SHAPES["udp4"], payload=STREAM[: 128 * size])
    assert [internet.read(frame) for frame in cut(segment, size)] == wanted(segment, size)
    longer = internet.located(replace(segment, payload=STREAM[: 128 * size + 1]))
    assert segments(internet.build(longer, partial=True), asking(longer, size)) is None


@pytest.mark.parametrize("name", SHAPES)
def test_only_the_right_type(name: str) -> None:
    """Only the type of super-frame that the headers show, with or without the ECN mark, is cut; UFO never."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:40]))
    frame, asked = internet.build(segment, partial=True), asking(segment, 16)
    made = {kind for kind in range(256) if segments(frame, replace(asked, gso_type=kind)) is not None}
    assert made == {gso_type(segment), gso_type(segment) | 0x80}


@pytest.mark.parametrize("name", SHAPES)
def test_segments_of_no_octets(name: str) -> None:
    """A segment size of zero is refused."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:40]))
    assert segments(internet.build(segment, partial=True), asking(segment, 0)) is None


@pytest.mark.parametrize("change", [-1, 1, 8, -9])
@pytest.mark.parametrize("version", [4, 6])
def test_udp_lengths_that_lie(version: int, change: int) -> None:
    """A datagram that claims to be longer or shorter than its packet is refused."""
    segment = internet.located(Segment(version=version, protocol=internet.UDP_PROTOCOL, payload=STREAM[:40]))
    frame = bytearray(internet.build(segment, partial=True))
    struct.pack_into("!H", frame, segment.transport_at + 4, 48 + change)
    assert segments(frame, asking(segment, 16)) is None


@pytest.mark.parametrize("field", [0x2000, 0x0001, 0x1FFF])
def test_fragments_are_refused(field: int) -> None:
    """A fragment has no transport header to repeat."""
    segment = internet.located(Segment(payload=STREAM[:40]))
    frame = bytearray(internet.build(segment, partial=True))
    struct.pack_into("!H", frame, segment.network_at + 6, field)
    assert segments(frame, asking(segment, 16)) is None


def test_headers_beyond_any_use_are_refused() -> None:
    """Headers of more than 384 octets, which no scratch memory has room for, are refused."""
    shape = Segment(version=6, extensions=((60, bytes(302)),), payload=STREAM[:40])
    longest = replace(shape, tcp_options=b"\1" * 4)
    assert internet.located(longest).payload_at == 382
    assert [internet.read(frame) for frame in cut(longest, 16)] == wanted(longest, 16)
    longer = internet.located(replace(shape, tcp_options=b"\1" * 8))
    assert longer.payload_at == 386
    assert segments(internet.build(longer, partial=True), asking(longer, 16)) is None


def test_lying_offsets_and_hints_are_not_followed() -> None:
    """Where the headers are is read from the frame, whatever csum_start, csum_offset and hdr_len claim."""
    segment = internet.located(Segment(payload=STREAM[:40]))
    frame = internet.build(segment, partial=True)
    lies = Vnet(flags=1, gso_type=1, hdr_len=65535, gso_size=16, csum_start=65535, csum_offset=65535)
    assert segments(frame, lies) == cut(segment, 16)


def test_any_buffer_is_cut() -> None:
    """A super-frame may stand in bytes, in a bytearray or in a slice of a batch's memory."""
    segment = internet.located(Segment(payload=STREAM[:40]))
    frame = internet.build(segment, partial=True)
    inside = memoryview(bytearray(b"\xa5" * 7 + frame + b"\xa5" * 7))[7:-7]
    asked = asking(segment, 16)
    assert segments(bytearray(frame), asked) == segments(inside, asked) == segments(frame, asked)


def test_a_header_that_cannot_be_is_a_value_error() -> None:
    """A field that fits no virtio-net header is the caller's error, not a refusal."""
    with pytest.raises(ValueError, match="does not fit"):
        segments(internet.build(Segment()), Vnet(gso_type=1, gso_size=65536))
