"""The virtio-net header that tap and packet sockets put in front of a frame (linux/virtio_net.h).

Ten octets, or twelve with ``num_buffers``, in host byte order. What it says comes from a peer, so nothing
of it is believed before ``plausible`` has held it against the frame; ``hdr_len`` is never used.

An unfinished checksum is a licence to write: two octets, at a place and of a value that the peer chooses.
So it is never in the Ethernet header or a VLAN tag, by which a switch decides. That of the frame's own TCP
or UDP may wait until the frame leaves. Any other, say of a packet inside a tunnel, is ``foreign``: where a
filter judges the frame, it is completed before.
"""

import struct
from dataclasses import dataclass

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.wire import checksum as sums
from cython.cimports.vecwire.wire.ethernet import HEADER, SCTP, TCP, Layout, behind_tags, dissect, locate
from cython.cimports.vecwire.wire.octets import Octets
from cython.cimports.vecwire.wire.vnet import (
    DATA_VALID,
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    NEEDS_CSUM,
    VnetHeader,
)

SHORT = 10
LONG = 12

# Where the headers have their checksums (RFC 9293, 3.1; RFC 768; RFC 9260, 3.1).
TCP_CHECKSUM = cython.declare(uint16_t, 16)
UDP_CHECKSUM = cython.declare(uint16_t, 6)
SCTP_CHECKSUM = cython.declare(uint16_t, 8)
SCTP_HEADER = cython.declare(uint32_t, 12)

GSO_NAMES: dict[int, str] = {0: "none", 1: "tcpv4", 3: "udp", 4: "tcpv6", 5: "udp_l4"}


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def consistent(header: cython.pointer[cython.const[VnetHeader]], length: uint32_t) -> cython.bint:
    """Whether a header's fields agree with each other and with a frame of ``length`` octets."""
    kind: cython.uint = header.gso_type & ~cython.cast(cython.uint, GSO_ECN)
    if header.flags & ~cython.cast(cython.uint, NEEDS_CSUM | DATA_VALID):
        return False
    if header.flags & NEEDS_CSUM:
        if cython.cast(uint32_t, header.csum_start) + header.csum_offset + 2 > length:
            return False
        if header.csum_start < HEADER:
            return False
    if kind == GSO_NONE:
        return header.gso_type == GSO_NONE
    if kind not in (GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4):
        return False
    return header.gso_size != 0


def plausible(
    frame: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    header: cython.pointer[cython.const[VnetHeader]],
) -> cython.bint:
    """Whether a header's fields agree with each other and with the frame.

    A checksum is not to be stored in the frame's Ethernet header or in a VLAN tag.
    """
    if not consistent(header, length):
        return False
    if not header.flags & NEEDS_CSUM:
        return True
    start: uint32_t = behind_tags(frame, length)
    return start != 0 and header.csum_start >= start


def foreign(
    frame: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    header: cython.pointer[cython.const[VnetHeader]],
) -> cython.bint:
    """Whether the checksum that NEEDS_CSUM asks for is another than that of the frame's own TCP or UDP."""
    layout: Layout
    if not dissect(frame, length, cython.address(layout)) or header.csum_start != layout.transport:
        return True
    return header.csum_offset != (TCP_CHECKSUM if layout.protocol == TCP else UDP_CHECKSUM)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def complete_sctp(
    frame: cython.pointer[uint8_t], length: uint32_t, header: cython.pointer[cython.const[VnetHeader]]
) -> cython.bint:
    """Finishes the checksum of SCTP, where it is that which is asked for.

    No device offers this to a guest. But the header says the same of a packet socket's frame whose CRC32c a
    station on a veth has left open (net/core/skbuff.c, ``skb_crc32c_csum_help``), as if it were a sum.
    """
    layout: Layout
    if (
        header.csum_offset != SCTP_CHECKSUM
        or not locate(frame, length, cython.address(layout))
        or layout.protocol != SCTP
        or header.csum_start != layout.transport
        or layout.transport + SCTP_HEADER > layout.end
    ):
        return False
    at: cython.pointer[uint8_t] = frame + layout.transport
    memset(at + SCTP_CHECKSUM, 0, 4)
    crc: uint32_t = ~sums.crc32c(at, layout.end - layout.transport, 0xFFFFFFFF)
    i: cython.uint
    for i in range(4):
        at[SCTP_CHECKSUM + i] = cython.cast(uint8_t, crc >> (8 * i))
    return True


def complete_checksum(
    frame: cython.pointer[uint8_t], length: uint32_t, header: cython.pointer[VnetHeader]
) -> cython.bint:
    """Finishes the checksum that NEEDS_CSUM asks for, in place, and clears the request.

    The field holds the sum of the pseudo-header; what is stored is the complement of the whole sum, and
    for UDP, where zero means that there is none, 0xFFFF in the place of zero (RFC 768).
    """
    if cython.cast(uint32_t, header.csum_start) + header.csum_offset + 2 > length:
        return False
    start: uint32_t = header.csum_start
    total: uint16_t
    if not complete_sctp(frame, length, header):
        total = ~sums.fold(sums.add(frame + start, length - start, 0))
        if total == 0 and header.csum_offset == UDP_CHECKSUM:
            total = 0xFFFF
        memcpy(frame + start + header.csum_offset, cython.address(total), 2)
    header.flags = 0
    header.csum_start = 0
    header.csum_offset = 0
    return True


@dataclass(frozen=True, slots=True)
class Vnet:
    """A virtio-net header as a value; lengths and offsets in octets from the frame's first one.

    Attributes:
        flags: NEEDS_CSUM 1, DATA_VALID 2.
        gso_type: 0 none, 1 TCP over IPv4, 4 TCP over IPv6, 5 UDP; 0x80 added for ECN.
        hdr_len: the length of all headers, a hint.
        gso_size: the payload of one segment.
        csum_start: where the checksum begins to cover.
        csum_offset: where it is stored, from ``csum_start``.
        num_buffers: of the long form only.
    """

    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    num_buffers: int = 0

    def pack(self, size: int = SHORT) -> bytes:
        """The header's octets: 10, or 12 with ``num_buffers``.

        Raises:
            ValueError: if ``size`` is neither, or a field does not fit.
        """
        if size not in {SHORT, LONG}:
            raise ValueError(f"a virtio-net header has 10 or 12 octets, not {size}")
        try:
            octets = struct.pack(
                "=BBHHHHH",
                self.flags,
                self.gso_type,
                self.hdr_len,
                self.gso_size,
                self.csum_start,
                self.csum_offset,
                self.num_buffers,
            )
        except struct.error as error:
            raise ValueError(f"a field of the virtio-net header does not fit: {error}") from error
        return octets[:size]

    @classmethod
    def unpack(cls, octets: bytes | bytearray | memoryview) -> "Vnet":
        """Reads a header of 10 or 12 octets.

        Raises:
            ValueError: if there are fewer than 10.
        """
        if len(octets) < SHORT:
            raise ValueError(f"a virtio-net header has at least 10 octets, not {len(octets)}")
        return cls(*struct.unpack("=BBHHHHH", bytes(octets[:LONG]).ljust(LONG, b"\0")))

    def suits(self, frame: bytes | bytearray | memoryview) -> bool:
        """Whether a port takes a frame with this header: one that it fits, its addresses and tags left alone.

        Raises:
            ValueError: if a field of the header does not fit.
        """
        packed = self.pack(LONG)
        header: VnetHeader
        memcpy(cython.address(header), cython.cast(cython.p_char, packed), LONG)
        octets: Octets = Octets(frame)
        return plausible(octets.at, cython.cast(uint32_t, octets.length), cython.address(header))

    def fits(self, length: int) -> bool:
        """Whether the header's fields agree with each other and with a frame of ``length`` octets."""
        packed = self.pack(LONG)
        header: VnetHeader
        memcpy(cython.address(header), cython.cast(cython.p_char, packed), LONG)
        return consistent(cython.address(header), length)


def complete(frame: bytearray | memoryview, header: Vnet) -> bool:
    """Finishes the checksum of ``frame`` in place as ``header`` asks; False where the offsets lie.

    They do where the place is not in the frame, or is in its Ethernet header or a VLAN tag.

    Raises:
        ValueError: if a field of the header does not fit.
    """
    packed = header.pack(LONG)
    raw: VnetHeader
    memcpy(cython.address(raw), cython.cast(cython.p_char, packed), LONG)
    octets: Octets = Octets(frame, writable=True)
    length: uint32_t = cython.cast(uint32_t, octets.length)
    if not raw.flags & NEEDS_CSUM or not plausible(octets.at, length, cython.address(raw)):
        return False
    return complete_checksum(octets.at, length, cython.address(raw))
