"""The shapes of frame that the tests of the wire formats share, and the offloads that are asked for them."""

from __future__ import annotations

from oracle.internet import UDP_PROTOCOL, Segment
from vecwire.wire.vnet import Vnet

CUSTOMER = (0x8100, 0x2005)
SERVICE = (0x88A8, 0x0064)
ROUTER_ALERT = bytes.fromhex("94040000")
RECORD_ROUTE = bytes.fromhex("072704") + bytes(36) + b"\x01"
TIMESTAMPS = bytes.fromhex("0101080a") + bytes(range(8))
PADDING = (60, bytes.fromhex("0104") + bytes(4))
LONG_PADDING = (60, bytes.fromhex("010c") + bytes(12))
HOP_BY_HOP = (0, bytes.fromhex("050200000100"))
#: A segment routing header at its last segment: the destination is the final one.
ROUTED = (43, bytes.fromhex("040000000000") + bytes(16))

SHAPES: dict[str, Segment] = {
    "tcp4": Segment(),
    "tcp4-timestamps": Segment(tcp_options=TIMESTAMPS),
    "tcp4-longest-header": Segment(tcp_options=TIMESTAMPS + b"\x01" * 28),
    "tcp4-ip-option": Segment(options=ROUTER_ALERT),
    "tcp4-ip-longest-header": Segment(options=RECORD_ROUTE, tcp_options=TIMESTAMPS),
    "tcp4-tag": Segment(tags=(CUSTOMER,)),
    "tcp4-two-tags": Segment(tags=(SERVICE, CUSTOMER), options=ROUTER_ALERT, tcp_options=TIMESTAMPS),
    "tcp6": Segment(version=6),
    "tcp6-timestamps": Segment(version=6, tcp_options=TIMESTAMPS),
    "tcp6-hop-by-hop": Segment(version=6, extensions=(HOP_BY_HOP,)),
    "tcp6-extensions": Segment(version=6, extensions=(HOP_BY_HOP, LONG_PADDING, ROUTED, PADDING)),
    "tcp6-two-tags": Segment(version=6, tags=(SERVICE, CUSTOMER), tcp_options=TIMESTAMPS),
    "udp4": Segment(protocol=UDP_PROTOCOL),
    "udp4-tag-option": Segment(protocol=UDP_PROTOCOL, tags=(CUSTOMER,), options=ROUTER_ALERT),
    "udp6": Segment(version=6, protocol=UDP_PROTOCOL),
    "udp6-extension": Segment(version=6, protocol=UDP_PROTOCOL, extensions=(PADDING,), tags=(CUSTOMER,)),
}


def gso_type(segment: Segment) -> int:
    """The gso_type of virtio_net.h for super-frames of this shape."""
    if segment.protocol == UDP_PROTOCOL:
        return 5
    return 1 if segment.version == 4 else 4


def asking(segment: Segment, size: int) -> Vnet:
    """The virtio-net header that asks for segments of ``size`` octets, as Linux writes it."""
    return Vnet(
        flags=1,
        gso_type=gso_type(segment),
        hdr_len=segment.payload_at,
        gso_size=size,
        csum_start=segment.transport_at,
        csum_offset=6 if segment.protocol == UDP_PROTOCOL else 16,
    )
