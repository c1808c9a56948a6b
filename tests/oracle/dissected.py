"""Where the headers of a frame are, by the letter of the standards, in plain Python."""

from __future__ import annotations

import struct
from typing import NamedTuple

from vecwire.wire.ethernet import Headers

_TAGS = {0x8100, 0x88A8}
_EXTENSIONS = {0, 43, 60}


def _ipv4(packet: bytes) -> tuple[int, int, int] | None:
    """The protocol, the lengths of header and packet, that 0 where it is not told (RFC 791, 3.1)."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    size = (packet[0] & 15) * 4
    length, _, fragment = struct.unpack_from("!HHH", packet, 2)
    if not 20 <= size <= len(packet) or fragment & 0x3FFF:
        return None
    return packet[9], size, length


def _ipv6(packet: bytes) -> tuple[int, int, int] | None:
    """The same of IPv6 with its extension headers (RFC 8200, 4)."""
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    length, following = struct.unpack_from("!HB", packet, 4)
    at = 40
    while following in _EXTENSIONS:
        if at + 8 > len(packet):
            return None
        under_way = following == 43 and packet[at + 3] > 0
        jumbogram = following == 0 and packet[at + 2] == 0xC2
        if under_way or jumbogram:
            return None
        following, at = packet[at], at + 8 * (1 + packet[at + 1])
    return following, at, 40 + length if length else 0


class Packet(NamedTuple):
    """An IP packet in a frame: where it and what it carries begin, its end, its version, and the protocol."""

    network: int
    transport: int
    end: int
    version: int
    protocol: int


def behind_tags(frame: bytes) -> int | None:
    """Where what the Ethernet header and its tags stand before begins; None where the frame ends before."""
    at = 12
    while len(frame) >= at + 2 and struct.unpack_from("!H", frame, at)[0] in _TAGS:
        at += 4
    return at + 2 if len(frame) >= at + 2 else None


def packet_in(frame: bytes) -> Packet | None:
    """The IP packet of a frame that is whole and has reached the last of its routing headers."""
    network = behind_tags(frame)
    if network is None:
        return None
    (kind,) = struct.unpack_from("!H", frame, network - 2)
    packet = frame[network:]
    version = {0x0800: 4, 0x86DD: 6}.get(kind, 0)
    found = _ipv4(packet) if version == 4 else _ipv6(packet) if version == 6 else None
    if found is None:
        return None
    protocol, size, length = found
    end = length or len(packet)
    if not size <= end <= len(packet):
        return None
    return Packet(network, network + size, network + end, version, protocol)


def dissected(frame: bytes) -> Headers | None:
    """What ``vecwire.wire.ethernet.headers`` is to find."""
    found = packet_in(frame)
    if found is None:
        return None
    network, transport, end, version, protocol = found
    segment = frame[transport:end]
    if protocol == 6 and len(segment) >= 20:
        head = (segment[12] >> 4) * 4
        right = 20 <= head <= len(segment)
    else:
        head = 8
        right = protocol == 17 and len(segment) >= 8
    if not right:
        return None
    return Headers(network, transport, transport + head, end, version, protocol)
