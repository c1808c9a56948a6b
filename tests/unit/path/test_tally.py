"""The tally: runs, flows, marks, and what is no frame of a blast."""

import pytest

from vecwire import Batch
from vecwire.path.tally import MEANINGS, Tally
from vecwire.traffic import Traffic


def stamped(**numbers: int) -> bytes:
    """A frame with a stamp."""
    return Traffic().pattern().frame(60, **numbers)  # type: ignore[arg-type]


def test_a_batch_is_judged_frame_by_frame() -> None:
    """Good, damaged and foreign frames are told apart, and how late the good one is."""
    damaged = bytearray(stamped(sequence=1))
    damaged[45] ^= 1
    batch = Batch(8)
    batch.extend([stamped(moment=1_000_000), damaged, bytes(60)])
    tally = Tally()
    tally.judge(batch, 3_000_000)
    counts = tally.counts()
    assert (counts["received"], counts["corrupted"], counts["foreign"], counts["octets"]) == (1, 1, 1, 60)
    assert tally.latency.most == 2_000_000
    assert set(counts) == set(MEANINGS)


def test_a_frame_from_the_future_is_counted() -> None:
    """A frame that comes before it was sent, by the clocks, is early, and its latency zero."""
    batch = Batch(1)
    batch.append(stamped(moment=5))
    tally = Tally()
    tally.judge(batch, 4)
    assert (tally.early, tally.latency.most, tally.received) == (1, 0, 1)


def test_a_flow_of_which_nothing_came_is_lost() -> None:
    """With marks the sink knows of frames that it has never seen."""
    tally = Tally()
    tally.take(1, 0, 0, kind="begin")
    tally.take(1, 0, 10, kind="end")
    tally.take(1, 1, 10, kind="end")
    tally.take(1, 1, 10, kind="end")
    assert (tally.expected, tally.lost, tally.ended) == (20, 20, 2)


def test_the_oldest_run_makes_room() -> None:
    """More runs than there is room for: what was counted stays, and the latest goes on."""
    tally = Tally()
    for run in range(200):
        tally.take(run, 0, 5)
        tally.take(run, 0, 7)
    tally.take(199, 0, 6)
    assert (tally.received, tally.lost, tally.reordered) == (401, 199, 1)


def test_there_is_no_such_flow() -> None:
    """A flow has 15 bits."""
    with pytest.raises(ValueError, match="flow"):
        Tally().take(0, 32768, 0)
