"""The wrapper that impairs what a port sends."""

import contextlib
import secrets
import select
import threading
import time

from vecwire.path.batch import Batch
from vecwire.path.impairer import Impairer
from vecwire.port import Port, PortStats
from vecwire.spec import Impairment
from vecwire.transports._timer import Timer
from vecwire.wrappers.base import Wrapper

#: Frames that leave at a time.
DEPTH = 64
#: Frames that are judged at a time: so many are held at the most when the port has no room for them.
JUDGED = 16
#: After every time, in nanoseconds.
EVER = 2**63
#: Seconds between two tries to send what the port has no room for, while somebody waits for frames.
AGAIN = 0.01


class Impaired(Wrapper):
    """Treats what a port sends as a bad line would, as the options of a spec do (tc-netem(8)).

    What is due leaves within ``recv``, ``send`` and ``wait``, and ``fileno`` is readable when something is.
    Frames that wait when it is closed are dropped, and count as ``tx_down``.

    Args:
        port: the port.
        impairment: what is done to frames.
    """

    def __init__(self, port: Port, impairment: Impairment) -> None:
        super().__init__(port)
        self._judge = Impairer()
        self._lock = threading.Lock()
        # What is to leave now and was not taken yet, from that frame on.
        self._leaving = Batch(DEPTH)
        self._first = 0
        self._leaving_since = 0
        self._given_up = 0
        self._poll_set: select.epoll | None = None
        self._timer: Timer | None = None
        self.impairment = Impairment()
        self.impair(impairment)

    def impair(self, impairment: Impairment) -> None:
        """Changes what is done to frames; those that wait leave when they were due.

        They leave at once where ``limit`` changes, or nothing is to be done to frames any more.
        """
        with self._lock:
            if not impairment or impairment.limit != self.impairment.limit:
                self._release(EVER)
                self._given_up += self._judge.forget()
            self._judge.configure(**{"seed": secrets.randbits(64), **impairment.numbers()})
            self.impairment = impairment

    @property
    def stats(self) -> PortStats:
        """The counters as they stand now: the port's, and what was done to frames."""
        counters = dict(self.port.stats.counters)
        for name, count in self._judge.counters().items():
            counters[name] += count
        counters["tx_down"] += self._given_up
        return PortStats(counters)

    def recv(self, batch: Batch) -> int:
        """Receives frames into ``batch``; how many it holds then.

        Raises:
            ClosedError: if the port is closed.
        """
        self._go_on()
        return super().recv(batch)

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends the frames of ``batch`` from ``first`` on; how many are done with.

        Raises:
            ClosedError: if the port is closed.
            ValueError: if there is no frame ``first``, or one was given a length that leaves its slot.
        """
        if self.closed or not 0 <= first <= len(batch):
            return self.port.send(batch, first)
        for _ in batch:
            pass  # what was written into the columns is looked at here, before anything is judged
        with self._lock:
            done = first
            while done < len(batch) and self._release() and self.port.wait(0, write=True):
                done = self._judge_all(batch, done, min(len(batch), done + JUDGED))
            self._release()
            self._follow()
        return done - first

    def _judge_all(self, batch: Batch, first: int, last: int) -> int:
        """Judges frames, and sends those that leave now: the others are hidden from the port meanwhile."""
        moment = time.monotonic_ns()
        mask = batch.mask
        wanted = bytes(mask)
        try:
            for index in range(first, last):
                if mask[index] and not self._judge.put(batch, index, moment):
                    mask[index] = 0
            mask[last:] = bytes(len(mask) - last)
            reached = first + self.port.send(batch, first)
            headers = batch.vnet
            for index in range(reached, last):
                if mask[index]:
                    self._leaving.append(batch[index], headers[index])
                    self._leaving_since = moment
        finally:
            mask[:] = wanted
        return last

    def _release(self, until: int | None = None) -> bool:
        """Sends what is due, or is until a time; False where the port has no room for all of it."""
        while True:
            if self._first < len(self._leaving):
                self._first += self.port.send(self._leaving, self._first)
                if self._first < len(self._leaving):
                    return False
            self._first = 0
            self._leaving_since = time.monotonic_ns()
            if not self._judge.take(self._leaving, self._leaving_since if until is None else until):
                return True

    def _go_on(self) -> bool:
        """Sends what is due, unless another thread is about to; whether nothing is left that is."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._timer is not None:
                self._timer.clear()
            done = self.closed or self._release()
            self._follow()
        finally:
            self._lock.release()
        return done

    @property
    def due(self) -> int | None:
        """When the next frame that is delayed leaves, in nanoseconds of the monotonic clock; None without.

        What the port had no room for was due then.
        """
        with self._lock:
            waiting = self._first < len(self._leaving)
            moments = [self._leaving_since if waiting else self._judge.due, super().due]
        return min((each for each in moments if each is not None), default=None)

    def _until_due(self) -> float | None:
        """Seconds until the next frame leaves; None where none waits."""
        due = self._judge.due
        return None if due is None else max(0.0, (due - time.monotonic_ns()) / 1e9)

    def _follow(self) -> None:
        """Has the descriptor be readable when the next frame is due."""
        if self._timer is not None and not self.closed:
            due = self._until_due()
            self._timer.arm(0 if due is None else max(due, 1e-6))

    def wait(self, timeout: float | None = None, *, write: bool = False) -> bool:
        """Waits until frames can be received, or sent with ``write``; False where the time ran out.

        Raises:
            ClosedError: if the port is closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            done = self._go_on()
            moments = [
                moment for moment in (self._until_due(), None if done else AGAIN) if moment is not None
            ]
            if deadline is not None:
                moments.append(max(0.0, deadline - time.monotonic()))
            ready = self.port.wait(min(moments) if moments else None, write=write)
            if ready and (done or not write or self._go_on()):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def fileno(self) -> int:
        """A descriptor that is readable when frames may be received, or one is to leave; it stays the same.

        Raises:
            ClosedError: if the port is closed.
        """
        inner = self.port.fileno()
        if self._poll_set is None or self._timer is None:
            self._timer = Timer()
            self._poll_set = select.epoll()
            self._poll_set.register(self._timer, select.EPOLLIN)
            self._poll_set.register(inner, select.EPOLLIN)
            self._follow()
        return self._poll_set.fileno()

    def close(self) -> None:
        """Gives everything back; what still waits is dropped. Again and again does no harm."""
        if self.closed:
            return
        with self._lock:
            self.port.close()
            self._given_up += self._judge.forget() + len(self._leaving) - self._first
            self._leaving.clear()
            self._first = 0
            for owned in (self._poll_set, self._timer):
                if owned is not None:
                    with contextlib.suppress(OSError):
                        owned.close()
