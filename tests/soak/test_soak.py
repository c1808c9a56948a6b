"""A soak: the service at saturation over all transports, with peers that come and go, and its books.

``VECWIRE_SOAK_SECONDS`` says for how long, 60 by default; ``VECWIRE_SOAK_FOLDER`` where the readings are
written and drawn. Each epoch ends at rest, where every equation of the ledger must hold to the frame.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from soak import events
from soak.kernel import threads
from soak.series import Sampler, draw, growth, write
from soak.streams import Pair, Stream
from soak.town import Town, town
from vecwire.traffic import Rate
from vecwire.wire.counters import DROPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soak.events import Event
    from soak.ledger import Equation, Reading
    from soak.streams import Arrivals

SECONDS = float(os.environ.get("VECWIRE_SOAK_SECONDS", "60"))
FOLDER = os.environ.get("VECWIRE_SOAK_FOLDER")
#: Seconds of traffic between two rests.
EPOCH = 5.0
#: Frames a second of each of ten ends: in all more than two processors can generate and switch.
RATE = Rate(frames=60_000)
#: What the service may grow by once it is warm, in kB; and in kB a minute, where there are minutes.
GROWTH = 4096
SLOPE = 40.0
#: The service's own threads, by name: as many of each at every rest.
NAMED = {"vecwire-worker0": 1, "vecwire-keeper": 1, "vecwire-guard": 1}
#: What answers who asks at the control socket: there while it does.
CALL = "vecwire-call"
#: Seconds from which on a slope says something.
LONG = 600.0
#: Drops that no peer here can provoke: the kernel judges what hosts write; limits and groups are not set.
NEVER = {
    "rx_bad_vnet",
    "switch_horizon",
    "switch_limited",
    "switch_nowhere",
    "tx_runt",
    "tx_bad_offload",
    "tx_refused",
}


class Soak:
    """The epochs, one after the other.

    Args:
        where: the town.

    Attributes:
        totals: what was counted in all: the ports' counters, and what the soak itself has done.
    """

    def __init__(self, where: Town) -> None:
        self.town = where
        self.pairs = [
            Pair(one, other, RATE)
            for sites in (where.blasting, where.cabled)
            for one, other in zip(sites[::2], sites[1::2], strict=True)
        ]
        self.totals: collections.Counter[str] = collections.Counter()
        for pair in self.pairs:
            pair.listen()
        self.before = where.rest()
        self.drops = where.kernel_drops()

    def close(self) -> None:
        """Ends what sends and receives."""
        for pair in self.pairs:
            pair.finish()

    def epoch(self, happens: Sequence[Event]) -> None:
        """Traffic, events, rest, lies, rest; then the books must be right."""
        where = self.town
        for each in where.sites:
            each.disturbed = False
        end = time.monotonic() + EPOCH
        with contextlib.ExitStack() as stack:
            hosts = where.stacks
            streams = [
                stack.enter_context(Stream(one, other))
                for one, other in zip(hosts, [*hosts[1:], hosts[0]], strict=True)
            ]
            for pair in self.pairs:
                pair.send()
            for event in happens:
                event(where, self.pairs)
            time.sleep(max(0.0, end - time.monotonic()))
            for pair in self.pairs:
                pair.pause()
        assert all(stream.octets for stream in streams), "a stream of TCP stalled"
        where.settle()
        self._balance()

    def _balance(self) -> None:
        where = self.town
        honest = where.rest()
        told = list(events.lies(where))
        if self.totals["epochs"] % len(events.ROUND) == 0:
            events.guest_does_not_read(where)
        now = where.rest()
        arrivals = [each for pair in self.pairs for each in pair.finish()]
        for pair in self.pairs:
            pair.listen()
        counted, since = now.since(honest), now.since(self.before)
        flooded = sum(stats.switch_flooded for stats in since.ports.values())
        faults = [
            fault
            for each in arrivals
            for fault in each.faults(duplicated=since.ports[each.receiver].tx_duplicated, flooded=flooded)
        ]
        faults += [
            f"{name}: {counted.ports[name].counters[counter]} {counter} of {events.LIES} lies"
            for name, counter in told
            if counted.ports[name].counters[counter] != events.LIES
        ]
        books = self._books(arrivals, honest.since(self.before), since)
        faults += [str(each) for each in books if not each.holds]
        faults += where.faults(since)
        drops = where.kernel_drops()
        disturbed = {each.name for each in where.sites if each.disturbed}
        faults += [
            f"{name}: {since.ports[name].rx_missed:,} rx_missed of {count - self.drops[name]:,} by the kernel"
            for name, count in drops.items()
            if name not in disturbed and count - self.drops[name] != since.ports[name].rx_missed
        ]
        self.drops = drops
        assert not faults, "\n".join(faults)
        self.before = now
        self.totals["epochs"] += 1
        self.totals["equations"] += where.checked(since) + len(books)
        self.totals["stamped"] += sum(each.sent for each in arrivals)
        self.totals["stamped lost"] += sum(each.sent - each.counts["received"] for each in arrivals)
        for stats in since.ports.values():
            self.totals.update({name: stats.counters[name] for name in stats.counters if "most" not in name})

    @staticmethod
    def _books(arrivals: Sequence[Arrivals], sending: Reading, receiving: Reading) -> list[Equation]:
        """What blasts and sinks have counted, held against the ports that they work with."""
        marks = sum(each.marks for each in arrivals)
        return [found for each in arrivals for found in each.equations(sending, receiving, marks)]


def keep(soak: Soak, sampler: Sampler) -> None:
    """Writes and draws what was read, for whoever asked for it; of a soak that failed too."""
    if FOLDER:
        write(Path(FOLDER) / "soak.json", sampler.samples, {"totals": dict(soak.totals)})
        draw(Path(FOLDER) / "soak.png", sampler.samples)


@pytest.mark.timeout(SECONDS * 1.5 + 120)
def test_nothing_grows_and_no_frame_is_unaccounted_for() -> None:
    """At saturation, whoever comes and goes: memory, descriptors and threads stay, each frame is counted."""
    start = time.monotonic()
    warm = first = 0
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(town())
        sampler = stack.enter_context(Sampler(where.service.process.pid, str(where.folder / "control")))
        soak = Soak(where)
        stack.callback(soak.close)
        stack.callback(keep, soak, sampler)
        for number, happens in enumerate(itertools.cycle(events.ROUND)):
            soak.epoch(happens)
            found = sampler.read()
            taken = found.process
            # For whoever watches a long run with pytest -s.
            print(f"{found.at:7.1f} s, epoch {number}: {taken}", flush=True)  # noqa: T201
            if number == 0:
                warm, first = taken.descriptors, len(sampler.samples)
            assert taken.descriptors == warm, "descriptors do not come back to what they were"
            named = threads(where.service.process.pid)
            # An answered call has a thread for a moment still; the main thread has its program's name.
            others = named.total() - named.pop(CALL, 0) - sum(NAMED.values())
            assert {name: count for name, count in named.items() if name in NAMED} == NAMED
            assert others == 1, f"there are more threads than there is work for: {named}"
            if time.monotonic() - start > SECONDS - EPOCH and number + 1 >= len(events.ROUND):
                break
    assert where.service.returncode == 0
    if SECONDS >= LONG:
        # Until then memory is touched for the first time: where frames are held, where the heap ends.
        first = len(sampler.samples) // 2
    slope, grown = growth(sampler.samples[first:])
    print(f"{slope:.1f} kB a minute, {grown:.0f} kB in all; {dict(soak.totals)}")  # noqa: T201 the same
    assert grown < GROWTH
    if SECONDS >= LONG:
        assert slope < SLOPE
    assert soak.totals["rx_missed"], "it was not saturated"
    assert {name for name in DROPS if not soak.totals[name]} == NEVER
