"""What ``vecwire top`` shows: the service's ports at one moment, and how fast their counters grow."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Protocol

from vecwire.cli._counters import as_object, stats_of
from vecwire.meter import Rates, Reading
from vecwire.port import PortInfo, PortStats
from vecwire.service.state import PortState, ServiceState
from vecwire.wire.counters import DROPS, MAXIMA, NAMES

_MINIMUM_SECONDS = 1e-6


class Asked(Protocol):
    """Whom to ask: a client, as far as this module needs one."""

    def status(self) -> ServiceState:
        """Returns the service as a whole."""
        ...

    def ports(self) -> list[PortState]:
        """Returns the ports."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """A port at one moment.

    Attributes:
        state: what the service tells of it.
        reading: the same with rates, as the other commands show it.
        per_second: how fast each counter grows; of maxima there is no rate.
        rx_batch: frames that one system call brought, on average.
        tx_batch: frames that one system call sent, on average.
    """

    state: PortState
    reading: Reading
    per_second: Mapping[str, float]
    rx_batch: float
    tx_batch: float

    @property
    def dropped(self) -> float:
        """Frames dropped in a second."""
        return sum(self.per_second[name] for name in DROPS)

    @property
    def drops(self) -> list[tuple[str, float]]:
        """The reasons for which frames are dropped now, with how many a second, the most frequent first."""
        found = [(name, self.per_second[name]) for name in DROPS if self.per_second[name] > 0]
        return sorted(found, key=lambda each: -each[1])

    def as_object(self) -> dict[str, Any]:
        """The row as ``--json`` prints it."""
        return {
            **as_object(self.reading),
            "why": self.state.why,
            "joined": self.state.joined,
            "offloads": self.state.offloads,
            "batch": {"rx": round(self.rx_batch, 1), "tx": round(self.tx_batch, 1)},
            "drops_per_second": {name: round(value, 1) for name, value in self.drops},
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The service at one moment.

    Attributes:
        seconds: since the watch began.
        service: the service as a whole.
        rows: its ports, in its order.
    """

    seconds: float
    service: ServiceState
    rows: tuple[Row, ...]

    def as_object(self) -> dict[str, Any]:
        """The snapshot as ``--json`` prints it."""
        return {
            "seconds": round(self.seconds, 3),
            "service": asdict(self.service),
            "ports": [row.as_object() for row in self.rows],
        }


class Watch:
    """Asks a service again and again, and tells what has moved in between.

    Args:
        client: whom to ask.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, client: Asked, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._began = clock()
        self._last: tuple[float, dict[str, PortStats]] | None = None

    def read(self) -> Snapshot:
        """Returns the ports now, with rates since the last time; the first time they are zero."""
        service, states = self._client.status(), self._client.ports()
        moment = self._clock()
        stats = {state.name: stats_of(state.counters) for state in states}
        since, before = self._last or (moment, stats)
        self._last = (moment, stats)
        seconds = max(moment - since, _MINIMUM_SECONDS)
        rows = [_row(state, stats[state.name], before.get(state.name), seconds) for state in states]
        return Snapshot(moment - self._began, service, tuple(rows))


def _row(state: PortState, stats: PortStats, before: PortStats | None, seconds: float) -> Row:
    if before is None or any(stats.counters[name] < before.counters[name] for name in NAMES):
        # It is new, or its counters were reset: all of them were counted since.
        before = stats_of({})
    grown = stats - before
    info = PortInfo(
        transport=state.transport,
        spec=state.spec,
        descriptors=MappingProxyType({}),
        mtu=state.mtu,
        overhead=state.overhead,
        offloads=tuple(state.offloads),
        refused=state.refused,
        up=state.up,
    )
    return Row(
        state=state,
        reading=Reading(state.name, info, stats, Rates.of(grown, seconds)),
        per_second={name: 0.0 if name in MAXIMA else grown.counters[name] / seconds for name in NAMES},
        rx_batch=grown.rx_frames / max(grown.rx_calls, 1),
        tx_batch=grown.tx_frames / max(grown.tx_calls, 1),
    )
