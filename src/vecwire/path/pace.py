"""Frames at their time: a schedule for the frames of a batch, and sending that keeps to it.

Theory of operation: a schedule is a column of moments of CLOCK_MONOTONIC, one a frame. ``Pacer.send``
sleeps until the first frame is due, and then sends all that are due by then with one call. So a low rate
is exact to the precision of the kernel's timers, and at a high one frames leave in small batches: the
rate holds, since the schedule never moves, and how late each frame was is noted. ``spin`` trades
processor time for precision.
"""

from typing import Any

import cython
from cython.cimports.libc.math import ldexp
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.clock import loosen, monotonic, sleep_until, tighten
from cython.cimports.vecwire.path.histogram import Histogram, enter
from cython.cimports.vecwire.path.pace import MOST_PACED
from cython.cimports.vecwire.path.slots import Slots

#: The longest that a call of ``send`` takes, in nanoseconds: whoever calls looks around in between.
PATIENCE = cython.declare(int64_t, 50_000_000)
#: How long ``send`` waits for room at a time, in seconds.
ROOM_SECONDS = 0.05


@cython.cclass
class Pacer:
    """Sends the frames of batches, each at its time.

    Use: ``start``; then for each batch one of ``at_rate``, ``at_bits`` and ``at_times``, and ``send`` until
    all its frames are done with.

    Args:
        spin: nanoseconds before a frame is due from which on the processor is kept instead of sleeping.
    """

    due: int64_t[MOST_PACED]
    _clock: cython.double
    _spin: int64_t
    #: Frames that were sent, or dropped and counted; their octets; the calls that took.
    frames: uint64_t
    octets: uint64_t
    calls: uint64_t
    #: How late they were given to the kernel, in nanoseconds.
    late: Histogram

    def __init__(self, *, spin: int = 0) -> None:
        self._spin = spin
        self.late = Histogram()
        self.start()

    def start(self, delay: float = 0.0) -> None:
        """Begins the schedule: the next frame is due after ``delay`` seconds from now."""
        self._clock = cython.cast(cython.double, monotonic()) + delay * 1e9

    @property
    def due_next(self) -> float:
        """When the frame after the last one scheduled is due, in seconds of ``time.monotonic``."""
        return self._clock / 1e9

    def at_rate(self, batch: Batch, frames: float) -> None:
        """Schedules a batch at so many frames a second; 0 is as fast as it goes.

        Raises:
            ValueError: if the rate is negative, or the batch too large.
        """
        self._schedule(batch, frames, 0.0)

    def at_bits(self, batch: Batch, bits: float) -> None:
        """Schedules a batch at so many bits of frames a second, without preamble, check sequence and gap.

        Raises:
            ValueError: if the rate is negative, or the batch too large.
        """
        self._schedule(batch, 0.0, bits)

    def _schedule(self, batch: Batch, frames: float, bits: float) -> None:
        slots = cython.address(batch.slots)
        _check(batch)
        if frames < 0 or bits < 0:
            raise ValueError("a rate is not negative")
        step: cython.double = 1e9 / frames if frames else 0.0
        octet: cython.double = 8e9 / bits if bits else 0.0
        clock: cython.double = self._clock
        i: uint32_t
        if not frames and not bits:
            clock = cython.cast(cython.double, monotonic())
        for i in range(slots.count):
            self.due[i] = cython.cast(int64_t, clock)
            clock += step + octet * slots.lengths[i]
        self._clock = clock

    def at_times(self, batch: Batch, base: int, speed: float = 1.0) -> None:
        """Schedules a batch at the times when its frames were seen.

        Args:
            batch: the frames, with their ``timestamps``.
            base: the time that stands for the moment of ``start``.
            speed: how many times as fast. A frame that is earlier than the one before comes with that one.

        Raises:
            ValueError: if the speed is not positive, or the batch too large.
        """
        slots = cython.address(batch.slots)
        _check(batch)
        i: uint32_t
        zero: uint64_t = base
        start: cython.double = self._clock
        due: int64_t = cython.cast(int64_t, start)
        if not speed > 0:
            raise ValueError("a speed is positive")
        for i in range(slots.count):
            if slots.stamped and slots.stamps[i] > zero:
                moment: cython.double = start + cython.cast(cython.double, slots.stamps[i] - zero) / speed
                # Later than any clock goes is never.
                moment = min(moment, ldexp(1.0, 62))
                due = max(due, cython.cast(int64_t, moment))
            self.due[i] = due

    def send(self, port: Any, batch: Batch, first: int = 0) -> int:
        """Sends frames from ``first`` on, each when it is due; how many are done with.

        It comes back when all are, after 50 ms at the most. What the kernel has no room for is waited for.

        Args:
            port: any port.
            batch: frames that were scheduled.
            first: the first frame.

        Raises:
            ClosedError: if the port is closed.
            ValueError: if the batch is too large.
        """
        slots = cython.address(batch.slots)
        whole: uint32_t = slots.count
        index: uint32_t = first
        stop: uint32_t
        end: int64_t = monotonic() + PATIENCE
        now: int64_t
        _check(batch)
        if not hasattr(port, "channel"):
            # A port in Python may ask for the columns: they are made while all frames are seen.
            _ = batch.mask
        slack: cython.int = tighten()
        try:
            while index < whole:
                with cython.nogil:
                    stop = self._ready(slots, index, end)
                if stop == index:
                    break
                # What is not due yet is hidden from the port for this call.
                slots.count = stop
                try:
                    now = monotonic()
                    done: uint32_t = port.send(batch, index)
                finally:
                    slots.count = whole
                self._note(slots, index, index + done, now)
                index += done
                if index < stop:
                    port.wait(ROOM_SECONDS, write=True)
                if monotonic() > end:
                    break
        finally:
            loosen(slack)
        return index - cython.cast(uint32_t, first)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _ready(self, slots: cython.pointer[Slots], first: uint32_t, deadline: int64_t) -> uint32_t:
        """Sleeps until a frame is due; the first frame that is not. ``first`` where it was given up."""
        wanted: int64_t = self.due[first]
        stop: uint32_t = first
        if wanted > deadline:
            sleep_until(deadline, 0)
            return first
        sleep_until(wanted, self._spin)
        now: int64_t = monotonic()
        while stop < slots.count and self.due[stop] <= now:
            stop += 1
        return stop

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _note(
        self, slots: cython.pointer[Slots], first: uint32_t, last: uint32_t, now: int64_t
    ) -> cython.void:
        """Notes how late frames were when they were given to the kernel."""
        i: uint32_t
        self.calls += 1
        for i in range(first, last):
            enter(cython.address(self.late.counts), cython.cast(uint64_t, max(now - self.due[i], 0)))
            self.octets += slots.lengths[i]
        self.frames += last - first


def _check(batch: Batch) -> None:
    if batch.slots.count > MOST_PACED:
        raise ValueError(f"a schedule has at most {MOST_PACED} frames, not {batch.slots.count}")
