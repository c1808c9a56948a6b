"""Where the parts of a frame begin: found in every shape, and never outside the frame."""

import ctypes
import struct
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from oracle import internet
from oracle.cliff import Cliff
from oracle.compiled import address, function
from oracle.internet import Segment
from oracle.shapes import CUSTOMER, HOP_BY_HOP, PADDING, ROUTED, SERVICE, SHAPES
from vecwire.wire import ethernet
from vecwire.wire.ethernet import Headers, headers, tagged, untagged

PAYLOAD = b"twelve octet"


def expected(segment: Segment) -> Headers:
    """The headers of the frame that the oracle builds of a segment."""
    place = internet.located(segment)
    return Headers(
        network=place.network_at,
        transport=place.transport_at,
        payload=place.payload_at,
        end=place.payload_at + len(segment.payload),
        version=segment.version,
        protocol=segment.protocol,
    )


def patched(frame: bytes, at: int, octets: str) -> bytes:
    """The frame with other octets at a place."""
    changed = bytes.fromhex(octets)
    return frame[:at] + changed + frame[at + len(changed) :]


@pytest.mark.parametrize("payload", [b"", b"x", PAYLOAD])
@pytest.mark.parametrize("name", SHAPES)
def test_finds_the_headers(name: str, payload: bytes) -> None:
    """In every shape of frame, with and without payload, each header is found where it was put."""
    segment = replace(SHAPES[name], payload=payload)
    frame = internet.build(segment)
    assert headers(frame) == expected(segment)
    assert headers(memoryview(bytearray(frame))) == expected(segment)


@pytest.mark.parametrize("name", SHAPES)
def test_cut_at_every_octet(name: str) -> None:
    """A frame that ends before its packet does, wherever, has no headers, and nothing after it is read."""
    frame = internet.build(replace(SHAPES[name], payload=PAYLOAD))
    cliff = Cliff()
    for length in range(len(frame)):
        assert headers(cliff.before_the_end(frame[:length])) is None, length
    assert headers(cliff.before_the_end(frame)) is not None


@pytest.mark.parametrize("name", ["tcp4", "tcp4-ip-option", "tcp6", "tcp6-hop-by-hop", "udp4", "udp6"])
def test_packets_end_within_the_transport_header(name: str) -> None:
    """Where the IP header tells rightly that the transport header is cut, no header is found."""
    place = internet.located(SHAPES[name])
    whole = internet.build(SHAPES[name])
    at = place.network_at + (2 if place.version == 4 else 4)
    front = place.network_at + (0 if place.version == 4 else 40)
    cliff = Cliff()
    for length in range(place.transport_at, len(whole)):
        told = struct.pack("!H", length - front)
        cut = patched(whole[:length], at, told.hex())
        assert headers(cliff.before_the_end(cut)) is None, length
    assert headers(whole) is not None


@pytest.mark.parametrize("junk", [b"\0" * 6, b"\xa5" * 50])
@pytest.mark.parametrize("name", SHAPES)
def test_padding_is_not_payload(name: str, junk: bytes) -> None:
    """What follows the packet in its frame changes nothing: the end is the packet's."""
    segment = replace(SHAPES[name], payload=PAYLOAD)
    assert headers(internet.build(segment) + junk) == expected(segment)


@pytest.mark.parametrize("payload", [65535, 70000])
@pytest.mark.parametrize("name", ["tcp4", "tcp6", "udp4", "udp6"])
def test_a_length_of_zero_is_a_long_packet(name: str, payload: int) -> None:
    """A packet above 64 KiB tells a length of zero and ends with its frame (Linux, BIG TCP)."""
    segment = replace(SHAPES[name], payload=bytes(payload))
    assert headers(internet.build(segment)) == expected(segment)


TCP4 = internet.build(Segment(payload=PAYLOAD))
TCP6 = internet.build(Segment(version=6, payload=PAYLOAD))
UDP4 = internet.build(Segment(protocol=internet.UDP_PROTOCOL, payload=PAYLOAD))
EXTENDED = internet.build(Segment(version=6, extensions=(HOP_BY_HOP, ROUTED, PADDING), payload=PAYLOAD))

#: Frames in which no TCP or UDP header can be found, and why not.
REFUSED = {
    "empty": b"",
    "another EtherType": patched(TCP4, 12, "0842"),
    "ARP": bytes(Ether() / ARP()),
    "IPv4 by EtherType, 6 by version": patched(TCP4, 14, "65"),
    "IPv6 by EtherType, 4 by version": patched(TCP6, 14, "45"),
    "IPv4 header shorter than 20 octets": patched(TCP4, 14, "44"),
    "IPv4 header of no octets": patched(TCP4, 14, "40"),
    # With what would be a data offset where the TCP header would be.
    "IPv4 header of 16 octets and a TCP header in it": patched(patched(TCP4, 14, "44"), 42, "50"),
    "IPv4 header of no octets and a TCP header in it": patched(patched(TCP4, 14, "40"), 26, "50"),
    "IPv4 header longer than the packet": patched(TCP4[:54], 14, "4f"),
    "IPv4 length above the frame's": patched(TCP4, 16, "0035"),
    "IPv4 length within its header": patched(TCP4, 16, "0013"),
    "IPv4 length within the TCP header": patched(TCP4, 16, "0027"),
    "IPv4 length of one octet": patched(TCP4, 16, "0001"),
    "IPv4 first fragment": patched(TCP4, 20, "2000"),
    "IPv4 last fragment": patched(TCP4, 20, "0001"),
    "IPv4 ICMP": patched(TCP4, 23, "01"),
    "IPv4 GRE": patched(TCP4, 23, "2f"),
    "IPv6 length above the frame's": patched(TCP6, 18, "0021"),
    "IPv6 length within the TCP header": patched(TCP6, 18, "0013"),
    "IPv6 ICMP": patched(TCP6, 20, "3a"),
    "IPv6 without anything more": patched(TCP6, 20, "3b"),
    "IPv6 extension header past the end": patched(EXTENDED, 55, "ff"),
    "IPv6 extension header past the packet": patched(EXTENDED + bytes(80), 55, "0a"),
    "IPv6 routing header with segments left": patched(EXTENDED, 65, "01"),
    "IPv6 jumbo payload option": patched(EXTENDED, 56, "c204"),
    "TCP header shorter than 20 octets": patched(TCP4, 46, "40"),
    "TCP header longer than the packet": patched(TCP4, 46, "90"),
    "UDP header past the packet": patched(UDP4, 16, "001b"),
    "tags without an end": b"\x02" * 12 + bytes.fromhex("81000001") * 200,
    "tag at the end of the frame": TCP4[:12] + bytes.fromhex("8100"),
    "half a tag at the end of the frame": TCP4[:12] + bytes.fromhex("81000001"),
    "a tag that tells nothing": TCP4[:12] + bytes.fromhex("810000010000"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_no_headers(why: str) -> None:
    """A frame whose headers lie, are cut or are of another kind has none, and nothing outside it is read."""
    cliff = Cliff()
    assert headers(cliff.before_the_end(REFUSED[why])) is None
    assert headers(cliff.after_the_start(REFUSED[why])) is None


def test_the_refused_frames_are_refused_for_one_octet() -> None:
    """The frames that the lies were told in are good ones without them."""
    for frame in (TCP4, TCP6, UDP4, EXTENDED):
        assert headers(frame) is not None


def test_fragments_made_by_scapy() -> None:
    """No fragment of a datagram has headers, neither in IPv4 nor in IPv6: only the whole has them."""
    packet = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / bytes(3000)
    cut: Any = fragment
    pieces = [bytes(Ether() / piece) for piece in cut(packet, 1000)]
    sixth = (
        Ether()
        / IPv6(src="fd00::1", dst="fd00::2")
        / IPv6ExtHdrFragment(nh=17, m=1, id=7)
        / UDP(sport=1, dport=2)
        / bytes(99)
    )
    assert len(pieces) > 2
    assert [headers(piece) for piece in [*pieces, bytes(sixth)]] == [None] * (len(pieces) + 1)
    assert headers(bytes(Ether() / packet)) is not None


@pytest.mark.parametrize("name", SHAPES)
def test_tags_go_behind_the_addresses(name: str) -> None:
    """A tag that is put back stands behind the addresses, as scapy puts it, before tags that were there."""
    frame = internet.build(replace(SHAPES[name], payload=PAYLOAD))
    whole = Ether(frame)
    for layer, tpid in ((Dot1Q, 0x8100), (Dot1AD, 0x88A8)):
        by_scapy = bytes(
            Ether(src=whole.src, dst=whole.dst, type=tpid)
            / layer(prio=1, vlan=5, type=whole.type)
            / whole.payload
        )
        assert tagged(frame, 0x2005, tpid) == by_scapy


@pytest.mark.parametrize("name", SHAPES)
def test_a_tag_moves_every_header(name: str) -> None:
    """All headers of a tagged frame are four octets further on."""
    segment = replace(SHAPES[name], payload=PAYLOAD)
    more = replace(segment, tags=(SERVICE, *segment.tags))
    assert headers(tagged(internet.build(segment), SERVICE[1], SERVICE[0])) == expected(more)


def test_a_tag_is_written_into_the_room_before_the_frame() -> None:
    """Putting a tag in writes four octets before the frame and nothing before them or after the EtherType."""
    insert = function(
        ethernet, "insert_vlan", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32
    )
    room = bytearray(b"\xa5" * 8 + TCP4 + b"\xa5" * 8)
    start = address(room)
    assert insert(start + 8, *CUSTOMER) == start + 4
    assert room == b"\xa5" * 4 + tagged(TCP4, CUSTOMER[1]) + b"\xa5" * 8


@pytest.mark.parametrize("name", SHAPES)
def test_a_tag_that_is_taken_out_is_gone(name: str) -> None:
    """Without its outermost tag a frame is what it was before that was put in, however many there are."""
    frame = internet.build(replace(SHAPES[name], payload=PAYLOAD))
    assert untagged(tagged(frame, 0x2005)) == frame
    assert untagged(tagged(tagged(frame, 1), 2, 0x88A8)) == tagged(frame, 1)


@pytest.mark.parametrize("length", range(18))
def test_what_has_no_room_for_a_tag_has_none(length: int) -> None:
    """From what is shorter than a tagged frame no tag can be taken out."""
    with pytest.raises(ValueError, match=f"not {length}"):
        untagged(bytes(length))


@pytest.mark.parametrize("length", range(14))
def test_no_tag_without_a_header(length: int) -> None:
    """What is shorter than an Ethernet header cannot be tagged."""
    with pytest.raises(ValueError, match=f"not {length}"):
        tagged(bytes(length), 1)


@pytest.mark.parametrize(("tci", "tpid"), [(-1, 0x8100), (0x10000, 0x8100), (1, -1), (1, 0x10000)])
def test_tags_have_16_bits(tci: int, tpid: int) -> None:
    """A tag whose halves do not fit 16 bits is refused."""
    with pytest.raises(ValueError, match="16 bits"):
        tagged(TCP4, tci, tpid)


def test_numbers_are_in_network_order() -> None:
    """The readers and writers of 16 and 32 bits agree with struct's network order, at odd places too."""
    room = bytearray(b"\xa5" * 9)
    at = address(room) + 1
    function(ethernet, "write16", None, ctypes.c_void_p, ctypes.c_uint32)(at, 0x1234ABCD)
    function(ethernet, "write32", None, ctypes.c_void_p, ctypes.c_uint32)(at + 2, 0xFEDCBA98)
    assert room == b"\xa5" + struct.pack("!HI", 0xABCD, 0xFEDCBA98) + b"\xa5" * 2
    assert function(ethernet, "read16", ctypes.c_uint16, ctypes.c_void_p)(at) == 0xABCD
    assert function(ethernet, "read32", ctypes.c_uint32, ctypes.c_void_p)(at + 2) == 0xFEDCBA98
