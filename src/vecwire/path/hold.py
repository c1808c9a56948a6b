"""Back-pressure: frames that the kernel does not take now are held, in order, up to a bound.

A frame is copied only when it must wait. What comes after it waits behind it, so that nothing is reordered;
beyond the bound a frame is dropped and counted, so that a slow port holds up no other. A super-frame
of which some segments have left is held with the number of the next one.
"""

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.vecwire.path.batch import Slots, copy_frame
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.hold import Hold
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.path.send import transmit
from cython.cimports.vecwire.path.witness import lose
from cython.cimports.vecwire.wire.counters import TX_DOWN, TX_FULL, TX_HELD, TX_HELD_MOST


def drain(endpoint: cython.pointer[Endpoint], hold: cython.pointer[Hold]) -> cython.bint:
    """Sends what is held; True once nothing is left."""
    last: uint32_t
    reached: uint32_t
    depth: uint32_t = hold.slots.depth
    while hold.count:
        if endpoint.lost:
            # The peer that they were meant for is gone: frames do not outlive it.
            give_up(endpoint, hold)
            break
        last = hold.head + hold.count
        last = min(last, depth)
        reached = transmit(endpoint, hold.slots, hold.head, last)
        hold.count -= reached - hold.head
        hold.head = reached % depth
        if endpoint.blocked:
            return False
    hold.head = 0
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def make_way(endpoint: cython.pointer[Endpoint], hold: cython.pointer[Hold], count: uint32_t) -> cython.bint:
    """Sends what is held in front of so many frames; True once nothing is left.

    What an earlier turn left to be cut is cut as far as the time of this one goes; or all of it, where there
    would be no room for the frames: none is lost for the sake of others.
    """
    began: uint64_t
    until: uint64_t
    done: cython.bint
    turn = endpoint.turn
    if not endpoint.yielded or turn == cython.NULL:
        return drain(endpoint, hold)
    began = now()
    done = drain(endpoint, hold)
    if endpoint.yielded and hold.count + count > hold.slots.depth:
        until = turn.until
        turn.until = 0
        done = drain(endpoint, hold)
        turn.until = until
    turn.rests += now() - began
    return done


def give_up(endpoint: cython.pointer[Endpoint], hold: cython.pointer[Hold]) -> cython.void:
    """Drops all that is held."""
    while hold.count:
        lose(cython.address(endpoint.counters[0]), endpoint.witness, hold.slots, hold.head, TX_DOWN)
        hold.head = (hold.head + 1) % hold.slots.depth
        hold.count -= 1


def keep(
    endpoint: cython.pointer[Endpoint],
    hold: cython.pointer[Hold],
    slots: cython.pointer[cython.const[Slots]],
    index: uint32_t,
) -> cython.bint:
    """Holds a copy of a frame; False where there is no room for it."""
    if hold.count == hold.slots.depth:
        return False
    if not copy_frame(hold.slots, (hold.head + hold.count) % hold.slots.depth, slots, index):
        return False
    hold.count += 1
    endpoint.counters[TX_HELD] += 1
    endpoint.counters[TX_HELD_MOST] = max(endpoint.counters[TX_HELD_MOST], hold.count)
    return True


def offer(
    endpoint: cython.pointer[Endpoint], hold: cython.pointer[Hold], slots: cython.pointer[Slots]
) -> cython.void:
    """Sends a batch behind what is held already, holds what the kernel does not take, drops the rest."""
    index: uint32_t = 0
    if not hold.count or make_way(endpoint, hold, slots.count):
        index = transmit(endpoint, slots, 0, slots.count)
    if endpoint.yielded:
        endpoint.turn.cut_off += 1
    while index < slots.count:
        if endpoint.lost:
            lose(cython.address(endpoint.counters[0]), endpoint.witness, slots, index, TX_DOWN)
        elif not keep(endpoint, hold, slots, index):
            lose(cython.address(endpoint.counters[0]), endpoint.witness, slots, index, TX_FULL)
        index += 1
