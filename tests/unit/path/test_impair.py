"""Impaired frames, with time passed in: late, lost, twice, out of order, at a rate, within a bound."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest

from peers.frames import frame, super_frame
from vecwire import Batch, Vnet
from vecwire.path.impairer import Impairer
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterable

MS = 1_000_000
SECOND = 1000 * MS
MANY = 20_000


def number(octets: bytes | memoryview) -> int:
    """Which frame it is."""
    return int.from_bytes(octets[14:18])


class Line:
    """What a user of an ``Impairer`` does, with a clock of its own.

    Attributes:
        left: when each frame left, and which it was.
    """

    def __init__(self, **settings: Any) -> None:
        self.impairer = Impairer()
        self.impairer.configure(**{"seed": 1, **settings})
        self.left: list[tuple[int, int]] = []
        self._one = Batch(1)
        self._due = Batch(16)

    def wait(self, until: int) -> None:
        """Lets time pass: what is due leaves at the moment at which it is."""
        while (due := self.impairer.due) is not None and due <= until:
            self.impairer.take(self._due, due)
            self.left += [(due, number(each)) for each in self._due]

    def send(self, which: int, moment: int, *, length: int = 60) -> None:
        """Sends a frame."""
        self.wait(moment)
        self._one.clear()
        self._one.append(frame(which, length))
        if self.impairer.put(self._one, 0, moment):
            self.left.append((moment, which))
        self.wait(moment)

    def run(self, moments: Iterable[int], *, length: int = 60) -> list[tuple[int, int]]:
        """Sends a frame at each moment, and lets all of them leave."""
        for which, moment in enumerate(moments):
            self.send(which, moment, length=length)
        self.wait(2**62)
        return self.left


def test_nothing_asked_for_is_nothing_done() -> None:
    """Without settings each frame leaves at once, and nothing is counted."""
    line = Line()
    assert line.run(range(100)) == [(moment, moment) for moment in range(100)]
    assert line.impairer.counters() == {}


def test_a_delay_is_exact_and_keeps_the_order() -> None:
    """Each frame leaves after the delay to the nanosecond, and those of one moment in their order."""
    moments = [which // 3 * MS for which in range(300)]
    left = Line(delay=50 * MS).run(moments)
    assert left == [(moment + 50 * MS, which) for which, moment in enumerate(moments)]


def test_jitter_spreads_evenly_about_the_delay() -> None:
    """Delays lie within the jitter to either side, evenly, and their mean is the delay."""
    delay, jitter = 50 * MS, 20 * MS
    left = Line(delay=delay, jitter=jitter).run([which * MS for which in range(MANY)])
    waits = [moment - which * MS for moment, which in left]
    assert sorted(which for _, which in left) == list(range(MANY))
    assert delay - jitter <= min(waits) < delay - 0.99 * jitter
    assert delay + jitter >= max(waits) > delay + 0.99 * jitter
    assert statistics.mean(waits) == pytest.approx(delay, rel=0.01)
    assert statistics.pstdev(waits) == pytest.approx(2 * jitter / 12**0.5, rel=0.02)


def test_jitter_never_sends_before_a_frame_came() -> None:
    """Where the jitter is longer than the delay, a frame leaves at once at the earliest."""
    left = Line(delay=MS, jitter=5 * MS).run([which * 100 * MS for which in range(1000)])
    waits = [moment - which * 100 * MS for moment, which in left]
    assert min(waits) == 0
    assert max(waits) <= 6 * MS


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3])
@pytest.mark.parametrize(
    ("setting", "counter"), [("loss", "tx_lost"), ("duplicate", "tx_duplicated"), ("reorder", "tx_reordered")]
)
def test_shares_are_kept(setting: str, counter: str, share: float) -> None:
    """Of many frames the share that was asked for is lost, doubled, reordered: within four deviations."""
    line = Line(delay=10 * MS, **{setting: share})
    left = line.run([which * MS for which in range(MANY)])
    happened = line.impairer.counters()[counter]
    assert abs(happened - MANY * share) < 4 * (MANY * share * (1 - share)) ** 0.5
    assert len(left) == MANY + {"loss": -happened, "duplicate": happened, "reorder": 0}[setting]


def test_what_always_happens_happens_always() -> None:
    """A share of 1 leaves nothing out, and one of 0 draws nothing."""
    assert Line(loss=1.0).run(range(1000)) == []
    assert [which for _, which in Line(duplicate=1.0).run(range(3))] == [0, 0, 1, 1, 2, 2]


def test_a_reordered_frame_overtakes_those_that_wait() -> None:
    """It leaves at the moment at which it came, and all others after the delay."""
    left = Line(delay=10 * MS, reorder=0.1).run([which * MS for which in range(1000)])
    early = {which for moment, which in left if moment == which * MS}
    late = [which for moment, which in left if moment == which * MS + 10 * MS]
    assert early
    assert late == sorted(late)
    assert len(early) + len(late) == 1000


def test_a_rate_is_that_of_a_link() -> None:
    """Frames that come at once leave one by one, each after its octets' time; a pause saves nothing up."""
    line = Line(rate=8_000_000)  # an octet each microsecond
    left = line.run([0, 0, 0, SECOND], length=1000)
    assert left == [(MS, 0), (2 * MS, 1), (3 * MS, 2), (SECOND + MS, 3)]


def test_a_rate_comes_before_the_delay() -> None:
    """What leaves the link of that rate is then delayed, all of it alike."""
    left = Line(rate=8_000_000, delay=50 * MS).run([0, 0], length=1000)
    assert left == [(51 * MS, 0), (52 * MS, 1)]


def test_no_more_frames_wait_than_may() -> None:
    """Beyond the limit frames are dropped and counted, and use nothing of the rate."""
    line = Line(rate=8_000_000, limit=3)
    left = line.run([0] * 5 + [10 * MS], length=1000)
    assert left == [(MS, 0), (2 * MS, 1), (3 * MS, 2), (11 * MS, 5)]
    assert line.impairer.counters() == {"tx_delayed": 4, "tx_limit": 2}


def test_a_seed_repeats_everything() -> None:
    """The same seed has the same fate in store, another one another."""
    settings = {"delay": MS, "jitter": MS // 2, "loss": 0.1, "duplicate": 0.1, "reorder": 0.1}
    moments = [which * MS // 4 for which in range(1000)]
    assert Line(**settings, seed=5).run(moments) == Line(**settings, seed=5).run(moments)
    assert Line(**settings, seed=5).run(moments) != Line(**settings, seed=6).run(moments)


def put_super(line: Line, moment: int = 0) -> tuple[bytes, Vnet, bool]:
    """Sends a super-frame; what it was, and whether it left as it was."""
    octets, header, _ = super_frame()
    batch = Batch(1)
    batch.append(octets, header)
    return octets, header, line.impairer.put(batch, 0, moment)


def taken(line: Line, moment: int) -> list[bytes]:
    """What is due by then."""
    batch = Batch(64)
    found: list[bytes] = []
    while line.impairer.take(batch, moment):
        found += [bytes(each) for each in batch]
    return found


def test_a_super_frame_that_is_only_late_stays_whole() -> None:
    """It leaves as it came, with its header, and its octets count for the rate."""
    line = Line(delay=MS, rate=8_000_000)
    octets, header, at_once = put_super(line)
    assert not at_once
    assert line.impairer.due == MS + len(octets) * 1000
    batch = Batch(4)
    assert line.impairer.take(batch, SECOND) == 1
    assert (bytes(batch[0]), batch.vnet(0)) == (octets, header)


def test_a_super_frame_is_cut_where_each_segment_has_its_fate() -> None:
    """Of a super-frame some segments are lost, and the others are those that the kernel would make."""
    line = Line(loss=0.5)
    octets, header, at_once = put_super(line)
    made = segments(octets, header)
    assert made is not None
    assert not at_once
    left = taken(line, 0)
    counted = line.impairer.counters()
    assert 0 < len(left) < len(made)
    assert [each for each in made if each in left] == left
    assert counted == {"tx_lost": len(made) - len(left), "tx_split": 1, "tx_segments": len(made)}


def test_a_header_that_lies_is_not_cut() -> None:
    """What cannot be cut goes on whole, to be refused where it is sent."""
    line = Line(duplicate=1.0)
    batch = Batch(1)
    batch.append(frame(1), Vnet(gso_type=1, gso_size=0))
    assert line.impairer.put(batch, 0, 0)


def test_a_limit_is_changed_while_nothing_waits() -> None:
    """Frames that wait are never lost to a change; the limit is then refused."""
    line = Line(delay=MS, limit=5)
    line.send(0, 0)
    with pytest.raises(ValueError, match="1 frames wait"):
        line.impairer.configure(delay=MS, limit=6)
    line.impairer.configure(delay=5 * MS, limit=5)
    line.wait(SECOND)
    assert line.left == [(MS, 0)]
    line.impairer.configure(delay=MS, limit=6)
    assert (line.impairer.late, line.impairer.due) == (0, None)


@pytest.mark.parametrize("limit", [0, 65_001])
def test_a_limit_has_bounds(limit: int) -> None:
    """No frame at all, or more than places can tell, are refused."""
    with pytest.raises(ValueError, match="1 to 65000"):
        Impairer().configure(delay=1, limit=limit)


def test_the_most_that_may_wait_can() -> None:
    """Every slot of the largest store holds a frame of its own, and gives it back."""
    line = Line(delay=MS, limit=65_000)
    left = line.run([0] * 65_000)
    assert [which for _, which in left] == list(range(65_000))
