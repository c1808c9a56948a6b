"""Ethernet, VLAN, IPv4 and IPv6 headers: where the parts of a frame begin, read without trust.

``dissect`` walks the headers once and gives the offsets of the network header, the transport header and
the payload; all of them lie inside the frame, whatever the frame holds. ``locate`` stops at the transport
header, whatever its protocol, and ``behind_tags`` at the network header.
"""

from dataclasses import dataclass

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memmove
from cython.cimports.vecwire.wire.ethernet import HEADER, TCP, UDP, VLAN_TAG, Layout
from cython.cimports.vecwire.wire.octets import Octets

TPID_CUSTOMER = cython.declare(cython.uint, 0x8100)
TPID_SERVICE = cython.declare(cython.uint, 0x88A8)
TYPE_IPV4 = cython.declare(cython.uint, 0x0800)
TYPE_IPV6 = cython.declare(cython.uint, 0x86DD)
# IPv6 extension headers that may stand before TCP or UDP (RFC 8200, section 4.1).
HOP_BY_HOP = cython.declare(cython.uint, 0)
ROUTING = cython.declare(cython.uint, 43)
DESTINATION = cython.declare(cython.uint, 60)
# The option that tells the length of an IPv6 packet above 64 KiB (RFC 2675, section 2).
JUMBO_PAYLOAD = cython.declare(cython.uint, 0xC2)


def read16(at: cython.pointer[cython.const[uint8_t]]) -> uint16_t:
    """Reads 16 bits in network order."""
    return cython.cast(uint16_t, (cython.cast(uint32_t, at[0]) << 8) | at[1])


def read32(at: cython.pointer[cython.const[uint8_t]]) -> uint32_t:
    """Reads 32 bits in network order."""
    return (cython.cast(uint32_t, read16(at)) << 16) | read16(at + 2)


def write16(at: cython.pointer[uint8_t], value: uint32_t) -> cython.void:
    """Writes the low 16 bits in network order."""
    at[0] = cython.cast(uint8_t, value >> 8)
    at[1] = cython.cast(uint8_t, value)


def write32(at: cython.pointer[uint8_t], value: uint32_t) -> cython.void:
    """Writes 32 bits in network order."""
    write16(at, value >> 16)
    write16(at + 2, value)


def behind_tags(frame: cython.pointer[cython.const[uint8_t]], length: uint32_t) -> uint32_t:
    """Where the octets behind the Ethernet header and its VLAN tags begin; 0 where the frame ends before.

    What they are is said by the two octets before.
    """
    at: uint32_t = HEADER
    if length < HEADER:
        return 0
    while read16(frame + at - 2) in (TPID_CUSTOMER, TPID_SERVICE):
        if at + VLAN_TAG > length:
            return 0
        at += VLAN_TAG
    return at


def locate(
    frame: cython.pointer[cython.const[uint8_t]], length: uint32_t, layout: cython.pointer[Layout]
) -> cython.bint:
    """Finds what an IP packet carries: all of the layout but ``payload``; False for any other frame.

    ``end`` is where the IP packet ends: an Ethernet frame may be padded after it. False for fragments; also
    for an IPv6 packet that is on its way through a routing header, whose checksum covers an address that is
    not in the IPv6 header (RFC 8200, section 8.1), and for a jumbogram.
    """
    at: uint32_t = behind_tags(frame, length)
    kind: uint32_t
    following: uint32_t
    if at == 0:
        return False
    kind = read16(frame + at - 2)
    layout.network = at
    if kind == TYPE_IPV4:
        if at + 20 > length or frame[at] >> 4 != 4:
            return False
        size: uint32_t = (frame[at] & 15) * 4
        total: uint32_t = read16(frame + at + 2)
        # A fragment has no whole transport header; more fragments or an offset says so.
        if size < 20 or at + size > length or read16(frame + at + 6) & 0x3FFF:
            return False
        layout.version = 4
        layout.protocol = frame[at + 9]
        layout.transport = at + size
        # A length of zero is how the kernel marks a super-frame above 64 KiB.
        layout.end = at + total if total else length
    elif kind == TYPE_IPV6:
        if at + 40 > length or frame[at] >> 4 != 6:
            return False
        layout.version = 6
        following = frame[at + 6]
        layout.end = at + 40 + read16(frame + at + 4)
        if layout.end == at + 40:
            layout.end = length
        at += 40
        while following in (HOP_BY_HOP, ROUTING, DESTINATION):
            if at + 8 > length:
                return False
            if following == ROUTING and frame[at + 3]:
                return False
            # Linux writes the option first in its header (include/net/ipv6.h, struct hop_jumbo_hdr).
            if following == HOP_BY_HOP and frame[at + 2] == JUMBO_PAYLOAD:
                return False
            following = frame[at]
            at += (cython.cast(uint32_t, frame[at + 1]) + 1) * 8
        layout.protocol = following
        layout.transport = at
    else:
        return False
    return layout.transport <= layout.end <= length


def dissect(
    frame: cython.pointer[cython.const[uint8_t]], length: uint32_t, layout: cython.pointer[Layout]
) -> cython.bint:
    """Finds the headers of a TCP or UDP frame; False for any other frame, and where ``locate`` says so."""
    if not locate(frame, length, layout):
        return False
    at: uint32_t = layout.transport
    if layout.protocol == TCP:
        if at + 20 > layout.end:
            return False
        layout.payload = at + (frame[at + 12] >> 4) * 4
        return layout.payload >= at + 20 and layout.payload <= layout.end
    if layout.protocol == UDP:
        layout.payload = at + 8
        return layout.payload <= layout.end
    return False


def insert_vlan(frame: cython.pointer[uint8_t], tpid: uint32_t, tci: uint32_t) -> cython.pointer[uint8_t]:
    """Puts a VLAN tag back (IEEE 802.1Q, clause 9): moves the addresses four octets to the front.

    There must be four octets of room before the frame. Returns the frame's new first octet.
    """
    moved: cython.pointer[uint8_t] = frame - VLAN_TAG
    memmove(moved, frame, 12)
    write16(moved + 12, tpid)
    write16(moved + 14, tci)
    return moved


def remove_vlan(frame: cython.pointer[uint8_t]) -> cython.pointer[uint8_t]:
    """Takes a VLAN tag out: moves the addresses four octets to the back. Returns the new first octet."""
    memmove(frame + VLAN_TAG, frame, 12)
    return frame + VLAN_TAG


@dataclass(frozen=True, slots=True)
class Headers:
    """Where the headers of a TCP or UDP frame begin, in octets from the frame's first one.

    Attributes:
        network: the IPv4 or IPv6 header.
        transport: the TCP or UDP header.
        payload: the first octet after the transport header.
        end: the first octet after the IP packet.
        version: 4 or 6.
        protocol: 6 for TCP, 17 for UDP.
    """

    network: int
    transport: int
    payload: int
    end: int
    version: int
    protocol: int


def headers(frame: bytes | bytearray | memoryview) -> Headers | None:
    """The headers of a TCP or UDP frame; None for any other frame, a fragment or a cut one."""
    octets: Octets = Octets(frame)
    layout: Layout
    if not dissect(octets.at, cython.cast(uint32_t, octets.length), cython.address(layout)):
        return None
    return Headers(
        layout.network, layout.transport, layout.payload, layout.end, layout.version, layout.protocol
    )


def tagged(frame: bytes | bytearray | memoryview, tci: int, tpid: int = 0x8100) -> bytes:
    """The frame with a VLAN tag put in after its addresses.

    Raises:
        ValueError: if the frame is shorter than an Ethernet header or the tag does not fit.
    """
    if len(frame) < HEADER:
        raise ValueError(f"a frame has at least 14 octets, not {len(frame)}")
    if not (0 <= tci <= 0xFFFF and 0 <= tpid <= 0xFFFF):
        raise ValueError("a VLAN tag has 16 bits of TPID and 16 bits of TCI")
    room = bytearray(VLAN_TAG)
    room += frame
    start: cython.pointer[uint8_t] = cython.cast(cython.pointer[uint8_t], room)
    insert_vlan(start + VLAN_TAG, tpid, tci)
    return bytes(room)


def untagged(frame: bytes | bytearray | memoryview) -> bytes:
    """The frame without its outermost VLAN tag.

    Raises:
        ValueError: if the frame is too short to have one.
    """
    if len(frame) < HEADER + VLAN_TAG:
        raise ValueError(f"a tagged frame has at least 18 octets, not {len(frame)}")
    octets = bytearray(frame)
    start: cython.pointer[uint8_t] = cython.cast(cython.pointer[uint8_t], octets)
    remove_vlan(start)
    return bytes(octets[VLAN_TAG:])
