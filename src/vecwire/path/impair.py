"""Impairs frames on their way out: late, lost, twice, out of order, no faster than a rate (tc-netem(8)).

Theory of operation: ``admit`` judges a frame when it would be sent. It is lost, or leaves at once, or waits:
it is copied into a store of bounded size, and a heap orders what waits by the time at which it is due, those
of one time by their turn. ``release`` sends what is due. So nothing is copied that does not wait, nobody
waits for a frame that does, and what leaves first is known at a glance.

The order of judgement is that of a link: first loss, then whether there is one more copy; each copy then
passes a link of the given rate, one after the other, and is delayed. A frame that is reordered passes by all
of that.

A super-frame is many frames of the wire. Where frames are lost, doubled or reordered it is cut first, so that
each segment is judged by itself; where they are only late it stays whole, and its octets count for the rate.

Time is passed in, and the generator is seeded: the same frames at the same times have the same fate.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.batch import Slots, copy_frame
from cython.cimports.vecwire.path.hold import Hold, offer
from cython.cimports.vecwire.path.impair import ROWS, Impair, Late
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.path.witness import FRAME, Witness, begin_drop, lose
from cython.cimports.vecwire.wire.counters import (
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
def give_back(impair: cython.pointer[Impair], slot: uint32_t) -> cython.void:
    """Has a slot be free again."""
    impair.spares[impair.spare_count] = slot
    impair.spare_count += 1


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
    give_back(impair, slot)
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
        return False
    due[0] = when(impair, octets, moment)
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def room(impair: cython.pointer[Impair], slot: cython.pointer[uint32_t]) -> cython.bint:
    """Takes a free slot; False where there is none."""
    if impair.count == impair.limit:
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
        return 0
    if happens(impair, impair.duplicate):
        counters[TX_DUPLICATED] += 1
        return 2
    return 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def make_segment(
    frame: cython.pointer[cython.const[uint8_t]],
    cut: cython.pointer[Segments],
    index: uint32_t,
    out: cython.pointer[uint8_t],
) -> cython.void:
    """Writes a segment of a super-frame where there is room for all of it."""
    size: uint32_t = 0
    start: uint32_t = payload_at(cut, index, cython.address(size))
    write_headers(frame, cut, index, out)
    memcpy(out + cut.layout.payload, frame + start, size)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def lose_segment(
    counters: cython.pointer[uint64_t],
    witness: cython.pointer[Witness],
    frame: cython.pointer[cython.const[uint8_t]],
    cut: cython.pointer[Segments],
    index: uint32_t,
    reason: uint32_t,
) -> cython.void:
    """Counts a segment as dropped, and records it where somebody watches."""
    size: uint32_t = 0
    kept: uint32_t = 0
    counters[reason] += 1
    if witness != cython.NULL:
        payload_at(cut, index, cython.address(size))
        size += cut.layout.payload
        out = begin_drop(witness, reason, FRAME, size, cython.NULL, cython.address(kept))
        if out != cython.NULL and kept == size:
            make_segment(frame, cut, index, out)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def admit_segments(
    impair: cython.pointer[Impair],
    counters: cython.pointer[uint64_t],
    witness: cython.pointer[Witness],
    frame: cython.pointer[cython.const[uint8_t]],
    cut: cython.pointer[Segments],
    moment: uint64_t,
) -> cython.void:
    """Judges each segment of a super-frame; those that go on are made in the store."""
    index: uint32_t
    size: uint32_t = 0
    slot: uint32_t = 0
    due: uint64_t = 0
    turns: uint32_t
    store = cython.address(impair.store)
    counters[TX_SPLIT] += 1
    counters[TX_SEGMENTS] += cut.count
    for index in range(cut.count):
        payload_at(cut, index, cython.address(size))
        turns = copies(impair, counters)
        if not turns:
            lose_segment(counters, witness, frame, cut, index, TX_LOST)
        while turns:
            turns -= 1
            if not dispatch(
                impair, counters, cut.layout.payload + size, moment, cython.address(due)
            ) or not room(impair, cython.address(slot)):
                lose_segment(counters, witness, frame, cut, index, TX_LIMIT)
                continue
            store.starts[slot] = slot * store.stride + store.headroom
            store.heads[slot] = store.headroom
            store.lengths[slot] = cut.layout.payload + size
            store.progress[slot] = 0
            memset(cython.address(store.vnet[slot]), 0, cython.sizeof(VnetHeader))
            make_segment(frame, cut, index, store.memory + store.starts[slot])
            counters[TX_DELAYED] += due > moment
            push(impair, due, slot)


def admit(
    impair: cython.pointer[Impair],
    counters: cython.pointer[uint64_t],
    witness: cython.pointer[Witness],
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
        admit_segments(impair, counters, witness, frame, cython.address(cut), moment)
        return False
    turns = copies(impair, counters)
    if not turns:
        lose(counters, witness, slots, index, TX_LOST)
    while turns:
        turns -= 1
        if not dispatch(impair, counters, slots.lengths[index], moment, cython.address(due)):
            lose(counters, witness, slots, index, TX_LIMIT)
            continue
        if due <= moment and not at_once:
            at_once = True
            continue
        if not room(impair, cython.address(slot)):
            lose(counters, witness, slots, index, TX_LIMIT)
        elif not copy_frame(cython.address(impair.store), slot, slots, index):
            give_back(impair, slot)
            lose(counters, witness, slots, index, TX_TOO_BIG)
        else:
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
        if not admit(impair, cython.address(endpoint.counters[0]), endpoint.witness, slots, index, moment):
            pass_on(endpoint, hold, slots, first, index)
            first = index + 1
    pass_on(endpoint, hold, slots, first, last)
    release(impair, endpoint, hold, moment, 0)
