"""The ledger: for every hop an equation that must hold to the frame, between two moments of rest.

Frames are counted by vecwire's ports, by what stands at their other ends, and by the kernel in between. An
equation names its hop, so that a frame that is unaccounted for points to where it went.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from peers.accounting import accounted
from peers.lan import passed_on
from vecwire.wire.counters import RX_DROPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from soak.kernel import Link, Reports
    from vecwire import PortStats


@dataclass(frozen=True)
class Equation:
    """What must be equal.

    Attributes:
        hop: where.
        left: frames, and what they are.
        right: frames, and what they are.
        more: by how many frames at the most the left side may be greater: where the kernel counts in messages
            of several frames, and has dropped some.
        least: by how many it is greater at the least.
    """

    hop: str
    left: tuple[str, int]
    right: tuple[str, int]
    more: int = 0
    least: int = 0

    @property
    def holds(self) -> bool:
        """Whether the books are right."""
        return self.least <= self.left[1] - self.right[1] <= self.more

    def __str__(self) -> str:
        tolerance = f" (+{self.least} to +{self.more})" if self.more else ""
        return (
            f"{self.hop}: {self.left[0]} {self.left[1]:,} != {self.right[0]} {self.right[1]:,}, "
            f"{self.left[1] - self.right[1]:+,}{tolerance}"
        )


class Beside(NamedTuple):
    """What was sent past an end's own counters: messages, and the octets of what they carry."""

    messages: int = 0
    octets: int = 0


def came(stats: PortStats) -> int:
    """How many frames the kernel had for a port: received, dropped by a reason, or missed."""
    return (
        stats.rx_frames + sum(stats.counters[name] for name in RX_DROPS) + stats.rx_errors + stats.rx_filtered
    )


def moved(stats: PortStats) -> dict[str, int]:
    """The counters that are not zero."""
    return {name: count for name, count in stats.counters.items() if count}


@dataclass(frozen=True)
class Reading:
    """All counters at one moment.

    Attributes:
        ports: those of the service's ports, by name.
        ends: those of the ports at the far ends.
        links: those of interfaces, by the host's name and the interface's.
        lies: how many messages that are no frames of ours were sent to a port, by its name.
        lied: their octets.
        reports: the messages of ICMP at the far ends, by the host's name.
    """

    ports: Mapping[str, PortStats]
    ends: Mapping[str, PortStats]
    links: Mapping[tuple[str, str], Link]
    lies: Mapping[str, int]
    lied: Mapping[str, int]
    reports: Mapping[str, Reports]

    def since(self, earlier: Reading) -> Reading:
        """What was counted since; of what has been made anew meanwhile, all."""
        return Reading(
            {
                name: stats - earlier.ports[name]
                for name, stats in self.ports.items()
                if name in earlier.ports
            },
            {name: stats - earlier.ends[name] for name, stats in self.ends.items()},
            {key: link - earlier.links[key] for key, link in self.links.items() if key in earlier.links},
            {name: count - earlier.lies[name] for name, count in self.lies.items()},
            {name: octets - earlier.lied[name] for name, octets in self.lied.items()},
            {name: each - earlier.reports[name] for name, each in self.reports.items()},
        )


def switched(name: str, ports: Iterable[PortStats]) -> Equation:
    """What the ports of a switch have passed on, each copy counted, is what they were given to send."""
    ports = list(ports)
    return Equation(
        f"switch {name}",
        ("passed on", sum(map(passed_on, ports))),
        ("sent or dropped", sum(map(accounted, ports))),
    )


def cabled(name: str, source: PortStats, sink: PortStats) -> Equation:
    """What one port of a cable has received is what the other was given to send."""
    return Equation(f"cable {name}", ("received", source.rx_frames), ("sent or dropped", accounted(sink)))
