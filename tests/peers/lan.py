"""A switch with a station behind each of its ports, and what each station hears of what another says."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import vecwire
from peers.accounting import accounted
from peers.frames import fill, frame, mac, ours
from peers.net import veth, wait_until
from vecwire.wire.counters import SWITCH_DROPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from peers.net import Namespace
    from vecwire import Engine, Membership, Port, PortStats, Switch
    from vecwire.transports import TransportPort

PATIENCE = 10.0
BROADCAST = "ff:ff:ff:ff:ff:ff"
MULTICAST = "01:00:5e:00:00:09"
NOBODY = "02:00:00:00:ee:ee"


def address(number: int) -> str:
    """The MAC address of a station."""
    return f"02:00:00:00:00:{number:02x}"


def send_all(port: Port, frames: Sequence[bytes]) -> None:
    """Sends frames, a batch at a time, waiting for room where there is none."""
    batch = port.batch()
    for start in range(0, len(frames), batch.depth):
        fill(batch, list(frames[start : start + batch.depth]))
        first = 0
        while first < len(batch):
            done = port.send(batch, first)
            first += done
            if not done:
                assert port.wait(PATIENCE, write=True), "there is never room to send"


@dataclass
class Lan:
    """A switch under test.

    Attributes:
        switch: the switch.
        ports: its ports, each the one end of a link.
        stations: ports at the other ends.
    """

    switch: Switch
    ports: list[TransportPort]
    stations: list[TransportPort]
    _heard: dict[TransportPort, list[bytes]] = field(default_factory=dict)

    def barrier(self) -> None:
        """Returns once all that was received before has gone where it goes."""
        self.switch.engine.do(lambda: None)

    def exchange(self, source: int, *frames: bytes) -> dict[int, list[bytes]]:
        """Has a station send frames; what each of the others then hears, by number, without the silent."""
        before = [port.stats for port in self.ports]
        send_all(self.stations[source], frames)
        wait_until(
            lambda: (self.ports[source].stats - before[source]).rx_frames >= len(frames),
            timeout=PATIENCE,
            what="the switch has received all",
        )
        self.barrier()
        heard: dict[int, list[bytes]] = {}
        for number, (port, earlier) in enumerate(zip(self.ports, before, strict=True)):
            count = (port.stats - earlier).tx_frames
            if count:
                heard[number] = self.hear(number, count)
        return heard

    def hear(self, number: int, count: int) -> list[bytes]:
        """The next frames that a station receives, so many of them."""
        station = self.stations[number]
        waiting = self._heard.setdefault(station, [])
        batch = station.batch()

        def heard() -> bool:
            if station.recv(batch):
                waiting.extend(
                    bytes(each) for each in batch if ours(each) or bytes(each[12:14]) == b"\x81\x00"
                )
            return len(waiting) >= count

        wait_until(heard, timeout=PATIENCE, what=f"station {number} hears {count} frames", interval=0.001)
        found, self._heard[station] = waiting[:count], waiting[count:]
        return found

    def say(self, source: int, destination: str, number: int = 0, *, as_: str | None = None) -> set[int]:
        """Has a station send one frame; the numbers of those who hear it."""
        octets = frame(number, source=as_ or address(source), destination=destination)
        heard = self.exchange(source, octets)
        assert all(frames == [octets] for frames in heard.values()), heard
        return set(heard)

    def introduce(self, *numbers: int) -> None:
        """Has stations say something to nobody, so that the switch knows where they are."""
        for number in numbers or range(len(self.stations)):
            self.say(number, address(number))

    def where(self) -> dict[tuple[str, int], int]:
        """The table of addresses: by address and VLAN, the number of the port."""
        return {(station.mac, station.vlan): self.ports.index(station.port) for station in self.switch.fdb()}


@contextlib.contextmanager
def links(count: int, options: str = "") -> Iterator[tuple[list[TransportPort], list[TransportPort]]]:
    """Ports for a switch, and the stations at the other ends of their links: record sockets."""
    with contextlib.ExitStack() as stack:
        ports, stations = [], []
        for number in range(count):
            name = f"@vecwire-lan-{os.getpid()}-{number}"
            station = stack.enter_context(vecwire.open(f"bess,listen={name}"))
            ports.append(stack.enter_context(vecwire.open(f"bess,dst={name}{options}")))
            station.recv(station.batch(1))
            stations.append(station)
        yield ports, stations


@contextlib.contextmanager
def lan(
    memberships: int | Sequence[Membership],
    *,
    age: float = 300.0,
    addresses: int = 65_536,
    engine: Engine | None = None,
) -> Iterator[Lan]:
    """A running switch of so many ports, or of ports that take part so, with a station behind each."""
    if isinstance(memberships, int):
        memberships = [vecwire.Membership()] * memberships
    with links(len(memberships)) as (ports, stations):
        switch = vecwire.Switch(age=age, addresses=addresses, engine=engine)
        for port, membership in zip(ports, memberships, strict=True):
            switch.add(port, membership)
        with switch, balanced(ports):
            yield Lan(switch, ports, stations)


@contextlib.contextmanager
def wired(namespace: Namespace, *names: str) -> Iterator[tuple[list[TransportPort], list[TransportPort]]]:
    """The same with packet sockets at the ends of veth pairs: NAME0 is the switch's, NAME1 the station's."""
    with contextlib.ExitStack() as stack:
        ports, stations = [], []
        for name in names:
            veth((namespace, f"{name}0"), (namespace, f"{name}1"))
            ports.append(stack.enter_context(vecwire.open(f"raw,ifname={name}0")))
            stations.append(stack.enter_context(vecwire.open(f"raw,ifname={name}1")))
        yield ports, stations


def passed_on(stats: PortStats) -> int:
    """How many frames a port has given others to send: those for one, and each copy of those for all."""
    dropped = sum(stats.counters[name] for name in SWITCH_DROPS)
    return stats.rx_frames - stats.switch_flooded - dropped + stats.switch_copies


@contextlib.contextmanager
def balanced(ports: Sequence[TransportPort]) -> Iterator[None]:
    """Ports of a switch, which must account afterwards for every frame that any of them has received.

    Ports that come to the list meanwhile are new, and have moved nothing before.
    """
    before: Mapping[TransportPort, PortStats] = {port: port.stats for port in ports}
    yield
    since = {port: port.stats - before[port] if port in before else port.stats for port in ports}
    given = sum(map(passed_on, since.values()))
    taken = sum(accounted(stats) + port.channel.held + port.channel.late for port, stats in since.items())
    moved = {
        str(port.spec): {name: count for name, count in stats.counters.items() if count}
        for port, stats in since.items()
    }
    assert given == taken, moved


class Stream:
    """Numbered frames from one station to another for as long as the context lasts.

    At its end all must have arrived, in their order: whatever happened meanwhile was none of theirs.

    Args:
        source: the station that sends.
        sink: the station that receives.
        destination: where they are sent to.
    """

    WINDOW = 256

    def __init__(self, source: Port, sink: Port, destination: str = address(0xBB)) -> None:
        self._source, self._sink, self._destination = source, sink, destination
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self.sent = 0
        self.came: list[int] = []

    def _run(self) -> None:
        batch = self._source.batch(32)
        ended: float | None = None
        while ended is None or (len(self.came) < self.sent and time.monotonic() < ended + PATIENCE):
            if self._ending.is_set():
                ended = ended or time.monotonic()
            elif self.sent - len(self.came) < self.WINDOW:
                numbers = range(self.sent, self.sent + batch.depth)
                fill(batch, [frame(each, source=NOBODY, destination=self._destination) for each in numbers])
                self.sent += self._source.send(batch)
            self._receive()

    def _receive(self) -> None:
        batch = self._sink.batch()
        if not self._sink.recv(batch):
            self._sink.wait(0.01)
        for each in batch:
            if ours(each) and each[6:12] == mac(NOBODY):
                self.came.append(int.from_bytes(each[14:18]))

    def wait_for(self, count: int) -> None:
        """Returns once so many frames more have arrived."""
        wanted = len(self.came) + count
        wait_until(lambda: len(self.came) >= wanted, timeout=PATIENCE, what="the stream goes on")

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.wait_for(1)
        self._ending.set()
        self._thread.join()
        assert self.came == list(range(self.sent)), f"{len(self.came)} of {self.sent} frames came, in order"
