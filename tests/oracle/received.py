"""What the path makes of one message, in memory that has no octet more than the message.

In a batch a frame lies among others, so that a read behind its end would find octets there, and no fault.
Here the slot ends where the message does.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

from oracle import compiled, structs
from oracle.exact import Exact
from vecwire.path import io
from vecwire.wire.counters import NAMES
from vecwire.wire.vnet import LONG, Vnet

if TYPE_CHECKING:
    from vecwire.wire.encap import Encapsulation

HEADROOM = 64
#: Where an object of a compiled class without methods of C begins to hold its own fields.
_BEHIND_THE_HEAD = object.__basicsize__
_MESSAGE, _VECTOR = 64, 16  # struct mmsghdr, struct iovec

_receive = compiled.function(io, "receive", ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)


class Received(NamedTuple):
    """What came of one message.

    Attributes:
        frames: the frames that are delivered.
        headers: their virtio-net headers.
        counted: the counters that have moved, by name.
    """

    frames: list[bytes]
    headers: list[Vnet]
    counted: dict[str, int]

    @property
    def dropped(self) -> list[str]:
        """The reasons why something was not delivered."""
        return [name for name in self.counted if name not in GOOD]


#: Counters of what is no loss.
GOOD = {"rx_frames", "rx_octets", "rx_calls", "rx_super", "rx_vlan", "rx_most", "rx_late", "rx_checksums"}


class Receiver:
    """An endpoint of the path over any descriptor; it receives one message at a time.

    Args:
        descriptor: what is received from.
        layout: the encapsulation of its packets, None where frames stand bare.
        vnet: octets of the virtio-net header in front of each frame.
        pieces: frames that one message may hold.
        flags: which of ``auxdata``, ``udp_gro``, ``seqpacket`` are on.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        layout: Encapsulation | None = None,
        vnet: int = 0,
        pieces: int = 1,
        flags: tuple[str, ...] = (),
    ) -> None:
        self._layout = layout
        prefix = vnet if layout is None else layout.rx_length
        self._endpoint = structs.struct("Endpoint")(
            rx_fd=descriptor, tx_fd=-1, vec=1, rx_vnet=vnet, rx_prefix=prefix, **dict.fromkeys(flags, 1)
        )
        if layout is not None:
            self._endpoint.encap = id(layout) + _BEHIND_THE_HEAD
            inside = structs.struct("Encap").from_address(self._endpoint.encap)
            assert (inside.tx_length, inside.rx_length) == (layout.tx_length, layout.rx_length)
        columns = {"starts": 4, "lengths": 4, "heads": 4, "progress": 4, "vnet": LONG, "stamps": 8}
        self._tables = {name: Exact(bytes(size * pieces)) for name, size in columns.items()}
        self._tables["messages"] = Exact(bytes(_MESSAGE))
        self._tables["vectors"] = Exact(bytes(_VECTOR))
        self._tables["controls"] = Exact(bytes(structs.constant("CONTROL")))
        addresses = {name: table.address for name, table in self._tables.items()}
        self._slots = structs.struct("Slots")(depth=1, headroom=HEADROOM, capacity=pieces, **addresses)

    def receive(self, room: int) -> Received:
        """Receives the message that waits.

        Args:
            room: octets that a message may have, its headers included, before it is cut.
        """
        endpoint, slots = self._endpoint, self._slots
        endpoint.lost = 0
        ctypes.memset(endpoint.counters, 0, ctypes.sizeof(endpoint.counters))
        memory = Exact(bytes(HEADROOM - endpoint.rx_prefix + room))
        slots.memory, slots.stride, slots.wired_prefix = memory.address, len(memory.view), 0xFFFF
        count = _receive(ctypes.addressof(endpoint), ctypes.addressof(slots))
        starts, lengths, heads = (
            self._tables[name].view.cast("I")[:count] for name in ("starts", "lengths", "heads")
        )
        headers = self._tables["vnet"].view
        end = 0
        frames = []
        for start, length, head in zip(starts, lengths, heads, strict=True):
            assert end <= start - head, "what is told to be free before a frame belongs to another one"
            end = start + length
            assert end <= len(memory.view), "a frame ends behind its memory"
            frames.append(bytes(memory.view[start:end]))
        moved = {name: number for name, number in zip(NAMES, endpoint.counters, strict=True) if number}
        return Received(
            frames,
            [Vnet.unpack(headers[at * LONG : (at + 1) * LONG]) for at in range(count)],
            moved,
        )
