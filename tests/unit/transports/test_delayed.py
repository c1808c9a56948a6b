"""Time for what a port delays: whoever sleeps or ends gives it that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame
from vecwire import Impairment, Port
from vecwire.testing import pair
from vecwire.transports import _delayed
from vecwire.transports._delayed import drain, due, rest
from vecwire.wrappers import Impaired, Traced

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY = 0.02
FRAMES = [frame(number) for number in range(5)]


@pytest.fixture
def ends() -> Iterator[tuple[Port, Port]]:
    """A port that delays frames, in a wrapper, and the other end."""
    left, right = pair(capacity=3)
    with Traced(Impaired(left, Impairment(delay=DELAY))) as port, right:
        yield port, right


def sent(port: Port, count: int) -> None:
    """Has a port take so many frames."""
    batch = port.batch()
    batch.extend(FRAMES[:count])
    assert port.send(batch) == count


def test_draining_ends_with_the_last_frame(ends: tuple[Port, Port]) -> None:
    """Nothing is delayed afterwards, and all has arrived; what delays nothing is drained at once."""
    port, other = ends
    sent(port, 3)
    moment = due(port)
    assert moment is not None
    assert moment <= time.monotonic() + DELAY
    assert drain(port)
    assert due(port) is None
    batch = other.batch()
    other.recv(batch)
    assert [bytes(each) for each in batch] == FRAMES[:3]
    assert drain(other, lambda: pytest.fail("there is nothing to wait for"))


def test_draining_may_be_given_up(ends: tuple[Port, Port]) -> None:
    """It ends when it is told to, and the frames go on waiting."""
    sent(ends[0], 2)
    assert not drain(ends[0], lambda: False)
    assert due(ends[0]) is not None


def test_draining_ends_where_there_is_no_room(
    ends: tuple[Port, Port], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that takes nothing any more is not waited for without end; frames that it took stay sent."""
    monkeypatch.setattr(_delayed, "ROOM_SECONDS", DELAY)
    sent(ends[0], 5)
    assert not drain(ends[0])
    batch = ends[1].batch()
    ends[1].recv(batch)
    assert [bytes(each) for each in batch] == FRAMES[:3]


def test_what_is_due_leaves_while_one_rests(ends: tuple[Port, Port]) -> None:
    """A rest that is longer than the delay lets the frames out before it is over."""
    sent(ends[0], 1)
    rest(ends[0], time.monotonic() + 10 * DELAY)
    assert due(ends[0]) is None
    assert ends[1].wait(0)
