"""Impairs frames on their way out: late, lost, twice, out of order, no faster than a rate (tc-netem(8)).

Theory of operation: ``admit`` judges a frame when it would be sent. It is lost, or leaves at once, or waits:
it is copied into a store of bounded size, and a heap orders what waits by the time at which it is due, frames
of one time by their turn. ``release`` sends what is due. So nothing is copied that does not wait, nobody waits
for a frame that does, and what leaves first is known at a glance.

The order of judgement is that of a link: first loss, then whether there is one more copy; each copy then
passes a link of the given rate, one after the other, and is delayed. A frame that is reordered passes by all
of that.

A super-frame is many frames of the wire. Where frames are lost, doubled or reordered it is cut first, so that
each segment is judged by itself; where they are only late it stays whole, and its octets count for the rate.

Time is passed in, and the generator is seeded: the same frames at the same times have the same fate.
"""

import mmap

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.batch import Batch, Slots, copy_frame
from cython.cimports.vecwire.path.hold import Hold, offer
from cython.cimports.vecwire.path.impair import ROWS, Impair, Late
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.path.linux import MAP_NORESERVE
from cython.cimports.vecwire.wire.counters import (
    COUNTERS,
    TX_DELAYED,
    TX_DUPLICATED,
    TX_LIMIT,
    TX_LOST,
    TX_REORDERED,
    TX_SEGMENTS,
    TX_SPLIT,
    TX_TOO_BIG,
)
from cython.cimports.vecwire.wire.segment import Segments, payload_at, plan, write_headers
from cython.cimports.vecwire.wire.vnet import GSO_NONE, VnetHeader

from vecwire.path.batch import CACHE_LINE, LEAST_HEADROOM, LONGEST_FRAME
from vecwire.wire.counters import NAMES
from vecwire.wire.vnet import LONG

#: Frames that may wait unless told otherwise, as tc-netem(8) has it, and at the most: places have 32 bits.
USUAL_LIMIT = 1000
MOST_LIMIT = 65_000
#: A share of frames is told in parts of so many.
CERTAIN = cython.declare(uint64_t, 1 << 32)
SECOND = cython.declare(uint64_t, 1_000_000_000)
# SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
GOLDEN = cython.declare(uint64_t, 0x9E3779B97F4A7C15)
MIX_1 = cython.declare(uint64_t, 0xBF58476D1CE4E5B9)
MIX_2 = cython.declare(uint64_t, 0x94D049BB133111EB)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def draw(impair: cython.pointer[Impair]) -> uint64_t:
    """The next random number of 64 bits."""
    impair.state += GOLDEN
    number: uint64_t = impair.state
    number = (number ^ (number >> 30)) * MIX_1
    number = (number ^ (number >> 27)) * MIX_2
    return number ^ (number >> 31)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def happens(impair: cython.pointer[Impair], share: uint64_t) -> cython.bint:
    """Whether something happens to this frame; nothing is drawn for what never happens."""
    return share != 0 and (draw(impair) >> 32) < share


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def before(one: cython.pointer[Late], other: cython.pointer[Late]) -> cython.bint:
    """Whether one frame leaves before another."""
    return one.due < other.due or (one.due == other.due and one.turn < other.turn)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def push(impair: cython.pointer[Impair], due: uint64_t, slot: uint32_t) -> cython.void:
    """Puts a frame that waits into the heap."""
    late: Late
    at: uint32_t = impair.count
    late.due = due
    late.turn = impair.turn
    late.slot = slot
    impair.turn += 1
    impair.count += 1
    while at and before(cython.address(late), cython.address(impair.heap[(at - 1) // 2])):
        impair.heap[at] = impair.heap[(at - 1) // 2]
        at = (at - 1) // 2
    impair.heap[at] = late


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pop(impair: cython.pointer[Impair]) -> uint32_t:
    """Takes the frame that leaves first out of the heap; its slot is free when the next one is put in."""
    slot: uint32_t = impair.heap[0].slot
    at: uint32_t = 0
    child: uint32_t
    impair.count -= 1
    last = cython.address(impair.heap[impair.count])
    while True:
        child = 2 * at + 1
        if child >= impair.count:
            break
        if child + 1 < impair.count and before(
            cython.address(impair.heap[child + 1]), cython.address(impair.heap[child])
        ):
            child += 1
        if not before(cython.address(impair.heap[child]), last):
            break
        impair.heap[at] = impair.heap[child]
        at = child
    impair.heap[at] = last[0]
    impair.spares[impair.spare_count] = slot
    impair.spare_count += 1
    return slot


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def when(impair: cython.pointer[Impair], octets: uint32_t, moment: uint64_t) -> uint64_t:
    """When a frame leaves: after those before it on a link of the given rate, and then after the delay."""
    due: uint64_t = moment
    swing: uint64_t
    if impair.rate:
        due = max(impair.free_at, moment) + octets * 8 * SECOND // impair.rate
        impair.free_at = due
    due += impair.delay
    if impair.jitter:
        swing = draw(impair) % (2 * impair.jitter + 1)
        due = due + swing - impair.jitter if due + swing > moment + impair.jitter else moment
    return due


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def dispatch(
    impair: cython.pointer[Impair],
    counters: cython.pointer[uint64_t],
    octets: uint32_t,
    moment: uint64_t,
    due: cython.pointer[uint64_t],
) -> cython.bint:
    """Decides when a copy of a frame leaves; False where there is no room for it to wait."""
    if happens(impair, impair.reorder):
        due[0] = moment
        counters[TX_REORDERED] += 1
        return True
    if (impair.delay or impair.rate) and impair.count == impair.limit:
        # Before it has used anything of the rate.
        counters[TX_LIMIT] += 1
        return False
    due[0] = when(impair, octets, moment)
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def room(
    impair: cython.pointer[Impair], counters: cython.pointer[uint64_t], slot: cython.pointer[uint32_t]
) -> cython.bint:
    """Takes a free slot; False, and counted, where there is none."""
    if impair.count == impair.limit:
        counters[TX_LIMIT] += 1
        return False
    impair.spare_count -= 1
    slot[0] = impair.spares[impair.spare_count]
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def copies(impair: cython.pointer[Impair], counters: cython.pointer[uint64_t]) -> uint32_t:
    """How often a frame goes on: not at all, once or twice."""
    if happens(impair, impair.loss):
        counters[TX_LOST] += 1
        return 0
    if happens(impair, impair.duplicate):
        counters[TX_DUPLICATED] += 1
        return 2
    return 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def admit_segments(
    impair: cython.pointer[Impair],
    counters: cython.pointer[uint64_t],
    frame: cython.pointer[cython.const[uint8_t]],
    cut: cython.pointer[Segments],
    moment: uint64_t,
) -> cython.void:
    """Judges each segment of a super-frame; those that go on are made in the store."""
    index: uint32_t
    size: uint32_t = 0
    slot: uint32_t = 0
    start: uint32_t
    due: uint64_t = 0
    turns: uint32_t
    store = cython.address(impair.store)
    counters[TX_SPLIT] += 1
    counters[TX_SEGMENTS] += cut.count
    for index in range(cut.count):
        start = payload_at(cut, index, cython.address(size))
        turns = copies(impair, counters)
        while turns:
            turns -= 1
            if not dispatch(impair, counters, cut.layout.payload + size, moment, cython.address(due)):
                continue
            if not room(impair, counters, cython.address(slot)):
                continue
            store.starts[slot] = slot * store.stride + store.headroom
            store.heads[slot] = store.headroom
            store.lengths[slot] = cut.layout.payload + size
            store.progress[slot] = 0
            memset(cython.address(store.vnet[slot]), 0, cython.sizeof(VnetHeader))
            write_headers(frame, cut, index, store.memory + store.starts[slot])
            memcpy(store.memory + store.starts[slot] + cut.layout.payload, frame + start, size)
            counters[TX_DELAYED] += due > moment
            push(impair, due, slot)


def admit(
    impair: cython.pointer[Impair],
    counters: cython.pointer[uint64_t],
    slots: cython.pointer[cython.const[Slots]],
    index: uint32_t,
    moment: uint64_t,
) -> cython.bint:
    """Judges a frame that is to be sent; True where it leaves now, as it is.

    Otherwise it is done with: it was dropped, or it waits, perhaps for no longer than until now.
    """
    frame: cython.pointer[cython.const[uint8_t]] = slots.memory + slots.starts[index]
    cut: Segments
    due: uint64_t = 0
    slot: uint32_t = 0
    turns: uint32_t
    at_once: cython.bint = False
    if (
        impair.cuts
        and slots.vnet[index].gso_type != GSO_NONE
        and plan(frame, slots.lengths[index], cython.address(slots.vnet[index]), cython.address(cut))
    ):
        admit_segments(impair, counters, frame, cython.address(cut), moment)
        return False
    turns = copies(impair, counters)
    while turns:
        turns -= 1
        if not dispatch(impair, counters, slots.lengths[index], moment, cython.address(due)):
            continue
        if due <= moment and not at_once:
            at_once = True
            continue
        if room(impair, counters, cython.address(slot)):
            copy_frame(cython.address(impair.store), slot, slots, index)
            impair.store.progress[slot] = 0
            counters[TX_DELAYED] += due > moment
            push(impair, due, slot)
    return at_once


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def gather(impair: cython.pointer[Impair], moment: uint64_t) -> uint32_t:
    """Puts frames that are due into the view; how many there are."""
    view = cython.address(impair.view)
    store = cython.address(impair.store)
    slot: uint32_t
    at: uint32_t = 0
    while at < ROWS and impair.count and impair.heap[0].due <= moment:
        slot = pop(impair)
        view.starts[at] = store.starts[slot]
        view.lengths[at] = store.lengths[slot]
        view.heads[at] = store.heads[slot]
        view.progress[at] = 0
        view.vnet[at] = store.vnet[slot]
        at += 1
    view.count = at
    return at


def release(
    impair: cython.pointer[Impair],
    endpoint: cython.pointer[Endpoint],
    hold: cython.pointer[Hold],
    moment: uint64_t,
    rounds: uint32_t,
) -> cython.void:
    """Sends what is due, in so many goes at the most; 0 for all of it."""
    while gather(impair, moment):
        offer(endpoint, hold, cython.address(impair.view))
        if rounds == 1:
            break
        rounds -= 1 if rounds else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pass_on(
    endpoint: cython.pointer[Endpoint],
    hold: cython.pointer[Hold],
    slots: cython.pointer[cython.const[Slots]],
    first: uint32_t,
    last: uint32_t,
) -> cython.void:
    """Sends frames ``first`` to ``last`` as they are."""
    part: Slots
    if first < last:
        part = slots[0]
        part.starts = slots.starts + first
        part.lengths = slots.lengths + first
        part.heads = slots.heads + first
        part.progress = slots.progress + first
        part.vnet = slots.vnet + first
        part.count = last - first
        offer(endpoint, hold, cython.address(part))


def impede(
    impair: cython.pointer[Impair],
    endpoint: cython.pointer[Endpoint],
    hold: cython.pointer[Hold],
    slots: cython.pointer[cython.const[Slots]],
    first: uint32_t,
    last: uint32_t,
    moment: uint64_t,
) -> cython.void:
    """Judges frames ``first`` to ``last`` of a batch, and sends those that leave now, after what is due."""
    index: uint32_t
    for index in range(first, last):
        if impair.count and impair.heap[0].due <= moment:
            pass_on(endpoint, hold, slots, first, index)
            first = index
            release(impair, endpoint, hold, moment, 0)
        if not admit(impair, cython.address(endpoint.counters[0]), slots, index, moment):
            pass_on(endpoint, hold, slots, first, index)
            first = index + 1
    pass_on(endpoint, hold, slots, first, last)
    release(impair, endpoint, hold, moment, 0)


@cython.cclass
class Impairer:
    """Owns the frames that wait; without ``configure`` it lets everything pass.

    A channel has one, for what it sends. By itself it serves ports that are no channel's, by ``put`` and
    ``take``.
    """

    impair: Impair
    _counters: uint64_t[COUNTERS]

    def configure(
        self,
        *,
        delay: int = 0,
        jitter: int = 0,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        rate: int = 0,
        limit: int = USUAL_LIMIT,
        seed: int = 0,
    ) -> None:
        """Says how frames are impaired from now on; none may wait where ``limit`` changes.

        Args:
            delay: nanoseconds.
            jitter: nanoseconds that the delay varies by, evenly, to either side.
            loss: the share of frames that are dropped, 0 to 1.
            duplicate: the share of the others that are sent twice.
            reorder: the share of frames that wait for nothing.
            rate: bits a second; 0 for no bound.
            limit: how many frames may wait, 1 to 65,000.
            seed: what the random numbers follow from, 64 bits.

        Raises:
            ValueError: if the limit is out of range, or is changed while frames wait.
        """
        impair = cython.address(self.impair)
        if not 1 <= limit <= MOST_LIMIT:
            raise ValueError(f"a limit is 1 to {MOST_LIMIT} frames, not {limit}")
        on = bool(delay or jitter or loss or duplicate or reorder or rate)
        if limit != impair.limit and on:
            if impair.count:
                raise ValueError(f"{impair.count} frames wait: the limit cannot be changed")
            self._reserve(limit)
        impair.delay = delay
        impair.jitter = jitter
        impair.loss = round(loss * CERTAIN)
        impair.duplicate = round(duplicate * CERTAIN)
        impair.reorder = round(reorder * CERTAIN)
        impair.rate = rate
        impair.free_at = 0
        impair.state = seed
        impair.cuts = bool(loss or duplicate or reorder)
        impair.on = on

    def _reserve(self, limit: uint32_t) -> cython.int:
        """Maps the memory of frames that wait; the kernel gives only what is touched."""
        impair = cython.address(self.impair)
        store = cython.address(impair.store)
        view = cython.address(impair.view)
        lines: uint32_t = -(-(LEAST_HEADROOM + LONGEST_FRAME + 1) // CACHE_LINE) | 1
        self._memory = mmap.mmap(
            -1,
            limit * lines * CACHE_LINE,
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE,
        )
        self._octets = self._memory
        # Records of 24 octets first, then numbers of 4, then headers of 12.
        rows: uint32_t = limit + ROWS
        self._tables = bytearray(limit * cython.sizeof(Late) + 4 * limit + rows * (4 * 4 + LONG))
        self._columns = self._tables
        impair.heap = cython.cast(cython.pointer[Late], cython.address(self._columns[0]))
        impair.spares = cython.cast(cython.pointer[uint32_t], impair.heap + limit)
        numbers: cython.pointer[uint32_t] = impair.spares + limit
        store.memory = cython.address(self._octets[0])
        store.depth = limit
        store.capacity = limit
        store.stride = lines * CACHE_LINE
        store.headroom = LEAST_HEADROOM
        store.starts = numbers
        store.lengths = numbers + rows
        store.heads = numbers + 2 * rows
        store.progress = numbers + 3 * rows
        store.vnet = cython.cast(cython.pointer[VnetHeader], numbers + 4 * rows)
        view.memory = store.memory
        view.depth = ROWS
        view.capacity = ROWS
        view.stride = store.stride
        view.headroom = store.headroom
        view.plain = False
        view.starts = store.starts + limit
        view.lengths = store.lengths + limit
        view.heads = store.heads + limit
        view.progress = store.progress + limit
        view.vnet = store.vnet + limit
        slot: uint32_t
        for slot in range(limit):
            # The first is used first, and again as soon as it is free.
            impair.spares[slot] = limit - 1 - slot
        impair.spare_count = limit
        impair.limit = limit
        return 0

    @property
    def late(self) -> int:
        """How many frames wait."""
        return self.impair.count

    @property
    def due(self) -> int | None:
        """When the next frame leaves, in nanoseconds of the monotonic clock; None where none waits."""
        return self.impair.heap[0].due if self.impair.count else None

    def counters(self) -> dict[str, int]:
        """What ``put`` has counted, by name."""
        return {NAMES[i]: self._counters[i] for i in range(COUNTERS) if self._counters[i]}

    def put(self, batch: Batch, index: int, moment: int) -> bool:
        """Judges a frame of a batch; True where it leaves now, as it is, after what ``take`` gives.

        Args:
            batch: where it is.
            index: its place there.
            moment: the time in nanoseconds, which never goes back.

        Raises:
            IndexError: if there is no such frame.
        """
        if not 0 <= index < batch.slots.count:
            raise IndexError(f"the batch holds {batch.slots.count} frames; there is no frame {index}")
        if not self.impair.on:
            return True
        return admit(
            cython.address(self.impair),
            cython.address(self._counters[0]),
            cython.address(batch.slots),
            index,
            moment,
        )

    def take(self, batch: Batch, moment: int) -> int:
        """Moves frames that are due into a batch, whose frames they replace; how many they are.

        A frame that is too long for a slot of the batch is dropped, and counted.
        """
        impair = cython.address(self.impair)
        slots = cython.address(batch.slots)
        until: uint64_t = moment
        batch.clear()
        slots.plain = False
        while slots.count < slots.depth and impair.count and impair.heap[0].due <= until:
            if copy_frame(slots, slots.count, cython.address(impair.store), pop(impair)):
                slots.count += 1
                slots.used = slots.count
            else:
                self._counters[TX_TOO_BIG] += 1
        return slots.count

    def forget(self) -> int:
        """Drops all that waits; how many frames they were."""
        impair = cython.address(self.impair)
        count: int = impair.count
        while impair.count:
            pop(impair)
        return count
