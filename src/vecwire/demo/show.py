"""Brings the demo up, sends traffic through it, and tells what happens, as events.

Events come in the order in which things happen: a ``Step`` when something begins and again when it is done,
``Counters`` while TCP moves, the results of the measurements, and the commands at the end. Who is told draws
or prints them; nothing here does.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from vecwire.demo.network import Namespace, become_able
from vecwire.demo.plan import INSIDE, PORT, PREFIX, WIRE, Host, Plan
from vecwire.demo.traffic import Pinged, Pinger, Stream
from vecwire.errors import PortError, UnsupportedError
from vecwire.meter import Meter, Reading
from vecwire.switch import Cable
from vecwire.transports import TransportPort, open_port

PINGS = 10
READ_SECONDS = 0.25
ANSWER_SECONDS = 10.0
IP_AND_ICMP = 20 + 8


class StepName(StrEnum):
    """What is done, in order."""

    HOSTS = "hosts"
    ACCESS = "access"
    CABLES = "cables"
    PING = "ping"
    TCP = "tcp"
    TCP_BACK = "tcp-back"


@dataclass(frozen=True, slots=True)
class Step:
    """Something begins, or is done.

    Attributes:
        name: What.
        text: In words.
        done: Whether it is done.
        note: What is worth knowing besides.
    """

    name: StepName
    text: str
    done: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """It is certain what will be built."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Ping:
    """The result of a series of pings."""

    source: str
    destination: str
    pinged: Pinged


@dataclass(frozen=True, slots=True)
class Tcp:
    """The result of a TCP stream, or how it stands."""

    source: str
    destination: str
    seconds: float
    octets: int
    bits_per_second: float
    retransmissions: int


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of all ports; ``final`` at the end."""

    seconds: float
    readings: list[Reading]
    final: bool = False


Event = Planned | Step | Ping | Tcp | Counters
Tell = Callable[[Event], None]
Pause = Callable[[float], None]


class Demo:
    """The two hosts and the tunnel between them, from ``run`` to the end of the context.

    Args:
        seconds: How long TCP moves, in each direction.
        tell: Is told of every event.
        pause: Sleeps for so many seconds; what it raises ends the demo. It is asked several times a second.
    """

    def __init__(self, seconds: float, tell: Tell, pause: Pause = time.sleep) -> None:
        self._seconds = seconds
        self._tell = tell
        self._pause = pause
        self._plan = Plan()
        self._stack = contextlib.ExitStack()
        self._namespaces: dict[str, Namespace] = {}
        self._meter: Meter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self) -> None:
        """Shows everything, once.

        Raises:
            UnsupportedError: This host does not allow it; the error says what to do.
            PortError: Something of it failed.
        """
        self._make_hosts()
        ports = self._make_access()
        self._join(ports)
        self._ping()
        first, second = self._plan.hosts
        self._move(StepName.TCP, first, second)
        self._move(StepName.TCP_BACK, second, first)
        self._read(final=True)

    def _make_hosts(self) -> None:
        self._tell(Step(StepName.HOSTS, "two hosts: network namespaces, joined by a veth pair"))
        users = become_able()
        self._plan = Plan(users=users)
        first, second = (self._stack.enter_context(Namespace(host.name)) for host in self._plan.hosts)
        self._namespaces = {first.name: first, second.name: second}
        first.add_pair(WIRE, WIRE, second)
        for host in self._plan.hosts:
            self._namespaces[host.name].up(WIRE, host.outer, PREFIX)
        note = "root of a user namespace, since you are not root" if users else ""
        self._tell(
            Step(StepName.HOSTS, "two hosts: network namespaces, joined by a veth pair", done=True, note=note)
        )

    def _make_access(self) -> dict[Host, TransportPort]:
        """Gives every host an interface, and opens the port behind it."""
        self._tell(Step(StepName.ACCESS, "a tap in each"))
        note = ""
        try:
            ports = self._open_access()
        except UnsupportedError as error:
            self._plan = self._plan.without_taps()
            note = f"{error}; {error.remedy}"
            for host in self._plan.hosts:
                namespace = self._namespaces[host.name]
                namespace.add_pair(INSIDE, PORT, namespace)
                namespace.up(PORT)
            ports = self._open_access()
        for host in self._plan.hosts:
            namespace = self._namespaces[host.name]
            namespace.up(self._plan.link, host.inner, PREFIX, mtu=self._plan.mtu)
        self._tell(Planned(self._plan))
        what = "a tap in each" if self._plan.taps else "a veth pair in each, since there can be no taps"
        self._tell(Step(StepName.ACCESS, f"{what}, MTU {self._plan.mtu}", done=True, note=note))
        return ports

    def _open_access(self) -> dict[Host, TransportPort]:
        return {
            host: self._stack.enter_context(
                open_port(self._plan.access(host, self._namespaces[host.name].path))
            )
            for host in self._plan.hosts
        }

    def _join(self, ports: dict[Host, TransportPort]) -> None:
        """Opens the tunnel's ends and starts the cables."""
        text = f"a cable in each, from {self._plan.link_of_cable} to an L2TPv3 tunnel over UDP"
        self._tell(Step(StepName.CABLES, text))
        counted: dict[str, TransportPort] = {}
        for host, access in ports.items():
            spec = self._plan.tunnel(host, self._namespaces[host.name].path)
            tunnel = self._stack.enter_context(open_port(spec))
            self._stack.enter_context(Cable(access, tunnel))
            both = {f"{host.name} {self._plan.link_of_cable}": access, f"{host.name} l2tpv3": tunnel}
            # The table follows a frame's way: the second host's ports are met in the other order.
            counted |= both if host == self._plan.hosts[0] else dict(reversed(both.items()))
        self._meter = Meter(counted)
        self._tell(Step(StepName.CABLES, text, done=True))

    def _ping(self) -> None:
        source, destination = self._plan.hosts
        text = f"ping from {source.name} to {destination.name}"
        self._tell(Step(StepName.PING, text))
        with Pinger(self._namespaces[source.name].inside, destination.inner) as pinger:
            pinger.wait(ANSWER_SECONDS, self._pause)
            series = []
            for data in (56, self._plan.mtu - IP_AND_ICMP):
                series.append(pinger.series(PINGS, data, self._pause))
                self._tell(Ping(source.name, destination.name, series[-1]))
        self._read()
        told = "; ".join(f"{each.size} octets: {each.summary}" for each in series)
        self._tell(Step(StepName.PING, text, done=True, note=told))

    def _move(self, name: StepName, source: Host, destination: Host) -> None:
        """Moves TCP for a while, and tells of it four times a second."""
        text = f"TCP from {source.name} to {destination.name}"
        self._tell(Step(name, text))
        ends = self._namespaces[source.name], self._namespaces[destination.name]
        end = time.monotonic() + self._seconds
        with self._connect(*ends, destination) as stream:
            while (left := end - time.monotonic()) > 0:
                self._pause(min(READ_SECONDS, left))
                self._read()
            stream.stop()
        self._tell(
            Tcp(
                source.name,
                destination.name,
                stream.seconds,
                stream.octets,
                stream.bits_per_second,
                stream.retransmissions,
            )
        )
        gigabits = stream.bits_per_second / 1e9
        note = f"{gigabits:.2f} Gbit/s, {stream.retransmissions} segments sent again"
        self._tell(Step(name, text, done=True, note=note))

    @staticmethod
    def _connect(source: Namespace, sink: Namespace, destination: Host) -> Stream:
        try:
            return Stream.start(source.inside, sink.inside, destination.inner)
        except OSError as error:
            raise PortError("cannot connect through the tunnel", errno=error.errno) from error

    def _read(self, *, final: bool = False) -> None:
        if self._meter is not None:
            readings = self._meter.total() if final else self._meter.read()
            self._tell(Counters(self._meter.seconds, readings, final=final))
