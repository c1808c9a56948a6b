"""A batch: slots of memory with headroom, and the table of the frames in them.

Theory of operation: memory and frames are apart. The memory is ``depth`` slots of one size, mapped once
and touched by the kernel only where frames arrive. The table says where each frame begins, how long it is
and how many octets before it are free to write. A tag put back, a header taken off or put on moves a number
in the table, never the payload. Slots have an odd number of cache lines, so that the first octets of
all frames do not compete for the same place in the cache.

A memoryview of a frame keeps the memory alive for as long as it lives, whatever becomes of the batch;
after the batch's next ``recv`` it shows what has been received into the same place. Of the table only copies
can be written (``slots.py``).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.linux import iovec, mmsghdr
from cython.cimports.vecwire.path.slots import (
    CONTROL,
    Columns,
    Headers,
    Slots,
    gather,
    lay_open,
    room,
    scatter,
)
from cython.cimports.vecwire.wire.octets import Octets
from cython.cimports.vecwire.wire.vnet import VnetHeader

from vecwire.host import mapped
from vecwire.wire.vnet import LONG, Vnet

#: Frames are never longer than this: an IP packet of 65,535 octets, an Ethernet header and two VLAN tags.
LONGEST_FRAME = 65535 + 14 + 8
#: Octets in front of a frame that every transport can count on, for what it takes off and puts on.
LEAST_HEADROOM = 64
MOST_DEPTH = 1024
#: The kernel gives at most so many datagrams in one piece (UDP_MAX_SEGMENTS, linux/udp.h).
MOST_FRAMES_PER_SLOT = 128
CACHE_LINE = 64


def copy_frame(
    target: cython.pointer[Slots], at: uint32_t, source: cython.pointer[cython.const[Slots]], index: uint32_t
) -> cython.bint:
    """Copies a frame into slot ``at`` of another batch; False where it is too long for it."""
    length: uint32_t = source.lengths[index]
    if length > target.stride - target.headroom:
        return False
    target.starts[at] = at * target.stride + target.headroom
    target.heads[at] = target.headroom
    target.lengths[at] = length
    target.vnet[at] = source.vnet[index]
    target.progress[at] = source.progress[index]
    memcpy(target.memory + target.starts[at], source.memory + source.starts[index], length)
    return True


@cython.cclass
class Batch:
    """Up to ``depth`` frames in memory of their own.

    A sequence of memoryviews, one a frame, writable in place. ``Port.recv`` replaces its frames,
    ``append`` adds one, ``Port.send`` sends them.

    Args:
        depth: how many frames it holds, 1 to 1024.
        size: the longest frame that a slot takes, in octets, VLAN tags included.
        headroom: octets kept free in front of each frame; at least 64 are.
        frames_per_slot: how many frames one slot may hold, where a system call brings several in one piece.

    Raises:
        ValueError: if a number is out of range.
        MemoryError: if there is no memory for it.
    """

    slots: Slots
    _columns: Any

    def __init__(
        self,
        depth: int = 64,
        size: int = LONGEST_FRAME,
        headroom: int = LEAST_HEADROOM,
        frames_per_slot: int = 1,
    ) -> None:
        if self.slots.depth:
            raise ValueError("a batch is made once: its memory may be in use")
        if not 1 <= depth <= MOST_DEPTH:
            raise ValueError(f"depth is 1 to {MOST_DEPTH}, not {depth}")
        if not 14 <= size <= LONGEST_FRAME:
            raise ValueError(f"size is 14 to {LONGEST_FRAME} octets, not {size}")
        if not 1 <= frames_per_slot <= MOST_FRAMES_PER_SLOT:
            raise ValueError(f"frames_per_slot is 1 to {MOST_FRAMES_PER_SLOT}, not {frames_per_slot}")
        if not 0 <= headroom <= 4096:
            raise ValueError(f"headroom is 0 to 4096 octets, not {headroom}")
        room = -(-max(headroom, LEAST_HEADROOM) // 16) * 16
        # One octet more than the longest frame tells a frame that fits from one that was cut.
        lines = -(-(room + size + 1) // CACHE_LINE) | 1
        # A row more than there are slots, which nobody sees: a thread that fills a batch while another sends
        # it may pair one frame's place with another's length, and must not lead out of the memory.
        self._memory = mapped((depth + 1) * lines * CACHE_LINE, f"a batch of {depth} frames")
        self._view = memoryview(self._memory)[: depth * lines * CACHE_LINE]
        self._octets = self._memory
        slots = cython.address(self.slots)
        slots.memory = cython.address(self._octets[0])
        slots.depth = depth
        slots.stride = lines * CACHE_LINE
        slots.headroom = room
        slots.capacity = depth * frames_per_slot
        slots.count = 0
        slots.wired_prefix = 0xFFFF
        # The columns of the table, one after the other: a time of 8 octets, 4 numbers of 4, a header of 12.
        self._table = bytearray(slots.capacity * (8 + 4 * 4 + LONG))
        self._numbers = self._table
        slots.stamps = cython.cast(cython.pointer[uint64_t], cython.address(self._numbers[0]))
        numbers: cython.pointer[uint32_t] = cython.cast(
            cython.pointer[uint32_t], slots.stamps + slots.capacity
        )
        slots.starts = numbers
        slots.lengths = numbers + slots.capacity
        slots.heads = numbers + 2 * slots.capacity
        slots.progress = numbers + 3 * slots.capacity
        slots.vnet = cython.cast(cython.pointer[VnetHeader], numbers + 4 * slots.capacity)
        table = memoryview(self._table)
        self._stamps = table[: slots.capacity * 8].cast("Q")
        self._starts = table[slots.capacity * 8 : slots.capacity * 12].cast("I").toreadonly()
        slots.messages = cython.cast(cython.pointer[mmsghdr], calloc(slots.depth, cython.sizeof(mmsghdr)))
        slots.vectors = cython.cast(cython.pointer[iovec], calloc(slots.depth, cython.sizeof(iovec)))
        slots.controls = cython.cast(cython.pointer[uint8_t], calloc(slots.depth, CONTROL))
        if slots.messages == cython.NULL or slots.vectors == cython.NULL or slots.controls == cython.NULL:
            raise MemoryError("no memory for the messages of a batch")

    def __dealloc__(self) -> None:
        # Views may outlive the batch, and after them the addresses are somebody else's.
        lay_open(cython.address(self.slots))
        free(self.slots.messages)
        free(self.slots.vectors)
        free(self.slots.controls)

    @property
    def depth(self) -> int:
        """How many slots there are: frames that ``append`` takes, messages that one system call brings."""
        return self.slots.depth

    @property
    def size(self) -> int:
        """The longest frame that a slot takes, in octets."""
        return self.slots.stride - self.slots.headroom - 1

    @property
    def frames_per_slot(self) -> int:
        """How many frames one slot may hold."""
        return self.slots.capacity // self.slots.depth

    @property
    def headroom(self) -> int:
        """Octets kept free in front of each frame."""
        return self.slots.headroom

    def _written(self) -> Columns:
        """The columns that may be written, made when they are first asked for."""
        if self._columns is None:
            made: Columns = Columns(self.slots.capacity)
            made.publish(cython.address(self.slots), 0, self.slots.count)
            self._columns = made
        return self._columns

    @property
    def lengths(self) -> memoryview:
        """The lengths of the frames in octets: unsigned 32-bit numbers, one a frame.

        Writing one makes the frame shorter or longer where it is. ``send`` and a look at the frame refuse,
        with a ``ValueError``, a length that leaves its slot.
        """
        return self._written().column("lengths", self.slots.count)

    @property
    def mask(self) -> memoryview:
        """Which frames ``send`` sends: an octet each, 1 for those, 0 for those that it passes over.

        What is received or appended is to be sent. A frame that is passed over is done with, and not counted.
        """
        return self._written().column("mask", self.slots.count)

    @property
    def vnet(self) -> Headers:
        """The virtio-net headers of the frames: whether one is a super-frame or lacks a checksum.

        A sequence of ``Vnet`` that can be written, and an array of records through the buffer protocol.
        ``batch.vnet(3)`` and ``batch.vnet[3]`` are that of frame 3.
        """
        return Headers(self._written(), self.slots.count)

    @property
    def timestamps(self) -> memoryview:
        """When the frames were received: unsigned 64-bit numbers, nanoseconds since 1970 (CLOCK_REALTIME).

        They are the kernel's (SO_TIMESTAMPNS, socket(7)), or those of the read on a tap, where the port was
        opened with ``timestamps=1``; a frame that nobody has stamped has 0.
        """
        slots = cython.address(self.slots)
        if not slots.stamped and slots.capacity:
            # Nobody has written them since the last batch that was stamped.
            memset(slots.stamps, 0, slots.capacity * cython.sizeof(uint64_t))
            slots.stamped = True
        return self._stamps[: slots.count]

    @property
    def data(self) -> memoryview:
        """The memory of the frames: unsigned octets, one row a slot, of its headroom, ``size`` and one more.

        A frame begins at its row's octet ``headroom`` unless a tag or a header moved it: ``starts`` tells.
        """
        return self._view.cast("B", (self.slots.depth, self.slots.stride))

    @property
    def starts(self) -> memoryview:
        """Where each frame begins in ``data``, counted in octets from the first row's first octet.

        Unsigned 32-bit numbers, one a frame, read-only.
        """
        return self._starts[: self.slots.count]

    def gather(self, offset: int, width: int) -> memoryview:
        """Copies the same octets out of every frame, wherever the frames begin.

        Args:
            offset: the first octet of them, counted from the frame's first.
            width: how many they are.

        Returns:
            Unsigned octets, one row a frame; what a frame does not have is 0.

        Raises:
            ValueError: if no frame could have them.
        """
        if not 0 <= offset <= LONGEST_FRAME or not 1 <= width <= LONGEST_FRAME:
            raise ValueError(f"no frame has {width} octets from its octet {offset} on")
        self._settle_all()
        out = bytearray(max(self.slots.count, 1) * width)
        copied: Octets = Octets(out, writable=True)
        gather(cython.address(self.slots), offset, width, copied.at)
        # A view of no rows cannot be had by a cast.
        rows = memoryview(out).cast("B", (max(self.slots.count, 1), width))
        return rows if self.slots.count else rows[:0]

    def scatter(self, offset: int, octets: Any) -> None:
        """Writes octets into every frame, wherever the frames begin: what ``gather`` gave, edited.

        Args:
            offset: where the first of them goes, counted from the frame's first octet.
            octets: as many for each frame, one frame's after the other's: bytes, or anything contiguous with
                the buffer protocol. What is behind a frame's end is not written.

        Raises:
            ValueError: if they are not as many for each frame.
        """
        given: Octets = Octets(octets)
        count = self.slots.count
        if offset < 0 or offset > LONGEST_FRAME or (given.length % count if count else given.length):
            raise ValueError(f"{given.length} octets are not as many for each of {count} frames")
        self._settle_all()
        if count:
            scatter(cython.address(self.slots), offset, given.length // count, given.at)

    def _settle_all(self) -> None:
        if self._columns is not None:
            columns: Columns = self._columns
            columns.settle(cython.address(self.slots), 0, self.slots.count)

    def ready(self, first: uint32_t) -> cython.pointer[Slots]:
        """The table of the frames to send from ``first`` on, which begins with them where it is another one.

        Raises:
            ValueError: if a length was written that leaves its slot.
        """
        if self._columns is None:
            return cython.address(self.slots)
        columns: Columns = self._columns
        columns.settle(cython.address(self.slots), first, self.slots.count)
        return columns.choose(cython.address(self.slots), first)

    def conclude(self, sent: cython.pointer[Slots], index: uint32_t) -> uint32_t:
        """Which frame is the first that is not done with, where ``index`` is that of what ``ready`` gave."""
        if self._columns is None:
            return index
        columns: Columns = self._columns
        return columns.conclude(cython.address(self.slots), sent, index)

    def publish(self) -> cython.void:
        """Shows new frames in the columns that may be written."""
        if self._columns is not None:
            columns: Columns = self._columns
            columns.publish(cython.address(self.slots), 0, self.slots.count)

    def __len__(self) -> int:
        return self.slots.count

    def _place(self, index: int) -> int:
        place = index + self.slots.count if index < 0 else index
        if not 0 <= place < self.slots.count:
            raise IndexError(f"the batch holds {self.slots.count} frames; there is no frame {index}")
        return place

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.slots.count))]
        place: uint32_t = self._place(index)
        if self._columns is not None:
            columns: Columns = self._columns
            columns.settle(cython.address(self.slots), place, place + 1)
        start = self.slots.starts[place]
        return self._view[start : start + self.slots.lengths[place]]

    def __setitem__(self, index: int, frame: bytes | bytearray | memoryview) -> None:
        place: uint32_t = self._place(index)
        length = len(frame)
        if length > room(cython.address(self.slots), place):
            raise ValueError(
                f"a frame of {length} octets does not fit: "
                f"there is room for {room(cython.address(self.slots), place)} where frame {index} is"
            )
        start = self.slots.starts[place]
        self._view[start : start + length] = frame
        self.slots.lengths[place] = length
        if self._columns is not None:
            columns: Columns = self._columns
            columns.lengths[place] = length

    def __iter__(self) -> Iterator[memoryview]:
        for index in range(self.slots.count):
            yield self[index]

    def clear(self) -> None:
        """Takes all frames out."""
        self.slots.count = 0
        self.slots.used = 0
        self.slots.plain = False

    def append(
        self, frame: bytes | bytearray | memoryview, vnet: Vnet | None = None, *, timestamp: int = 0
    ) -> None:
        """Copies a frame into the next free slot.

        Args:
            frame: the octets, from the destination address on.
            vnet: its virtio-net header, where it is a super-frame or lacks a checksum.
            timestamp: what ``timestamps`` has for it, in nanoseconds since 1970.

        Raises:
            ValueError: if every slot is in use, or every row of the table, or the frame does not fit one.
        """
        place: uint32_t = self.slots.count
        slot: uint32_t = self.slots.used
        if slot == self.slots.depth:
            raise ValueError(f"the batch is full: its {self.slots.depth} slots are in use")
        if place == self.slots.capacity:
            # Several frames may have been received into one slot.
            raise ValueError(f"the batch is full: it holds {self.slots.capacity} frames")
        length = len(frame)
        if length > self.size:
            raise ValueError(f"a frame of {length} octets does not fit a slot of {self.size}")
        start = slot * self.slots.stride + self.slots.headroom
        self._view[start : start + length] = frame
        self.slots.starts[place] = start
        self.slots.lengths[place] = length
        self.slots.heads[place] = self.slots.headroom
        self.slots.progress[place] = 0
        self._stamp(place, timestamp)
        memset(cython.address(self.slots.vnet[place]), 0, cython.sizeof(VnetHeader))
        if vnet is not None:
            self.slots.plain = False
            header = vnet.pack(LONG)
            memcpy(cython.address(self.slots.vnet[place]), cython.cast(cython.p_char, header), LONG)
        self.slots.count = place + 1
        self.slots.used = slot + 1
        if self._columns is not None:
            columns: Columns = self._columns
            columns.publish(cython.address(self.slots), place, place + 1)

    def _stamp(self, place: int, moment: uint64_t) -> None:
        if moment and not self.slots.stamped:
            memset(self.slots.stamps, 0, self.slots.capacity * cython.sizeof(uint64_t))
            self.slots.stamped = True
        if self.slots.stamped:
            self.slots.stamps[place] = moment

    def extend(self, frames: Iterable[bytes | bytearray | memoryview]) -> None:
        """Copies frames into the next free slots.

        Raises:
            ValueError: if the batch is full or a frame does not fit a slot; those before it stay.
        """
        for frame in frames:
            self.append(frame)
