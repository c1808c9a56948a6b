"""Tunnels read by the letter of their RFCs, in plain Python: where the frame begins, or why there is none."""

from __future__ import annotations

import struct

from oracle.internet import total

ETHERNET_HEADER = 14


def behind_ipv4(packet: bytes) -> int | str:
    """Where an IPv4 header ends by its own length (RFC 791, section 3.1)."""
    if len(packet) < 20:
        return "rx_runt"
    words = packet[0] & 0x0F
    return words * 4 if packet[0] >> 4 == 4 and words >= 5 else "rx_bad_header"


def gre(packet: bytes, *, key: int | None) -> int | str:
    """Reads GRE of Ethernet frames (RFC 2784, section 2; RFC 2890, section 2).

    Args:
        packet: from the GRE header on.
        key: the key that it must have; None where it must have none.
    """
    if len(packet) < 4:
        return "rx_runt"
    flags, protocol = struct.unpack_from("!HH", packet)
    checksum, routing, with_key, sequence, strict = (bool(flags << bit & 0x8000) for bit in range(5))
    # RFC 2784, 2.3: the bits 1, 4 and 5 of old must be zero, and so must the version.
    if routing or strict or flags & 0x0400 or flags & 0x0007 or protocol != 0x6558:
        return "rx_bad_header"
    end = 4 * (1 + checksum + with_key + sequence)
    if len(packet) < end + ETHERNET_HEADER:
        return "rx_runt"
    if checksum and total(packet) != 0xFFFF:
        return "rx_bad_checksum"
    told = struct.unpack_from("!I", packet, 8 if checksum else 4)[0] if with_key else None
    return end if told == key else "rx_bad_key"


def l2tpv3(packet: bytes, *, session: int, cookie: bytes, sublayer: bool, udp: bool) -> int | str:
    """Reads a data message of L2TPv3 (RFC 3931, sections 4.1.1.1, 4.1.2.1 and 3.2.2).

    Args:
        packet: from the first octet behind UDP or IP on.
        session: the session that it must be of.
        cookie: what must follow.
        sublayer: whether four octets of a sublayer follow that.
        udp: whether it came over UDP.
    """
    at = 4 if udp else 0
    if len(packet) < 4:
        return "rx_runt"
    if udp and (packet[0] & 0x80 or packet[1] & 0x0F != 3):
        return "rx_control" if packet[0] & 0x80 else "rx_bad_header"
    if len(packet) < at + 4:
        return "rx_runt"
    (told,) = struct.unpack_from("!I", packet, at)
    if told != session:
        return "rx_bad_session" if told else "rx_control"
    end = at + 4 + len(cookie) + 4 * sublayer
    if len(packet) < end + ETHERNET_HEADER:
        return "rx_runt"
    return end if packet[at + 4 : at + 4 + len(cookie)] == cookie else "rx_bad_cookie"
