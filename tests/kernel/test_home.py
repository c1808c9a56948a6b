"""Where a worker runs: a busy one stays on a processor, one with nothing to do may run on any of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.accounting import cable
from peers.frames import fill, frame
from peers.net import Namespace, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Cable, Port
    from vecwire.transports import TransportPort

PATIENCE = 10.0


@pytest.fixture
def ends() -> Iterator[tuple[Port, TransportPort, TransportPort]]:
    """A port to send through, and the two ends of a cable that its frames come to; nobody is behind it."""
    with (
        Namespace("home", ipv6=False) as made,
        made.enter(),
    ):
        veth((made, "left0"), (made, "left1"))
        veth((made, "right0"), (made, "right1"))
        with (
            vecwire.open("raw,ifname=left1") as near,
            vecwire.open("raw,ifname=left0") as a,
            vecwire.open("raw,ifname=right0") as b,
        ):
            yield near, a, b


@contextlib.contextmanager
def flood(port: Port) -> Iterator[None]:
    """Sends full batches through a port, one after the other, while the context lasts."""
    over = threading.Event()
    batch = port.batch()
    fill(batch, [frame(number) for number in range(64)])

    def send() -> None:
        while not over.is_set():
            port.send(batch)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


@contextlib.contextmanager
def joined(a: TransportPort, b: TransportPort) -> Iterator[tuple[Cable, int]]:
    """A cable, and its worker's thread as the kernel numbers it."""
    before = set(threading.enumerate())
    with cable(a, b) as made:
        numbers = [
            thread.native_id
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith(("vecwire-worker", "vecwire-cable"))
        ]
        assert len(numbers) == 1
        assert numbers[0] is not None
        yield made, numbers[0]


def stays(thread: int) -> bool:
    """Whether a thread may run on one processor alone."""
    return len(os.sched_getaffinity(thread)) == 1


def test_a_busy_worker_stays_and_an_idle_one_is_free(ends: tuple[Port, TransportPort, TransportPort]) -> None:
    """While frames flow the worker is on one processor; with nothing to do it is given back all it had."""
    near, a, b = ends
    with joined(a, b) as (made, thread):
        own = os.sched_getaffinity(thread)
        for _ in range(2):
            with flood(near):
                wait_until(lambda: stays(thread), timeout=PATIENCE, what="the worker stays", interval=0.001)
            wait_until(
                lambda: os.sched_getaffinity(thread) == own, timeout=PATIENCE, what="the worker is free"
            )
        assert made.wakeups


def test_single_frames_leave_a_worker_free(ends: tuple[Port, TransportPort, TransportPort]) -> None:
    """A worker through which one frame at a time passes is left where the scheduler puts it."""
    near, a, b = ends
    batch = near.batch()
    fill(batch, [frame(1)])
    with joined(a, b) as (_, thread):
        own = os.sched_getaffinity(thread)
        for _ in range(500):
            before = b.stats.tx_frames
            near.send(batch)
            wait_until(
                lambda before=before: b.stats.tx_frames > before,  # type: ignore[misc]
                timeout=PATIENCE,
                what="the frame has passed",
                interval=0,
            )
            assert os.sched_getaffinity(thread) == own


def test_whoever_places_a_worker_has_the_last_word(ends: tuple[Port, TransportPort, TransportPort]) -> None:
    """Processors that are given to a worker while it stays are those that it has afterwards."""
    near, a, b = ends
    with joined(a, b) as (_, thread):
        own = os.sched_getaffinity(thread)
        with flood(near):
            wait_until(lambda: stays(thread), timeout=PATIENCE, what="the worker stays", interval=0.001)
            given = {min(own - os.sched_getaffinity(thread), default=min(own))}
            os.sched_setaffinity(thread, given)
            start = a.stats.rx_calls
            wait_until(lambda: a.stats.rx_calls > start + 5000, timeout=PATIENCE, what="frames flow")
        assert os.sched_getaffinity(thread) == given
