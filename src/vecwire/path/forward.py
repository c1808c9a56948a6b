"""Forwarding: which ports the frames of a batch leave through, by address and VLAN (IEEE 802.1Q, clause 8).

Theory of operation: ``forward`` is given the batch that a port has received. Each frame is assigned its VLAN,
its source is learned, its destination looked up. Frames that follow each other with the same addresses are
decided once. Then, in the most frequent case, all go to one port and are offered there as they are. Otherwise
they are sorted by port, and each port is offered a view: a table of its frames in the memory of the batch.
So a frame for all ports is received once and sent many times, and never copied.

What a port's sending writes, in front of a frame or into its checksum, is done with when its system call
returns; the table remembers a checksum that was completed. Tags are put in and taken out in place: of the
ports that a frame is flooded to, first come those that take it as it is, and then, after it has been
changed, the others.

All of this runs in one thread. Ports are added, changed and removed by the same thread, between two batches.
"""

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcmp
from cython.cimports.vecwire.path.fdb import FULL, IGNORED, LEARNED, MOVED, NOWHERE, learn, lookup
from cython.cimports.vecwire.path.io import Endpoint, asked
from cython.cimports.vecwire.path.plane import (
    AS_IT_IS,
    HAS_TAG,
    NATIVE,
    NEVER,
    Member,
    Plane,
    assign,
    begin_view,
    change,
    pick,
    takes,
)
from cython.cimports.vecwire.path.seat import deliver
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.path.witness import lose
from cython.cimports.vecwire.wire import counters as count

# Where a frame goes that goes to no port, or to all; ports are 0 and above.
DROP = cython.declare(int32_t, -1)
FLOOD = cython.declare(int32_t, -2)
# Marks of a frame beside HAS_TAG: it is to be changed, was changed; somebody takes it.
CHANGE = cython.declare(uint8_t, 2)
CHANGED = cython.declare(uint8_t, 4)
TAKEN = cython.declare(uint8_t, 8)
#: Frames that a port may flood at once before its limit tells, at the least.
BURST = cython.declare(uint64_t, 64)
SECOND = cython.declare(uint64_t, 1_000_000_000)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def within_limit(member: cython.pointer[Member], moment: uint64_t, frames: uint32_t) -> cython.bint:
    """Whether the port may flood now (the generic cell rate algorithm, ITU-T I.371); notes that it does.

    A super-frame is as many frames as it asks for.
    """
    gap: uint64_t = member.flood_gap
    tolerance: uint64_t
    if gap == 0:
        return True
    # A tenth of a second's worth at once, and never less than a full batch.
    tolerance = SECOND // 10
    tolerance = max(tolerance, gap * BURST)
    if member.flood_due > moment + tolerance:
        return False
    member.flood_due = max(moment, member.flood_due) + frames * gap
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def exchanges(member: cython.pointer[Member], other: cython.pointer[Member]) -> cython.bint:
    """Whether frames of a port may go to another: it is there, and not in the same horizon group."""
    return other.seat != cython.NULL and not (member.horizon and other.horizon == member.horizon)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def decide(
    plane: cython.pointer[Plane],
    member: cython.pointer[Member],
    number: uint32_t,
    slots: cython.pointer[cython.const[Slots]],
    index: uint32_t,
    vlan: uint32_t,
    moment: uint64_t,
) -> int32_t:
    """Learns where a frame comes from, and finds where it goes: a port, FLOOD, or DROP, which is counted."""
    counters = cython.address(member.seat.endpoint.counters[0])
    witness = member.seat.endpoint.witness
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
    target: int32_t
    outcome: int32_t = learn(plane.fdb, frame + 6, vlan, number, moment)
    if outcome == LEARNED:
        counters[count.SWITCH_LEARNED] += 1
    elif outcome == MOVED:
        counters[count.SWITCH_MOVED] += 1
    elif outcome == FULL:
        counters[count.SWITCH_UNLEARNED] += 1
    elif outcome == IGNORED:
        lose(counters, witness, slots, index, count.SWITCH_SOURCE)
        return DROP
    if frame[0] & 1:
        # Addresses that no bridge passes on (IEEE 802.1Q, table 8-1).
        if (
            frame[0] == 0x01
            and frame[1] == 0x80
            and frame[2] == 0xC2
            and frame[3] == 0
            and frame[4] == 0
            and frame[5] & 0xF0 == 0
        ):
            lose(counters, witness, slots, index, count.SWITCH_RESERVED)
            return DROP
        return FLOOD
    target = lookup(plane.fdb, frame, vlan, moment)
    if target == NOWHERE:
        return FLOOD
    if cython.cast(uint32_t, target) == number:
        lose(counters, witness, slots, index, count.SWITCH_LOCAL)
        return DROP
    if not exchanges(member, cython.address(plane.members[target])):
        lose(counters, witness, slots, index, count.SWITCH_HORIZON)
        return DROP
    return target


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def sort(
    plane: cython.pointer[Plane],
    number: uint32_t,
    slots: cython.pointer[Slots],
    moment: uint64_t,
    floods: cython.pointer[uint32_t],
) -> uint32_t:
    """Decides on every frame; returns how many ports get any; ``floods`` is how many are for all."""
    member = cython.address(plane.members[number])
    counters = cython.address(member.seat.endpoint.counters[0])
    witness = member.seat.endpoint.witness
    frame: cython.pointer[uint8_t]
    before: cython.pointer[uint8_t] = cython.NULL
    target: int32_t = DROP
    vlan: uint32_t = 0
    touched: uint32_t = 0
    i: uint32_t
    for i in range(slots.count):
        if not assign(plane, member, slots, i):
            lose(counters, witness, slots, i, count.SWITCH_VLAN)
            plane.where[i] = DROP
            continue
        frame = slots.memory + slots.starts[i]
        # Frames of one flow follow each other. Drops are not repeated: each is counted by its reason.
        if (
            before == cython.NULL
            or target == DROP
            or plane.vlans[i] != vlan
            or memcmp(frame, before, 12) != 0
        ):
            vlan = plane.vlans[i]
            target = decide(plane, member, number, slots, i, vlan, moment)
            before = frame
        plane.where[i] = target
        if target >= 0:
            if plane.members[target].tally == 0:
                plane.touched[touched] = cython.cast(uint32_t, target)
                touched += 1
            plane.members[target].tally += 1
        elif target == FLOOD:
            if within_limit(member, moment, asked(slots, i)):
                floods[0] += 1
            else:
                lose(counters, witness, slots, i, count.SWITCH_LIMITED)
                plane.where[i] = DROP
    return touched


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def arrange(
    plane: cython.pointer[Plane], count_: uint32_t, touched: uint32_t, floods: uint32_t
) -> cython.void:
    """Puts the numbers of the frames in order of where they go: those for all first, then port by port."""
    at: uint32_t = floods
    flood: uint32_t = 0
    i: uint32_t
    target: int32_t
    for i in range(touched):
        member = cython.address(plane.members[plane.touched[i]])
        member.first = at
        at += member.tally
        member.tally = 0
    for i in range(count_):
        target = plane.where[i]
        if target >= 0:
            member = cython.address(plane.members[target])
            plane.order[member.first + member.tally] = i
            member.tally += 1
        elif target == FLOOD:
            plane.order[flood] = i
            flood += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def flood_alike(
    plane: cython.pointer[Plane], number: uint32_t, slots: cython.pointer[Slots], floods: uint32_t
) -> cython.void:
    """Sends the frames for all to every other port, where all ports are transparent."""
    member = cython.address(plane.members[number])
    counters = cython.address(member.seat.endpoint.counters[0])
    other: uint32_t
    k: uint32_t
    takers: uint32_t = 0
    begin_view(plane, slots)
    for k in range(floods):
        pick(cython.address(plane.view), slots, plane.order[k])
    for other in range(plane.count):
        target = cython.address(plane.members[other])
        if other == number or not exchanges(member, target):
            continue
        deliver(target.seat, cython.address(plane.view))
        takers += 1
    counters[count.SWITCH_COPIES] += takers * cython.cast(uint64_t, floods)
    if takers == 0:
        for k in range(floods):
            lose(counters, member.seat.endpoint.witness, slots, plane.order[k], count.SWITCH_NOWHERE)
    else:
        counters[count.SWITCH_FLOODED] += floods


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def make_alike(
    plane: cython.pointer[Plane],
    slots: cython.pointer[Slots],
    floods: uint32_t,
    origin: cython.pointer[Endpoint],
) -> cython.void:
    """Puts tags in where some of the frames for all carry one and others do not.

    A frame that is changed before it leaves would otherwise leave after later ones of its flow.
    """
    k: uint32_t
    seen: uint8_t = 0
    for k in range(floods):
        if plane.vlans[plane.order[k]] != NATIVE:
            seen |= 1 if plane.marks[plane.order[k]] & HAS_TAG else 2
    if seen != 3:
        return
    for k in range(floods):
        if plane.vlans[plane.order[k]] != NATIVE and not plane.marks[plane.order[k]] & HAS_TAG:
            change(plane, slots, plane.order[k], origin)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def flood(
    plane: cython.pointer[Plane], number: uint32_t, slots: cython.pointer[Slots], floods: uint32_t
) -> cython.void:
    """Sends the frames for all to every other port of their VLAN, with a tag or without as it takes them."""
    member = cython.address(plane.members[number])
    counters = cython.address(member.seat.endpoint.counters[0])
    view = cython.address(plane.view)
    other: uint32_t
    index: uint32_t
    k: uint32_t
    at: uint32_t
    turn: uint32_t
    form: cython.int
    again: cython.bint = True
    make_alike(plane, slots, floods, member.seat.endpoint)
    for turn in range(2):
        if not again:
            break
        again = False
        for other in range(plane.count):
            target = cython.address(plane.members[other])
            if other == number or not exchanges(member, target):
                continue
            begin_view(plane, slots)
            for k in range(floods):
                index = plane.order[k]
                form = takes(target, plane.vlans[index])
                if form == NEVER:
                    continue
                if form == AS_IT_IS or form == (plane.marks[index] & HAS_TAG):
                    # In the second turn only what was changed since the first goes out.
                    if turn == 0 or plane.marks[index] & CHANGED:
                        plane.marks[index] |= TAKEN
                        pick(view, slots, index)
                elif turn == 0:
                    plane.marks[index] |= CHANGE
                    again = True
            if view.count:
                counters[count.SWITCH_COPIES] += view.count
                deliver(target.seat, view)
                # A checksum that was completed on the way out is complete for the next port too.
                at = 0
                for k in range(floods):
                    index = plane.order[k]
                    if at < view.count and slots.starts[index] == view.starts[at]:
                        slots.vnet[index].flags = view.vnet[at].flags
                        at += 1
        if again:
            for k in range(floods):
                index = plane.order[k]
                if plane.marks[index] & CHANGE and change(plane, slots, index, member.seat.endpoint):
                    plane.marks[index] |= CHANGED
    for k in range(floods):
        if plane.marks[plane.order[k]] & TAKEN:
            counters[count.SWITCH_FLOODED] += 1
        else:
            lose(counters, member.seat.endpoint.witness, slots, plane.order[k], count.SWITCH_NOWHERE)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def send_to(
    plane: cython.pointer[Plane], number: uint32_t, target: uint32_t, slots: cython.pointer[Slots]
) -> cython.void:
    """Sends a port its frames of the batch, each with or without a tag as it takes them."""
    member = cython.address(plane.members[target])
    origin = plane.members[number].seat.endpoint
    index: uint32_t
    k: uint32_t
    form: cython.int
    begin_view(plane, slots)
    for k in range(member.first, member.first + member.tally):
        index = plane.order[k]
        if plane.aware:
            form = takes(member, plane.vlans[index])
            if form == NEVER:
                lose(cython.address(origin.counters[0]), origin.witness, slots, index, count.SWITCH_NOWHERE)
                continue
            if (
                form != AS_IT_IS
                and form != (plane.marks[index] & HAS_TAG)
                and not change(plane, slots, index, origin)
            ):
                continue
        pick(cython.address(plane.view), slots, index)
    if plane.view.count:
        deliver(member.seat, cython.address(plane.view))


def forward(
    plane: cython.pointer[Plane], number: uint32_t, slots: cython.pointer[Slots], moment: uint64_t
) -> cython.void:
    """Sends the frames of a batch, received by port ``number``, to where they go."""
    floods: uint32_t = 0
    i: uint32_t
    target: uint32_t
    touched: uint32_t = sort(plane, number, slots, moment, cython.address(floods))
    if touched == 1 and not plane.aware and plane.members[plane.touched[0]].tally == slots.count:
        target = plane.touched[0]
        plane.members[target].tally = 0
        deliver(plane.members[target].seat, slots)
        return
    arrange(plane, slots.count, touched, floods)
    for i in range(touched):
        target = plane.touched[i]
        send_to(plane, number, target, slots)
        plane.members[target].tally = 0
    if floods:
        if plane.aware:
            flood(plane, number, slots, floods)
        else:
            flood_alike(plane, number, slots, floods)
