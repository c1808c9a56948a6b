"""Frames of many kinds and expressions about them, for whatever tells frames apart."""

from __future__ import annotations

from typing import Any

from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1Q, Dot3, Ether
from scapy.packet import Raw

SOURCE = "02:00:00:00:00:cc"
DESTINATION = "02:00:00:00:00:dd"

#: What people ask for; each wants some frames of the corpus and refuses others.
EXPRESSIONS = (
    "ip",
    "ip6",
    "arp",
    "not arp",
    "tcp",
    "tcp port 80",
    "tcp dst port 80 or udp src port 53",
    "udp and not port 53",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
    "icmp[icmptype] == icmp-echo",
    "host 10.1.0.2",
    "src net 10.1.0.0/16 and dst host 10.1.0.2",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf > 5",
    "ip6 host fd00::2",
    "icmp6",
    "vlan",
    "vlan 5",
    "not vlan",
    "vlan 5 and ip",
    "vlan and tcp port 80",
    "vlan 7 and vlan 5 and ip",
    "vlan and arp",
    "ether[12:2] == 0x88a8",
    "ether[14:2] & 0xfff == 5",
    "ether src 02:00:00:00:00:cc and not ether dst 02:00:00:00:00:dd",
    "ether multicast",
    "ether broadcast",
    "ether proto 0x0806",
    "less 64",
    "greater 100",
    "len == 64",
    "len % 4 == 0",
    "len - ip[2:2] == 14",
    "(ip[8] << (ip[0] & 1)) == 64",
    "mpls",
    "mpls 17 and ip",
    "llc",
    "stp",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "portrange 50-90",
    "ip proto 17 and len > 60",
)


def corpus(*, source: str = SOURCE, destination: str = DESTINATION) -> list[bytes]:
    """The frames; no two of them are of one TCP flow, which a port might join."""
    payloads = (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(range(200)))
    packets: list[Any] = [
        ARP(psrc="10.1.0.1", pdst="10.1.0.2"),
        IP(src="10.1.0.1", dst="10.1.0.2", ttl=64) / ICMP() / Raw(payloads[1]),
        IP(src="10.2.0.1", dst="10.1.0.2") / UDP(sport=53, dport=4000) / Raw(payloads[2]),
        IP(src="10.1.0.1", dst="10.3.0.2") / UDP(sport=4001, dport=69) / Raw(payloads[1]),
        IP(src="10.1.0.1", dst="10.1.0.2", frag=7, proto=17) / Raw(payloads[2]),
        IP(src="10.1.0.1", dst="10.1.0.2", flags="MF") / UDP(sport=9, dport=53) / Raw(payloads[2]),
        IP(src="10.1.0.1", dst="10.1.0.2", options=b"\x94\x04\x00\x00")
        / TCP(sport=2001, dport=80, flags="PA", options=[("NOP", None)] * 4)
        / Raw(payloads[1]),
        IP(src="10.1.0.1", dst="10.1.0.2") / TCP(sport=2002, dport=80, flags="S"),
        IP(src="10.1.0.2", dst="10.1.0.1") / TCP(sport=80, dport=2003, flags="SA"),
        IP(src="10.1.0.1", dst="10.9.0.2") / TCP(sport=2004, dport=443, flags="PA") / Raw(payloads[1]),
        IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=2005, dport=80, flags="PA") / Raw(payloads[1]),
        IPv6(src="fd00::1", dst="fd00::3") / UDP(sport=53, dport=2006) / Raw(payloads[2]),
        IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest(),
        IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(),
        IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(offset=3) / Raw(payloads[2]),
    ]
    bare: Any = Ether(src=source, dst=destination)
    found: list[Any] = []
    for number, packet in enumerate(packets):
        found.append(bare / packet)
        found.append(bare / Dot1Q(vlan=5, prio=number % 8) / packet)
    outer: Any = Ether(src=source, dst=destination, type=0x88A8)
    found += [
        Ether(src=source, dst="ff:ff:ff:ff:ff:ff") / packets[0],
        Ether(src=source, dst="01:00:5e:00:00:09") / packets[3],
        bare / Dot1Q(vlan=0, prio=3) / packets[2],
        bare / Dot1Q(vlan=7) / Dot1Q(vlan=5) / packets[1],
        outer / Dot1Q(vlan=7, type=0x8100) / Dot1Q(vlan=5) / packets[7],
        outer / Dot1Q(vlan=5) / packets[9],
        bare / MPLS(label=17, s=1, ttl=9) / packets[2],
        Dot3(src=source, dst=destination) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(bytes(35)),
        Dot3(src=source, dst=destination) / LLC() / SNAP(OUI=0xC, code=0x2000) / Raw(bytes(40)),
        bare / Raw(b""),
    ]
    return [bytes(each) for each in found]


def cut() -> list[bytes]:
    """Frames that end inside a header: a kernel drops some of them by itself."""
    return [each[:length] for each in corpus()[:12] for length in (13, 15, 16, 18, 24, 33, 37)]
