"""Records of capture files, pcap and pcapng: octets in, octets out.

Written is in the host's byte order and in nanoseconds. Read is whatever comes: both byte orders, every unit
of time, and octets that are no capture at all; nothing is believed before it was held against what is there.
A :class:`Scanner` finds the frames in a piece of a file, and leaves every block that is not a frame's and
matters to whoever has the file (``vecwire.capture``).

The formats: draft-ietf-opsawg-pcap, sections 4 and 5; draft-ietf-opsawg-pcapng, sections 3 and 4.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.wire.octets import Octets
from cython.cimports.vecwire.wire.records import (
    BAD_INTERFACE,
    BAD_KEPT,
    BAD_LENGTH,
    BAD_LINK,
    BAD_TRAILER,
    BLOCK,
    FULL,
    MOST_BLOCK,
    MOST_KEPT,
    NEEDS,
    PCAP,
    PCAPNG,
    ROWS,
    Ending,
    Interface,
    Row,
)

SECOND = cython.declare(uint64_t, 1_000_000_000)
LINK_ETHERNET = cython.declare(uint32_t, 1)
# Of pcapng: the types of blocks.
SECTION = cython.declare(uint32_t, 0x0A0D0D0A)
DESCRIPTION = cython.declare(uint32_t, 1)
OLD_PACKET = cython.declare(uint32_t, 2)
SIMPLE_PACKET = cython.declare(uint32_t, 3)
PACKET = cython.declare(uint32_t, 6)
#: Octets before and behind a frame's.
PCAP_HEADER = cython.declare(uint32_t, 16)
BLOCK_HEADER = cython.declare(uint32_t, 28)
TRAILER = cython.declare(uint32_t, 4)
LATEST = cython.declare(uint64_t, 0x7FFFFFFFFFFFFFFF)
#: Interfaces that one section may have: no host has more.
MOST_INTERFACES = 65536

PCAP_FORM: int = PCAP
PCAPNG_FORM: int = PCAPNG
SCAN_ROWS: int = ROWS
LONGEST_KEPT: int = MOST_KEPT
LONGEST_BLOCK: int = MOST_BLOCK
MORE: int = NEEDS
ROWS_ARE_FULL: int = FULL
OTHER_BLOCK: int = BLOCK
#: What is wrong, by how the scan ended.
FAULTS: dict[int, str] = {
    BAD_LENGTH: "a block tells a length that no block has",
    BAD_TRAILER: "a block ends with another length than it begins with",
    BAD_KEPT: "a frame is longer than its record, or than any frame",
    BAD_INTERFACE: "a frame is of an interface that was not described",
    BAD_LINK: "a frame is of a link that is not Ethernet",
}


def record_room(form: cython.int, kept: uint32_t) -> uint32_t:
    """How many octets the record of a frame takes."""
    if form == PCAP:
        return PCAP_HEADER + kept
    return BLOCK_HEADER + ((kept + 3) & ~cython.cast(uint32_t, 3)) + TRAILER


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def put32(at: cython.pointer[uint8_t], value: uint32_t) -> cython.void:
    """Writes a number in the host's byte order."""
    memcpy(at, cython.address(value), 4)


def begin_record(
    form: cython.int, at: cython.pointer[uint8_t], time: uint64_t, kept: uint32_t, length: uint32_t
) -> cython.pointer[uint8_t]:
    """Writes what stands before a frame; returns where its ``kept`` octets go."""
    if form == PCAP:
        put32(at, cython.cast(uint32_t, time // SECOND))
        put32(at + 4, cython.cast(uint32_t, time % SECOND))
        put32(at + 8, kept)
        put32(at + 12, length)
        return at + PCAP_HEADER
    put32(at, PACKET)
    put32(at + 4, record_room(form, kept))
    put32(at + 8, 0)
    put32(at + 12, cython.cast(uint32_t, time >> 32))
    put32(at + 16, cython.cast(uint32_t, time))
    put32(at + 20, kept)
    put32(at + 24, length)
    return at + BLOCK_HEADER


def end_record(form: cython.int, data: cython.pointer[uint8_t], kept: uint32_t) -> cython.pointer[uint8_t]:
    """Writes what stands behind the octets of a frame at ``data``; returns where the next record goes."""
    if form == PCAP:
        return data + kept
    end: uint32_t = (kept + 3) & ~cython.cast(uint32_t, 3)
    memset(data + kept, 0, end - kept)
    put32(data + end, record_room(form, kept))
    return data + end + TRAILER


def record(form: int, time: int, frame: bytes | bytearray | memoryview, length: int | None = None) -> bytes:
    """The record of one frame.

    Args:
        form: ``PCAP_FORM`` or ``PCAPNG_FORM``.
        time: when it was seen, in nanoseconds since 1970.
        frame: the octets that are kept.
        length: how long it was; None where all is kept.
    """
    octets: Octets = Octets(frame)
    kept: uint32_t = cython.cast(uint32_t, octets.length)
    out = bytearray(record_room(form, kept))
    into: Octets = Octets(out, writable=True)
    data = begin_record(form, into.at, time, kept, kept if length is None else length)
    memcpy(data, octets.at, kept)
    end_record(form, data, kept)
    return bytes(out)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def get32(at: cython.pointer[cython.const[uint8_t]], swapped: cython.bint) -> uint32_t:
    """Reads a number in the file's byte order."""
    value: uint32_t = 0
    memcpy(cython.address(value), at, 4)
    if swapped:
        value = (value >> 24) | ((value >> 8) & 0xFF00) | ((value & 0xFF00) << 8) | ((value & 0xFF) << 24)
    return value


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def power_of_ten(exponent: cython.int) -> uint64_t:
    """Ten to the power of 0 to 19, the highest that 64 bits hold."""
    power: uint64_t = 1
    while exponent > 0:
        power *= 10
        exponent -= 1
    return power


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def nanoseconds(interface: cython.pointer[cython.const[Interface]], ticks: uint64_t) -> uint64_t:
    """A time in an interface's units as nanoseconds since 1970; the nearest that 63 bits hold of any other.

    Seconds and their fraction are kept apart until the offset, whole seconds, is added: so nothing overflows.
    """
    seconds: uint64_t = 0
    part: uint64_t = ticks
    shift: cython.int = interface.binary
    decimal: cython.int = interface.decimal
    if shift >= 0:
        if shift < 64:
            seconds = ticks >> shift
            part = ticks & ((cython.cast(uint64_t, 1) << shift) - 1)
        # Of the fraction 32 bits are kept, which are finer than a nanosecond.
        if shift > 32:
            part = part >> (shift - 32) if shift < 96 else 0
            shift = 32
        part = (part * SECOND) >> shift
    else:
        if decimal < 20:
            seconds = ticks // power_of_ten(decimal)
            part = ticks % power_of_ten(decimal)
        if decimal <= 9:
            part *= power_of_ten(9 - decimal)
        else:
            part = part // power_of_ten(decimal - 9) if decimal < 29 else 0
    if interface.offset < 0:
        # Its size, of the least number too.
        before: uint64_t = cython.cast(uint64_t, -(interface.offset + 1)) + 1
        if seconds < before:
            return 0
        seconds -= before
    else:
        seconds = min(seconds, LATEST) + cython.cast(uint64_t, interface.offset)
    if seconds > LATEST // SECOND:
        return LATEST
    return min(seconds * SECOND + part, LATEST)


@cython.cclass
class Scanner:
    """Finds the frames in the octets of a capture file, which come a piece at a time.

    Args:
        form: ``PCAP_FORM`` or ``PCAPNG_FORM``.
        swapped: whether the file's byte order is not the host's.
    """

    _form: cython.int
    _swapped: cython.bint
    _interfaces: cython.pointer[Interface]
    _count: uint32_t
    _room: uint32_t
    _last: uint64_t
    rows: Row[ROWS]
    found: uint32_t
    needed: cython.size_t
    ending: cython.int
    culprit: cython.size_t

    def __init__(self, form: int, *, swapped: bool) -> None:
        self._form = form
        self._swapped = swapped

    def __dealloc__(self) -> None:
        free(self._interfaces)

    def begin_section(self, *, swapped: bool) -> None:
        """Begins a section of pcapng: byte order and interfaces are new."""
        self._swapped = swapped
        self._count = 0

    def add_interface(self, link: int, snaplen: int, *, decimal: int, binary: int, offset: int) -> None:
        """Describes the next interface; frames of pcap are all of the first one.

        Args:
            link: the link type; of others than Ethernet no frame is taken.
            snaplen: octets kept of a frame at the most; 0 has no bound.
            decimal: times count 10^-decimal seconds; negative where they do not.
            binary: times count 2^-binary seconds; negative where they do not.
            offset: seconds to add to times.

        Raises:
            ValueError: if there are too many.
        """
        if self._count == MOST_INTERFACES:
            raise ValueError(f"a section with more than {MOST_INTERFACES} interfaces")
        if self._count == self._room:
            room: uint32_t = max(2 * self._room, 4)
            grown = realloc(self._interfaces, room * cython.sizeof(Interface))
            if grown == cython.NULL:
                raise MemoryError("no memory for the interfaces of a capture")
            self._interfaces = cython.cast(cython.pointer[Interface], grown)
            self._room = room
        interface = cython.address(self._interfaces[self._count])
        interface.link = link
        interface.snaplen = snaplen
        interface.decimal = decimal
        interface.binary = binary
        interface.offset = offset
        self._count += 1

    def scan(self, piece: bytes | bytearray | memoryview, at: int, most: int = ROWS) -> int:
        """Looks for frames from octet ``at`` of a piece on; where the next scan begins.

        How it ended is in ``ending``: ``MORE`` where a record goes on behind the piece (``needed`` octets
        from where the next scan begins, at the least), ``ROWS_ARE_FULL``, ``OTHER_BLOCK`` where a block
        waits for the interpreter, or one of ``FAULTS``. In any case the frames before that were found.
        """
        octets: Octets = Octets(piece)
        place: cython.size_t = at
        if self._form == PCAP and not self._count:
            raise ValueError("the interface of a pcap file was not described")
        if place > octets.length:
            raise ValueError("a scan begins within its piece")
        rows: uint32_t = min(most, ROWS)
        ending: Ending
        self.found = 0
        with cython.nogil:
            ending = self._scan(octets.at, octets.length, cython.address(place), rows)
        self.ending = ending
        return place

    @property
    def frames(self) -> list[tuple[int, int, int, int]]:
        """The frames that the scan found: where each begins, octets kept, its length, its time."""
        return [
            (self.rows[i].start, self.rows[i].kept, self.rows[i].length, self.rows[i].time)
            for i in range(self.found)
        ]

    def __len__(self) -> int:
        return self.found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _row(
        self,
        interface: cython.pointer[cython.const[Interface]],
        start: cython.size_t,
        kept: uint32_t,
        length: uint32_t,
        ticks: uint64_t,
        timed: cython.bint,
    ) -> cython.bint:
        """Notes a frame; False where its link is not Ethernet."""
        if interface.link != LINK_ETHERNET:
            return False
        if timed:
            self._last = nanoseconds(interface, ticks)
        row = cython.address(self.rows[self.found])
        row.start = cython.cast(uint32_t, start)
        row.kept = kept
        row.length = max(length, kept)
        row.time = self._last
        self.found += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _scan(
        self,
        data: cython.pointer[cython.const[uint8_t]],
        size: cython.size_t,
        at: cython.pointer[cython.size_t],
        most: uint32_t,
    ) -> Ending:
        swapped: cython.bint = self._swapped
        here: cython.pointer[cython.const[uint8_t]]
        left: cython.size_t
        kind: uint32_t
        total: uint32_t
        kept: uint32_t
        length: uint32_t
        number: uint32_t
        ticks: uint64_t
        while self.found < most:
            here = data + at[0]
            left = size - at[0]
            self.culprit = at[0]
            if self._form == PCAP:
                self.needed = PCAP_HEADER
                if left < PCAP_HEADER:
                    return NEEDS
                kept = get32(here + 8, swapped)
                if kept > MOST_KEPT:
                    return BAD_KEPT
                self.needed = PCAP_HEADER + kept
                if left < self.needed:
                    return NEEDS
                number = get32(here + 4, swapped)
                ticks = get32(here, swapped)
                # The fraction is in the units that the file began with; more than a second is taken as told.
                ticks = ticks * (SECOND if self._interfaces.decimal == 9 else 1_000_000) + number
                length = get32(here + 12, swapped)
                if not self._row(self._interfaces, at[0] + PCAP_HEADER, kept, length, ticks, True):
                    return BAD_LINK
                at[0] += self.needed
                continue
            self.needed = 12
            if left < 12:
                return NEEDS
            kind = get32(here, swapped)
            if kind == SECTION:
                return BLOCK
            total = get32(here + 4, swapped)
            if total < 12 or total & 3 or total > MOST_BLOCK:
                return BAD_LENGTH
            self.needed = total
            if left < total:
                return NEEDS
            if get32(here + total - 4, swapped) != total:
                return BAD_TRAILER
            if kind == DESCRIPTION:
                return BLOCK
            if kind == PACKET or kind == OLD_PACKET:
                if total < BLOCK_HEADER + TRAILER:
                    return BAD_LENGTH
                number = get32(here + 8, swapped)
                if kind == OLD_PACKET:
                    # 16 bits of interface, 16 of drops, in the file's byte order.
                    number = number >> 16 if native_is_big() != swapped else number & 0xFFFF
                if number >= self._count:
                    return BAD_INTERFACE
                ticks = (cython.cast(uint64_t, get32(here + 12, swapped)) << 32) | get32(here + 16, swapped)
                kept = get32(here + 20, swapped)
                if kept > MOST_KEPT or kept > total - BLOCK_HEADER - TRAILER:
                    return BAD_KEPT
                length = get32(here + 24, swapped)
                if not self._row(self._interfaces + number, at[0] + BLOCK_HEADER, kept, length, ticks, True):
                    return BAD_LINK
            elif kind == SIMPLE_PACKET:
                if total < 16:
                    return BAD_LENGTH
                if self._count == 0:
                    return BAD_INTERFACE
                length = get32(here + 8, swapped)
                kept = length
                if self._interfaces.snaplen and kept > self._interfaces.snaplen:
                    kept = self._interfaces.snaplen
                if kept > MOST_KEPT or kept > total - 16:
                    return BAD_KEPT
                # It has no time of its own: that of the frame before it.
                if not self._row(self._interfaces, at[0] + 12, kept, length, 0, False):
                    return BAD_LINK
            at[0] += total
        return FULL


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def native_is_big() -> cython.bint:
    """Whether the host's byte order is big-endian."""
    one: uint16_t = 1
    return cython.cast(cython.pointer[uint8_t], cython.address(one))[0] == 0
