"""Readings of ports' counters, and how fast they grow."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from vecwire.port import PortInfo, PortStats

_MINIMUM_SECONDS = 1e-6


class Counted(Protocol):
    """What can be read: a port, as far as this module needs one."""

    @property
    def info(self) -> PortInfo:
        """What was opened."""
        ...

    @property
    def stats(self) -> PortStats:
        """The counters as they stand now."""
        ...


@dataclass(frozen=True, slots=True)
class Rates:
    """What moved in a second, on average.

    Attributes:
        rx_frames: Frames received.
        rx_bits: Bits of the frames received, encapsulation not counted.
        tx_frames: Frames sent.
        tx_bits: Bits of the frames sent.
    """

    rx_frames: float
    rx_bits: float
    tx_frames: float
    tx_bits: float

    @classmethod
    def of(cls, difference: PortStats, seconds: float) -> "Rates":
        """The rates of what was counted in so many seconds."""
        per = 1 / max(seconds, _MINIMUM_SECONDS)
        return cls(
            difference.rx_frames * per,
            difference.rx_octets * 8 * per,
            difference.tx_frames * per,
            difference.tx_octets * 8 * per,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """A port's counters at one moment.

    Attributes:
        name: The port, in a word or two.
        info: What was opened, and whether it is up.
        stats: The counters.
        rates: What moved since the reading before.
    """

    name: str
    info: PortInfo
    stats: PortStats
    rates: Rates


class Meter:
    """Reads the counters of ports, and how fast they grow.

    Args:
        ports: The ports by name.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, ports: Mapping[str, Counted], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ports = dict(ports)
        self._clock = clock
        self._first = self._last = (clock(), {name: port.stats for name, port in self._ports.items()})

    @property
    def seconds(self) -> float:
        """How long ago the meter was made."""
        return self._clock() - self._first[0]

    def read(self) -> list[Reading]:
        """The counters now, with the rates since the last time that this was called."""
        since, self._last = self._last, self._now()
        return self._readings(since)

    def total(self) -> list[Reading]:
        """The counters now, with the rates since the meter was made."""
        self._last = self._now()
        return self._readings(self._first)

    def _now(self) -> tuple[float, dict[str, PortStats]]:
        return self._clock(), {name: port.stats for name, port in self._ports.items()}

    def _readings(self, since: tuple[float, dict[str, PortStats]]) -> list[Reading]:
        moment, stats = self._last
        return [
            Reading(name, port.info, stats[name], Rates.of(stats[name] - since[1][name], moment - since[0]))
            for name, port in self._ports.items()
        ]
