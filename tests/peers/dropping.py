"""Records of drops as the path writes them, laid out here a second time."""

from __future__ import annotations

import struct

from vecwire import Vnet


def record(
    octets: bytes,
    *,
    port: str = "a",
    reason: str = "tx_full",
    number: int = 0,
    time: int = 1,
    length: int | None = None,
    kind: int = 0,
    vnet: Vnet | None = None,
) -> bytes:
    """A record of a drop; by default one of a whole frame."""
    header = (vnet or Vnet()).pack(12)
    names = port.encode() + reason.encode()
    told = len(octets) if length is None else length
    return (
        struct.pack("=QII", time, number, told)
        + header
        + bytes([kind, len(port), len(reason), 0])
        + names
        + octets
    )
