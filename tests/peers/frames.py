"""Frames for tests: their octets are told apart at a glance, and say which one they are."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from vecwire import Vnet

if TYPE_CHECKING:
    from vecwire import Batch

LEFT = "02:00:00:00:00:aa"
RIGHT = "02:00:00:00:00:bb"
#: IEEE 802 local experimental EtherType 1 (RFC 7042, appendix B.2): no stack answers it.
EXPERIMENTAL = 0x88B5
HEADER = 14
NEEDS_CSUM = 1
TCPV4 = 1
TCPV6 = 4


def mac(address: str) -> bytes:
    """The six octets of an address."""
    return bytes.fromhex(address.replace(":", ""))


def frame(number: int, length: int = 60, *, source: str = LEFT, destination: str = RIGHT) -> bytes:
    """Frame `number`, `length` octets long."""
    head = mac(destination) + mac(source) + struct.pack("!HI", EXPERIMENTAL, number)
    return (head + bytes((number + i) & 0xFF for i in range(length)))[:length]


def ours(octets: bytes | memoryview) -> bool:
    """Whether a frame was made by `frame`: a link has chatter of its own."""
    return len(octets) >= HEADER and octets[12:14] == struct.pack("!H", EXPERIMENTAL)


def fill(batch: Batch, frames: list[bytes]) -> None:
    """Replaces the frames of a batch."""
    batch.clear()
    batch.extend(frames)


def super_frame(
    octets: int = 20_000, size: int = 1400, *, ipv6: bool = False, vlan: int | None = None, seed: int = 7
) -> tuple[bytes, Vnet, bytes]:
    """A TCP super-frame as a host hands it out: its octets, its virtio-net header, and its payload.

    The TCP checksum field holds the sum of the pseudo-header, as NEEDS_CSUM has it.
    """
    payload = bytes((seed * i + (i >> 8)) & 0xFF for i in range(octets))
    ether: Any = Ether(src=LEFT, dst=RIGHT)
    if vlan is not None:
        ether /= Dot1Q(vlan=vlan)
    network: Any = IPv6(src="fd00::1", dst="fd00::2") if ipv6 else IP(src="10.9.0.1", dst="10.9.0.2", id=77)
    built = bytearray(bytes(ether / network / TCP(sport=1000, dport=2000, seq=5, flags="PA") / payload))
    transport = len(built) - octets - 20
    length = octets + 20
    if ipv6:
        start = transport - 40
        pseudo = bytes(built[start + 8 : start + 40]) + struct.pack("!II", length, 6)
    else:
        start = transport - 20
        pseudo = bytes(built[start + 12 : start + 20]) + struct.pack("!HH", 6, length)
    built[transport + 16 : transport + 18] = struct.pack("!H", ones_complement_sum(pseudo))
    header = Vnet(NEEDS_CSUM, TCPV6 if ipv6 else TCPV4, transport + 20, size, transport, 16)
    return bytes(built), header, payload


def ones_complement_sum(octets: bytes) -> int:
    """The 16-bit ones' complement sum, the slow and plain way (RFC 1071)."""
    padded = octets + b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def rejoin(frames: list[tuple[bytes, Vnet]]) -> bytes:
    """The payload that TCP frames carry, by sequence number; a wrong checksum is an assertion.

    A frame whose checksum is still to be finished, or that is a super-frame, must say so in its header.
    """
    pieces: dict[int, bytes] = {}
    for octets, header in frames:
        packet: Any = Ether(octets)
        tcp = packet[TCP]
        network = packet[IPv6] if IPv6 in packet else packet[IP]
        end = network.len if IP in packet else network.plen + 40
        start = len(octets) - len(network)
        data = bytes(tcp.payload)[: end - (len(network) - len(tcp)) - tcp.dataofs * 4]
        if not header.flags & NEEDS_CSUM:
            assert tcp.chksum == good_checksum(octets, start, IPv6 in packet), "a checksum is wrong"
        if header.gso_type == 0:
            assert len(data) <= 65535
        pieces[tcp.seq] = data
    return b"".join(pieces[seq] for seq in sorted(pieces))


def good_checksum(octets: bytes, start: int, ipv6: bool) -> int:
    """The TCP checksum that a frame ought to have; `start` is where its IP header begins."""
    transport = start + (40 if ipv6 else (octets[start] & 15) * 4)
    end = start + (
        40 + int.from_bytes(octets[start + 4 : start + 6])
        if ipv6
        else int.from_bytes(octets[start + 2 : start + 4])
    )
    body = bytearray(octets[transport:end])
    body[16:18] = b"\0\0"
    if ipv6:
        pseudo = octets[start + 8 : start + 40] + struct.pack("!II", len(body), 6)
    else:
        pseudo = octets[start + 12 : start + 20] + struct.pack("!HH", 6, len(body))
    return ~ones_complement_sum(pseudo + bytes(body)) & 0xFFFF
