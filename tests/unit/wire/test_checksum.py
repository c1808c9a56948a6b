"""The Internet checksum against the RFC's example, scapy's arithmetic and a sum done word by word."""

import ctypes
import hashlib
import struct
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.utils import checksum as scapy_checksum

from oracle import internet
from oracle.cliff import Cliff
from oracle.compiled import address, function
from vecwire.wire import checksum as sums
from vecwire.wire.checksum import checksum, partial

#: Octets and their checksum. RFC 1071, section 3, works the second one out.
VECTORS = [
    (b"", 0xFFFF),
    (bytes.fromhex("0001f203f4f5f6f7"), 0x220D),
    (b"\x00", 0xFFFF),
    (b"\x01", 0xFEFF),
    (b"\x00\x01", 0xFFFE),
    (b"\xff\xff", 0x0000),
    (b"\xff\xff\x00", 0x0000),
    (b"\xff\xff\x00\x01", 0xFFFE),
    (b"\xff" * 65535, 0x00FF),
    (bytes.fromhex("45000073000040004011 0000 c0a80001c0a800c7"), 0xB861),
]

RANDOM = hashlib.shake_128(b"RFC 1071").digest(4096)


@pytest.mark.parametrize(("octets", "expected"), VECTORS, ids=range(len(VECTORS)))
def test_known_checksums(octets: bytes, expected: int) -> None:
    """Octets with a checksum worked out by hand get that checksum, and the sum is its complement."""
    assert checksum(octets) == expected
    assert partial(octets) == expected ^ 0xFFFF


@pytest.mark.parametrize(("octets", "expected"), VECTORS, ids=range(len(VECTORS)))
def test_octets_around_do_not_count(octets: bytes, expected: int) -> None:
    """The same octets between others that are not zero get the same checksum."""
    dirty = memoryview(b"\xa5" * 3 + octets + b"\xa5" * 9)
    assert checksum(dirty[3 : 3 + len(octets)]) == expected


@pytest.mark.parametrize("length", [*range(130), 1459, 1460, 4095, 4096])
def test_every_length(length: int) -> None:
    """Any length, odd ones too, gives what scapy and the sum done word by word give."""
    octets = RANDOM[:length]
    assert checksum(octets) == scapy_checksum(octets)
    assert partial(octets) == internet.total(octets)


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 1461])
def test_every_alignment(offset: int, length: int) -> None:
    """Where the octets lie in memory changes nothing."""
    octets = memoryview(bytearray(RANDOM))[offset : offset + length]
    assert checksum(octets) == scapy_checksum(bytes(octets))


@pytest.mark.parametrize("cut", range(0, 66, 2))
def test_a_sum_in_parts(cut: int) -> None:
    """A sum that begins with the sum of the even-length part before is the sum of the whole."""
    octets = RANDOM[:65]
    assert partial(octets[cut:], partial(octets[:cut])) == partial(octets)
    assert checksum(octets[cut:], partial(octets[:cut])) == checksum(octets)


def test_a_start_above_16_bits_is_folded() -> None:
    """A sum to begin with may be longer than 16 bits: its carries come back in."""
    assert partial(b"\x00\x01", 0x1FFFF) == internet.total(struct.pack("!IH", 0x1FFFF, 1))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 6, 7, 1499])
def test_nothing_is_read_outside(length: int) -> None:
    """Octets at the very end, or the very beginning, of readable memory are summed within it."""
    cliff = Cliff()
    octets = RANDOM[:length]
    assert checksum(cliff.before_the_end(octets)) == scapy_checksum(octets)
    assert checksum(cliff.after_the_start(octets)) == scapy_checksum(octets)


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2]])
def test_only_octets(data: object) -> None:
    """What has no octets to show is a TypeError."""
    with pytest.raises(TypeError):
        checksum(data)  # type: ignore[arg-type]


def test_only_contiguous_octets() -> None:
    """Octets with gaps between them are a BufferError, not a sum of the gaps."""
    with pytest.raises(BufferError):
        checksum(memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("compute", [checksum, partial])
def test_no_negative_start(compute: object) -> None:
    """A negative sum to begin with is refused."""
    assert callable(compute)
    with pytest.raises(ValueError, match="not negative: -1"):
        compute(b"ab", -1)


@pytest.mark.parametrize(
    ("version", "length"), [(4, 20), (4, 21), (4, 65515), (6, 20), (6, 21), (6, 65515), (6, 70000)]
)
def test_pseudo_header(version: int, length: int) -> None:
    """The pseudo-header leads to the checksum that scapy computes, lengths above 16 bits in IPv6 too."""
    compiled = function(
        sums,
        "pseudo_header",
        ctypes.c_uint64,
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_uint32,
        ctypes.c_uint32,
    )
    fold = function(sums, "fold", ctypes.c_uint16, ctypes.c_uint64)
    packet: Any
    if version == 4:
        packet = IP(src="10.1.2.3", dst="192.168.255.254")
        transport = bytes(TCP(sport=1, dport=2, chksum=0)).ljust(length, b"x")
        expected = in4_chksum(6, packet, transport)
    else:
        packet = IPv6(src="fd00:1:2:3::4", dst="2001:db8::ffff")
        transport = bytes(TCP(sport=1, dport=2, chksum=0)).ljust(length, b"x")
        compute: Any = in6_chksum
        expected = compute(6, packet, transport)
    header = Cliff().before_the_end(bytes(packet))
    folded = struct.pack("=H", fold(compiled(address(header), version, 6, length)))
    assert checksum(transport, int.from_bytes(folded)) == expected


#: Sums that need every carry: the last two fold to 16 bits only in the fourth step.
SUMS = [
    0,
    1,
    0xFFFF,
    0x10000,
    0xFFFFFFFF,
    2**32,
    2**64 - 2**32,
    2**64 - 1,
    0xFFFF0001FFFEFFFF,
    0xFFFFFFFF00010000,
]


@pytest.mark.parametrize("total", SUMS)
def test_fold(total: int) -> None:
    """Folding 64 bits adds their four words with every carry brought back."""
    fold = function(sums, "fold", ctypes.c_uint16, ctypes.c_uint64)
    assert fold(total) == internet.total(total.to_bytes(8, "big"))
