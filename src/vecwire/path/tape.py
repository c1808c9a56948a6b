"""Batches to the octets of capture files, and back: a whole batch in one call, without the interpreter.

``Packer`` writes the frames of a batch as records into a buffer; ``load`` puts frames that a scanner has
found into a batch. What a record is made of is in ``wire/records.py``.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.wire.checksum import fold, pseudo_header
from cython.cimports.vecwire.wire.ethernet import HEADER, TCP, Layout, dissect
from cython.cimports.vecwire.wire.octets import Octets
from cython.cimports.vecwire.wire.records import (
    PCAPNG,
    Scanner,
    begin_record,
    end_record,
    end_super_record,
    record_room,
    super_room,
)
from cython.cimports.vecwire.wire.segment import (
    MAXIMUM_HEADERS,
    Segments,
    payload_at,
    plan,
    write_headers,
)
from cython.cimports.vecwire.wire.vnet import (
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    NEEDS_CSUM,
    complete_checksum,
)

#: Octets that hold the records of any one frame, however small the segments that it is cut into.
LARGEST_FRAME = 8 * 1024 * 1024
TCP_CHECKSUM = cython.declare(uint16_t, 16)


@cython.cclass
class Packer:
    """Writes batches as records of a capture file.

    A checksum that a frame lacks is completed, in the batch too, where the frame is no super-frame. Of a
    super-frame that is written whole, pcapng tells the virtio-net header in a comment: how it is to be cut.

    Args:
        form: ``PCAP_FORM`` or ``PCAPNG_FORM`` of ``vecwire.wire.records``.
        snaplen: octets kept of a frame at the most.
        segment: whether a super-frame is written as the segments that it stands for.
    """

    _form: cython.int
    _snaplen: uint32_t
    _segment: cython.bint
    _at: cython.pointer[uint8_t]
    _end: cython.pointer[uint8_t]
    records: uint32_t
    octets: uint64_t
    cut: uint64_t

    def __init__(self, form: int, *, snaplen: int, segment: bool) -> None:
        self._form = form
        self._snaplen = snaplen
        self._segment = segment

    def pack(
        self,
        batch: Batch,
        out: bytearray | memoryview,
        at: int,
        *,
        first: int = 0,
        last: int | None = None,
        room: int | None = None,
        most: int = 0xFFFFFFFF,
        now: int = 0,
    ) -> tuple[int, int]:
        """Writes frames from ``first`` on, as far as there is room; a frame's records stay together.

        ``records`` and ``octets`` then tell how many records this call has written, and the octets of their
        frames; ``cut`` how many frames were longer than what is kept, since the beginning.

        Args:
            batch: the frames.
            out: where the records go; an empty one of ``LARGEST_FRAME`` takes any frame.
            at: from which octet on.
            first: the first frame.
            last: the frame to stop before; None is the end.
            room: the octets that may be written; None is what ``out`` has.
            most: records that may be written; of a super-frame the rest is then left out.
            now: when the frames were received, in nanoseconds since 1970, where they do not say.

        Returns:
            The frame to go on with, and the octet.

        Raises:
            ValueError: if ``first``, ``last`` or ``at`` is out of range.
        """
        slots = cython.address(batch.slots)
        stop: uint32_t = slots.count if last is None else last
        index: uint32_t = first
        limit: uint32_t = most
        moment: uint64_t = now
        if not 0 <= first <= stop <= slots.count:
            raise ValueError(f"the batch holds {slots.count} frames, not {first} to {stop}")
        into: Octets = Octets(out, writable=True)
        begin: cython.size_t = max(at, 0)
        if begin > into.length or at < 0:
            raise ValueError(f"the buffer has {into.length} octets; there is no octet {at}")
        free: cython.size_t = into.length - begin
        if room is not None:
            bound: cython.size_t = max(room, 0)
            free = min(free, bound)
        self._at = into.at + begin
        self._end = self._at + free
        self.records = 0
        self.octets = 0
        with cython.nogil:
            while index < stop and self.records < limit and self._frame(slots, index, moment, limit):
                index += 1
        return index, cython.cast(cython.size_t, self._at - into.at)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _frame(
        self, slots: cython.pointer[Slots], index: uint32_t, time: uint64_t, most: uint32_t
    ) -> cython.bint:
        """Writes one frame; False where there is no room for it."""
        if slots.stamped and slots.stamps[index]:
            time = slots.stamps[index]
        frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
        length: uint32_t = slots.lengths[index]
        header = cython.address(slots.vnet[index])
        kept: uint32_t
        data: cython.pointer[uint8_t]
        cut: Segments
        i: uint32_t
        size: uint32_t = 0
        start: uint32_t
        if header.gso_type == GSO_NONE:
            if header.flags & NEEDS_CSUM:
                complete_checksum(frame, length, header)
        elif self._segment and plan(frame, length, header, cython.address(cut)):
            head: uint8_t[MAXIMUM_HEADERS]
            heads: uint32_t = cut.layout.payload
            # Every segment but the last has the same length; padding behind the packet belongs to none.
            whole: uint32_t = min(heads + cut.size, self._snaplen)
            if cython.cast(cython.size_t, self._end - self._at) < cython.cast(
                cython.size_t, cut.count
            ) * record_room(self._form, whole):
                return False
            for i in range(cut.count):
                if self.records == most:
                    break
                start = payload_at(cython.address(cut), i, cython.address(size))
                kept = min(heads + size, self._snaplen)
                write_headers(frame, cython.address(cut), i, cython.address(head[0]))
                data = begin_record(self._form, self._at, time, kept, heads + size)
                memcpy(data, cython.address(head[0]), min(kept, heads))
                if kept > heads:
                    memcpy(data + heads, frame + start, kept - heads)
                self._at = end_record(self._form, data, kept)
                self.records += 1
                self.octets += heads + size
                self.cut += kept < heads + size
            return True
        kept = min(length, self._snaplen)
        told: cython.bint = self._form == PCAPNG and header.gso_type != GSO_NONE and kept == length
        if cython.cast(cython.size_t, self._end - self._at) < (
            super_room(kept) if told else record_room(self._form, kept)
        ):
            return False
        data = begin_record(self._form, self._at, time, kept, length)
        memcpy(data, frame, kept)
        self._at = end_super_record(data, kept, header) if told else end_record(self._form, data, kept)
        self.records += 1
        self.octets += length
        self.cut += kept < length
        return True


def cut_long(batch: Batch, mtu: int) -> int:
    """Makes super-frames of TCP frames that are longer than a link takes, so that they leave as segments.

    How a frame was to be cut is unknown where a file does not tell; TCP can be cut anywhere.

    Args:
        batch: the frames; of those that are made super-frames the checksum is changed to what they need.
        mtu: octets of the longest packet that the link takes, behind the Ethernet header and its tags.

    Returns:
        How many frames are too long, and nothing that can be cut.
    """
    slots = cython.address(batch.slots)
    layout: Layout
    i: uint32_t
    longest: uint32_t = mtu
    left: uint32_t = 0
    head: uint32_t
    known: cython.bint
    frame: cython.pointer[uint8_t]
    for i in range(slots.count):
        if slots.lengths[i] <= HEADER + longest or slots.vnet[i].gso_type != GSO_NONE:
            continue
        frame = slots.memory + slots.starts[i]
        header = cython.address(slots.vnet[i])
        layout.network = HEADER
        known = dissect(frame, slots.lengths[i], cython.address(layout)) and layout.protocol == TCP
        if slots.lengths[i] <= layout.network + longest:
            continue
        head = layout.payload - layout.network if known else longest
        if head >= longest:
            left += 1
            continue
        header.gso_type = GSO_TCPV4 if layout.version == 4 else GSO_TCPV6
        header.gso_size = cython.cast(uint16_t, min(longest - head, cython.cast(uint32_t, 0xFFFF)))
        header.hdr_len = cython.cast(uint16_t, layout.payload)
        header.flags = NEEDS_CSUM
        header.csum_start = cython.cast(uint16_t, layout.transport)
        header.csum_offset = TCP_CHECKSUM
        sum_: uint16_t = fold(
            pseudo_header(frame + layout.network, layout.version, TCP, layout.end - layout.transport)
        )
        memcpy(frame + layout.transport + TCP_CHECKSUM, cython.address(sum_), 2)
    batch.publish()
    return left


def load(batch: Batch, scanner: Scanner, piece: bytes | bytearray | memoryview) -> int:
    """Replaces the frames of a batch, and their times, by those that a scanner has found in a piece.

    Args:
        batch: takes as many frames as it has slots.
        scanner: has scanned no more frames than that.
        piece: what was scanned.

    Returns:
        How many frames did not fit a slot, and were left out.

    Raises:
        ValueError: if there are more frames than slots.
    """
    slots = cython.address(batch.slots)
    octets: Octets = Octets(piece)
    i: uint32_t
    at: uint32_t
    kept: uint32_t
    left_out: uint32_t = 0
    if scanner.found > slots.depth:
        raise ValueError(f"{scanner.found} frames do not fit a batch of {slots.depth}")
    batch.clear()
    slots.stamped = True
    for i in range(scanner.found):
        row = cython.address(scanner.rows[i])
        kept = row.kept
        if (
            kept > slots.stride - slots.headroom - 1
            or cython.cast(cython.size_t, row.start) + kept > octets.length
        ):
            left_out += 1
            continue
        at = slots.count
        slots.starts[at] = at * slots.stride + slots.headroom
        slots.heads[at] = slots.headroom
        slots.lengths[at] = kept
        slots.progress[at] = 0
        slots.stamps[at] = row.time
        slots.vnet[at] = row.vnet
        memcpy(slots.memory + slots.starts[at], octets.at + row.start, kept)
        slots.count = at + 1
        slots.used = at + 1
    batch.publish()
    return left_out
