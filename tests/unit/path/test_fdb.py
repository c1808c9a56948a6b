"""The MAC address table: what is found where, what is forgotten when, and what is refused to whom."""

import random
import re
from pathlib import Path

import pytest

from vecwire.path import fdb
from vecwire.path.table import MOST_AGE, MOST_CAPACITY, MOST_PORTS, Outcome, Table, stations

SECOND = 1_000_000_000
AGE = 300 * SECOND
NOW = 1_000 * SECOND
SEED = 0x0F0E0D0C0B0A09080706050403020100
A, B, C = (bytes.fromhex(f"5254000000{last}") for last in ("0a", "0b", "0c"))
KNOWN, LEARNED, MOVED, FULL, IGNORED = Outcome


def made(capacity: int = 64, bound: int | None = None, age: float = 300) -> Table:
    """A table with a seed that is always the same."""
    return Table(capacity, seed=SEED, age=age, bound=bound)


def some(count: int, first: int = 0) -> list[bytes]:
    """Addresses of one maker, in a row."""
    return [(0x525400000000 + number).to_bytes(6) for number in range(first, first + count)]


def ports_of(table: Table, macs: list[bytes], now: int = NOW) -> list[int]:
    """Where addresses are found in VLAN 1."""
    return table.lookup_all(b"".join(macs), 1, now).tolist()


def resident() -> int:
    """Octets of this process that are in memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


# Learning and finding.


def test_what_was_learned_is_found() -> None:
    """An address is at the port that it was learned from, and no other is known."""
    table = made()
    assert table.lookup(A, 1, NOW) is None
    assert table.learn(A, 1, 7, NOW) is LEARNED
    assert table.learn(A, 1, 7, NOW + SECOND) is KNOWN
    assert table.lookup(A, 1, NOW) == 7
    assert table.lookup(B, 1, NOW) is None


def test_every_octet_counts() -> None:
    """Addresses that differ in one bit are different addresses."""
    table = made(bound=64)
    macs = [A, *((int.from_bytes(A) ^ 1 << bit).to_bytes(6) for bit in range(48) if bit != 40)]
    assert [table.learn(mac, 1, port, NOW) for port, mac in enumerate(macs)] == [LEARNED] * 48
    assert ports_of(table, macs) == list(range(48))


def test_vlans_are_apart() -> None:
    """One address may be at a port of its own in each VLAN."""
    table = made()
    for port, vlan in enumerate([0, 1, 2, 4094, 4095]):
        assert table.learn(A, vlan, port, NOW) is LEARNED
    assert [table.lookup(A, vlan, NOW) for vlan in (0, 1, 2, 3, 4094, 4095)] == [0, 1, 2, None, 3, 4]


def test_a_moved_station_is_relearned_at_once() -> None:
    """The first frame that comes in elsewhere moves an address, again and again."""
    table = made()
    table.learn(A, 1, 0, NOW)
    for port in (1, 0, MOST_PORTS - 1):
        assert table.learn(A, 1, port, NOW) is MOVED
        assert table.lookup(A, 1, NOW) == port
    assert (len(table), table.held(0), table.held(1), table.held(MOST_PORTS - 1)) == (1, 0, 0, 1)


@pytest.mark.parametrize("mac", ["ffffffffffff", "01005e000001", "3333ff000001", "010000000000", "0" * 12])
@pytest.mark.parametrize("vlan", [0, 1, 4095])
def test_nobody_sends_from_a_group(mac: str, vlan: int) -> None:
    """A group address, broadcast or all zero is never learned, whatever the VLAN."""
    table = made()
    assert table.learn(bytes.fromhex(mac), vlan, 0, NOW) is IGNORED
    assert table.lookup(bytes.fromhex(mac), vlan, NOW) is None
    assert not len(table)


def test_many_at_once_are_as_one_by_one() -> None:
    """Learning and looking up many addresses in one call gives what single calls give."""
    macs = [*some(6), bytes(6), *some(3)]
    one, many = made(bound=4), made(bound=4)
    outcomes = [one.learn(mac, 1, 3, NOW) for mac in macs]
    assert many.learn_all(b"".join(macs), 1, 3, NOW) == {kind: outcomes.count(kind) for kind in Outcome}
    assert ports_of(many, macs) == [
        -1 if port is None else port for port in (one.lookup(mac, 1, NOW) for mac in macs)
    ]
    assert made().learn_all(b"", 1, 3, NOW) == dict.fromkeys(Outcome, 0)
    assert ports_of(many, []) == []


def test_outcomes_have_the_numbers_of_the_compiled_code() -> None:
    """The outcomes that Python sees are those of fdb.pxd, in its order."""
    declarations = Path(fdb.__file__).with_name("fdb.pxd").read_text(encoding="utf-8")
    outcomes = declarations.split("cdef enum:")[2].split("# One address")[0]
    names = re.findall(r"^ {4}(\w+)$", outcomes, re.MULTILINE)
    assert names == [outcome.name for outcome in Outcome]
    assert [outcome.value for outcome in Outcome] == list(range(len(names)))


# Ageing.


def test_a_silent_address_is_forgotten() -> None:
    """An address is found until it was silent for the age, and then no more."""
    table = made()
    table.learn(A, 1, 0, NOW)
    assert table.lookup(A, 1, NOW + AGE - 1) == 0
    assert table.lookup(A, 1, NOW + AGE) is None
    assert table.learn(A, 1, 0, NOW + AGE) is LEARNED
    assert table.lookup(A, 1, NOW + AGE) == 0


def test_an_aged_address_elsewhere_has_not_moved() -> None:
    """An address that was forgotten and comes in at another port is new there."""
    table = made()
    table.learn(A, 1, 0, NOW)
    assert table.learn(A, 1, 1, NOW + AGE) is LEARNED
    assert (table.lookup(A, 1, NOW + AGE), table.held(0), table.held(1)) == (1, 0, 1)


@pytest.mark.parametrize("gap", [1, AGE // 64, AGE // 64 + 1, AGE // 2, AGE - 1])
def test_a_sending_address_stays(gap: int) -> None:
    """Frames keep an address alive: it is forgotten at most 1/64 of the age too soon, and never late."""
    table = made()
    table.learn(A, 1, 0, NOW)
    assert table.learn(A, 1, 0, NOW + gap) is KNOWN
    assert table.lookup(A, 1, NOW + gap + AGE - AGE // 64 - 1) == 0
    assert table.lookup(A, 1, NOW + gap + AGE) is None


def test_a_steady_sender_is_rarely_stamped() -> None:
    """Frames within 1/64 of the age leave the stamp as it is, so that they write nothing."""
    table = made()
    table.learn(A, 1, 0, NOW)
    table.learn(A, 1, 0, NOW + AGE // 64)
    assert table.entries(NOW + AGE // 64) == [(A, 1, 0, AGE / 64 / SECOND)]
    table.learn(A, 1, 0, NOW + AGE // 64 + 1)
    assert table.entries(NOW + AGE // 64 + 1) == [(A, 1, 0, 0.0)]


def test_the_age_changes_for_what_is_known() -> None:
    """A shorter or longer age holds at once, for old entries too."""
    table = made()
    table.learn(A, 1, 0, NOW)
    table.set_age(10)
    assert table.age == 10
    assert table.lookup(A, 1, NOW + 10 * SECOND) is None
    table.set_age(600)
    assert table.lookup(A, 1, NOW + 2 * AGE - 1) == 0


def test_an_earlier_time_does_no_harm() -> None:
    """A time before the last one makes nothing old."""
    table = made()
    table.learn(A, 1, 0, NOW)
    assert table.lookup(A, 1, NOW - SECOND) == 0
    assert table.learn(A, 1, 0, NOW - SECOND) is KNOWN
    assert table.entries(0) == [(A, 1, 0, 0.0)]


def test_the_shortest_age() -> None:
    """An age of next to nothing is one nanosecond: found in that moment, and not after."""
    table = made(age=1e-12)
    table.learn(A, 1, 0, NOW)
    assert (table.lookup(A, 1, NOW), table.lookup(A, 1, NOW + 1)) == (0, None)


# Bounds.


def test_a_port_at_its_bound_learns_nothing_new() -> None:
    """Addresses beyond a port's bound are refused; those that it has stay, and other ports learn."""
    table = made(bound=3)
    assert [table.learn(mac, 1, 0, NOW) for mac in some(5)] == [LEARNED] * 3 + [FULL] * 2
    assert [table.learn(mac, 1, 0, NOW) for mac in some(5)] == [KNOWN] * 3 + [FULL] * 2
    assert table.learn(A, 1, 1, NOW) is LEARNED
    assert ports_of(table, [*some(5), A]) == [0, 0, 0, -1, -1, 1]


def test_aged_addresses_make_room_at_the_bound() -> None:
    """A port at its bound learns again as its own addresses age, the longest silent first."""
    table = made(bound=2)
    table.learn(A, 1, 0, NOW)
    table.learn(B, 1, 0, NOW + SECOND)
    table.learn(A, 1, 0, NOW + AGE // 2)
    assert table.learn(C, 1, 0, NOW + AGE) is FULL
    assert table.learn(C, 1, 0, NOW + AGE + SECOND) is LEARNED
    assert table.held(0) == 2
    assert ports_of(table, [A, B, C], NOW + AGE + SECOND) == [0, -1, 0]


def test_others_aged_addresses_make_no_room_at_the_bound() -> None:
    """A bound is a port's own: what has aged elsewhere does not help it."""
    table = made(bound=1)
    table.learn(A, 1, 1, NOW)
    table.learn(B, 1, 0, NOW + SECOND)
    assert table.learn(C, 1, 0, NOW + AGE) is FULL


def test_a_full_port_takes_no_address_from_another() -> None:
    """A flood that names others' addresses does not move them once the port is full."""
    table = made(bound=1)
    table.learn(A, 1, 0, NOW)
    table.learn(B, 1, 1, NOW)
    assert table.learn(B, 1, 0, NOW) is FULL
    assert table.lookup(B, 1, NOW) == 1
    assert table.learn(B, 1, 0, NOW + AGE) is LEARNED, "both have aged"
    assert table.lookup(B, 1, NOW + AGE) == 0


def test_bounds_change_live() -> None:
    """A higher bound holds at once; a lower one forgets nothing and lets nothing new in; 0 is the table's."""
    table = made(bound=2)
    assert (table.bound(0), table.bound(MOST_PORTS - 1)) == (2, 2)
    table.set_bound(0, 4)
    assert [table.learn(mac, 1, 0, NOW) for mac in some(5)] == [LEARNED] * 4 + [FULL]
    table.set_bound(0, 1)
    assert (table.bound(0), table.bound(1)) == (1, 2)
    assert ports_of(table, some(4)) == [0] * 4
    assert table.learn(A, 1, 0, NOW) is FULL
    assert table.learn(A, 1, 0, NOW + AGE) is LEARNED
    assert table.held(0) == 1
    table.set_bound(0, 0)
    assert table.bound(0) == 2


def test_a_much_lower_bound_is_reached_step_by_step() -> None:
    """However many aged addresses are above a bound, each refused one takes some of them back."""
    table = made(bound=64)
    table.learn_all(b"".join(some(64)), 1, 0, NOW)
    table.set_bound(0, 1)
    held = [64]
    while table.learn(A, 1, 0, NOW + AGE) is FULL:
        held.append(table.held(0))
        assert held[-1] < held[-2]
    assert (table.held(0), len(table)) == (1, 1)


@pytest.mark.parametrize(("capacity", "bound"), [(1, 1), (3, 1), (64, 16), (65536, 16384)])
def test_the_usual_bound(capacity: int, bound: int) -> None:
    """Unless told otherwise, no port may have more than a quarter of the table."""
    assert made(capacity).bound(0) == bound


def test_a_full_table_refuses() -> None:
    """A table that is full of live addresses learns no other, and forgets none of them."""
    table = made(4, bound=4)
    macs = some(4)
    assert [table.learn(mac, 1, port, NOW) for port, mac in enumerate(macs)] == [LEARNED] * 4
    assert table.learn(A, 1, 9, NOW) is FULL
    assert table.learn(macs[0], 1, 9, NOW) is MOVED, "which needs no entry more"
    assert ports_of(table, [*macs, A]) == [9, 1, 2, 3, -1]


def test_aged_addresses_of_any_port_make_room_in_a_full_table() -> None:
    """A full table learns as soon as an address has aged, wherever it is; the live ones stay."""
    table = made(4, bound=4)
    for port, mac in enumerate(some(4)):
        table.learn(mac, 1, port, NOW + (port != 2) * SECOND)
    assert table.learn(A, 1, 0, NOW + AGE) is LEARNED
    assert ports_of(table, [*some(4), A], NOW + AGE) == [0, 1, -1, 3, 0]
    assert table.learn(B, 1, 0, NOW + AGE) is FULL


def test_aged_addresses_are_found_among_many_ports() -> None:
    """With more ports than one call looks at, a few refusals later the one that has aged is reached."""
    count = 1000
    table = made(count, bound=count)
    for port, mac in enumerate(some(count, 100)):
        table.learn(mac, 1, port, NOW + (port != 500) * SECOND)
    refused = 0
    while table.learn(A, 1, 0, NOW + AGE) is FULL:
        refused += 1
        assert refused < count
    assert ports_of(table, [*some(count, 100), A], NOW + AGE) == [*range(500), -1, *range(501, count), 0]


def test_a_flood_leaves_the_others_alone() -> None:
    """A million addresses from one port leave those of others where they are, and room for new ones."""
    table = made(65536)
    others = some(1000)
    table.learn_all(b"".join(others), 1, 0, NOW)
    numbers = random.Random(1)  # noqa: S311  (addresses, not secrets)
    flood = b"".join(b"\x02" + numbers.randbytes(5) for _ in range(1_000_000))
    came = table.learn_all(flood, 1, 1, NOW)
    assert came[LEARNED] == table.bound(1) == table.held(1)
    assert not came[MOVED]
    assert came[FULL] > 900_000
    assert table.learn_all(b"".join(some(1000, 5000)), 1, 2, NOW)[LEARNED] == 1000
    assert ports_of(table, others) == [0] * 1000


# Forgetting and telling.


def test_a_port_is_forgotten() -> None:
    """All addresses of a port go, in every VLAN, aged ones too, and no other's."""
    table = made(bound=8)
    table.learn(A, 1, 0, NOW)
    table.learn(A, 2, 0, NOW + AGE)
    table.learn(B, 1, 1, NOW + AGE)
    assert table.forget(0) == 2
    assert table.forget(0) == table.forget(5) == 0
    assert table.entries(NOW + AGE) == [(B, 1, 1, 0.0)]
    assert table.learn(A, 1, 0, NOW + AGE) is LEARNED


def test_everything_is_forgotten() -> None:
    """A flush leaves nothing but the bounds, and the whole table free."""
    table = made(8, bound=4)
    table.set_bound(1, 2)
    for port in (0, 1):
        table.learn_all(b"".join(some(4, 4 * port)), 1, port, NOW)
    assert table.forget() == 6
    assert (len(table), table.held(0), table.entries(NOW), table.forget()) == (0, 0, [], 0)
    assert (table.bound(0), table.bound(1)) == (4, 2)
    assert table.learn_all(b"".join(some(4)), 1, 2, NOW)[LEARNED] == 4
    assert table.learn_all(b"".join(some(4, 4)), 1, 0, NOW)[LEARNED] == 4


def test_what_is_known_is_told() -> None:
    """Each live address is told once with its VLAN, its port and its silence, an aged one not at all."""
    table = made()
    table.learn(C, 1, 3, NOW - AGE)
    table.learn(A, 10, MOST_PORTS - 1, NOW)
    table.learn(B, 4095, 0, NOW + SECOND)
    told = table.entries(NOW + 2 * SECOND)
    assert sorted(told) == [(A, 10, MOST_PORTS - 1, 2.0), (B, 4095, 0, 1.0)]
    assert (table.count(NOW + 2 * SECOND), len(table), table.held(3)) == (2, 3, 1)


def test_a_snapshot_outlives_the_table() -> None:
    """A snapshot is a copy: what happens to the table afterwards does not reach it."""
    table = made()
    table.learn(A, 1, 2, NOW)
    snapshot = table.snapshot(NOW)
    table.forget()
    del table
    assert stations(snapshot) == [(A, 1, 2, 0.0)]


# Memory and chains.


def test_an_empty_table_takes_no_memory() -> None:
    """What a table may hold is not touched before it does."""
    before = resident()
    table = made(MOST_CAPACITY)
    table.learn(A, 1, 0, NOW)
    assert resident() - before < table.capacity, "less than an octet an address"


def test_entries_are_used_again() -> None:
    """Addresses may come and go for ever: a table of a few never needs more."""
    table = made(16, bound=16)
    for turn in range(1000):
        now = NOW + turn * AGE
        assert table.learn_all(b"".join(some(16, 16 * turn)), 1, turn % 5, now)[LEARNED] == 16
        assert (len(table), table.count(now)) == (16, 16)
        assert table.longest_chain() <= 16


def test_addresses_cannot_be_chosen_to_collide() -> None:
    """Addresses that share a bucket under one seed are spread under another: the hash is SipHash-1-3."""
    buckets = 128
    chosen = [mac for mac in some(4000) if siphash(int.from_bytes(mac, "little") | 1 << 48) % buckets == 0]
    assert len(chosen) > 16
    joined = b"".join(chosen[:16])
    table, other = made(bound=64), Table(64, seed=SEED + 1, bound=64)
    for one in (table, other):
        assert one.learn_all(joined, 1, 0, NOW)[LEARNED] == 16
    assert table.longest_chain() == 16
    assert other.longest_chain() < 8
    assert ports_of(table, chosen[:17]) == [0] * 16 + [-1]
    for mac in chosen[1:16:2]:
        table.learn(mac, 1, 1, NOW)
    assert table.forget(1) == 8
    assert ports_of(table, chosen[:16]) == [0, -1] * 8


@pytest.mark.parametrize("stride", [1, 2, 256, 1 << 16, 1 << 24])
def test_addresses_in_a_row_are_spread(stride: int) -> None:
    """Addresses that a maker numbers leave no bucket much longer than others."""
    table = made(65536, bound=65536)
    macs = b"".join((number * stride & ~(1 << 40) | 2 << 40).to_bytes(6) for number in range(60000))
    table.learn_all(macs, 1, 0, NOW)
    assert table.longest_chain() <= 12


def siphash(word: int) -> int:
    """SipHash-1-3 of one word under SEED, without the length that the original ends with."""
    halves = (SEED & (1 << 64) - 1, SEED >> 64) * 2
    text = b"somepseudorandomlygeneratedbytes"
    v = [int.from_bytes(text[8 * i : 8 * i + 8]) ^ halves[i] for i in range(4)]

    def rotate(at: int, by: int) -> None:
        v[at] = (v[at] << by | v[at] >> 64 - by) & (1 << 64) - 1

    def half(first: int, second: int, by: int) -> None:
        v[first] = v[first] + v[second] & (1 << 64) - 1
        rotate(second, by)
        v[second] ^= v[first]

    def turn() -> None:
        half(0, 1, 13)
        rotate(0, 32)
        half(2, 3, 16)
        half(0, 3, 21)
        half(2, 1, 17)
        rotate(2, 32)

    v[3] ^= word
    turn()
    v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        turn()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# What is refused.


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"capacity": 0}, "capacity is 1 to 16777216 addresses, not 0"),
        ({"capacity": MOST_CAPACITY + 1}, "capacity is 1 to"),
        ({"age": 0}, "age is above 0"),
        ({"age": -1}, "age is above 0"),
        ({"age": float("nan")}, "age is above 0"),
        ({"age": MOST_AGE + 1}, "up to 1000000 seconds"),
        ({"bound": 0}, "bound is 1 to the capacity, 65536"),
        ({"bound": 65537}, "bound is 1 to the capacity, 65536"),
        ({"seed": -1}, "128 bits"),
        ({"seed": 1 << 128}, "128 bits"),
    ],
)
def test_wrong_tables(wrong: dict[str, float], told: str) -> None:
    """A table that cannot be is refused in words."""
    arguments: dict[str, float] = {"seed": SEED, **wrong}
    with pytest.raises(ValueError, match=told):
        Table(**arguments)  # type: ignore[arg-type]  # (all are numbers)


def test_wrong_arguments() -> None:
    """No call takes an address, VLAN, port or bound that there is not."""
    table = made()
    for mac in (b"", A[:5], A + b"\0"):
        with pytest.raises(ValueError, match="a MAC address has 6 octets"):
            table.learn(mac, 1, 0, NOW)
        with pytest.raises(ValueError, match="a MAC address has 6 octets"):
            table.lookup(mac, 1, NOW)
    for vlan in (-1, 4096):
        for call in (lambda: table.learn(A, vlan, 0, NOW), lambda: table.lookup_all(A, vlan, NOW)):  # noqa: B023
            with pytest.raises(ValueError, match="a VLAN is 0 to 4095"):
                call()
    for port in (-1, MOST_PORTS):
        for ask in (table.held, table.bound, table.forget, lambda port: table.learn(A, 1, port, NOW)):
            with pytest.raises(ValueError, match="a port number is 0 to 65535"):
                ask(port)
    with pytest.raises(ValueError, match="no whole number"):
        table.learn_all(A + B[:1], 1, 0, NOW)
    with pytest.raises(ValueError, match="no whole number"):
        table.lookup_all(A[:5], 1, NOW)
    with pytest.raises(ValueError, match="bound is 0 to the capacity"):
        table.set_bound(0, 65)
    with pytest.raises(OverflowError):
        table.lookup(A, 1, -1)
    assert not len(table)


def test_a_table_is_made_once() -> None:
    """The memory of a table is never replaced under those who use it."""
    table = made()
    with pytest.raises(ValueError, match="made once"):
        table.__init__(8, seed=1)  # type: ignore[misc]
    assert table.capacity == 64
