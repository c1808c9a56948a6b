"""Where every frame that a port was given has gone: the counters account for each of them once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import vecwire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import PortStats
    from vecwire.transports import TransportPort


def accounted(stats: PortStats) -> int:
    """How many frames a port is done with: those that left, whole, cut or joined, and those dropped."""
    return (
        stats.tx_frames
        + stats.tx_dropped
        - stats.tx_segments
        + stats.tx_split
        - stats.tx_joined
        + stats.tx_merged
    )


@contextlib.contextmanager
def cable(a: TransportPort, b: TransportPort, *, poll: int = 0) -> Iterator[vecwire.Cable]:
    """A cable whose ports must account, once it has stopped, for every frame that came in on the other."""
    ports = (a, b)
    before = [port.stats for port in ports]
    with vecwire.Cable(a, b, poll=poll) as joined:
        yield joined
    passed = [port.stats - earlier for port, earlier in zip(ports, before, strict=True)]
    for source, sink, port in ((*passed, b), (*reversed(passed), a)):
        moved = {name: value for name, value in sink.counters.items() if value}
        assert source.rx_frames == accounted(sink) + port.channel.held, f"{port.spec}: {moved}"
