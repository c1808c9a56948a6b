"""The Internet checksum (RFC 1071): sums of any octets, and of the pseudo-headers of IPv4 and IPv6.

And what SCTP has in its place, CRC32c.

Theory of operation: the ones' complement sum does not depend on byte order (RFC 1071, section 2 (B)), so
words are added as this host reads them and the result is stored as it is, without a swap. 32-bit words
go into a 64-bit total: no carry is lost below 16 GiB of data, and the loop is one that the compiler
turns into vector instructions. Folding to 16 bits happens once, at the end.
"""

import sys

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.vecwire.wire.octets import Octets

LITTLE_ENDIAN = cython.declare(cython.bint, sys.byteorder == "little")


def add(data: cython.pointer[cython.const[uint8_t]], length: cython.size_t, total: uint64_t) -> uint64_t:
    """Adds ``length`` octets to a running total; all parts but the last must have an even length."""
    i: cython.size_t
    word: uint32_t = 0
    half: uint16_t = 0
    words: cython.size_t = length >> 2
    for i in range(words):
        memcpy(cython.address(word), data + (i << 2), 4)
        total += word
    i = words << 2
    if length & 2:
        memcpy(cython.address(half), data + i, 2)
        total += half
        i += 2
    if length & 1:
        # The missing octet after the last is zero: the last one is the first of its word.
        total += data[i] if LITTLE_ENDIAN else cython.cast(uint64_t, data[i]) << 8
    return total


def fold(total: uint64_t) -> uint16_t:
    """Folds a total to the 16 bits of the ones' complement sum; the checksum is its complement."""
    total = cython.cast(uint32_t, total) + (total >> 32)
    total = cython.cast(uint32_t, total) + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return cython.cast(uint16_t, total)


def pseudo_header(
    packet: cython.pointer[cython.const[uint8_t]], version: uint32_t, protocol: uint32_t, length: uint32_t
) -> uint64_t:
    """Sums the pseudo-header of a packet (RFC 9293, section 3.1; RFC 8200, section 8.1).

    ``packet`` points to the IP header of the given version, ``length`` is that of the transport header
    and its payload in octets.
    """
    tail: uint8_t[8]
    tail[0] = cython.cast(uint8_t, length >> 24)
    tail[1] = cython.cast(uint8_t, length >> 16)
    tail[2] = cython.cast(uint8_t, length >> 8)
    tail[3] = cython.cast(uint8_t, length)
    tail[4] = 0
    tail[5] = 0
    tail[6] = 0
    tail[7] = cython.cast(uint8_t, protocol)
    total: uint64_t = add(cython.address(tail[0]), 8, 0)
    if version == 4:
        return add(packet + 12, 8, total)
    return add(packet + 8, 32, total)


CRC_TABLE = cython.declare(uint32_t[256])


def _fill_crc_table() -> None:
    """Writes each octet's remainder by Castagnoli's polynomial, bits reflected (RFC 9260, appendix A)."""
    octet: uint32_t
    rest: uint32_t
    for octet in range(256):
        rest = octet
        for _ in range(8):
            rest = (rest >> 1) ^ (0x82F63B78 if rest & 1 else 0)
        CRC_TABLE[octet] = rest


_fill_crc_table()


def crc32c(data: cython.pointer[cython.const[uint8_t]], length: cython.size_t, crc: uint32_t) -> uint32_t:
    """Goes on with a CRC32c (RFC 9260, appendix A), which begins and ends with all bits turned over."""
    i: cython.size_t
    for i in range(length):
        crc = CRC_TABLE[(crc ^ data[i]) & 0xFF] ^ (crc >> 8)
    return crc


def checksum(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Computes the Internet checksum of any object with the buffer protocol (RFC 1071).

    Args:
        data: the octets.
        start: a sum to begin with, as ``partial`` gives it.

    Returns:
        The checksum as it is written into a header, most significant octet first.

    Raises:
        ValueError: if ``start`` is negative.
    """
    return ~partial(data, start) & 0xFFFF


def partial(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Computes the ones' complement sum, without the complement: what a partial checksum holds.

    Args:
        data: the octets; all but the last piece of a longer sum must have an even length.
        start: the sum of the pieces before.

    Returns:
        The folded 16-bit sum, most significant octet first.

    Raises:
        ValueError: if ``start`` is negative.
    """
    if start < 0:
        raise ValueError(f"a sum to begin with is not negative: {start}")
    octets: Octets = Octets(data)
    total: uint64_t
    with cython.nogil:
        total = add(octets.at, octets.length, 0)
    result: cython.uint = fold(total)
    if LITTLE_ENDIAN:
        result = ((result & 0xFF) << 8) | (result >> 8)
    whole = int(result) + start
    while whole > 0xFFFF:
        whole = (whole & 0xFFFF) + (whole >> 16)
    return whole
