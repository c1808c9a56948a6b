"""Frames that were dropped: reads the records of a capture of drops, and writes them as pcapng.

The records: ``vecwire.path.witness``. In the file each port is an interface, and each packet has a comment
that names the counter; how many drops could not be written before it is its epb_dropcount. A packet that was
dropped with its encapsulation, since that was wrong, stands on an interface of its own, as what it is:
LINKTYPE_IPV4, or LINKTYPE_WIRESHARK_UPPER_PDU where the kernel has taken the IP header off.
"""

import struct
from typing import BinaryIO, NamedTuple

from vecwire.capture.files import ETHERNET, SNAPLEN, Interface, description, packet, section
from vecwire.path.witness import KINDS
from vecwire.wire.counters import MEANINGS
from vecwire.wire.vnet import Vnet, complete

_RECORD = struct.Struct("=QII12sBBBx")
_IPV4, _UPPER_PDU = 228, 252
_INCOMING, _OUTGOING = 1, 2
#: Where Wireshark looks up what such a packet begins with, for want of a link type: a table, and the number
#: there (epan/exported_pdu.h: EXP_PDU_TAG_DISSECTOR_TABLE_NAME, EXP_PDU_TAG_DISSECTOR_TABLE_NAME_NUM_VAL).
_TABLES = {"gre": (b"ip.proto", 47), "l2tp-udp": (b"udp.port", 1701), "l2tp": (b"ip.proto", 115)}
_TABLE, _NUMBER = 14, 32


class Drop(NamedTuple):
    """A frame that was dropped.

    Attributes:
        time: when, in nanoseconds since 1970.
        port: the port that dropped it.
        reason: the name of the counter that counted it.
        octets: the frame, or as much of it as was kept; its checksum is completed, where that was left to
            whoever sends it.
        length: how long it was, in octets.
        kind: what the octets are: ``frame``, or a packet that came through a tunnel, as it came: ``ipv4``
            from its IP header on; ``gre``, ``l2tp-udp`` and ``l2tp`` from behind that.
        number: how many drops of this port were recorded before; what is missing in between came too fast.
        vnet: its virtio-net header: of a super-frame, how it was to be cut.
    """

    time: int
    port: str
    reason: str
    octets: bytes
    length: int
    kind: str
    number: int
    vnet: Vnet

    @property
    def meaning(self) -> str:
        """Why it was dropped, in words."""
        return MEANINGS.get(self.reason, self.reason).removeprefix("dropped: ")

    @property
    def outgoing(self) -> bool:
        """Whether it was on its way out."""
        return self.reason.startswith("tx_")


def read(record: bytes) -> Drop:
    """Reads a record.

    Raises:
        ValueError: if it is none.
    """
    if len(record) < _RECORD.size:
        raise ValueError(f"a record of {len(record)} octets is none of a drop")
    time, number, length, header, kind, named, reasoned = _RECORD.unpack_from(record)
    front = _RECORD.size + named
    if kind >= len(KINDS) or len(record) < front + reasoned:
        raise ValueError("a record of a drop contradicts itself")
    octets = record[front + reasoned :]
    vnet = Vnet.unpack(header)
    if vnet.gso_type == 0 and vnet.flags & 1:
        finished = bytearray(octets)
        if complete(finished, vnet):
            octets, vnet = bytes(finished), Vnet()
    return Drop(
        time=time,
        port=record[_RECORD.size : front].decode(errors="replace"),
        reason=record[front : front + reasoned].decode(errors="replace"),
        octets=octets,
        length=length,
        kind=KINDS[kind],
        number=number,
        vnet=vnet,
    )


class Gaps:
    """Counts what was left out between the records of each port."""

    def __init__(self) -> None:
        self._expected: dict[str, int] = {}
        #: Drops left out so far.
        self.missed = 0

    def before(self, drop: Drop) -> int:
        """How many drops of that port were left out before this one, since the one before it."""
        missed = max(0, drop.number - self._expected.get(drop.port, 0))
        self._expected[drop.port] = drop.number + 1
        self.missed += missed
        return missed


class DropWriter:
    """Writes drops to a pcapng file; the file stays its owner's to close.

    Args:
        file: where to write; nothing is sought, so a pipe will do.
        gaps: counts what was left out; its own by default.
    """

    def __init__(self, file: BinaryIO, gaps: Gaps | None = None) -> None:
        self._file = file
        self._interfaces: dict[tuple[str, int], int] = {}
        self._gaps = gaps or Gaps()
        file.write(section())

    def write(self, drop: Drop) -> None:
        """Writes a drop, and describes its port before the first one."""
        link, front = _link(drop.kind)
        octets = (front + drop.octets)[:SNAPLEN]
        self._file.write(
            packet(
                self._interface(drop.port, link),
                drop.time,
                octets,
                max(len(octets), len(front) + drop.length),
                comment=f"dropped: {drop.reason}: {drop.meaning}",
                flags=_OUTGOING if drop.outgoing else _INCOMING,
                missed=self._gaps.before(drop),
            )
        )

    def _interface(self, port: str, link: int) -> int:
        known = self._interfaces.get((port, link))
        if known is None:
            known = self._interfaces[port, link] = len(self._interfaces)
            comment = (
                "dropped by this port" if link == ETHERNET else "dropped by this port, encapsulation and all"
            )
            self._file.write(description(Interface(port, comment), link=link))
        return known


def _link(kind: str) -> tuple[int, bytes]:
    """The link type of a packet, and what stands in front of it in the file."""
    if kind == "frame":
        return ETHERNET, b""
    if kind == "ipv4":
        return _IPV4, b""
    table, number = _TABLES[kind]
    return _UPPER_PDU, struct.pack("!HH8sHHIHH", _TABLE, len(table), table, _NUMBER, 4, number, 0, 0)
