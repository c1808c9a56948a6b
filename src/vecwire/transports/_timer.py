"""A timer as a descriptor (timerfd_create(2)): readable now and then while a port is to be brought back."""

import contextlib
import ctypes
import os
import time

from vecwire.transports import _libc
from vecwire.transports._descriptor import Descriptor

_Times = (
    ctypes.c_long * 4
)  # struct itimerspec: the interval, then the first time, each in seconds and nanoseconds


class Timer(Descriptor):
    """Is readable every so often while it is armed.

    Raises:
        OSError: if the kernel gives none.
    """

    def __init__(self) -> None:
        super().__init__(-1, "timer")
        self._fd = _libc.call("timerfd_create", time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)

    def arm(self, seconds: float) -> None:
        """Makes it readable every ``seconds``; 0 stops it."""
        times = divmod(round(seconds * 1e9), 1_000_000_000)
        _libc.call("timerfd_settime", self.fileno(), 0, _Times(*times, *times), None)

    def clear(self) -> None:
        """Makes it unreadable until the next time."""
        # One that cannot be read stays readable, and is read again.
        with contextlib.suppress(OSError):
            os.read(self.fileno(), 8)
