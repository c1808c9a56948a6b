"""Checksums that a guest may leave to others, and that are not those of the frame's own TCP or UDP.

Linux leaves the checksum of any packet inside to the reader of a tap or a packet socket (NETIF_F_HW_CSUM), so
there are honest ones, of tunnels that end in a guest. Others are to rewrite what a filter has looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from oracle import internet
from oracle.shapes import SHAPES, asking
from oracle.streams import STREAM
from vecwire import Vnet


@dataclass(frozen=True)
class Unfinished:
    """A frame whose header asks for a checksum that is not that of its own TCP or UDP.

    Attributes:
        name: of the frame.
        header: the virtio-net header.
        octets: the frame.
        finished: what it is with that checksum.
    """

    name: str
    header: Vnet
    octets: bytes
    finished: bytes

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Forgery(Unfinished):
    """One that a filter accepts until the checksum is completed.

    Attributes:
        wanted: what the filter says.
    """

    wanted: str


def _forged(name: str, wanted: str, octets: bytes, at: int, value: int, header: Vnet) -> Forgery:
    """A frame at whose octet ``at`` there will be ``value``: its last two octets are chosen so."""
    octets = octets.ljust(60 + len(octets) % 2, b"\0")
    start = header.csum_start
    end = len(octets) - 2
    rest = ((value ^ 0xFFFF) - internet.total(octets[start:end])) % 0xFFFF
    octets = octets[:end] + struct.pack("!H", rest)
    finished = octets[:at] + struct.pack("!H", value) + octets[at + 2 :]
    return Forgery(name, replace(header, flags=1, csum_offset=at - start), octets, finished, wanted)


def _forgeries() -> list[Forgery]:
    arp = bytes.fromhex(
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0002 020000000001 0a000007 020000000002 0a000002"
    )
    made = [
        _forged("arp-sender", "arp[14:4] = 0x0a000007", arp, 30, 1, Vnet(csum_start=30)),
        _forged("arp-sender-summed-before", "arp[14:4] = 0x0a000007", arp, 30, 1, Vnet(csum_start=20)),
    ]
    # Linux takes no place before octet 20, and of TCP super-frames offset 16 alone.
    for name, wanted, shape, layer, start, at in (
        ("ipv4-source", "src host 10.0.0.1", "udp4", "network", 6, 14),
        ("ipv4-source-behind-a-tag", "vlan and src host 10.0.0.1", "tcp4-tag", "network", 2, 14),
        (
            "ipv4-source-behind-two-tags",
            "vlan and vlan and src host 10.0.0.1",
            "tcp4-two-tags",
            "network",
            0,
            14,
        ),
        ("ipv6-source", "src host fd00::1", "tcp6", "network", 8, 22),
        ("ipv6-extension", "ip6[42:2] = 0x0502", "tcp6-hop-by-hop", "network", 40, 42),
        ("ip-option", "ip[20:2] = 0x9404", "tcp4-ip-option", "network", 10, 20),
        ("udp-source-port", "udp src port 4000", "udp4", "transport", 0, 0),
        ("tcp-destination-port", "tcp dst port 5000", "tcp4", "transport", 0, 2),
        ("where-tcp-has-it-in-udp", "udp[16:2] = 0x383f", "udp4", "transport", 0, 16),
        ("where-udp-has-it-in-tcp", "tcp[6:2] = 0x0304", "tcp4", "transport", 0, 6),
        ("payload", "udp[20:2] = 0x545b", "udp4", "transport", 0, 20),
    ):
        segment = internet.located(replace(SHAPES[shape], payload=STREAM[:40]))
        base = segment.network_at if layer == "network" else segment.transport_at
        octets = internet.build(segment, partial=True)
        made.append(_forged(name, wanted, octets, base + at, 0x0063, Vnet(csum_start=base + start)))
    segment = internet.located(replace(SHAPES["udp4"], payload=STREAM[:40]))
    octets = internet.build(segment, partial=True)
    at = segment.transport_at + 6
    later = octets[: segment.network_at + 6] + b"\x00\x10" + octets[segment.network_at + 8 :]
    told = f"ip[26:2] = {int.from_bytes(later[at : at + 2])}"
    made.append(_forged("later-fragment", told, later, at, 0x0063, Vnet(csum_start=at - 6)))
    # With segments as long as all that it carries it is one packet, and Linux takes it for that.
    segment = internet.located(replace(SHAPES["tcp4"], payload=STREAM[:40]))
    port = segment.transport_at + 2
    header = replace(asking(segment, 1000), csum_start=port - 16)
    octets = internet.build(segment, partial=True)
    return [*made, _forged("super-frame", "tcp dst port 5000", octets, port, 0x0063, header)]


def _tunnelled() -> list[Unfinished]:
    ether, outer = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"), IP(src="10.8.0.1", dst="10.8.0.2")
    vxlan = UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=7, flags="Instance")
    ways: dict[str, tuple[Any, bool]] = {
        "vxlan": (ether / outer / vxlan, True),
        "vxlan-over-ipv6-behind-a-tag": (ether / Dot1Q(vlan=10) / IPv6(dst="fd00::8") / vxlan, True),
        "gre-of-frames": (ether / outer / GRE(proto=0x6558), True),
        "gre-of-packets": (ether / outer / GRE(proto=0x0800), False),
        "packets-in-packets": (ether / outer.copy(), False),
    }
    ways["packets-in-packets"][0][IP].proto = 4
    made = []
    for way, (layers, whole) in ways.items():
        for shape in ("tcp4", "udp4", "tcp6") if whole else ("tcp4", "udp4"):
            segment = internet.located(replace(SHAPES[shape], payload=STREAM[:1201]))
            taken = 0 if whole else segment.network_at
            inner, right = (internet.build(segment, partial=partial)[taken:] for partial in (True, False))
            octets, finished = (bytes(layers / Raw(each)) for each in (inner, right))
            head = len(octets) - len(inner)
            asked = asking(segment, 0)
            start = head + asked.csum_start - taken
            header = Vnet(flags=1, csum_start=start, csum_offset=asked.csum_offset)
            made.append(Unfinished(f"{shape}-in-{way}", header, octets, finished))
    return made


def _sctp() -> list[Unfinished]:
    """SCTP, whose checksum is no sum: a station on a veth leaves it to a packet socket, and no guest does."""
    made = []
    for name, network in (("ipv4", IP(src="10.0.0.1", dst="10.0.0.2")), ("ipv6", IPv6(dst="fd00::2"))):
        layers: Any = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / network
        start = len(layers)
        layers /= SCTP(sport=7, dport=8) / SCTPChunkData(data=STREAM[:1001])
        finished = bytes(layers)
        octets = finished[: start + 8] + bytes(4) + finished[start + 12 :]
        header = Vnet(flags=1, csum_start=start, csum_offset=8)
        made.append(Unfinished(f"sctp-over-{name}", header, octets, finished))
    return made


FORGERIES = _forgeries()
HONEST = [*_tunnelled(), *_sctp()]
