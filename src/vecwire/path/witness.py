"""Frames that are dropped, with the reason, for whoever wants to see them: copied where they are counted.

Theory of operation: a port's endpoint points to a witness while somebody watches its drops, and to nothing
otherwise: so where a frame is dropped there is one comparison more, and where none is there is none. A
witness copies the frame into its worker's book, in front of it a record that says when, where and why; the
worker hands the book over, a socket's record for each drop, when it is full and after each round. What the
reader is too slow for is left out: a record's number tells how many of its port came before.

A record, in the host's byte order: the time in nanoseconds since 1970, 8 octets; its number among its
port's, from 0 on, 4; how long the frame was, 4; its virtio-net header, 12; what its octets are (``KINDS``),
1; the lengths of two names, 1 each, and one octet of 0. Then the names of the port and of the counter, and
the octets.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.linux import CLOCK_REALTIME, clock_gettime, timespec
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.path.witness import FRAME, MOST_FRONT, MOST_NAME, RECORD, Book, Witness
from cython.cimports.vecwire.wire.vnet import VnetHeader

from vecwire.path.batch import LONGEST_FRAME
from vecwire.wire.counters import NAMES

#: What the octets of a record are, by number: a frame, or a packet that came through a tunnel.
KINDS: tuple[str, ...] = ("frame", "ipv4", "gre", "l2tp-udp", "l2tp")
LONGEST_NAME: int = MOST_NAME
#: Records that a book holds before they are handed over.
DEPTH = 64
SECOND = cython.declare(uint64_t, 1_000_000_000)


def begin_drop(
    witness: cython.pointer[Witness],
    reason: uint32_t,
    what: uint8_t,
    length: uint32_t,
    header: cython.pointer[cython.const[VnetHeader]],
    kept: cython.pointer[uint32_t],
) -> cython.pointer[uint8_t]:
    """Begins a record: returns where its octets go, ``kept`` of them; NULL where nobody wants that reason."""
    book = witness.book
    slots = book.slots
    time: timespec
    front: uint32_t
    named: uint32_t = 0
    if not (witness.wanted >> reason) & 1:
        return cython.NULL
    if slots.count == slots.depth:
        book.hand_over(book)
    name: cython.pointer[cython.const[cython.char]] = book.reasons + reason * MOST_NAME
    while named < MOST_NAME and name[named]:
        named += 1
    front = RECORD + witness.name_length + named
    kept[0] = min(length, slots.stride - slots.headroom - 1)
    at: uint32_t = slots.count
    slots.starts[at] = at * slots.stride + slots.headroom - front
    slots.heads[at] = slots.headroom - front
    slots.lengths[at] = front + kept[0]
    slots.progress[at] = 0
    memset(cython.address(slots.vnet[at]), 0, cython.sizeof(VnetHeader))
    slots.count = at + 1
    out: cython.pointer[uint8_t] = slots.memory + slots.starts[at]
    clock_gettime(CLOCK_REALTIME, cython.address(time))
    moment: uint64_t = cython.cast(uint64_t, time.tv_sec) * SECOND + cython.cast(uint64_t, time.tv_nsec)
    memset(out, 0, RECORD)
    memcpy(out, cython.address(moment), 8)
    memcpy(out + 8, cython.address(witness.serial), 4)
    memcpy(out + 12, cython.address(length), 4)
    if header != cython.NULL:
        memcpy(out + 16, header, cython.sizeof(VnetHeader))
    out[28] = what
    out[29] = cython.cast(uint8_t, witness.name_length)
    out[30] = cython.cast(uint8_t, named)
    memcpy(out + RECORD, cython.address(witness.name[0]), witness.name_length)
    memcpy(out + RECORD + witness.name_length, name, named)
    witness.serial += 1
    return out + front


def take_drop(
    witness: cython.pointer[Witness],
    reason: uint32_t,
    what: uint8_t,
    octets: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    header: cython.pointer[cython.const[VnetHeader]],
) -> cython.void:
    """Records octets that were dropped, if that reason is wanted."""
    kept: uint32_t = 0
    out = begin_drop(witness, reason, what, length, header, cython.address(kept))
    if out != cython.NULL:
        memcpy(out, octets, kept)


def lose(
    counters: cython.pointer[uint64_t],
    witness: cython.pointer[Witness],
    slots: cython.pointer[cython.const[Slots]],
    index: uint32_t,
    reason: uint32_t,
) -> cython.void:
    """Counts a frame of a batch as dropped, and records it where somebody watches."""
    counters[reason] += 1
    if witness != cython.NULL:
        take_drop(
            witness,
            reason,
            FRAME,
            slots.memory + slots.starts[index],
            slots.lengths[index],
            cython.address(slots.vnet[index]),
        )


@cython.cclass
class Ledger:
    """Owns the book of a worker, whose records go to one of its seats."""

    book: Book
    _batch: object
    _reasons: bytes

    def __init__(self) -> None:
        batch: Batch = Batch(DEPTH, LONGEST_FRAME, headroom=MOST_FRONT)
        self._batch = batch
        self._reasons = b"".join(name.encode().ljust(MOST_NAME, b"\0") for name in NAMES)
        self.book.slots = cython.address(batch.slots)
        self.book.slots.plain = False
        self.book.reasons = self._reasons
