"""Frames in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from vecwire.capture.describe import as_object, layers, line, words

if TYPE_CHECKING:
    from scapy.packet import Packet

ETHERNET = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
FOUR = IP(src="10.0.0.1", dst="10.0.0.2")
SIX = IPv6(src="fd00::1", dst="fd00::2")


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        (ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2"), "ARP who has 10.0.0.2, tell 10.0.0.1"),
        (ARP(op=2, hwsrc="02:00:00:00:00:0a", psrc="10.0.0.1"), "ARP 10.0.0.1 is at 02:00:00:00:00:0a"),
        (
            FOUR / TCP(sport=1, dport=80, seq=7, flags="S", window=9),
            "IPv4 10.0.0.1:1 > 10.0.0.2:80 TCP [S] seq 7 win 9 length 0",
        ),
        (
            FOUR / TCP(sport=1, dport=80, seq=7, ack=8, flags="PA", window=9) / b"abc",
            "IPv4 10.0.0.1:1 > 10.0.0.2:80 TCP [P.] seq 7 ack 8 win 9 length 3",
        ),
        (FOUR / UDP(sport=53, dport=5) / b"abcd", "IPv4 10.0.0.1:53 > 10.0.0.2:5 UDP length 4"),
        (FOUR / ICMP(id=3, seq=4), "IPv4 10.0.0.1 > 10.0.0.2 ICMP echo request id 3 seq 4"),
        (
            IP(src="10.0.0.1", dst="10.0.0.2", frag=3, proto=17),
            "IPv4 10.0.0.1 > 10.0.0.2 fragment at 24, protocol 17",
        ),
        (IP(src="10.0.0.1", dst="10.0.0.2", proto=47), "IPv4 10.0.0.1 > 10.0.0.2 GRE"),
        (SIX / UDP(sport=53, dport=5) / b"abcd", "IPv6 [fd00::1]:53 > [fd00::2]:5 UDP length 4"),
        (
            SIX / ICMPv6ND_NS(tgt="fd00::9"),
            "IPv6 fd00::1 > fd00::2 ICMPv6 neighbour solicitation fd00::9",
        ),
        (Dot1Q(vlan=10) / Dot1Q(vlan=20) / FOUR / ICMP(type=3, code=1), "ICMP unreachable code 1"),
    ],
)
def test_what_a_frame_carries(packet: Packet, told: str) -> None:
    """The line has the addresses of layer 2, what the frame carries, and its length."""
    octets = bytes(ETHERNET / packet)
    text = line(octets, 1_500_000_000_000_000_123)
    assert ".000000123  02:00:00:00:00:0a > 02:00:00:00:00:0b  " in text
    assert f"{told}  {len(octets)} octets" in text


def test_an_object_has_the_vlans() -> None:
    """For programs the same comes as an object."""
    octets = bytes(ETHERNET / Dot1Q(vlan=10) / FOUR / UDP(sport=53, dport=5))
    assert as_object(octets, 9, 100) == {
        "time_ns": 9,
        "src": "02:00:00:00:00:0a",
        "dst": "02:00:00:00:00:0b",
        "vlans": [10],
        "ethertype": 0x0800,
        "summary": "IPv4 10.0.0.1:53 > 10.0.0.2:5 UDP length 0",
        "octets": 100,
    }


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ("", ([], 0, 0)),
        ("81", ([], 0, 0x81)),
        ("8100", ([], 0, 0x8100)),
        ("88a80001810000020806", ([1, 2], 0, 0x0806)),
        ("0026", ([], 0, 0x26)),
        ("81000003" * 8 + "0806", ([3] * 8, 0, 0x0806)),
        ("81000003" * 8 + "88a800040806", ([3] * 8, 1, 0x0806)),
    ],
)
def test_tags_are_read_as_far_as_they_go(frame: str, found: tuple[list[int], int, int]) -> None:
    """Tags come from the outermost, the first of them one by one; a frame may end anywhere."""
    assert layers(bytes(12) + bytes.fromhex(frame))[:3] == found


def test_a_stack_of_tags_is_a_short_line() -> None:
    """Of a frame of nothing but tags the first are told, and how many more there are; as an object, too."""
    octets = bytes(12) + b"\x81\x00\x0f\xff" * 16_380 + b"\x08\x06"
    told = f"{'vlan 4095  ' * 8}and 16372 more  ARP  {len(octets)} octets"
    assert words(octets) == f"00:00:00:00:00:00 > 00:00:00:00:00:00  {told}"
    about = as_object(octets, 0)
    assert (about["vlans"], about["more_vlans"], about["ethertype"]) == ([4095] * 8, 16_372, 0x0806)
