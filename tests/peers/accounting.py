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
        - stats.tx_duplicated
    )


@contextlib.contextmanager
def cable(
    a: TransportPort, b: TransportPort, *, poll: int = 0, engine: vecwire.Engine | None = None
) -> Iterator[vecwire.Cable]:
    """A cable whose ports must account, once it has stopped, for every frame that came in on the other."""
    before = {port: port.stats for port in (a, b)}
    with vecwire.Cable(a, b, poll=poll, engine=engine) as joined:
        yield joined
    for source, sink in ((a, b), (b, a)):
        offered = (source.stats - before[source]).rx_frames
        passed = sink.stats - before[sink]
        moved = {name: value for name, value in passed.counters.items() if value}
        assert offered == accounted(passed) + sink.channel.held + sink.channel.late, (
            f"{sink.spec}: {offered} in, {moved}"
        )
