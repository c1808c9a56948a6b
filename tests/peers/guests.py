"""Guests that lie: super-frames and checksums whose virtio-net header or whose octets cannot be.

Each lie is a header, the octets behind it, and the counter of the reason for which a port drops it that is
not helped by a kernel: what a header says of itself is judged on receive, what it says of the packet inside
only where something has to be done to that.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from oracle import internet
from oracle.shapes import SHAPES, asking
from oracle.streams import STREAM

if TYPE_CHECKING:
    from oracle.internet import Segment
    from vecwire import Vnet

OCTETS = 3000
SIZE = 1000


@dataclass(frozen=True)
class Lie:
    """What a guest may write.

    Attributes:
        name: of the lie.
        header: the virtio-net header.
        octets: the frame behind it.
        reason: the counter of the drop.
    """

    name: str
    header: Vnet
    octets: bytes
    reason: str

    def __str__(self) -> str:
        return self.name


def shaped(name: str, octets: int = OCTETS, size: int = SIZE) -> tuple[bytes, Vnet, Segment]:
    """A super-frame as it should be: its octets, its header and its fields."""
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:octets]))
    return internet.build(segment, partial=True), asking(segment, size), segment


def _changed(octets: bytes, at: int, value: bytes) -> bytes:
    return octets[:at] + value + octets[at + len(value) :]


def _of_the_header() -> list[Lie]:
    octets, header, segment = shaped("tcp4")
    end = len(octets)
    wrong = {
        "gso-size-0": replace(header, gso_size=0),
        "gso-type-2": replace(header, gso_type=2),
        "gso-type-127": replace(header, gso_type=127),
        "gso-type-of-ufo": replace(header, gso_type=3),
        "ecn-and-no-type": replace(header, gso_type=0x80),
        "flags-nobody-knows": replace(header, flags=0x85),
        "checksum-start-past-the-frame": replace(header, csum_start=end),
        "checksum-start-65535": replace(header, csum_start=65535),
        "checksum-offset-past-the-frame": replace(header, csum_offset=end - segment.transport_at),
        "checksum-offset-65535": replace(header, csum_offset=65535),
        "checksum-past-the-frame-by-one": replace(header, csum_start=end - 17),
        "checksum-in-the-ethernet-header": replace(header, csum_start=13),
        "checksum-at-0": replace(header, csum_start=0, csum_offset=0),
    }
    tags = bytes.fromhex("88a80064 8100000a")
    in_tags = {
        "checksum-in-a-tag": replace(header, csum_start=14, csum_offset=0),
        "checksum-in-the-second-tag": replace(header, csum_start=18, csum_offset=0),
        "checksum-from-the-last-octet-of-the-tags": replace(header, csum_start=21, csum_offset=16),
    }
    return [
        *(Lie(name, each, octets, "rx_bad_vnet") for name, each in wrong.items()),
        *(Lie(name, each, octets[:12] + tags + octets[12:], "rx_bad_vnet") for name, each in in_tags.items()),
    ]


def _of_the_packet() -> list[Lie]:
    tcp4, asked4, four = shaped("tcp4")
    tcp6, asked6, six = shaped("tcp6")
    udp4, asked_udp, datagram = shaped("udp4")
    tags = b"".join(struct.pack("!HH", 0x8100, number) for number in range(100))
    ip, tcp = four.network_at, four.transport_at
    far = replace(asked4, csum_start=asked4.csum_start + len(tags))
    wrong: dict[str, tuple[Vnet, bytes]] = {
        "gso-size-1": (replace(asked4, gso_size=1), _changed(tcp4[:900], ip + 2, (900 - ip).to_bytes(2))),
        "gso-size-7": (replace(asked4, gso_size=7), tcp4),
        "type-of-ipv6-on-ipv4": (replace(asked4, gso_type=4), tcp4),
        "type-of-ipv4-on-ipv6": (replace(asked6, gso_type=1), tcp6),
        "type-of-udp-on-tcp": (replace(asked4, gso_type=5), tcp4),
        "type-of-tcp-on-udp": (replace(asked_udp, gso_type=1), udp4),
        "no-ip": (asked4, _changed(tcp4, 12, b"\x08\x06")),
        "a-fragment": (asked4, _changed(tcp4, ip + 6, b"\x20\x00")),
        "a-later-fragment": (asked4, _changed(tcp4, ip + 6, b"\x00\x10")),
        "ip-version-9": (asked4, _changed(tcp4, ip, b"\x95")),
        "ip-header-of-16-octets": (asked4, _changed(tcp4, ip, b"\x44")),
        "ip-length-past-the-frame": (asked4, _changed(tcp4, ip + 2, b"\xff\xff")),
        "ip-length-of-the-header-alone": (asked4, _changed(tcp4, ip + 2, b"\x00\x14")),
        "ipv6-length-past-the-frame": (asked6, _changed(tcp6, six.network_at + 4, b"\xff\xff")),
        "ipv6-extensions-past-the-frame": (
            asked6,
            _changed(_changed(tcp6, six.network_at + 6, b"\x00"), six.network_at + 40, b"\x00\xff"),
        ),
        "tcp-header-of-4-octets": (asked4, _changed(tcp4, tcp + 12, b"\x10")),
        "tcp-header-past-the-packet": (replace(asked4, gso_size=8), _changed(tcp4[:60], tcp + 12, b"\xf0")),
        "udp-length-past-the-packet": (asked_udp, _changed(udp4, datagram.transport_at + 4, b"\xff\xff")),
        "a-stack-of-100-tags": (far, tcp4[:12] + tags + tcp4[12:]),
    }
    return [Lie(name, *each, "tx_bad_offload") for name, each in wrong.items()]


def _of_the_amount() -> list[Lie]:
    """What is as it should be, and asks for more than 1,024 segments."""
    return [
        Lie(name, header, octets, "rx_bad_vnet")
        for name, (octets, header, _) in {
            "segments-of-1-octet": shaped("tcp4", 1025, 1),
            "more-than-1024-segments": shaped("tcp4", 1024 * 8 + 1, 8),
            "datagrams-of-1-octet": shaped("udp4", 2000, 1),
        }.items()
    ]


OF_THE_HEADER = _of_the_header()
OF_THE_PACKET = _of_the_packet()
EVERY_LIE = [*OF_THE_HEADER, *OF_THE_PACKET, *_of_the_amount()]
