"""How long a capture goes on, and what it waits for when it is over."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from vecwire.cli._dumping import LAST_SECONDS, Patience
from vecwire.cli._wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves on."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    """Takes Ctrl-C."""
    with Wakeup((signal.SIGINT,)) as made:
        yield made


def test_a_signal_ends_it(wakeup: Wakeup, clock: list[float]) -> None:
    """It goes on until then, and is over from then on."""
    patience = Patience(wakeup, None)
    clock[0] += 1e6
    patience.wait(seconds=0)
    assert not patience.over
    signal.raise_signal(signal.SIGINT)
    patience.wait(seconds=60)
    assert patience.over


def test_the_duration_ends_it(wakeup: Wakeup, clock: list[float]) -> None:
    """It is over when the time is, without a signal, and nobody sleeps for longer."""
    patience = Patience(wakeup, 5.0)
    assert not patience.over
    clock[0] += 5.0
    patience.wait(seconds=60)
    assert patience.over
    assert patience.with_a_pipe(0)


def test_a_pipe_is_waited_for_while_somebody_reads(wakeup: Wakeup, clock: list[float]) -> None:
    """Without end before the end, then as long as octets are taken, and for a while more."""
    patience = Patience(wakeup, None)
    assert patience.with_a_pipe(10)
    clock[0] += 1e6
    assert patience.with_a_pipe(10)
    signal.raise_signal(signal.SIGINT)
    assert patience.with_a_pipe(10)
    for taken in range(11, 20):
        clock[0] += 0.9 * LAST_SECONDS
        assert patience.with_a_pipe(taken)
    clock[0] += 1.1 * LAST_SECONDS
    assert not patience.with_a_pipe(19)


def test_a_disk_is_waited_for_however_slow(wakeup: Wakeup, clock: list[float]) -> None:
    """Nobody gives it up for the time that it takes, but for a second signal."""
    patience = Patience(wakeup, None)
    signal.raise_signal(signal.SIGINT)
    assert patience.with_a_disk(0)
    clock[0] += 1e6
    assert patience.with_a_disk(0)
    signal.raise_signal(signal.SIGINT)
    assert not patience.with_a_disk(0)
    assert not patience.with_a_pipe(1)
