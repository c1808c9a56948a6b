"""The owner of a MAC address table's memory, and its face towards Python; ``fdb.py`` is what works in it."""

import struct
from array import array
from enum import IntEnum

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.fdb import (
    NOWHERE,
    PORTS,
    Entry,
    Fdb,
    Place,
    Row,
    forget,
    forget_all,
    learn,
    lookup,
    tell,
)

from vecwire.host import mapped

#: Addresses that a table holds unless told otherwise.
USUAL_CAPACITY = 65536
MOST_CAPACITY = 1 << 24
#: Seconds after which a silent address is forgotten (IEEE 802.1Q, 8.8.3), and the most that is allowed.
USUAL_AGE = 300.0
MOST_AGE = 1_000_000
#: An address that keeps sending is stamped anew after this share of the age.
GRAINS = 64
#: Ports are numbered from 0 to one less.
MOST_PORTS: int = PORTS
NANOSECONDS = 1_000_000_000

_ROW = struct.Struct("@6sHIQ")
_WORD = (1 << 64) - 1
# The initial state of SipHash: "somepseudorandomlygeneratedbytes".
_SIPHASH = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


class Outcome(IntEnum):
    """What came of learning an address; the numbers are those of ``fdb.pxd``."""

    #: It was known at that port.
    KNOWN = 0
    #: It is new, or had aged.
    LEARNED = 1
    #: It was at another port until now.
    MOVED = 2
    #: Refused: the port holds as many as it may, or the table is full. What was known stays as it was.
    FULL = 3
    #: A group address or all zero: no station sends from it.
    IGNORED = 4


def stations(snapshot: bytes | bytearray) -> list[tuple[bytes, int, int, float]]:
    """Unpacks what :meth:`Table.snapshot` returned.

    Returns:
        The MAC address, VLAN, port and seconds of silence of each address.
    """
    return [(mac, vlan, port, idle / NANOSECONDS) for mac, vlan, port, idle in _ROW.iter_unpack(snapshot)]


@cython.cclass
class Table:
    """Owns the memory of a MAC address table, and is its face towards Python.

    Times are in nanoseconds of ``time.monotonic_ns``, and never go back. One thread uses a table.

    Args:
        capacity: addresses that it holds at the most, 1 to 16,777,216; 40 to 48 octets each, once used.
        age: seconds after which a silent address is forgotten, above 0 to 1,000,000.
        bound: addresses of one port at the most, unless :meth:`set_bound` says otherwise; None for a quarter
            of the capacity.
        seed: a secret number of 128 bits, from ``secrets.randbits(128)``: who does not know it cannot choose
            addresses that slow the table down.

    Raises:
        ValueError: if an argument is out of range.
        MemoryError: if there is no memory for so many addresses.
    """

    fdb: Fdb
    _memory: object
    _octets: uint8_t[::1]

    def __init__(
        self,
        capacity: int = USUAL_CAPACITY,
        *,
        seed: int,
        age: float = USUAL_AGE,
        bound: int | None = None,
    ) -> None:
        if self.fdb.capacity:
            raise ValueError("a table is made once: its memory may be in use")
        if not 1 <= capacity <= MOST_CAPACITY:
            raise ValueError(f"capacity is 1 to {MOST_CAPACITY} addresses, not {capacity}")
        if bound is None:
            bound = max(1, capacity // 4)
        if not 1 <= bound <= capacity:
            raise ValueError(f"bound is 1 to the capacity, {capacity} addresses, not {bound}")
        if not 0 <= seed < 1 << 128:
            raise ValueError(f"seed is a number of 128 bits without a sign, not {seed}")
        self.set_age(age)
        buckets = 1 << (2 * capacity - 1).bit_length()
        sizes = [
            (capacity + 1) * cython.sizeof(Entry),
            PORTS * cython.sizeof(Place),
            buckets * cython.sizeof(uint32_t),
        ]
        self._memory = mapped(sum(sizes), f"{capacity} addresses")
        self._octets = self._memory
        fdb = cython.address(self.fdb)
        start: cython.pointer[uint8_t] = cython.address(self._octets[0])
        fdb.entries = cython.cast(cython.pointer[Entry], start)
        start += cython.cast(cython.size_t, sizes[0])
        fdb.places = cython.cast(cython.pointer[Place], start)
        start += cython.cast(cython.size_t, sizes[1])
        fdb.buckets = cython.cast(cython.pointer[uint32_t], start)
        for word in range(4):
            fdb.secret[word] = _SIPHASH[word] ^ (seed >> (64 * (word & 1)) & _WORD)
        fdb.mask = buckets - 1
        fdb.capacity = capacity
        fdb.bound = bound

    @property
    def capacity(self) -> int:
        """Addresses that the table holds at the most."""
        return self.fdb.capacity

    @property
    def age(self) -> float:
        """Seconds after which a silent address is forgotten."""
        return self.fdb.age / NANOSECONDS

    def set_age(self, age: float) -> None:
        """Changes the age, for what is known already too.

        Raises:
            ValueError: if it is not above 0 to 1,000,000 seconds.
        """
        if not 0 < age <= MOST_AGE:
            raise ValueError(f"age is above 0 and up to {MOST_AGE} seconds, not {age}")
        self.fdb.age = max(1, round(age * NANOSECONDS))
        self.fdb.grain = self.fdb.age // GRAINS

    def bound(self, port: int) -> int:
        """Addresses that a port may have at the most.

        Raises:
            ValueError: if there is no such port number.
        """
        number: uint32_t = _checked_port(port)
        return self.fdb.places[number].bound or self.fdb.bound

    def set_bound(self, port: int, bound: int) -> None:
        """Changes how many addresses a port may have; 0 for as many as the table's ``bound`` says.

        Addresses above a lower bound are not forgotten, but nothing is learned until they have aged.

        Raises:
            ValueError: if there is no such port number, or the bound is not 0 to the capacity.
        """
        if not 0 <= bound <= self.fdb.capacity:
            raise ValueError(f"bound is 0 to the capacity, {self.fdb.capacity} addresses, not {bound}")
        number: uint32_t = _checked_port(port)
        self.fdb.places[number].bound = bound

    def lookup(self, mac: bytes, vlan: int, now: int) -> int | None:
        """The port that an address is at; None where it is unknown or has aged.

        Raises:
            ValueError: if an argument is out of range.
        """
        _check_mac(mac)
        octets: cython.pointer[cython.const[uint8_t]] = mac
        port: int32_t = lookup(cython.address(self.fdb), octets, _checked_vlan(vlan), now)
        return None if port == NOWHERE else port

    def learn(self, mac: bytes, vlan: int, port: int, now: int) -> Outcome:
        """Notes that a frame from an address came in at a port.

        Raises:
            ValueError: if an argument is out of range.
        """
        _check_mac(mac)
        octets: cython.pointer[cython.const[uint8_t]] = mac
        return Outcome(learn(cython.address(self.fdb), octets, _checked_vlan(vlan), _checked_port(port), now))

    def lookup_all(self, macs: bytes, vlan: int, now: int) -> array[int]:
        """The ports of many addresses in one call, -1 where one is unknown or has aged.

        Args:
            macs: the addresses, 6 octets each, one after the other.
            vlan: their VLAN.
            now: the time.

        Raises:
            ValueError: if an argument is out of range.
        """
        octets: cython.pointer[cython.const[uint8_t]] = macs
        count: cython.Py_ssize_t = _checked_count(macs)
        number: uint32_t = _checked_vlan(vlan)
        time: uint64_t = now
        found = array("i", bytes(count * cython.sizeof(int32_t)))
        ports: cython.int[::1] = found
        i: cython.Py_ssize_t
        for i in range(count):
            ports[i] = lookup(cython.address(self.fdb), octets + i * 6, number, time)
        return found

    def learn_all(self, macs: bytes, vlan: int, port: int, now: int) -> dict[Outcome, int]:
        """Notes many addresses at one port in one call; how often each outcome came.

        Args:
            macs: the addresses, 6 octets each, one after the other.
            vlan: their VLAN.
            port: the port.
            now: the time.

        Raises:
            ValueError: if an argument is out of range.
        """
        octets: cython.pointer[cython.const[uint8_t]] = macs
        count: cython.Py_ssize_t = _checked_count(macs)
        number: uint32_t = _checked_vlan(vlan)
        place: uint32_t = _checked_port(port)
        time: uint64_t = now
        came: uint64_t[5]
        memset(came, 0, cython.sizeof(came))
        i: cython.Py_ssize_t
        for i in range(count):
            came[learn(cython.address(self.fdb), octets + i * 6, number, place, time)] += 1
        return {outcome: came[int(outcome)] for outcome in Outcome}

    def forget(self, port: int | None = None) -> int:
        """Forgets the addresses of a port, or all of them; bounds stay.

        Returns:
            How many entries were freed, aged ones among them.

        Raises:
            ValueError: if there is no such port number.
        """
        if port is not None:
            return forget(cython.address(self.fdb), _checked_port(port))
        count = self.fdb.count
        forget_all(cython.address(self.fdb))
        return count

    def snapshot(self, now: int) -> bytearray:
        """What is known and has not aged, copied fast; :func:`stations` unpacks it, in any thread."""
        rows = bytearray(tell(cython.address(self.fdb), now, cython.NULL) * cython.sizeof(Row))
        tell(
            cython.address(self.fdb), now, cython.cast(cython.pointer[Row], cython.cast(cython.p_char, rows))
        )
        return rows

    def entries(self, now: int) -> list[tuple[bytes, int, int, float]]:
        """What is known and has not aged: the MAC address, VLAN, port and seconds of silence of each."""
        return stations(self.snapshot(now))

    def count(self, now: int) -> int:
        """How many addresses are known and have not aged; it looks at every entry."""
        return tell(cython.address(self.fdb), now, cython.NULL)

    def held(self, port: int) -> int:
        """How many entries a port has, with those that have aged and are not taken back yet.

        Raises:
            ValueError: if there is no such port number.
        """
        number: uint32_t = _checked_port(port)
        return self.fdb.places[number].count

    def __len__(self) -> int:
        """How many entries are in use, with those that have aged and are not taken back yet."""
        return self.fdb.count

    def longest_chain(self) -> int:
        """The most entries that share a bucket: what the slowest lookup goes through."""
        longest: uint32_t = 0
        length: uint32_t
        at: uint32_t
        i: uint32_t
        for i in range(self.fdb.mask + 1):
            length = 0
            at = self.fdb.buckets[i]
            while at:
                length += 1
                at = self.fdb.entries[at].next
            longest = max(longest, length)
        return longest


def _check_mac(mac: bytes) -> None:
    if len(mac) != 6:
        raise ValueError(f"a MAC address has 6 octets, not {len(mac)}")


def _checked_count(macs: bytes) -> int:
    if len(macs) % 6:
        raise ValueError(f"MAC addresses have 6 octets each: {len(macs)} octets are no whole number of them")
    return len(macs) // 6


def _checked_vlan(vlan: int) -> int:
    if not 0 <= vlan <= 4095:
        raise ValueError(f"a VLAN is 0 to 4095, not {vlan}")
    return vlan


def _checked_port(port: int) -> int:
    if not 0 <= port < PORTS:
        raise ValueError(f"a port number is 0 to {PORTS - 1}, not {port}")
    return port
