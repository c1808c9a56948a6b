"""The MAC address table against a model of it in a dictionary, whatever happens to both in any order."""

from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vecwire.path.table import Outcome, Table

SECOND = 1_000_000_000
#: Few of each, so that they meet: stations, one sender that is none, VLANs, ports.
MACS = st.sampled_from([*(bytes([2, 0, 0, 0, 0, last]) for last in range(20)), bytes([3, 0, 0, 0, 0, 1])])
VLANS = st.integers(0, 1)
PORTS = st.integers(0, 5)

Key: TypeAlias = tuple[bytes, int]


class Switching(RuleBasedStateMachine):
    """What a switch does to its table, done to a model too."""

    @initialize(
        capacity=st.integers(1, 16),
        share=st.integers(1, 16),
        age=st.integers(1, 2000),
        seed=st.integers(0, 2**128 - 1),
        now=st.integers(0, 2**62),
    )
    def make(self, capacity: int, share: int, age: int, seed: int, now: int) -> None:
        """Both are empty; ages are in nanoseconds here."""
        self.capacity = capacity
        self.bound = min(share, capacity)
        self.bounds: dict[int, int] = {}
        self.age = age
        self.now = now
        self.table = Table(capacity, seed=seed, age=age / SECOND, bound=self.bound)
        #: The port and the stamp of each address.
        self.known: dict[Key, tuple[int, int]] = {}

    def live(self) -> dict[Key, tuple[int, int]]:
        """What has not aged."""
        return {key: value for key, value in self.known.items() if self.now - value[1] < self.age}

    def learned(self, key: Key, port: int) -> Outcome:
        """Learns an address in the model."""
        if key[0][0] & 1:
            return Outcome.IGNORED
        live = self.live()
        at, stamp = live.get(key, (None, 0))
        if at == port:
            if self.now - stamp > self.age // 64:
                self.known[key] = port, self.now
            return Outcome.KNOWN
        full = sum(port == other for other, _ in live.values()) >= self.bounds.get(port, self.bound)
        if full or (at is None and len(live) == self.capacity):
            return Outcome.FULL
        self.known[key] = port, self.now
        return Outcome.LEARNED if at is None else Outcome.MOVED

    @rule(mac=MACS, vlan=VLANS, port=PORTS)
    def learn(self, mac: bytes, vlan: int, port: int) -> None:
        """A frame comes in."""
        assert self.table.learn(mac, vlan, port, self.now) is self.learned((mac, vlan), port)

    @rule(macs=st.lists(MACS, max_size=20), vlan=VLANS, port=PORTS)
    def learn_many(self, macs: list[bytes], vlan: int, port: int) -> None:
        """Many frames come in."""
        expected = [self.learned((mac, vlan), port) for mac in macs]
        came = self.table.learn_all(b"".join(macs), vlan, port, self.now)
        assert came == {outcome: expected.count(outcome) for outcome in Outcome}

    @rule(mac=MACS, vlan=VLANS)
    def look_up(self, mac: bytes, vlan: int) -> None:
        """A frame goes out."""
        assert self.table.lookup(mac, vlan, self.now) == self.live().get((mac, vlan), (None, 0))[0]

    @rule(share=st.floats(0, 1.5))
    def wait(self, share: float) -> None:
        """Time passes, as a share of the age."""
        self.now += round(share * self.age)

    @rule(port=PORTS)
    def forget_port(self, port: int) -> None:
        """A port is removed."""
        live = sum(port == other for other, _ in self.live().values())
        held = self.table.held(port)
        assert self.table.forget(port) == held >= live
        assert self.table.held(port) == 0
        self.known = {key: value for key, value in self.known.items() if value[0] != port}

    @rule()
    def forget_all(self) -> None:
        """The table is flushed."""
        assert self.table.forget() >= len(self.live())
        self.known = {}

    @rule(port=PORTS, bound=st.integers(0, 16))
    def set_bound(self, port: int, bound: int) -> None:
        """A bound changes."""
        bound = min(bound, self.capacity)
        self.table.set_bound(port, bound)
        self.bounds[port] = bound or self.bound

    @precondition(lambda self: self.age > 1)
    @rule(data=st.data())
    def shorten(self, data: st.DataObject) -> None:
        """The age becomes shorter; a longer one may bring back what was not taken back yet."""
        self.age = data.draw(st.integers(1, self.age - 1))
        self.table.set_age(self.age / SECOND)

    @invariant()
    def agree(self) -> None:
        """Both know the same addresses, at the same ports, silent for as long."""
        live = self.live()
        expected = [
            (mac, vlan, port, (self.now - stamp) / SECOND) for (mac, vlan), (port, stamp) in live.items()
        ]
        assert sorted(self.table.entries(self.now)) == sorted(expected)
        assert self.table.count(self.now) == len(live) <= len(self.table) <= self.capacity
        assert sum(self.table.held(port) for port in range(6)) == len(self.table)


TestSwitching = Switching.TestCase
TestSwitching.settings = settings(max_examples=200, stateful_step_count=60)
