"""Frames to offer: plain ones, and ones in L2TPv3 over UDP for tunnels side by side."""

import socket
import struct

from vecwire.wire.checksum import checksum

#: Nobody's address, so that the last host looks at a frame no further than that.
NOBODY = bytes.fromhex("020000000009")
SENDER = bytes.fromhex("020000000001")
ETHERNET, IPV4, UDP = 14, 20, 8
IPPROTO_UDP = 17


def udp_packet(source: str, target: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram, without a UDP checksum (RFC 768 allows that)."""
    length = IPV4 + UDP + len(payload)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, IPPROTO_UDP, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + struct.pack("!HHHH", *ports, UDP + len(payload), 0) + payload


def frame(octets: int, *, to: bytes = NOBODY, source: bytes = SENDER) -> bytes:
    """An Ethernet frame of so many octets, without the four of the check sequence, that carries UDP."""
    payload = bytes(octets - ETHERNET - IPV4 - UDP)
    return to + source + b"\x08\x00" + udp_packet("10.9.0.1", "10.9.0.2", (9, 9), payload)


def in_l2tpv3(inner: bytes, to: bytes, hosts: tuple[str, str], port: int, session: int) -> bytes:
    """A frame in L2TPv3 over UDP (RFC 3931, 4.1.2.1) in a frame for the endpoint's own address."""
    head = struct.pack("!HHI", 0x0003, 0, session)
    return to + SENDER + b"\x08\x00" + udp_packet(*hosts, (port, port), head + inner)


def as_input(frames: list[bytes]) -> bytes:
    """The frames as the helper reads them."""
    return b"".join(struct.pack("!H", len(each)) + each for each in frames)
