"""The memory of a batch and its table as the path has them, and what of the table users may write.

Theory of operation: the path believes the table of a batch, so nobody but the path and the batch's own
methods may write it. What is handed out are copies: after frames have come, ``publish`` writes them; before
frames are looked at or sent, ``settle`` takes over what was written there, and refuses a length that leaves
its slot. So neither a view that outlives its batch nor another thread that writes into one can make the path
read what is not there. A batch whose columns nobody has asked for has none of this.
"""

from typing import Any

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.libc.string import memchr, memcpy, memset
from cython.cimports.vecwire.path.slots import CONTROL, Slots
from cython.cimports.vecwire.wire.octets import View
from cython.cimports.vecwire.wire.vnet import VnetHeader

from vecwire.wire.vnet import LONG, Vnet

#: The layout of a virtio-net header as the buffer protocol tells it (PEP 3118), numpy's structured type.
LAYOUT: bytes = b"T{B:flags:B:gso_type:H:hdr_len:H:gso_size:H:csum_start:H:csum_offset:H:num_buffers:}"


def wire(slots: cython.pointer[Slots], prefix: uint32_t, control: uint32_t) -> cython.void:
    """Points the messages at the slots so that a frame after ``prefix`` octets begins at the headroom.

    ``control`` is how many octets of control messages each may bring, ``CONTROL`` at the most.
    """
    i: uint32_t
    if slots.wired_prefix != prefix or slots.wired_control != control:
        for i in range(slots.depth):
            vector = cython.address(slots.vectors[i])
            vector.iov_base = (
                slots.memory + cython.cast(cython.size_t, i) * slots.stride + (slots.headroom - prefix)
            )
            vector.iov_len = slots.stride - (slots.headroom - prefix)
            message = cython.address(slots.messages[i].msg_hdr)
            message.msg_iov = vector
            message.msg_iovlen = 1
            message.msg_control = slots.controls + i * CONTROL if control else cython.NULL
            message.msg_controllen = control
        slots.wired_prefix = prefix
        slots.wired_control = control
    elif control:
        # The kernel has written over the room for control messages with what it used of it.
        for i in range(slots.depth):
            slots.messages[i].msg_hdr.msg_controllen = control


def room(slots: cython.pointer[cython.const[Slots]], row: uint32_t) -> uint32_t:
    """How long a frame may be made where it is: up to the end of its slot, or to what follows there."""
    slot: uint32_t = slots.starts[row] // slots.stride
    end: uint32_t = (slot + 1) * slots.stride - 1
    if row + 1 < slots.count and slots.starts[row + 1] // slots.stride == slot:
        end = slots.starts[row + 1] - slots.heads[row + 1]
    return end - slots.starts[row]


def gather(
    slots: cython.pointer[cython.const[Slots]],
    offset: uint32_t,
    width: uint32_t,
    out: cython.pointer[uint8_t],
) -> cython.void:
    """Copies ``width`` octets of every frame, from ``offset`` on, but none from behind its end."""
    row: uint32_t
    length: uint32_t
    for row in range(slots.count):
        length = slots.lengths[row]
        if length > offset:
            length -= offset
            memcpy(out, slots.memory + slots.starts[row] + offset, min(length, width))
        out += width


def scatter(
    slots: cython.pointer[Slots],
    offset: uint32_t,
    width: uint32_t,
    octets: cython.pointer[cython.const[uint8_t]],
) -> cython.void:
    """Writes ``width`` octets into every frame, from ``offset`` on, but none behind its end."""
    row: uint32_t
    length: uint32_t
    for row in range(slots.count):
        length = slots.lengths[row]
        if length > offset:
            length -= offset
            memcpy(slots.memory + slots.starts[row] + offset, octets, min(length, width))
        octets += width


@cython.cclass
class Columns:
    """The columns of a batch's table that may be written; made by the batch when they are asked for."""

    chosen: Slots
    _chosen_table: Any

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._table = bytearray(max(capacity, 1) * (LONG + 4 + 1))
        self._octets = self._table
        self.vnet = cython.cast(cython.pointer[VnetHeader], cython.address(self._octets[0]))
        self.lengths = cython.cast(cython.pointer[uint32_t], self.vnet + self.capacity)
        self.mask = cython.cast(cython.pointer[uint8_t], self.lengths + self.capacity)
        memset(self.mask, 1, self.capacity)

    def column(self, name: str, count: int) -> memoryview:
        """The first ``count`` rows of ``lengths`` or ``mask``."""
        table = memoryview(self._table)
        after = self.capacity * (LONG + 4)
        if name == "mask":
            return table[after : after + count]
        begin = self.capacity * LONG
        return table[begin : begin + 4 * count].cast("I")

    def publish(
        self, slots: cython.pointer[cython.const[Slots]], first: uint32_t, last: uint32_t
    ) -> cython.void:
        """Shows rows of the table that are new."""
        if first < last:
            memcpy(self.lengths + first, slots.lengths + first, (last - first) * 4)
            memcpy(self.vnet + first, slots.vnet + first, (last - first) * cython.sizeof(VnetHeader))
            memset(self.mask + first, 1, last - first)

    def settle(self, slots: cython.pointer[Slots], first: uint32_t, last: uint32_t) -> cython.bint:
        """Takes over what was written into the columns.

        Raises:
            ValueError: if a frame was given a length that leaves its slot; what is before it is taken over.
        """
        row: uint32_t
        length: uint32_t
        for row in range(first, last):
            length = self.lengths[row]
            if length != slots.lengths[row]:
                if length > room(slots, row):
                    raise ValueError(
                        f"frame {row} was given a length of {length} octets; "
                        f"there is room for {room(slots, row)} where it is"
                    )
                slots.lengths[row] = length
            slots.vnet[row] = self.vnet[row]
            if slots.vnet[row].flags or slots.vnet[row].gso_type:
                slots.plain = False
        return True

    def choose(self, slots: cython.pointer[Slots], first: uint32_t) -> cython.pointer[Slots]:
        """The frames from ``first`` on that the mask accepts: the table itself, or a table of only those."""
        row: uint32_t
        at: uint32_t = 0
        chosen = cython.address(self.chosen)
        if first >= slots.count or memchr(self.mask + first, 0, slots.count - first) == cython.NULL:
            return slots
        if self._chosen_table is None:
            self._chosen_table = bytearray(self.capacity * (5 * 4 + LONG))
            self._chosen_octets = self._chosen_table
            numbers: cython.pointer[uint32_t] = cython.cast(
                cython.pointer[uint32_t], cython.address(self._chosen_octets[0])
            )
            chosen.starts = numbers
            chosen.lengths = numbers + self.capacity
            chosen.heads = numbers + 2 * self.capacity
            chosen.progress = numbers + 3 * self.capacity
            self.rows = numbers + 4 * self.capacity
            chosen.vnet = cython.cast(cython.pointer[VnetHeader], numbers + 5 * self.capacity)
        chosen.memory = slots.memory
        chosen.depth = slots.depth
        chosen.stride = slots.stride
        chosen.headroom = slots.headroom
        chosen.capacity = slots.capacity
        chosen.plain = slots.plain
        for row in range(first, slots.count):
            if self.mask[row]:
                chosen.starts[at] = slots.starts[row]
                chosen.lengths[at] = slots.lengths[row]
                chosen.heads[at] = slots.heads[row]
                chosen.progress[at] = slots.progress[row]
                chosen.vnet[at] = slots.vnet[row]
                self.rows[at] = row
                at += 1
        chosen.count = at
        return chosen

    def conclude(
        self, slots: cython.pointer[Slots], sent: cython.pointer[Slots], index: uint32_t
    ) -> uint32_t:
        """Which row is the first that is not done with, after ``index`` of what ``choose`` gave is it."""
        at: uint32_t
        if sent != slots:
            for at in range(sent.count):
                slots.progress[self.rows[at]] = sent.progress[at]
                slots.vnet[self.rows[at]] = sent.vnet[at]
            index = self.rows[index] if index < sent.count else slots.count
        # A checksum that was completed is asked for no more.
        memcpy(self.vnet, slots.vnet, slots.count * cython.sizeof(VnetHeader))
        return index


@cython.cclass
class Headers:
    """The virtio-net headers of a batch's frames, a sequence of ``Vnet`` that can be written.

    ``batch.vnet[3]`` is that of frame 3, and so is ``batch.vnet(3)``. Through the buffer protocol they are
    records with the fields of ``Vnet``: ``numpy.asarray(batch.vnet)["gso_size"]``.
    """

    def __init__(self, columns: Columns, count: int) -> None:
        self.columns = columns
        self.count = count
        self.stride = cython.sizeof(VnetHeader)

    def __len__(self) -> int:
        return self.count

    def _place(self, index: int) -> int:
        place = index + self.count if index < 0 else index
        if not 0 <= place < self.count:
            raise IndexError(f"the batch holds {self.count} frames; there is no frame {index}")
        return place

    def __getitem__(self, index: int) -> Vnet:
        place: uint32_t = self._place(index)
        header = cython.address(self.columns.vnet[place])
        return Vnet(
            header.flags,
            header.gso_type,
            header.hdr_len,
            header.gso_size,
            header.csum_start,
            header.csum_offset,
            header.num_buffers,
        )

    def __setitem__(self, index: int, vnet: Vnet) -> None:
        place: uint32_t = self._place(index)
        packed = vnet.pack(LONG)
        memcpy(cython.address(self.columns.vnet[place]), cython.cast(cython.p_char, packed), LONG)

    def __call__(self, index: int) -> Vnet:
        """The virtio-net header of a frame: whether it is a super-frame or lacks a checksum.

        Raises:
            IndexError: if there is no such frame.
        """
        return self[index]

    def __getbuffer__(self, view: cython.pointer[View], flags: cython.int) -> None:
        view.buf = self.columns.vnet
        view.obj = self
        view.len = self.count * self.stride
        view.readonly = 0
        view.itemsize = self.stride
        view.format = cython.cast(cython.p_char, LAYOUT)
        view.ndim = 1
        view.shape = cython.address(self.count)
        view.strides = cython.address(self.stride)
        view.suboffsets = cython.NULL
        view.internal = cython.NULL

    def __releasebuffer__(self, view: cython.pointer[View]) -> None:
        pass
