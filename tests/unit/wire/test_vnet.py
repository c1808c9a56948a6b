"""The virtio-net header: octets, what is believed of it, and the checksum that it asks for."""

import dataclasses
import struct
import sys

import pytest

from oracle import internet
from oracle.cliff import Cliff
from oracle.internet import Segment
from oracle.shapes import SHAPES, asking
from vecwire.wire.vnet import LONG, SHORT, Vnet, complete

NEEDS_CSUM, DATA_VALID = 1, 2
NONE, TCPV4, UFO, TCPV6, UDP_L4, ECN = 0, 1, 3, 4, 5, 0x80

#: A header and its octets on a little-endian host, in the long form.
OCTETS = [
    (Vnet(), "00 00 0000 0000 0000 0000 0000"),
    (Vnet(1, 1, 54, 1448, 34, 16), "01 01 3600 a805 2200 1000 0000"),
    (Vnet(2, 0x84, 0x1234, 0x5678, 0x9ABC, 0xDEF0, 0xFEDC), "02 84 3412 7856 bc9a f0de dcfe"),
    (Vnet(255, 255, 65535, 65535, 65535, 65535, 65535), "ff ff ffff ffff ffff ffff ffff"),
]


def host_order(text: str) -> bytes:
    """Octets written as on a little-endian host, in this host's order."""
    numbers = struct.unpack("<BBHHHHH", bytes.fromhex(text))
    return struct.pack("=BBHHHHH", *numbers)


@pytest.mark.parametrize(("header", "text"), OCTETS)
def test_packs(header: Vnet, text: str) -> None:
    """A header is written in host byte order, with or without num_buffers."""
    assert header.pack(LONG) == host_order(text)
    assert header.pack() == header.pack(SHORT) == host_order(text)[:10]


@pytest.mark.parametrize(("header", "text"), OCTETS)
def test_unpacks(header: Vnet, text: str) -> None:
    """The same octets are read back, the short form without num_buffers, whatever follows them."""
    octets = host_order(text)
    assert Vnet.unpack(octets) == Vnet.unpack(octets + b"\xa5" * 20) == header
    assert Vnet.unpack(octets[:10]) == dataclasses.replace(header, num_buffers=0)
    assert Vnet.unpack(memoryview(bytearray(octets))) == header


@pytest.mark.parametrize("length", range(SHORT))
def test_cut_headers_are_refused(length: int) -> None:
    """Fewer than 10 octets are no header."""
    with pytest.raises(ValueError, match=f"not {length}"):
        Vnet.unpack(bytes(length))


@pytest.mark.parametrize("size", [-1, 0, 9, 11, 13])
def test_sizes_of_a_header(size: int) -> None:
    """A header has 10 or 12 octets and no other number."""
    with pytest.raises(ValueError, match="10 or 12"):
        Vnet().pack(size)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Vnet)])
@pytest.mark.parametrize("value", [-1, 0x10000])
def test_fields_must_fit(name: str, value: int) -> None:
    """A field that is negative or too long for its octets is a ValueError wherever the header is used."""
    header = Vnet(**{name: value})
    with pytest.raises(ValueError, match="does not fit"):
        header.pack(LONG)
    with pytest.raises(ValueError, match="does not fit"):
        header.fits(100)


#: A header, the length of its frame, and whether the two agree.
CLAIMS = [
    (Vnet(), 0, True),
    (Vnet(), 14, True),
    (Vnet(flags=DATA_VALID), 60, True),
    (Vnet(flags=NEEDS_CSUM, csum_start=34, csum_offset=16), 52, True),
    (Vnet(flags=NEEDS_CSUM, csum_start=34, csum_offset=16), 51, False),
    (Vnet(flags=NEEDS_CSUM, csum_start=34, csum_offset=16), 0, False),
    (Vnet(flags=NEEDS_CSUM, csum_start=14, csum_offset=0), 16, True),
    (Vnet(flags=NEEDS_CSUM, csum_start=13, csum_offset=0), 16, False),
    (Vnet(flags=NEEDS_CSUM, csum_start=0, csum_offset=16), 60, False),
    # The sum of both is above 16 bits: it must not wrap to a place inside the frame.
    (Vnet(flags=NEEDS_CSUM, csum_start=65535, csum_offset=65535), 65557, False),
    (Vnet(flags=NEEDS_CSUM, csum_start=65534, csum_offset=2), 60, False),
    (Vnet(flags=NEEDS_CSUM, csum_start=65520, csum_offset=20), 65542, True),
    (Vnet(flags=NEEDS_CSUM, csum_start=65520, csum_offset=20), 65541, False),
    (Vnet(gso_type=TCPV4, gso_size=1448), 3000, True),
    (Vnet(gso_type=TCPV4 | ECN, gso_size=1448), 3000, True),
    (Vnet(gso_type=TCPV6, gso_size=1), 3000, True),
    (Vnet(gso_type=UDP_L4, gso_size=65535), 3000, True),
    (Vnet(gso_type=TCPV4, gso_size=0), 3000, False),
    (Vnet(gso_type=UFO, gso_size=1448), 3000, False),
    (Vnet(gso_type=2, gso_size=1448), 3000, False),
    (Vnet(gso_type=6, gso_size=1448), 3000, False),
    (Vnet(gso_type=0x41, gso_size=1448), 3000, False),
    (Vnet(gso_type=NONE | ECN, gso_size=1448), 3000, False),
    # DATA_VALID hides nothing: what follows it in the header is read too (the seed did not).
    (Vnet(flags=DATA_VALID, gso_type=UFO, gso_size=1448), 3000, False),
    (Vnet(flags=DATA_VALID, gso_type=TCPV4, gso_size=0), 3000, False),
    (Vnet(flags=DATA_VALID | NEEDS_CSUM, csum_start=34, csum_offset=16), 40, False),
    # A flag that this version of the header does not know might change what the others mean.
    (Vnet(flags=4), 60, False),
    (Vnet(flags=0x80), 60, False),
    # hdr_len and num_buffers are hints that are never used.
    (Vnet(hdr_len=65535, num_buffers=65535), 14, True),
]


@pytest.mark.parametrize(("header", "length", "agrees"), CLAIMS)
def test_what_is_believed(header: Vnet, length: int, agrees: bool) -> None:
    """A header is believed exactly where its fields agree with each other and with the frame's length."""
    assert header.fits(length) is agrees


#: The type behind the addresses, the header, and whether a frame of 60 octets may have it.
PLACES = [
    ("0800", Vnet(flags=NEEDS_CSUM, csum_start=13, csum_offset=1), False),
    ("0800", Vnet(flags=NEEDS_CSUM, csum_start=14, csum_offset=0), True),
    ("9100", Vnet(flags=NEEDS_CSUM, csum_start=14, csum_offset=0), True),
    ("8100000a0800", Vnet(flags=NEEDS_CSUM, csum_start=14, csum_offset=0), False),
    ("8100000a0800", Vnet(flags=NEEDS_CSUM, csum_start=17, csum_offset=16), False),
    ("8100000a0800", Vnet(flags=NEEDS_CSUM, csum_start=18, csum_offset=0), True),
    ("88a8000a8100000b0800", Vnet(flags=NEEDS_CSUM, csum_start=18, csum_offset=0), False),
    ("88a8000a8100000b0800", Vnet(flags=NEEDS_CSUM, csum_start=22, csum_offset=0), True),
    ("8100000a" * 12, Vnet(flags=NEEDS_CSUM, csum_start=50, csum_offset=0), False),
    ("8100000a0800", Vnet(csum_start=14), True),
    ("0800", Vnet(flags=NEEDS_CSUM, csum_start=14, csum_offset=45), False),
]


@pytest.mark.parametrize(("behind", "header", "right"), PLACES)
def test_addresses_and_tags_are_not_written_to(behind: str, header: Vnet, right: bool) -> None:
    """A checksum that would be stored in the Ethernet header or in a VLAN tag is not asked for."""
    octets = (bytes(12) + bytes.fromhex(behind)).ljust(60, b"\0")
    assert header.suits(octets) is right
    frame = bytearray(octets)
    assert complete(frame, header) is (right and header.flags == NEEDS_CSUM)
    assert frame[: 12 + len(behind) // 2] == octets[: 12 + len(behind) // 2]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("length", [0, 1, 2, 999])
def test_completes_what_linux_leaves_open(name: str, length: int) -> None:
    """A frame that left its checksum to the device becomes the frame that computed its own."""
    payload = (bytes(range(256)) * 4)[:length]
    shape = internet.located(dataclasses.replace(SHAPES[name], payload=payload))
    frame = bytearray(internet.build(shape, partial=True))
    header = dataclasses.replace(asking(shape, 0), gso_type=NONE)
    assert complete(frame, header) is True
    assert frame == internet.build(shape)
    assert internet.rebuilt_by_scapy(bytes(frame)) == frame


@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_checksum_is_never_zero(version: int) -> None:
    """Where the sum of a datagram comes out as zero, 0xFFFF is stored: zero would say that there is none."""
    plain = Segment(version=version, protocol=internet.UDP_PROTOCOL, payload=b"\0\0")
    at = internet.located(plain).transport_at + 6
    balance = internet.build(plain)[at : at + 2]
    shape = internet.located(dataclasses.replace(plain, payload=balance))
    frame = bytearray(internet.build(shape, partial=True))
    assert complete(frame, dataclasses.replace(asking(shape, 0), gso_type=NONE))
    assert frame[at : at + 2] == b"\xff\xff"
    assert internet.read(bytes(frame)).payload == balance


def test_a_tcp_checksum_may_be_zero() -> None:
    """Where the sum of a TCP segment comes out as zero, zero is stored."""
    at = internet.located(Segment()).transport_at + 16
    balance = internet.build(Segment(payload=b"\0\0"))[at : at + 2]
    shape = internet.located(Segment(payload=balance))
    frame = bytearray(internet.build(shape, partial=True))
    assert complete(frame, dataclasses.replace(asking(shape, 0), gso_type=NONE))
    assert frame[at : at + 2] == b"\0\0"


@pytest.mark.parametrize("header", [header for header, _, agrees in CLAIMS if not agrees])
def test_lies_are_not_followed(header: Vnet) -> None:
    """A header that contradicts itself or its frame changes no octet."""
    frame = bytearray(b"\xa5" * 40)
    assert complete(frame, header) is False
    assert frame == b"\xa5" * 40


@pytest.mark.parametrize("flags", [0, DATA_VALID])
def test_nothing_asked_nothing_done(flags: int) -> None:
    """Without NEEDS_CSUM the offsets mean nothing and the frame stays as it is."""
    frame = bytearray(b"\xa5" * 60)
    assert complete(frame, Vnet(flags=flags, csum_start=34, csum_offset=16)) is False
    assert frame == b"\xa5" * 60


@pytest.mark.parametrize("length", range(52))
def test_cut_frames_stay_as_they_are(length: int) -> None:
    """A frame that ends before the checksum's place is not touched, nor what lies behind it."""
    cliff = Cliff()
    frame = cliff.before_the_end(b"\xa5" * length)
    assert complete(frame, Vnet(flags=NEEDS_CSUM, csum_start=34, csum_offset=16)) is False
    assert frame == b"\xa5" * length


def test_padding_of_zeros_changes_no_checksum() -> None:
    """A short frame that was padded to 60 octets gets the checksum that it would have got without."""
    shape = internet.located(Segment(payload=b"x"))
    bare = bytearray(internet.build(shape, partial=True))
    padded = bytearray(bytes(bare).ljust(60, b"\0"))
    header = dataclasses.replace(asking(shape, 0), gso_type=NONE)
    assert complete(bare, header)
    assert complete(padded, header)
    assert padded[: len(bare)] == bare


def test_only_writable_frames_are_completed() -> None:
    """A frame that may not be written is a BufferError, and stays as it is."""
    frame = bytes(60)
    with pytest.raises(BufferError):
        complete(frame, Vnet(flags=NEEDS_CSUM, csum_start=34, csum_offset=16))  # type: ignore[arg-type]
    assert frame == bytes(60)


def test_the_byte_order_is_the_hosts() -> None:
    """Packet sockets and tap without TUNSETVNETBE speak the byte order of the host."""
    assert int.from_bytes(Vnet(gso_size=0x1234).pack()[4:6], sys.byteorder) == 0x1234
