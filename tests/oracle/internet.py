"""A second opinion on frames: plain Python that shares nothing with vecwire, and scapy's arithmetic.

``build`` makes frames from fields, ``read`` takes a frame apart and refuses whatever is not exactly right:
lengths, checksums, padding.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

TCP_PROTOCOL = 6
UDP_PROTOCOL = 17
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

_TAGS = {0x8100, 0x88A8}
_EXTENSIONS = {0, 43, 60}


class BadFrameError(ValueError):
    """The frame is not exactly right; the text says where."""


def total(octets: bytes) -> int:
    """The ones' complement sum of 16-bit words, as RFC 1071 defines it, word by word."""
    octets = octets + b"\0" * (len(octets) % 2)
    result = 0
    for (word,) in struct.iter_unpack("!H", octets):
        result += word
        result = (result & 0xFFFF) + (result >> 16)
    return result


@dataclass(frozen=True)
class Segment:
    """A TCP or UDP frame by its fields; what ``read`` finds and ``build`` writes."""

    version: int = 4
    protocol: int = TCP_PROTOCOL
    payload: bytes = b""
    tags: tuple[tuple[int, int], ...] = ()
    #: IPv4: option octets, a multiple of 4. IPv6: extension headers as (number, octets after the first two).
    options: bytes = b""
    extensions: tuple[tuple[int, bytes], ...] = ()
    identification: int = 0x1234
    sequence: int = 0x01020304
    flags: int = ACK
    tcp_options: bytes = b""
    source_port: int = 4000
    destination_port: int = 5000
    network_at: int = field(default=0, compare=False)
    transport_at: int = field(default=0, compare=False)
    payload_at: int = field(default=0, compare=False)


def _addresses(version: int) -> bytes:
    if version == 4:
        return IPv4Address("10.0.0.1").packed + IPv4Address("10.0.0.2").packed
    return IPv6Address("fd00::1").packed + IPv6Address("fd00::2").packed


def pseudo_header(addresses: bytes, protocol: int, length: int) -> bytes:
    """The pseudo-header of IPv4 (RFC 9293, 3.1) for 8 octets of addresses, of IPv6 (RFC 8200, 8.1) for 32."""
    if len(addresses) == 8:
        return addresses + struct.pack("!BBH", 0, protocol, length & 0xFFFF)
    return addresses + struct.pack("!IxxxB", length, protocol)


def _told(length: int) -> int:
    """A length as a field of 16 bits tells it: zero where it does not fit (RFC 2675; Linux, BIG TCP)."""
    return length if length <= 0xFFFF else 0


def _transport(segment: Segment) -> bytes:
    """The transport header and the payload, without a checksum."""
    if segment.protocol == UDP_PROTOCOL:
        length = 8 + len(segment.payload)
        return (
            struct.pack("!HHHH", segment.source_port, segment.destination_port, _told(length), 0)
            + segment.payload
        )
    return (
        struct.pack(
            "!HHIIBBHHH",
            segment.source_port,
            segment.destination_port,
            segment.sequence,
            0x0A0B0C0D,
            (20 + len(segment.tcp_options)) // 4 << 4,
            segment.flags,
            512,
            0,
            0,
        )
        + segment.tcp_options
        + segment.payload
    )


def _network(segment: Segment, carried: int) -> bytes:
    """The IP header and its options or extension headers; a length above 16 bits is written as zero."""
    addresses = _addresses(segment.version)
    if segment.version == 4:
        size = 20 + len(segment.options)
        length = size + carried
        header = (
            struct.pack(
                "!BBHHHBBH",
                0x40 | size // 4,
                0,
                _told(length),
                segment.identification,
                0x4000,
                64,
                segment.protocol,
                0,
            )
            + addresses
            + segment.options
        )
        check = ~total(header) & 0xFFFF
        return header[:10] + struct.pack("!H", check) + header[12:]
    numbers = [number for number, _ in segment.extensions] + [segment.protocol]
    extensions = b"".join(
        bytes([following, (2 + len(octets)) // 8 - 1]) + octets
        for (_, octets), following in zip(segment.extensions, numbers[1:], strict=True)
    )
    length = len(extensions) + carried
    header = struct.pack("!IHBB", 0x60000000, _told(length), numbers[0], 64)
    return header + addresses + extensions


def build(segment: Segment, *, partial: bool = False) -> bytes:
    """The frame of a segment.

    Args:
        segment: its fields.
        partial: whether the transport checksum is left as a NEEDS_CSUM frame has it: the sum of the
            pseudo-header alone.
    """
    ethernet = bytes.fromhex("020000000002 020000000001")
    for tpid, tci in segment.tags:
        ethernet += struct.pack("!HH", tpid, tci)
    ethernet += struct.pack("!H", 0x0800 if segment.version == 4 else 0x86DD)
    transport = _transport(segment)
    pseudo = pseudo_header(_addresses(segment.version), segment.protocol, len(transport))
    if partial:
        check = total(pseudo)
    else:
        check = ~total(pseudo + transport) & 0xFFFF
        if segment.protocol == UDP_PROTOCOL:
            check = check or 0xFFFF
    at = 16 if segment.protocol == TCP_PROTOCOL else 6
    transport = transport[:at] + struct.pack("!H", check) + transport[at + 2 :]
    return ethernet + _network(segment, len(transport)) + transport


def located(segment: Segment) -> Segment:
    """The segment with the places where ``build`` puts its headers."""
    network_at = 14 + 4 * len(segment.tags)
    inner = 20 + len(segment.options)
    if segment.version == 6:
        inner = 40 + sum(2 + len(octets) for _, octets in segment.extensions)
    transport = 8 if segment.protocol == UDP_PROTOCOL else 20 + len(segment.tcp_options)
    return replace(
        segment,
        network_at=network_at,
        transport_at=network_at + inner,
        payload_at=network_at + inner + transport,
    )


def _demand(condition: object, what: str) -> None:
    if not condition:
        raise BadFrameError(what)


def _read_ipv4(frame: bytes, at: int) -> tuple[dict[str, Any], bytes, int]:
    size = (frame[at] & 15) * 4
    header = frame[at : at + size]
    _demand(frame[at] >> 4 == 4 and len(header) == size >= 20, "the IPv4 header")
    _demand(struct.unpack_from("!H", header, 2)[0] == len(frame) - at, "the IPv4 total length")
    _demand(total(header) == 0xFFFF, "the IPv4 header checksum")
    fields = {
        "options": header[20:],
        "identification": struct.unpack_from("!H", header, 4)[0],
        "protocol": header[9],
    }
    return fields, header[12:20], at + size


def _read_ipv6(frame: bytes, at: int) -> tuple[dict[str, Any], bytes, int]:
    header = frame[at : at + 40]
    _demand(frame[at] >> 4 == 6 and len(header) == 40, "the IPv6 header")
    _demand(struct.unpack_from("!H", header, 4)[0] == len(frame) - at - 40, "the IPv6 payload length")
    following, at = header[6], at + 40
    extensions = []
    while following in _EXTENSIONS:
        size = (frame[at + 1] + 1) * 8
        extensions.append((following, frame[at + 2 : at + size]))
        following, at = frame[at], at + size
    return {"extensions": tuple(extensions), "protocol": following}, header[8:40], at


def read(frame: bytes) -> Segment:
    """Takes a frame apart.

    Raises:
        BadFrameError: if a length, a checksum or a version is wrong, or anything follows the packet.
    """
    at, tags = 12, []
    while (kind := struct.unpack_from("!H", frame, at)[0]) in _TAGS:
        tags.append((kind, struct.unpack_from("!H", frame, at + 2)[0]))
        at += 4
    network_at = at = at + 2
    _demand(kind in {0x0800, 0x86DD}, "the EtherType")
    version = 4 if kind == 0x0800 else 6
    fields, addresses, at = (_read_ipv4 if version == 4 else _read_ipv6)(frame, at)
    transport = frame[at:]
    pseudo = pseudo_header(addresses, fields["protocol"], len(transport))
    _demand(total(pseudo + transport) == 0xFFFF, "the transport checksum")
    ports = struct.unpack_from("!HH", transport)
    if fields["protocol"] == UDP_PROTOCOL:
        _demand(struct.unpack_from("!H", transport, 4)[0] == len(transport), "the UDP length")
        _demand(transport[6:8] != b"\0\0", "the UDP checksum says that there is none")
        size = 8
    else:
        _demand(fields["protocol"] == TCP_PROTOCOL, "the protocol")
        size = (transport[12] >> 4) * 4
        _demand(20 <= size <= len(transport), "the TCP data offset")
        fields |= {
            "sequence": struct.unpack_from("!I", transport, 4)[0],
            "flags": transport[13],
            "tcp_options": transport[20:size],
        }
    return Segment(
        version=version,
        tags=tuple(tags),
        payload=transport[size:],
        source_port=ports[0],
        destination_port=ports[1],
        network_at=network_at,
        transport_at=at,
        payload_at=at + size,
        **fields,
    )


def rebuilt_by_scapy(frame: bytes) -> bytes:
    """The frame as scapy writes it when it computes every length and checksum anew."""
    packet = Ether(frame)
    for layer, names in (
        (IP, ("len", "chksum")),
        (IPv6, ("plen",)),
        (TCP, ("chksum",)),
        (UDP, ("len", "chksum")),
    ):
        if layer in packet:
            for name in names:
                delattr(packet[layer], name)
    return bytes(packet)
