"""The guard: sees that a port's namespace has been taken down, or that its name leads to another one.

A port's own descriptors keep its namespace alive (network_namespaces(7)), though nobody finds the way there
any more: it would stay up for ever, in a place that is no more, while another of the same name waits for it.
What happens to names is told by inotify; of a path in /proc nothing is told, and such ports are left alone.
There is one thread, and only while there is a port to guard.
"""

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from vecwire.errors import VecwireError
from vecwire.host import start
from vecwire.transports import TransportPort
from vecwire.transports._paths import Paths

logger = logging.getLogger("vecwire.guard")

UNTOLD = Path("/proc")
#: Seconds after which a guard who could not look tries again.
DELAY = 1.0


class Guard:
    """Tells of ports whose namespace is not the one that its name leads to."""

    def __init__(self) -> None:
        self._change = threading.Lock()
        self._wards: dict[TransportPort, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._wake = -1

    def watch(self, port: TransportPort, astray: Callable[[], None]) -> None:
        """Guards a port, where its spec names a namespace; quick, from any thread.

        Args:
            port: the port.
            astray: called from the guard's thread each time that something happened to the name and it does
                not lead to the port's namespace.
        """
        if port.home is None or UNTOLD in port.home.parents:
            return
        with self._change:
            self._wards[port] = astray
            if self._thread is not None:
                os.eventfd_write(self._wake, 1)
                return
            try:
                self._begin()
            except (OSError, VecwireError) as error:
                # The next port that is to be guarded begins it for all.
                logger.warning("nobody sees when namespaces go, for now: %s", error)

    def _begin(self) -> None:
        """Starts the thread; with the lock held."""
        with contextlib.ExitStack() as made:
            wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            made.callback(os.close, wake)
            thread = threading.Thread(target=self._run, args=(wake,), name="vecwire-guard", daemon=True)
            start(thread)
            made.pop_all()
        self._wake, self._thread = wake, thread

    def forget(self, port: TransportPort) -> None:
        """Leaves a port alone; what is under way may still call its ``astray`` once."""
        with self._change:
            if self._wards.pop(port, None) is not None and self._thread is not None:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Leaves all ports alone; returns once the thread has ended."""
        with self._change:
            self._wards.clear()
            thread = self._thread
            if thread is not None:
                os.eventfd_write(self._wake, 1)
        if thread is not None:
            thread.join()

    def _run(self, wake: int) -> None:
        while True:
            try:
                with contextlib.closing(Paths()) as paths, select.epoll() as events:
                    events.register(wake, select.EPOLLIN)
                    events.register(paths.fileno(), select.EPOLLIN)
                    self._look(wake, paths, events)
                    return
            except (OSError, MemoryError) as error:
                # Such as no descriptors left: it is looked again later, and what went meanwhile is seen then.
                logger.warning("nobody sees when namespaces go, for now: %s", error)
            if not self._rest(wake):
                return

    def _rest(self, wake: int) -> bool:
        """Lets some time pass; False, and the thread is to end, where nobody is guarded any more."""
        rest = select.poll()
        rest.register(wake, select.POLLIN)
        rest.poll(DELAY * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(wake)
        with self._change:
            if not self._wards:
                self._end()
                return False
        return True

    def _look(self, wake: int, paths: Paths, events: select.epoll) -> None:
        """Looks after the wards until there are none."""
        known: set[Path] = set()
        while True:
            with self._change:
                wards = dict(self._wards)
                if not wards:
                    self._end()
                    return
            homes = {port.home for port in wards if port.home is not None}
            for path in homes - known:
                paths.add(path)
            for path in known - homes:
                paths.remove(path)
            # What happened before the path was watched is not told.
            touched, known = homes - known, homes
            if not touched:
                events.poll()
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(wake)
                touched = paths.read()
            for port, astray in wards.items():
                if port.home in touched and port.astray:
                    astray()

    def _end(self) -> None:
        """Notes that the thread ends; with the lock held."""
        os.close(self._wake)
        self._wake, self._thread = -1, None
