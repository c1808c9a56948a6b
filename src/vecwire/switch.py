"""Which frames go where: a cable joins two ports, a switch any number of them, by address and VLAN.

Topology is plain Python; motion is a worker's, in an engine (``vecwire.engine``). A cable or a switch claims
its ports: nobody else moves frames on them, and they stay their owner's to close afterwards. Everything may
be changed while frames move, and what is not changed loses none.
"""

import secrets
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from vecwire.confine import Seccomp
from vecwire.engine import Engine
from vecwire.errors import ClosedError, PortError
from vecwire.path.bridge import Bridge
from vecwire.path.table import Table, stations
from vecwire.transports import TransportPort

#: Seconds after which an address that was not heard of is forgotten, and addresses known at the most.
AGE = 300.0
ADDRESSES = 65_536
#: The VLANs that a frame may name (IEEE 802.1Q, table 9-2).
FIRST_VLAN, LAST_VLAN = 1, 4094
#: The highest number of a horizon group, a rate or a bound.
MOST = 2**32 - 1


class Cable:
    """Joins two ports: every frame that one receives leaves through the other.

    Args:
        a: one end.
        b: the other end.
        poll: microseconds to look again before sleeping, in an engine of its own; 0 sleeps at once.
        engine: moves the frames; by default the cable has its own.
        confine: what an engine of its own takes from its thread; see ``vecwire.confine``.

    Raises:
        PortError: if both ends are the same port.
        ClosedError: if a port is closed.
        ValueError: if ``poll`` is negative.
    """

    def __init__(
        self,
        a: TransportPort,
        b: TransportPort,
        *,
        poll: int = 0,
        engine: Engine | None = None,
        confine: Seccomp | None = None,
    ) -> None:
        if a is b:
            raise PortError("a cable has two ends; both of these are the same port")
        for port in (a, b):
            if port.closed:
                raise ClosedError(f"the port {port.spec.public} was joined after it was closed")
        self.ports = (a, b)
        self._engine = engine or Engine(poll=poll, name="vecwire-cable", confine=confine)
        self._own_engine = engine is None
        self._joined = False

    @property
    def running(self) -> bool:
        """Whether frames flow."""
        return self._joined and self._engine.running

    @property
    def wakeups(self) -> int:
        """How often the worker woke because there was something to do."""
        return self._engine.wakeups

    def start(self) -> Self:
        """Begins to move frames; returns once they flow.

        Raises:
            PortError: if one of the ports is joined already.
        """
        if self._joined:
            return self
        claimed: list[TransportPort] = []
        try:
            for port in self.ports:
                self._engine.claim(port, self)
                claimed.append(port)
            self._engine.do(self._join)
            if self._own_engine:
                self._engine.start()
        except BaseException:
            for port in claimed:
                self._engine.unseat(port, self)
            raise
        self._joined = True
        return self

    def _join(self) -> None:
        engine = self._engine
        engine.worker.join(*[engine.seat(port) for port in self.ports])

    def stop(self) -> None:
        """Ends it; returns once no frame moves any more. The ports stay open."""
        if not self._joined:
            return
        if self._own_engine:
            self._engine.stop()
        for port in self.ports:
            self._engine.unseat(port, self)
        self._joined = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Cable {self.ports[0].spec.public} - {self.ports[1].spec.public}>"


@dataclass(frozen=True, slots=True)
class Membership:
    """How a port takes part in a switch; with neither ``vlan`` nor ``tagged`` it takes frames as they are.

    Attributes:
        vlan: the VLAN of its frames without a tag, 1 to 4094.
        tagged: the VLANs whose frames it carries with a tag.
        horizon: ports of one group other than 0 never exchange frames, as those of a full mesh of tunnels.
        flood_rate: frames a second that it may flood: broadcast, multicast, unknown unicast; 0 for no limit.
        addresses: how many addresses are learned from it at the most; 0 for the switch's own bound.

    Raises:
        ValueError: if a number is out of range, or a VLAN is both.
    """

    vlan: int | None = None
    tagged: frozenset[int] = frozenset()
    horizon: int = 0
    flood_rate: int = 0
    addresses: int = 0

    def __post_init__(self) -> None:
        for vlan in (*self.tagged, *([] if self.vlan is None else [self.vlan])):
            if not FIRST_VLAN <= vlan <= LAST_VLAN:
                raise ValueError(f"a VLAN is {FIRST_VLAN} to {LAST_VLAN}, not {vlan}")
        if self.vlan in self.tagged:
            raise ValueError(f"VLAN {self.vlan} is either untagged or tagged on a port, not both")
        for name in ("horizon", "flood_rate", "addresses"):
            if not 0 <= getattr(self, name) <= MOST:
                raise ValueError(f"{name} is 0 to {MOST}, not {getattr(self, name)}")


ANYTHING = Membership()


@dataclass(frozen=True, slots=True)
class Station:
    """An address that a switch has learned.

    Attributes:
        mac: the address, as ``02:00:00:00:00:01``.
        vlan: its VLAN; 0 for frames without a tag on a transparent port.
        port: the port that it is behind.
        idle: seconds since it was heard of.
    """

    mac: str
    vlan: int
    port: TransportPort
    idle: float


class Switch:
    """A learning switch: a frame goes to the port that its destination is behind, to all while none is known.

    Args:
        age: seconds after which an address that was not heard of is forgotten.
        addresses: how many are known at the most. A port may learn a quarter of them, unless its membership
            says otherwise, so that a guest that makes up addresses does not push out those of others.
        poll: microseconds to look again before sleeping, in an engine of its own; 0 sleeps at once.
        engine: moves the frames; by default the switch has its own.
        confine: what an engine of its own takes from its thread; see ``vecwire.confine``.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        *,
        age: float = AGE,
        addresses: int = ADDRESSES,
        poll: int = 0,
        engine: Engine | None = None,
        confine: Seccomp | None = None,
    ) -> None:
        self._table = Table(addresses, age=age, seed=secrets.randbits(128))
        self._bridge = Bridge(self._table)
        self._age = age
        self._engine = engine or Engine(poll=poll, name="vecwire-switch", confine=confine)
        self._own_engine = engine is None
        self._numbers: dict[TransportPort, int] = {}
        self._memberships: dict[TransportPort, Membership] = {}
        self._started = False

    @property
    def engine(self) -> Engine:
        """What moves the frames."""
        return self._engine

    @property
    def ports(self) -> tuple[TransportPort, ...]:
        """Its ports, in the order in which they came."""
        return tuple(self._memberships)

    @property
    def running(self) -> bool:
        """Whether frames flow."""
        return self._started and self._engine.running

    @property
    def wakeups(self) -> int:
        """How often the worker woke because there was something to do."""
        return self._engine.wakeups

    @property
    def age(self) -> float:
        """Seconds after which an address is forgotten; may be set."""
        return self._age

    @age.setter
    def age(self, seconds: float) -> None:
        self._engine.do(lambda: self._table.set_age(seconds))
        self._age = seconds

    @property
    def capacity(self) -> int:
        """How many addresses are known at the most; what is known is learned anew when this is set."""
        return self._table.capacity

    @capacity.setter
    def capacity(self, addresses: int) -> None:
        table = Table(addresses, age=self._age, seed=secrets.randbits(128))

        def exchange() -> None:
            self._table = table
            self._bridge.use(table)
            for port in self._numbers:
                self._configure(port)

        self._engine.do(exchange)

    @property
    def known(self) -> int:
        """How many addresses are known now."""
        return self._engine.do(lambda: self._table.count(time.monotonic_ns()))

    def membership(self, port: TransportPort) -> Membership:
        """How a port takes part.

        Raises:
            PortError: if it is not in the switch.
        """
        if port not in self._memberships:
            raise PortError(f"the port {port.spec.public} is not in this switch")
        return self._memberships[port]

    def add(self, port: TransportPort, membership: Membership = ANYTHING) -> None:
        """Takes a port in, while frames move or before.

        Raises:
            PortError: if it is in a cable or a switch already.
            ClosedError: if it is closed.
            ValueError: if it may learn more addresses than the switch knows.
        """
        self._check(membership)
        self._engine.claim(port, self)
        if port in self._memberships:
            raise PortError(f"the port {port.spec.public} is in this switch already")
        self._memberships[port] = membership
        if self._started:
            try:
                self._engine.do(lambda: self._plug(port))
            except BaseException:
                self.remove(port)
                raise

    def _check(self, membership: Membership) -> None:
        if membership.addresses > self.capacity:
            raise ValueError(
                f"this switch knows {self.capacity} addresses at the most; a port cannot have"
                f" {membership.addresses}"
            )

    def _plug(self, port: TransportPort) -> None:
        number = self._engine.worker.plug(self._engine.seat(port), self._bridge)
        self._numbers[port] = number
        self._configure(port)

    def _configure(self, port: TransportPort) -> None:
        if port not in self._numbers:
            return  # it is not started yet
        membership = self._memberships[port]
        self._bridge.configure(
            self._numbers[port],
            vlan=membership.vlan or 0,
            tagged=membership.tagged,
            horizon=membership.horizon,
            flood_rate=membership.flood_rate,
            addresses=membership.addresses,
        )

    def change(self, port: TransportPort, membership: Membership) -> None:
        """Changes how a port takes part; the others notice nothing.

        Raises:
            PortError: if it is not in the switch.
            ValueError: if it may learn more addresses than the switch knows.
        """
        self._check(membership)
        before = self.membership(port)
        self._memberships[port] = membership
        try:
            self._engine.do(lambda: self._configure(port))
        except BaseException:
            self._memberships[port] = before
            raise

    def remove(self, port: TransportPort) -> None:
        """Takes a port out, and forgets what was behind it; the others notice nothing. It stays open.

        Raises:
            PortError: if it is not in the switch.
        """
        self.membership(port)
        # The number first: another port may have it as soon as this one is out.
        self._engine.do(lambda: self._numbers.pop(port, None))
        self._engine.unseat(port, self)
        self._memberships.pop(port, None)

    def fdb(self) -> list[Station]:
        """The addresses that are known now, with the port that each is behind."""
        ports, rows = self._engine.do(self._tell)
        return [
            Station(mac.hex(":"), vlan, ports[number], idle)
            for mac, vlan, number, idle in stations(rows)
            if number in ports
        ]

    def _tell(self) -> tuple[dict[int, TransportPort], bytearray]:
        # Made into objects by whoever asked: the worker has frames to move.
        ports = {number: port for port, number in self._numbers.items()}
        return ports, self._table.snapshot(time.monotonic_ns())

    def flush(self, port: TransportPort | None = None) -> int:
        """Forgets addresses: those behind a port, or all; how many they were.

        Raises:
            PortError: if the port is not in the switch.
        """
        if port is None:
            return self._engine.do(self._table.forget)
        self.membership(port)

        def forget() -> int:
            number = self._numbers.get(port)
            return 0 if number is None else self._table.forget(number)

        return self._engine.do(forget)

    def start(self) -> Self:
        """Begins to move frames; returns once they flow."""
        if self._started:
            return self
        self._started = True
        try:
            for port in self._memberships:
                self._engine.do(lambda port=port: self._plug(port))  # type: ignore[misc]
            if self._own_engine:
                self._engine.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends it; returns once no frame moves any more. All ports are taken out, and stay open."""
        if self._own_engine:
            self._engine.stop()
        for port in self.ports:
            self.remove(port)
        self._started = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Switch of {len(self._memberships)} ports>"
