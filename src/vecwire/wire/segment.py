"""Segmentation in software: a TCP or UDP super-frame becomes frames of ``gso_size`` octets of payload.

Theory of operation: ``plan`` reads a super-frame's headers once and says how many segments it makes;
``write_headers`` then writes the headers of any one of them, checksums included, and ``payload_at`` says
which octets of the super-frame are its payload. The payload itself is never copied: it leaves as a slice.
Segments can therefore be made a few at a time, in any order, and again.

What changes from segment to segment (RFC 9293; the kernel's ``net/ipv4/tcp_offload.c`` behaves so):
the IP lengths, the IPv4 identification and header checksum, the TCP sequence number; FIN and PSH stay on
the last segment only and CWR on the first; UDP segments have a length of their own.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.vecwire.wire.checksum import add, fold, pseudo_header
from cython.cimports.vecwire.wire.ethernet import TCP, UDP, dissect, read16, read32, write16, write32
from cython.cimports.vecwire.wire.filter import Instruction, judge
from cython.cimports.vecwire.wire.octets import Octets
from cython.cimports.vecwire.wire.segment import (
    MAXIMUM_HEADERS,
    MINIMUM_SIZE,
    MOST_SHORT_SEGMENTS,
    Segments,
)
from cython.cimports.vecwire.wire.vnet import GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VnetHeader

from vecwire.wire.vnet import LONG, Vnet

FIN_PSH = cython.declare(uint8_t, 0x09)
CWR = cython.declare(uint8_t, 0x80)


def plan(
    frame: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    header: cython.pointer[cython.const[VnetHeader]],
    segments: cython.pointer[Segments],
) -> cython.bint:
    """Says how a super-frame is cut; False where its header asks for what its octets do not allow."""
    kind: cython.uint = header.gso_type & ~cython.cast(cython.uint, GSO_ECN)
    layout = cython.address(segments.layout)
    size: uint32_t = header.gso_size
    if size == 0 or not dissect(frame, length, layout) or layout.payload > MAXIMUM_HEADERS:
        return False
    carried: uint32_t = layout.end - layout.payload
    segments.size = size
    segments.count = max((carried + size - 1) // size, 1)
    # What follows the network header of the longest segment must be told in 16 bits.
    longest: uint32_t = layout.payload - layout.network + min(carried, size)
    if longest - (40 if layout.version == 6 else 0) > 0xFFFF:
        return False
    if kind == GSO_TCPV4:
        return layout.protocol == TCP and layout.version == 4 and size >= MINIMUM_SIZE
    if kind == GSO_TCPV6:
        return layout.protocol == TCP and layout.version == 6 and size >= MINIMUM_SIZE
    if kind != GSO_UDP_L4 or layout.protocol != UDP:
        return False
    if size < MINIMUM_SIZE and segments.count > MOST_SHORT_SEGMENTS:
        return False
    # The datagram fills its packet, or is, as the packet, too long to tell its length.
    datagram: uint32_t = read16(frame + layout.transport + 4)
    return datagram == 0 or datagram == layout.end - layout.transport


def payload_at(
    segments: cython.pointer[cython.const[Segments]], index: uint32_t, length: cython.pointer[uint32_t]
) -> uint32_t:
    """Where the payload of a segment begins in the super-frame; ``length`` gets its length."""
    start: uint32_t = segments.layout.payload + index * segments.size
    left: uint32_t = segments.layout.end - start
    length[0] = min(left, segments.size)
    return start


def write_headers(
    frame: cython.pointer[cython.const[uint8_t]],
    segments: cython.pointer[cython.const[Segments]],
    index: uint32_t,
    out: cython.pointer[uint8_t],
) -> cython.void:
    """Writes all headers of one segment, ``layout.payload`` octets, checksums completed."""
    layout = cython.address(segments.layout)
    size: uint32_t = 0
    start: uint32_t = payload_at(segments, index, cython.address(size))
    ip: cython.pointer[uint8_t] = out + layout.network
    transport: cython.pointer[uint8_t] = out + layout.transport
    field: uint16_t
    total: uint64_t
    carried: uint32_t = layout.payload - layout.transport + size
    memcpy(out, frame, layout.payload)
    if layout.version == 4:
        write16(ip + 2, layout.transport - layout.network + carried)
        write16(ip + 4, read16(ip + 4) + index)
        write16(ip + 10, 0)
        field = ~fold(add(ip, layout.transport - layout.network, 0))
        memcpy(ip + 10, cython.address(field), 2)
    else:
        write16(ip + 4, layout.transport - layout.network - 40 + carried)
    total = pseudo_header(ip, layout.version, layout.protocol, carried)
    total = add(frame + start, size, total)
    if layout.protocol == TCP:
        write32(transport + 4, read32(transport + 4) + index * segments.size)
        if index + 1 < segments.count:
            transport[13] &= ~FIN_PSH
        if index:
            transport[13] &= ~CWR
        write16(transport + 16, 0)
        field = ~fold(add(transport, layout.payload - layout.transport, total))
        memcpy(transport + 16, cython.address(field), 2)
    else:
        write16(transport + 4, carried)
        write16(transport + 6, 0)
        field = ~fold(add(transport, 8, total))
        if field == 0:
            field = 0xFFFF
        memcpy(transport + 6, cython.address(field), 2)


def each_wanted(
    program: cython.pointer[cython.const[Instruction]],
    frame: cython.pointer[uint8_t],
    length: uint32_t,
    header: cython.pointer[cython.const[VnetHeader]],
) -> cython.bint:
    """Whether a filter wants every datagram of a UDP super-frame, as it would leave; True of any other frame.

    One that is not wanted could otherwise hide behind one that is. TCP carries a stream: where it is cut says
    nothing. Each datagram's headers stand for a moment before its payload, in the super-frame itself.
    """
    cut: Segments
    head: uint8_t[MAXIMUM_HEADERS]
    saved: uint8_t[MAXIMUM_HEADERS]
    size: uint32_t = 0
    index: uint32_t
    at: cython.pointer[uint8_t]
    wanted: cython.bint = True
    if header.gso_type & ~cython.cast(cython.uint, GSO_ECN) != GSO_UDP_L4:
        return True
    if not plan(frame, length, header, cython.address(cut)):
        return False
    for index in range(cut.count):
        at = frame + payload_at(cython.address(cut), index, cython.address(size)) - cut.layout.payload
        write_headers(frame, cython.address(cut), index, cython.address(head[0]))
        memcpy(cython.address(saved[0]), at, cut.layout.payload)
        memcpy(at, cython.address(head[0]), cut.layout.payload)
        wanted = judge(program, at, cut.layout.payload + size) != 0
        memcpy(at, cython.address(saved[0]), cut.layout.payload)
        if not wanted:
            break
    return wanted


def segments(frame: bytes | bytearray | memoryview, header: Vnet) -> list[bytes] | None:
    """Cuts a super-frame into the frames that leave in its place; None where that cannot be done.

    Args:
        frame: the super-frame, from its Ethernet header on.
        header: its virtio-net header, with ``gso_type`` and ``gso_size``.

    Raises:
        ValueError: if a field of the header does not fit.
    """
    packed = header.pack(LONG)
    raw: VnetHeader
    memcpy(cython.address(raw), cython.cast(cython.p_char, packed), LONG)
    octets: Octets = Octets(frame)
    cut: Segments
    if not plan(octets.at, cython.cast(uint32_t, octets.length), cython.address(raw), cython.address(cut)):
        return None
    head: uint8_t[MAXIMUM_HEADERS]
    size: uint32_t = 0
    start: uint32_t
    index: uint32_t
    frames: list[bytes] = []
    for index in range(cut.count):
        start = payload_at(cython.address(cut), index, cython.address(size))
        write_headers(octets.at, cython.address(cut), index, cython.address(head[0]))
        front = cython.cast(cython.p_char, cython.address(head[0]))[: cut.layout.payload]
        frames.append(front + cython.cast(cython.p_char, octets.at + start)[:size])
    return frames
