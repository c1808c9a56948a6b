"""Frames at their time: the schedule, and that it is kept."""

from __future__ import annotations

import time

import pytest

from peers.frames import frame
from vecwire.path.batch import Batch
from vecwire.path.pace import Pacer
from vecwire.testing import MemoryPort, pair

FRAMES = [frame(number, 100) for number in range(20)]


def batch_of(frames: list[bytes], *, gap: int = 0) -> Batch:
    """A batch with the frames, so many nanoseconds apart."""
    batch = Batch(len(frames))
    for number, octets in enumerate(frames):
        batch.append(octets, timestamp=1000 + number * gap)
    return batch


def send_all(pacer: Pacer, port: MemoryPort, batch: Batch) -> float:
    """Sends a batch to its end; how many seconds that took."""
    start = time.monotonic()
    first = 0
    while first < len(batch):
        first += pacer.send(port, batch, first)
    return time.monotonic() - start


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        (lambda pacer, batch: pacer.at_rate(batch, 200), 19 / 200),
        (lambda pacer, batch: pacer.at_bits(batch, 160_000), 19 / 200),
        (lambda pacer, batch: pacer.at_times(batch, 1000), 0.19),
        (lambda pacer, batch: pacer.at_times(batch, 1000, 2.0), 0.095),
        (lambda pacer, batch: pacer.at_rate(batch, 0), 0),
    ],
)
def test_no_frame_leaves_before_its_time(how: object, seconds: float) -> None:
    """A rate in frames, in bits, the times of the frames, faster, at once: the last is never early."""
    left, right = pair()
    with left, right:
        pacer = Pacer()
        batch = batch_of(FRAMES, gap=10_000_000)
        pacer.start()
        how(pacer, batch)  # type: ignore[operator] # a function of the two
        assert send_all(pacer, left, batch) >= seconds - 0.001
        received = right.batch()
        assert right.recv(received) == len(FRAMES)
        assert [bytes(each) for each in received] == FRAMES
    assert (pacer.frames, pacer.octets) == (20, 2000)
    assert len(pacer.late) == 20
    assert pacer.late.percentile(50) <= pacer.late.most


def test_what_comes_before_its_predecessor_comes_with_it() -> None:
    """Times that go backwards reorder nothing and wait for nothing."""
    left, right = pair()
    with left, right:
        batch = Batch(3)
        for stamp, octets in zip((5_000_000, 30_000_000, 1), FRAMES, strict=False):
            batch.append(octets, timestamp=stamp)
        pacer = Pacer()
        pacer.start()
        pacer.at_times(batch, 5_000_000)
        assert send_all(pacer, left, batch) >= 0.024
        received = right.batch()
        right.recv(received)
        assert [bytes(each) for each in received] == FRAMES[:3]


def test_a_rate_goes_on_from_batch_to_batch() -> None:
    """The next batch is due after the one before, whenever it is scheduled."""
    left, right = pair()
    with left, right:
        pacer = Pacer()
        pacer.start()
        start = pacer.due_next
        for _ in range(2):
            pacer.at_rate(batch_of(FRAMES), 1000)
        assert pacer.due_next == pytest.approx(start + 0.04)


def test_a_port_without_room_is_waited_for() -> None:
    """What the port does not take now stays, and is sent once there is room."""
    left, right = pair(capacity=5)
    with left, right:
        pacer = Pacer()
        batch = batch_of(FRAMES)
        pacer.at_rate(batch, 0)
        done = pacer.send(left, batch)
        assert done == 5
        found: list[bytes] = []
        received = right.batch()
        while done < len(batch):
            right.recv(received)
            found += [bytes(each) for each in received]
            done += pacer.send(left, batch, done)
        right.recv(received)
        assert [*found, *(bytes(each) for each in received)] == FRAMES
    assert pacer.frames == 20


def test_it_comes_back_long_before_a_frame_that_is_due_late() -> None:
    """Whoever sends looks around, however far the next frame is."""
    left, right = pair()
    with left, right:
        pacer = Pacer()
        pacer.start(1000.0)
        batch = batch_of(FRAMES)
        pacer.at_rate(batch, 1)
        assert pacer.send(left, batch) == 0
        assert len(batch) == len(FRAMES)


@pytest.mark.parametrize(
    "how", [lambda pacer, batch: pacer.at_rate(batch, -1), lambda pacer, batch: pacer.at_times(batch, 0, 0.0)]
)
def test_what_is_no_schedule(how: object) -> None:
    """Rates are not negative, speeds positive."""
    with pytest.raises(ValueError, match=r"negative|positive"):
        how(Pacer(), batch_of(FRAMES))  # type: ignore[operator] # a function of the two
