"""Frames in words: one line each, about as tcpdump says it, with the addresses of layer 2 in front.

A frame may end anywhere and hold anything: what cannot be read is left out. The layouts: IEEE 802.1Q-2018,
RFC 826 (ARP), RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, RFC 4443.
"""

import socket
import struct
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Octets = bytes | memoryview

#: Tags of a frame that are told one by one; of those behind them it is told how many there are. Two are usual
#: (IEEE 802.1Q, clause 5.11: provider bridges), and 64 KB have room for 16,380.
TOLD_TAGS = 8
_VLAN_TYPES = (0x8100, 0x88A8)
_ETHERTYPES = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x86DD: "IPv6",
    0x8847: "MPLS",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE",
    0x88CC: "LLDP",
    0x8809: "slow protocols",
    0x888E: "EAPOL",
    0x88E5: "MACsec",
}
_FIRST_TYPE = 0x0600  # below it is a length: IEEE 802.3
_FLAGS = (
    (0x02, "S"),
    (0x01, "F"),
    (0x04, "R"),
    (0x08, "P"),
    (0x20, "U"),
    (0x40, "E"),
    (0x80, "W"),
    (0x10, "."),
)
_PROTOCOLS = {2: "IGMP", 47: "GRE", 50: "ESP", 51: "AH", 89: "OSPF", 112: "VRRP", 115: "L2TPv3", 132: "SCTP"}
_EXTENSIONS = {0, 43, 60}  # hop-by-hop options, routing, destination options
_FRAGMENT = 44
_ICMP = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
_ICMPV6 = {
    1: "unreachable",
    2: "packet too big",
    3: "time exceeded",
    128: "echo request",
    129: "echo reply",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    143: "multicast listener report",
}
_NANOSECONDS = 1_000_000_000
_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!HHHH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")


def line(frame: Octets, nanoseconds: int, length: int | None = None) -> str:
    """A frame as a line for people: when, from whom to whom, VLANs, what it carries, how long it is.

    Args:
        frame: from its destination address on.
        nanoseconds: when it was seen, since 1970; it is told in local time.
        length: how long the frame was, where not all of it is there.
    """
    return f"{clock(nanoseconds)}  {words(frame, length)}"


def words(frame: Octets, length: int | None = None) -> str:
    """The same without the time, for what has one of its own, such as a log.

    >>> words(bytes.fromhex("ffffffffffff0200000000aa0806") + bytes(46))
    '02:00:00:00:00:aa > ff:ff:ff:ff:ff:ff  ARP  60 octets'
    """
    vlans, more, kind, at = layers(frame)
    tags = "".join(f"vlan {vlan}  " for vlan in vlans) + (f"and {more} more  " if more else "")
    octets = len(frame) if length is None else length
    return f"{mac(frame[6:12])} > {mac(frame[:6])}  {tags}{carried(frame, kind, at)}  {octets} octets"


def clock(nanoseconds: int) -> str:
    """A time of day, local, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{_clock(seconds)}.{rest:09d}"


def as_object(frame: Octets, nanoseconds: int, length: int | None = None) -> dict[str, Any]:
    """The same for programs; ``more_vlans``, how many are not told, is there where there are any."""
    vlans, more, kind, at = layers(frame)
    return {
        "time_ns": nanoseconds,
        "src": mac(frame[6:12]),
        "dst": mac(frame[:6]),
        "vlans": vlans,
        **({"more_vlans": more} if more else {}),
        "ethertype": kind,
        "summary": carried(frame, kind, at),
        "octets": len(frame) if length is None else length,
    }


@lru_cache(maxsize=4)
def _clock(seconds: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(min(seconds, 2**40)))


def mac(octets: Octets) -> str:
    """An address as people write it."""
    return octets.hex(":")


def layers(frame: Octets) -> tuple[list[int], int, int, int]:
    """What a frame has in front of what it carries.

    Returns:
        The VLANs of its outermost tags, no more than ``TOLD_TAGS``; how many tags there are behind them; its
        type; and where what it carries begins.
    """
    at = 12
    while (kind := int.from_bytes(frame[at : at + 2], "big")) in _VLAN_TYPES and len(frame) >= at + 6:
        at += 4
    told = range(12, min(at, 12 + 4 * TOLD_TAGS), 4)
    vlans = [int.from_bytes(frame[tag + 2 : tag + 4], "big") & 0x0FFF for tag in told]
    return vlans, (at - 12) // 4 - len(vlans), kind, at + 2


def carried(frame: Octets, kind: int, at: int) -> str:
    """What a frame of a type carries from octet ``at`` on."""
    name = _ETHERTYPES.get(kind)
    if name is None:
        return f"type 0x{kind:04x}" if kind >= _FIRST_TYPE else "802.3"
    reader = _READERS.get(kind)
    if reader is None:
        return name
    try:
        return reader(frame, at) or name
    except (struct.error, IndexError, ValueError, OSError):  # it ends before that
        return name


def _arp(frame: Octets, at: int) -> str:
    hardware, protocol, size, length, operation, sender, source, _, target = _ARP.unpack_from(frame, at)
    if (hardware, protocol, size, length) != (1, 0x0800, 6, 4):
        return ""
    if operation == 1:
        return f"ARP who has {socket.inet_ntoa(target)}, tell {socket.inet_ntoa(source)}"
    if operation == 2:
        return f"ARP {socket.inet_ntoa(source)} is at {mac(sender)}"
    return f"ARP operation {operation}"


def _ipv4(frame: Octets, at: int) -> str:
    size = (frame[at] & 15) * 4
    (total,) = struct.unpack_from("!H", frame, at + 2)
    (fragment,) = struct.unpack_from("!H", frame, at + 6)
    protocol = frame[at + 9]
    source, target = (socket.inet_ntoa(frame[at + place : at + place + 4]) for place in (12, 16))
    if frame[at] >> 4 != 4 or size < 20:
        return ""
    if fragment & 0x1FFF:
        return f"IPv4 {source} > {target} fragment at {(fragment & 0x1FFF) * 8}, protocol {protocol}"
    carries = (total or len(frame) - at) - size
    told = _transport(frame, at + size, protocol, carries, source, target, "{}:{}")
    more = " (first fragment)" if fragment & 0x2000 else ""
    return f"IPv4 {told}{more}"


def _ipv6(frame: Octets, at: int) -> str:
    (carries,) = struct.unpack_from("!H", frame, at + 4)
    following = frame[at + 6]
    source, target = (
        socket.inet_ntop(socket.AF_INET6, bytes(frame[at + place : at + place + 16])) for place in (8, 24)
    )
    if frame[at] >> 4 != 6:
        return ""
    at += 40
    while following in _EXTENSIONS:
        size = 8 * (frame[at + 1] + 1)
        following = frame[at]
        at += size
        carries -= size
    if following == _FRAGMENT:
        (place,) = struct.unpack_from("!H", frame, at + 2)
        return f"IPv6 {source} > {target} fragment at {place & 0xFFF8}, protocol {frame[at]}"
    return f"IPv6 {_transport(frame, at, following, carries, source, target, '[{}]:{}')}"


def _transport(
    frame: Octets, at: int, protocol: int, carries: int, source: str, target: str, place: str
) -> str:
    """What an IP packet carries: so many octets from ``at`` on."""
    between = f"{source} > {target}"
    try:
        if protocol == 6:
            source_port, target_port, sequence, acknowledged, offset, flags, window, _, _ = _TCP.unpack_from(
                frame, at
            )
            between = f"{place.format(source, source_port)} > {place.format(target, target_port)}"
            named = "".join(name for bit, name in _FLAGS if flags & bit) or "none"
            ack = f" ack {acknowledged}" if flags & 0x10 else ""
            length = max(0, carries - (offset >> 4) * 4)
            return f"{between} TCP [{named}] seq {sequence}{ack} win {window} length {length}"
        if protocol == 17:
            source_port, target_port, size, _ = _UDP.unpack_from(frame, at)
            between = f"{place.format(source, source_port)} > {place.format(target, target_port)}"
            return f"{between} UDP length {max(0, (size or carries) - 8)}"
        if protocol in {1, 58}:
            return f"{between} {_icmp(frame, at, 'ICMP' if protocol == 1 else 'ICMPv6')}"
    except (struct.error, IndexError, ValueError, OSError):
        pass
    name = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", **_PROTOCOLS}.get(protocol, f"protocol {protocol}")
    return f"{between} {name}"


def _icmp(frame: Octets, at: int, name: str) -> str:
    kind, code = frame[at], frame[at + 1]
    told = (_ICMP if name == "ICMP" else _ICMPV6).get(kind, f"type {kind}")
    if told.startswith("echo"):
        number, sequence = struct.unpack_from("!HH", frame, at + 4)
        return f"{name} {told} id {number} seq {sequence}"
    if told.startswith("neighbour"):
        target = socket.inet_ntop(socket.AF_INET6, bytes(frame[at + 8 : at + 24]))
        return f"{name} {told} {target}"
    return f"{name} {told}" + (f" code {code}" if code else "")


_READERS: dict[int, Callable[[Octets, int], str]] = {0x0800: _ipv4, 0x0806: _arp, 0x86DD: _ipv6}
