"""The bridge: which ports the frames of a batch leave through, by address and VLAN (IEEE 802.1Q, clause 8).

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
from cython.cimports.libc.stdint import int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memcmp, memset
from cython.cimports.vecwire.path.batch import Slots
from cython.cimports.vecwire.path.bridge import MEMBER_OCTETS, Member, Plane
from cython.cimports.vecwire.path.fdb import FULL, LEARNED, MOVED, NOWHERE, learn, lookup
from cython.cimports.vecwire.path.seat import Seat, deliver
from cython.cimports.vecwire.path.table import Table
from cython.cimports.vecwire.wire import counters as count
from cython.cimports.vecwire.wire.ethernet import HEADER, VLAN_TAG, insert_vlan, read16, remove_vlan, write16
from cython.cimports.vecwire.wire.vnet import NEEDS_CSUM, VnetHeader

CUSTOMER_TAG = cython.declare(uint32_t, 0x8100)
#: The VLAN of a frame without a tag on a transparent port.
NATIVE = cython.declare(uint32_t, 0)
MOST_PORTS = cython.declare(uint32_t, 4096)
# Where a frame goes that goes to no port, or to all; ports are 0 and above.
DROP = cython.declare(int32_t, -1)
FLOOD = cython.declare(int32_t, -2)
# How a port takes frames of a VLAN.
NEVER = cython.declare(cython.int, -1)
UNTAGGED = cython.declare(cython.int, 0)
TAGGED = cython.declare(cython.int, 1)
AS_IT_IS = cython.declare(cython.int, 2)
# Marks of a frame: it carries a tag; it is to be changed, was changed; somebody takes it.
HAS_TAG = cython.declare(uint8_t, 1)
CHANGE = cython.declare(uint8_t, 2)
CHANGED = cython.declare(uint8_t, 4)
TAKEN = cython.declare(uint8_t, 8)
#: Frames that a port may flood at once before its limit tells, at the least.
BURST = cython.declare(uint64_t, 64)
SECOND = cython.declare(uint64_t, 1_000_000_000)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def takes(member: cython.pointer[Member], vlan: uint32_t) -> cython.int:
    """How a port takes frames of a VLAN: NEVER, UNTAGGED, TAGGED or AS_IT_IS."""
    if member.transparent:
        return AS_IT_IS if vlan == NATIVE else TAGGED
    if vlan == NATIVE:
        return NEVER
    if vlan == member.untagged:
        return UNTAGGED
    return TAGGED if member.tagged[vlan >> 3] >> (vlan & 7) & 1 else NEVER


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def assign(
    plane: cython.pointer[Plane],
    member: cython.pointer[Member],
    slots: cython.pointer[Slots],
    index: uint32_t,
) -> cython.bint:
    """Finds a frame's VLAN and whether it carries a tag; False where its port is not in that VLAN."""
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
    tci: uint32_t
    vlan: uint32_t = 0
    plane.marks[index] = 0
    if slots.lengths[index] >= HEADER + VLAN_TAG and read16(frame + 12) == CUSTOMER_TAG:
        plane.marks[index] = HAS_TAG
        tci = read16(frame + 14)
        vlan = tci & 0x0FFF
        if vlan == 0 and member.untagged:
            # A priority tag, which names no VLAN (clause 9.6): that of the port is written into it.
            vlan = member.untagged
            write16(frame + 14, tci | vlan)
        if vlan == 0 and member.transparent:
            vlan = NATIVE
        if vlan == 0x0FFF:
            return False
    else:
        vlan = member.untagged
    plane.vlans[index] = cython.cast(uint16_t, vlan)
    return takes(member, vlan) != NEVER


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def change(
    plane: cython.pointer[Plane],
    slots: cython.pointer[Slots],
    index: uint32_t,
    drop: cython.pointer[uint64_t],
) -> cython.bint:
    """Puts the tag of its VLAN into a frame, or takes it out; False where there is no room for it."""
    header: cython.pointer[VnetHeader] = cython.address(slots.vnet[index])
    start: uint32_t = slots.starts[index]
    if plane.marks[index] & HAS_TAG:
        remove_vlan(slots.memory + start)
        slots.starts[index] = start + VLAN_TAG
        slots.heads[index] += VLAN_TAG
        slots.lengths[index] -= VLAN_TAG
        if header.flags & NEEDS_CSUM:
            header.csum_start -= VLAN_TAG
        if header.hdr_len:
            header.hdr_len -= VLAN_TAG
    else:
        if slots.heads[index] < VLAN_TAG:
            drop[0] += 1
            return False
        insert_vlan(slots.memory + start, CUSTOMER_TAG, plane.vlans[index])
        slots.starts[index] = start - VLAN_TAG
        slots.heads[index] -= VLAN_TAG
        slots.lengths[index] += VLAN_TAG
        if header.flags & NEEDS_CSUM:
            header.csum_start += VLAN_TAG
        if header.hdr_len:
            header.hdr_len += VLAN_TAG
    plane.marks[index] ^= HAS_TAG
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def pick(view: cython.pointer[Slots], slots: cython.pointer[Slots], index: uint32_t) -> cython.void:
    """Adds a frame of the batch to the view."""
    at: uint32_t = view.count
    view.starts[at] = slots.starts[index]
    view.lengths[at] = slots.lengths[index]
    view.heads[at] = slots.heads[index]
    view.progress[at] = 0
    view.vnet[at] = slots.vnet[index]
    view.count = at + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def begin_view(plane: cython.pointer[Plane], slots: cython.pointer[Slots]) -> cython.void:
    """Empties the view, in the memory of a batch."""
    plane.view.memory = slots.memory
    plane.view.stride = slots.stride
    plane.view.headroom = slots.headroom
    plane.view.depth = slots.depth
    plane.view.plain = slots.plain
    plane.view.count = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def within_limit(member: cython.pointer[Member], moment: uint64_t) -> cython.bint:
    """Whether the port may flood one more frame now (the generic cell rate algorithm, ITU-T I.371)."""
    gap: uint64_t = member.flood_gap
    tolerance: uint64_t
    if gap == 0:
        return True
    # A tenth of a second's worth at once, and never less than a full batch.
    tolerance = SECOND // 10
    tolerance = max(tolerance, gap * BURST)
    if member.flood_due > moment + tolerance:
        return False
    member.flood_due = (max(moment, member.flood_due)) + gap
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def decide(
    plane: cython.pointer[Plane],
    member: cython.pointer[Member],
    number: uint32_t,
    frame: cython.pointer[uint8_t],
    vlan: uint32_t,
    moment: uint64_t,
) -> int32_t:
    """Learns where a frame comes from, and finds where it goes: a port, FLOOD, or DROP, which is counted."""
    counters = cython.address(member.seat.endpoint.counters[0])
    target: int32_t
    outcome: int32_t = learn(plane.fdb, frame + 6, vlan, number, moment)
    if outcome == LEARNED:
        counters[count.SWITCH_LEARNED] += 1
    elif outcome == MOVED:
        counters[count.SWITCH_MOVED] += 1
    elif outcome == FULL:
        counters[count.SWITCH_UNLEARNED] += 1
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
            counters[count.SWITCH_RESERVED] += 1
            return DROP
        return FLOOD
    target = lookup(plane.fdb, frame, vlan, moment)
    if target == NOWHERE:
        return FLOOD
    if cython.cast(uint32_t, target) == number:
        counters[count.SWITCH_LOCAL] += 1
        return DROP
    if member.horizon and plane.members[target].horizon == member.horizon:
        counters[count.SWITCH_HORIZON] += 1
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
    frame: cython.pointer[uint8_t]
    before: cython.pointer[uint8_t] = cython.NULL
    target: int32_t = DROP
    vlan: uint32_t = 0
    touched: uint32_t = 0
    i: uint32_t
    for i in range(slots.count):
        if not assign(plane, member, slots, i):
            counters[count.SWITCH_VLAN] += 1
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
            target = decide(plane, member, number, frame, vlan, moment)
            before = frame
        plane.where[i] = target
        if target >= 0:
            if plane.members[target].tally == 0:
                plane.touched[touched] = cython.cast(uint32_t, target)
                touched += 1
            plane.members[target].tally += 1
        elif target == FLOOD:
            if within_limit(member, moment):
                floods[0] += 1
            else:
                counters[count.SWITCH_LIMITED] += 1
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
        if target.seat == cython.NULL or other == number:
            continue
        if member.horizon and target.horizon == member.horizon:
            continue
        deliver(target.seat, cython.address(plane.view))
        takers += 1
    counters[count.SWITCH_COPIES] += takers * cython.cast(uint64_t, floods)
    if takers == 0:
        counters[count.SWITCH_NOWHERE] += floods
    else:
        counters[count.SWITCH_FLOODED] += floods


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def make_alike(
    plane: cython.pointer[Plane],
    slots: cython.pointer[Slots],
    floods: uint32_t,
    drop: cython.pointer[uint64_t],
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
            change(plane, slots, plane.order[k], drop)


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
    make_alike(plane, slots, floods, cython.address(counters[count.SWITCH_VLAN]))
    for turn in range(2):
        if not again:
            break
        again = False
        for other in range(plane.count):
            target = cython.address(plane.members[other])
            if target.seat == cython.NULL or other == number:
                continue
            if member.horizon and target.horizon == member.horizon:
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
                if plane.marks[index] & CHANGE and change(
                    plane, slots, index, cython.address(counters[count.SWITCH_VLAN])
                ):
                    plane.marks[index] |= CHANGED
    for k in range(floods):
        if plane.marks[plane.order[k]] & TAKEN:
            counters[count.SWITCH_FLOODED] += 1
        else:
            counters[count.SWITCH_NOWHERE] += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def send_to(
    plane: cython.pointer[Plane], number: uint32_t, target: uint32_t, slots: cython.pointer[Slots]
) -> cython.void:
    """Sends a port its frames of the batch, each with or without a tag as it takes them."""
    member = cython.address(plane.members[target])
    counters = cython.address(plane.members[number].seat.endpoint.counters[0])
    index: uint32_t
    k: uint32_t
    form: cython.int
    begin_view(plane, slots)
    for k in range(member.first, member.first + member.tally):
        index = plane.order[k]
        if plane.aware:
            form = takes(member, plane.vlans[index])
            if form == NEVER:
                counters[count.SWITCH_NOWHERE] += 1
                continue
            if (
                form != AS_IT_IS
                and form != (plane.marks[index] & HAS_TAG)
                and not change(plane, slots, index, cython.address(counters[count.SWITCH_VLAN]))
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


@cython.cclass
class Bridge:
    """The ports of a switch and its table of addresses.

    Args:
        table: the addresses; it belongs to the bridge from here on.
    """

    plane: Plane
    table: Table
    room: uint32_t

    def __init__(self, table: Table) -> None:
        self.use(table)

    def __dealloc__(self) -> None:
        free(self.plane.members)

    def use(self, table: Table) -> None:
        """Goes on with another table; bounds are to be set anew by ``configure``."""
        self.table = table
        self.plane.fdb = cython.address(self.table.fdb)

    def add(self, seat: cython.pointer[Seat], capacity: uint32_t) -> cython.int:
        """Gives a seat a number: a transparent port of the bridge, until ``configure`` says more."""
        number: uint32_t = 0
        while number < self.plane.count and self.plane.members[number].seat != cython.NULL:
            number += 1
        if number == MOST_PORTS:
            raise MemoryError(f"a switch has {MOST_PORTS} ports at the most")
        if number == self.room:
            room: uint32_t = max(16, 2 * self.room)
            members = cython.cast(
                cython.pointer[Member], realloc(self.plane.members, room * cython.sizeof(Member))
            )
            if members == cython.NULL:
                raise MemoryError("no memory for the ports of a switch")
            self.plane.members = members
            self.room = room
        if capacity > self.plane.capacity:
            self._reserve(capacity)
        member = cython.address(self.plane.members[number])
        memset(member, 0, cython.sizeof(Member))
        member.transparent = True
        member.seat = seat
        if number == self.plane.count:
            self.plane.count = number + 1
        return number

    def remove(self, number: uint32_t) -> cython.int:
        """Frees a number, and forgets the addresses that were behind it."""
        self.plane.members[number].seat = cython.NULL
        self.table.forget(number)
        self.table.set_bound(number, 0)
        self._look()
        return 0

    def configure(
        self,
        number: int,
        *,
        vlan: int = 0,
        tagged: frozenset[int] = frozenset(),
        horizon: int = 0,
        flood_rate: int = 0,
        addresses: int = 0,
    ) -> None:
        """Says how a port takes part; the addresses behind it are learned anew where that has changed.

        Args:
            number: the port's.
            vlan: the VLAN that it is in without a tag, 0 for none.
            tagged: those that it is in with a tag; with neither it takes all frames as they are.
            horizon: ports of one group other than 0 exchange no frames.
            flood_rate: frames a second that it may flood, 0 for no limit.
            addresses: how many addresses are learned from it at the most, 0 for the table's own bound.
        """
        at: uint32_t = number
        member: cython.pointer[Member] = cython.address(self.plane.members[at])
        each: uint32_t
        before: bytes = cython.cast(cython.pointer[cython.char], member.tagged)[:MEMBER_OCTETS]
        octets = bytearray(MEMBER_OCTETS)
        for each in tagged:
            octets[each >> 3] |= 1 << (each & 7)
        if before != bytes(octets) or member.untagged != vlan or member.horizon != horizon:
            self.table.forget(number)
        for each in range(MEMBER_OCTETS):
            member.tagged[each] = octets[each]
        member.untagged = vlan
        member.transparent = not vlan and not tagged
        member.horizon = horizon
        member.flood_gap = SECOND // cython.cast(uint64_t, flood_rate) if flood_rate else 0
        member.flood_due = 0
        self.table.set_bound(number, min(addresses, self.table.capacity))
        self._look()

    def _look(self) -> None:
        """Notes whether any port is other than transparent."""
        number: uint32_t
        self.plane.aware = False
        for number in range(self.plane.count):
            if self.plane.members[number].seat != cython.NULL and not self.plane.members[number].transparent:
                self.plane.aware = True

    def _reserve(self, capacity: uint32_t) -> cython.int:
        """Makes room to decide on batches of so many frames."""
        view = cython.address(self.plane.view)
        # Numbers of 4 octets first, then headers of 12, then VLANs of 2 and marks of 1.
        self._columns = bytearray(capacity * (7 * 4 + 12 + 2 + 1) + 4 * MOST_PORTS)
        self._octets = self._columns
        numbers: cython.pointer[uint32_t] = cython.cast(
            cython.pointer[uint32_t], cython.address(self._octets[0])
        )
        self.plane.where = cython.cast(cython.pointer[int32_t], numbers)
        self.plane.order = numbers + capacity
        view.starts = numbers + 2 * capacity
        view.lengths = numbers + 3 * capacity
        view.heads = numbers + 4 * capacity
        view.progress = numbers + 5 * capacity
        self.plane.touched = numbers + 6 * capacity
        headers: cython.pointer[uint32_t] = numbers + 6 * capacity + MOST_PORTS
        view.vnet = cython.cast(cython.pointer[VnetHeader], headers)
        self.plane.vlans = cython.cast(cython.pointer[uint16_t], headers + 3 * capacity)
        self.plane.marks = cython.cast(cython.pointer[uint8_t], self.plane.vlans + capacity)
        self.plane.capacity = capacity
        view.capacity = capacity
        return 0
