"""A bridge: the owner of a forwarding plane; it adds, changes and removes ports, between two batches."""

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.plane import MEMBER_OCTETS, Member, Plane
from cython.cimports.vecwire.path.seat import Seat
from cython.cimports.vecwire.path.table import Table
from cython.cimports.vecwire.wire.vnet import VnetHeader

MOST_PORTS = cython.declare(uint32_t, 4096)
SECOND = cython.declare(uint64_t, 1_000_000_000)


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
