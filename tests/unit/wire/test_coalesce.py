"""Coalescing: what may be joined, held against frames that another implementation has built."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oracle import compiled, internet
from oracle.cliff import Cliff
from oracle.internet import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment
from oracle.shapes import CUSTOMER, SERVICE, SHAPES, asking
from oracle.streams import JOINABLE, STREAM, stream
from vecwire.wire import coalesce as compiled_coalesce
from vecwire.wire.coalesce import coalesced
from vecwire.wire.segment import segments
from vecwire.wire.vnet import Vnet

if TYPE_CHECKING:
    from collections.abc import Callable

TRAIN = ctypes.POINTER(compiled.Train)

#: Lengths of the payloads of frames that are joined to the last: equal ones, and a shorter one that ends it.
JOINED = [(8, 8), (100, 100), (100, 1), (1448, 1448, 1448), (1448, 1448, 7), (9, 9, 9, 9, 9, 9, 9, 8)]


def whole(shape: Segment, lengths: tuple[int, ...], *, flags: int = ACK) -> tuple[int, bytes, Vnet]:
    """What ``coalesced`` must give for frames of these lengths: the super-frame that another would build."""
    total = sum(lengths)
    segment = internet.located(replace(shape, payload=STREAM[:total], flags=flags))
    return len(lengths), internet.build(segment, partial=True), asking(segment, lengths[0])


def alone(frame: bytes) -> tuple[int, bytes, Vnet]:
    """What ``coalesced`` must give where nothing joins the first frame."""
    return 1, frame, Vnet()


@pytest.mark.parametrize("lengths", JOINED, ids=str)
@pytest.mark.parametrize("name", JOINABLE)
def test_consecutive_frames_of_a_flow_become_one(name: str, lengths: tuple[int, ...]) -> None:
    """Frames of one size, and a shorter last one, become the super-frame that a host would have sent."""
    frames = [internet.build(each) for each in stream(SHAPES[name], *lengths)]
    assert coalesced(frames) == whole(SHAPES[name], lengths)


@pytest.mark.parametrize("name", JOINABLE)
def test_what_is_joined_is_cut_to_the_same_frames(name: str) -> None:
    """Segmentation makes of a super-frame, octet for octet, the frames that it was made of."""
    frames = [internet.build(each) for each in stream(SHAPES[name], 1000, 1000, 1000, 3)]
    count, joined, header = coalesced(frames)
    assert count == 4
    assert segments(joined, header) == frames


@pytest.mark.parametrize("version", [4, 6])
def test_a_shorter_frame_is_the_last(version: int) -> None:
    """A frame shorter than the first one ends the super-frame, even where the next one would follow on."""
    frames = [internet.build(each) for each in stream(Segment(version=version), 100, 100, 60, 60)]
    assert coalesced(frames) == whole(Segment(version=version), (100, 100, 60))
    assert coalesced(frames[2:])[0] == 2


@pytest.mark.parametrize("version", [4, 6])
def test_a_longer_frame_is_not_joined(version: int) -> None:
    """A frame longer than the first one begins anew: cut at the first one's size it would be two."""
    frames = [internet.build(each) for each in stream(Segment(version=version), 100, 101)]
    assert coalesced(frames) == alone(frames[0])


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("version", [4, 6])
def test_tiny_frames_are_not_joined(version: int, size: int) -> None:
    """Frames with fewer than 8 octets of payload begin no super-frame: nobody would cut it again."""
    frames = [internet.build(each) for each in stream(Segment(version=version), size, size)]
    assert coalesced(frames) == alone(frames[0])


@pytest.mark.parametrize("version", [4, 6])
def test_push_ends_a_super_frame_and_stays(version: int) -> None:
    """A frame with PSH is joined, ends the super-frame, and the whole carries PSH."""
    shape = Segment(version=version)
    first, second, third = stream(shape, 100, 100, 100)
    frames = [internet.build(each) for each in (first, replace(second, flags=ACK | PSH), third)]
    assert coalesced(frames) == whole(shape, (100, 100), flags=ACK | PSH)
    pushed = internet.build(replace(first, flags=ACK | PSH))
    assert coalesced([pushed, *frames[1:]]) == alone(pushed)


@pytest.mark.parametrize("flags", [0, PSH, *(ACK | each for each in (FIN, SYN, RST, URG, ECE, CWR))])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_opens_ends_or_alarms_a_flow_passes_by_itself(place: int, flags: int) -> None:
    """A frame with any flag but ACK and PSH, or without ACK, joins nothing, and nothing joins it."""
    flow = stream(Segment(), 100, 100, 100)
    flow[place] = replace(flow[place], flags=flags)
    frames = [internet.build(each) for each in flow]
    assert coalesced(frames) == (alone(frames[0]) if place < 2 else whole(Segment(), (100, 100)))
    assert coalesced(frames[place:])[0] == 1


def _put(at: int, octets: bytes) -> Callable[[bytearray], None]:
    def change(frame: bytearray) -> None:
        frame[at : at + len(octets)] = octets

    return change


#: What makes a frame one of another flow, or of another kind, by IP version: where it stands, and octets.
DIFFERENCES: dict[str, tuple[int, Callable[[bytearray], None]]] = {
    "destination-mac": (4, _put(0, b"\x04")),
    "source-mac": (4, _put(11, b"\x77")),
    "tos-ipv4": (4, _put(15, b"\x10")),
    "congestion-experienced-ipv4": (4, _put(15, b"\x03")),
    "may-be-fragmented": (4, _put(20, b"\x00")),
    "reserved-bit": (4, _put(20, b"\xc0")),
    "ttl": (4, _put(22, b"\x3f")),
    "source-ipv4": (4, _put(29, b"\x09")),
    "destination-ipv4": (4, _put(33, b"\x09")),
    "source-port-ipv4": (4, _put(34, b"\x99")),
    "destination-port-ipv4": (4, _put(37, b"\x99")),
    "sequence-ipv4": (4, _put(41, b"\x99")),
    "acknowledgement-ipv4": (4, _put(45, b"\x99")),
    "accurate-ecn-bit": (4, _put(46, b"\x51")),
    "window-ipv4": (4, _put(49, b"\x99")),
    "urgent-pointer": (4, _put(53, b"\x01")),
    "traffic-class": (6, _put(14, b"\x61")),
    "flow-label": (6, _put(17, b"\x01")),
    "hop-limit": (6, _put(21, b"\x3f")),
    "source-ipv6": (6, _put(37, b"\x09")),
    "destination-ipv6": (6, _put(53, b"\x09")),
    "source-port-ipv6": (6, _put(54, b"\x99")),
    "destination-port-ipv6": (6, _put(57, b"\x99")),
    "sequence-ipv6": (6, _put(61, b"\x99")),
    "acknowledgement-ipv6": (6, _put(65, b"\x99")),
    "window-ipv6": (6, _put(69, b"\x99")),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_headers_that_differ_are_not_joined(name: str) -> None:
    """A frame that differs in any field that does not count on by itself begins anew."""
    version, change = DIFFERENCES[name]
    first, second, third = (internet.build(each) for each in stream(Segment(version=version), 100, 100, 100))
    changed = bytearray(second)
    change(changed)
    other = internet.rebuilt_by_scapy(bytes(changed))
    assert other != second
    assert coalesced([first, other, third]) == alone(first)
    assert coalesced([first, second, third])[0] == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), (CUSTOMER,)),
        ((CUSTOMER,), ()),
        ((CUSTOMER,), ((0x8100, 0x2006),)),
        ((CUSTOMER,), ((0x8100, 0x4005),)),
        ((SERVICE, CUSTOMER), (CUSTOMER, CUSTOMER)),
        ((SERVICE, CUSTOMER), (CUSTOMER, SERVICE)),
    ],
)
@pytest.mark.parametrize("version", [4, 6])
def test_other_vlans_are_not_joined(
    version: int, first: tuple[tuple[int, int], ...], second: tuple[tuple[int, int], ...]
) -> None:
    """Frames with other VLAN tags, priorities or kinds of tag belong to another flow."""
    before, after = stream(Segment(version=version), 100, 100)
    frames = [internet.build(replace(before, tags=first)), internet.build(replace(after, tags=second))]
    assert coalesced(frames) == alone(frames[0])


@pytest.mark.parametrize(
    "options",
    [b"", b"\1\1\1\1", bytes.fromhex("0101080a") + bytes(8), bytes.fromhex("0101080a") + bytes([9] * 8)],
    ids=["none", "shorter", "older", "newer"],
)
def test_other_tcp_options_are_not_joined(options: bytes) -> None:
    """A frame with other options, other timestamps among them, begins anew."""
    before, after = stream(SHAPES["tcp4-timestamps"], 100, 100)
    frames = [internet.build(before), internet.build(replace(after, tcp_options=options))]
    assert coalesced(frames) == alone(frames[0])


def _fragmentable(frame: bytes) -> bytes:
    """The same IPv4 frame without DF."""
    changed = bytearray(frame)
    changed[20] = 0
    return internet.rebuilt_by_scapy(bytes(changed))


@pytest.mark.parametrize("fragmentable", [False, True])
@pytest.mark.parametrize(
    ("identifications", "joined", "constant"),
    [
        ((5, 6, 7, 8), 4, False),
        ((0xFFFE, 0xFFFF, 0, 1), 4, False),
        ((5, 5, 5, 5), 4, True),
        ((0, 0, 0, 0), 4, True),
        ((5, 6, 6, 6), 2, False),
        ((5, 6, 5, 6), 2, False),
        ((5, 5, 6, 7), 2, True),
        ((5, 7, 9, 11), 1, False),
        ((5, 4, 3, 2), 1, False),
    ],
)
def test_identifications_count_or_stay(
    identifications: tuple[int, ...], joined: int, constant: bool, fragmentable: bool
) -> None:
    """IPv4 identifications count on, or all stay the same where DF is set; anything else ends it."""
    flow = stream(Segment(), *[100] * 4)
    frames = [
        internet.build(replace(each, identification=number))
        for each, number in zip(flow, identifications, strict=True)
    ]
    if fragmentable:
        frames = [_fragmentable(each) for each in frames]
        joined = 1 if constant else joined
    count, octets, _ = coalesced(frames)
    assert count == joined
    assert octets[18:20] == struct.pack("!H", identifications[0])


def test_ipv6_has_no_identification() -> None:
    """Frames of IPv6 are joined by their sequence numbers alone."""
    frames = [internet.build(each) for each in stream(Segment(version=6), *[1400] * 20)]
    assert coalesced(frames) == whole(Segment(version=6), (1400,) * 20)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("start", [0xFFFFFFFF, 0xFFFFFF9C, 0x7FFFFFFF, 0])
def test_sequence_numbers_wrap(start: int, version: int) -> None:
    """Sequence numbers count past 2^32 - 1 to 0, and through 2^31 without a sign."""
    shape = Segment(version=version, sequence=start)
    frames = [internet.build(each) for each in stream(shape, 100, 100, 100)]
    assert coalesced(frames) == whole(shape, (100, 100, 100))


#: Shapes and others that stand for a whole class of frame that passes untouched.
UNTOUCHED = [name for name in SHAPES if name not in JOINABLE]


@pytest.mark.parametrize("name", UNTOUCHED)
def test_options_extensions_and_datagrams_are_not_joined(name: str) -> None:
    """IP options, IPv6 extension headers and UDP pass as they are."""
    frames = [internet.build(each) for each in stream(SHAPES[name], 100, 100)]
    assert coalesced(frames) == alone(frames[0])


@pytest.mark.parametrize("version", [4, 6])
def test_no_payload_is_not_joined(version: int) -> None:
    """A mere acknowledgement joins nothing, and nothing joins it."""
    shape = Segment(version=version)
    frames = [internet.build(each) for each in stream(shape, 100, 100, 0, 100)]
    assert coalesced(frames) == whole(shape, (100, 100))
    assert coalesced(frames[2:]) == alone(frames[2])


@pytest.mark.parametrize("padding", [1, 2, 46])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("version", [4, 6])
def test_padded_frames_are_not_joined(version: int, place: int, padding: int) -> None:
    """A frame with octets after its packet passes as it is, whatever they are."""
    frames = [internet.build(each) for each in stream(Segment(version=version), 100, 100)]
    frames[place] += bytes(padding)
    assert coalesced(frames) == alone(frames[0])


@pytest.mark.parametrize("field", [0x2000, 0x0001, 0x1FFF])
def test_fragments_are_not_joined(field: int) -> None:
    """Fragments pass as they are, the first of a packet too."""
    frames = [bytearray(internet.build(each)) for each in stream(Segment(), 104, 104)]
    for each in frames:
        struct.pack_into("!H", each, 20, field)
        each[24:26] = b"\0\0"
        each[24:26] = struct.pack("!H", ~internet.total(bytes(each[14:34])) & 0xFFFF)
    given = [bytes(each) for each in frames]
    assert coalesced(given) == alone(given[0])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("version", "at"),
    [(4, 24), (4, 25), (4, 50), (4, 51), (4, 54), (4, -1), (6, 70), (6, 71), (6, 74), (6, -1)],
    ids=str,
)
def test_a_bad_checksum_passes_untouched(version: int, at: int, place: int) -> None:
    """A frame with a wrong checksum or a changed payload is never joined: who it is for must see it so."""
    shape = Segment(version=version)
    frames = [internet.build(each) for each in stream(shape, 100, 100, 100, 100)]
    bad = bytearray(frames[place])
    bad[at] ^= 0x40
    frames[place] = bytes(bad)
    assert coalesced(frames) == (alone(frames[0]) if place < 2 else whole(shape, (100, 100)))
    assert coalesced(frames[place:]) == alone(frames[place])
    assert coalesced(frames[place + 1 :])[0] == 3 - place


@pytest.mark.parametrize(("version", "most"), [(4, 65495), (6, 65475)])
def test_a_super_frame_is_a_packet_of_at_most_16_bits(version: int, most: int) -> None:
    """Frames are joined up to a packet of 65535 octets; one octet more begins anew."""
    shape = Segment(version=version)
    lengths = (13100, 13100, 13100, 13100, most - 4 * 13100)
    assert coalesced([internet.build(each) for each in stream(shape, *lengths)]) == whole(shape, lengths)
    longer = (*lengths[:4], lengths[4] + 1)
    assert coalesced([internet.build(each) for each in stream(shape, *longer)]) == whole(shape, longer[:4])


def test_headers_of_the_greatest_length_are_written_whole_and_nothing_beyond() -> None:
    """The headers of the whole go over dirty memory, all of them, and no octet more."""
    shape = SHAPES["tcp4-longest-header"]
    frames = [internet.build(each) for each in stream(shape, 100, 100)]
    _, expected, header = whole(shape, (100, 100))
    places = [Cliff(), Cliff()]
    first, second = (place.before_the_end(frame) for place, frame in zip(places, frames, strict=True))
    train = compiled.Train.from_buffer_copy(b"\xa5" * ctypes.sizeof(compiled.Train))
    begin, join = (
        compiled.function(compiled_coalesce, name, ctypes.c_int, TRAIN, ctypes.c_void_p, ctypes.c_uint32)
        for name in ("begin", "join")
    )
    write = compiled.function(
        compiled_coalesce,
        "write_super_headers",
        None,
        TRAIN,
        ctypes.c_void_p,
        ctypes.POINTER(compiled.VnetHeader),
    )
    assert begin(ctypes.byref(train), compiled.address(first), len(first))
    assert join(ctypes.byref(train), compiled.address(second), len(second))
    size = header.hdr_len
    room = bytearray(b"\xa5" * (size + 100))
    made = compiled.VnetHeader.from_buffer_copy(b"\xa5" * 12)
    write(ctypes.byref(train), compiled.address(room) + 50, ctypes.byref(made))
    assert room[50 : 50 + size] == expected[:size]
    assert set(room[:50]) | set(room[50 + size :]) == {0xA5}
    assert bytes(made) == header.pack(12)
    assert [bytes(first), bytes(second)] == frames


def test_nothing_is_a_value_error() -> None:
    """An empty list has nothing to give back."""
    with pytest.raises(ValueError, match="no frames"):
        coalesced([])
