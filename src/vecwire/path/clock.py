"""Clocks in nanoseconds, and sleeping until a moment: exact where that matters, idle where it does not.

Theory of operation: a sleep ends late, by the timer's slack (50 us unless told otherwise, prctl(2)) and by
the time that it takes to wake a processor up. ``tighten`` takes the slack away; ``sleep_until`` ends its
sleep a little early and spends the rest awake. So a thousand moments a second cost a few percent of a
processor, and a hundred thousand cost all of one, since no sleep is that short.
"""

import cython
from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.vecwire.path.linux import (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    PR_GET_TIMERSLACK,
    PR_SET_TIMERSLACK,
    TIMER_ABSTIME,
    clock_gettime,
    clock_nanosleep,
    prctl,
    timespec,
)

NANOSECONDS = cython.declare(int64_t, 1_000_000_000)


def monotonic() -> int64_t:
    """The time of CLOCK_MONOTONIC."""
    now: timespec
    clock_gettime(CLOCK_MONOTONIC, cython.address(now))
    return now.tv_sec * NANOSECONDS + now.tv_nsec


def now() -> uint64_t:
    """The time of CLOCK_MONOTONIC, for whoever counts without signs."""
    return cython.cast(uint64_t, monotonic())


def realtime() -> int64_t:
    """The time of CLOCK_REALTIME, since 1970."""
    now: timespec
    clock_gettime(CLOCK_REALTIME, cython.address(now))
    return now.tv_sec * NANOSECONDS + now.tv_nsec


def sleep_until(moment: int64_t, spin: int64_t) -> cython.void:
    """Waits until a moment of CLOCK_MONOTONIC, the last ``spin`` nanoseconds of it awake."""
    until: timespec
    if moment - spin > monotonic():
        until.tv_sec = (moment - spin) // NANOSECONDS
        until.tv_nsec = (moment - spin) % NANOSECONDS
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, cython.address(until), cython.NULL)
    while monotonic() < moment:
        pass


def tighten() -> cython.int:
    """Takes the slack of the calling thread's timers away; what it was."""
    slack: cython.int = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    return slack


def loosen(slack: cython.int) -> cython.void:
    """Gives the slack back."""
    prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0)
