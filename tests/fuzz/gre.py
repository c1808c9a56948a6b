"""A GRE packet is delivered exactly where RFC 2784 and RFC 2890 find our frame, else one counter says why."""

from __future__ import annotations

import functools
import itertools

from fuzzing import tunnel
from oracle import tunnels
from oracle.internet import total
from vecwire.wire import encap


def _read(packet: bytes, *, key: int | None, ip_header: bool) -> int | str:
    """How the RFCs read it."""
    start = tunnels.behind_ipv4(packet) if ip_header else 0
    if isinstance(start, str):
        return start
    found = tunnels.gre(packet[start:], key=key)
    return found if isinstance(found, str) else start + found


ENDS = [
    tunnel.end(
        encap.gre(rx_key=key, tx_key=key, sequence=sequence, ip_header=ip_header),
        encap.gre(rx_key=key, tx_key=key, sequence=sequence),
        functools.partial(_read, key=key, ip_header=ip_header),
        tunnel.IPV4 if ip_header else b"",
    )
    for key, sequence, ip_header in itertools.product((None, 0, 0x20006558), (False, True), (False, True))
]


def target(octets: bytes) -> None:
    """Judges a packet; or one that the other end makes of a frame."""
    tunnel.judge(ENDS, octets)


def seeds() -> list[bytes]:
    """What every tunnel begins with, and a packet with a checksum."""
    bare = bytes.fromhex("a0006558 00000000 00000000") + tunnel.FRAME
    check = ~total(bare) & 0xFFFF
    return [*tunnel.seeds(ENDS), b"\4" + bare[:4] + check.to_bytes(2) + bare[6:]]
