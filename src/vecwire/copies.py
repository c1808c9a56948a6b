"""Copies of a port's frames, for those who live beside it: the log, a file.

Theory of operation: the engine copies what a port receives and sends into a socket (``Engine.capture``). One
thread reads there, all that waits at a time, and gives it to each who takes it. The port waits for nobody:
while takers are slow the socket fills, and what finds no room in it is not copied, and counted. A taker that
fails is left out from then on; without any the copying ends. The thread gives up what the engine's gives up,
and is held to what reading frames and writing files takes.
"""

import contextlib
import errno
import logging
import math
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

from vecwire import confine
from vecwire.confine import seccomp
from vecwire.engine import Engine
from vecwire.errors import VecwireError
from vecwire.path.batch import Batch
from vecwire.path.worker import FOR_TRACE
from vecwire.transports import TransportPort
from vecwire.transports._descriptor import Descriptor

logger = logging.getLogger("vecwire.copies")

#: Frames that are given to takers at a time.
DEPTH = 64
LONGEST = 1 << 17
#: Seconds that takers are waited for when it is to end.
LAST_SECONDS = 5.0
#: What read(2) may say once and not again: a signal, no memory for now.
TRANSIENT = frozenset((errno.EINTR, errno.ENOBUFS, errno.ENOMEM))


class Taker(Protocol):
    """Takes copies, all by calls of one thread."""

    def take(self, batch: Batch) -> None:
        """Takes frames; their times are those at which they were read.

        Raises:
            VecwireError: if it can take no more.
        """
        ...

    def rest(self) -> None:
        """Is told that nothing waits any more, after every time that something did.

        Raises:
            VecwireError: if it can take no more.
        """
        ...

    def end(self) -> None:
        """Is told that nothing more comes, once."""
        ...


class Copies:
    """Gives copies of what a port receives and sends to takers, from ``start`` to ``stop``.

    Args:
        port: the port, which has a place in the engine when it is started.
        engine: moves the port's frames.
        name: what the port is called in the log.
    """

    def __init__(self, port: TransportPort, *, engine: Engine, name: str | None = None) -> None:
        self._port = port
        self._takers: list[Taker] = []
        self._engine = engine
        self._name = name or port.spec.public
        self._count: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self._thread: threading.Thread | None = None
        self._end = math.inf

    def start(self, *takers: Taker) -> Self:
        """Begins.

        Args:
            takers: who takes the copies; each is told the end, whatever comes, unless this raises.

        Raises:
            PortError: if the port has no place in the engine, or is copied for takers already, or there is no
                thread to be had.
            UnsupportedError: if the thread must be held to its system calls, and cannot be.
        """
        self._takers = list(takers)
        self._end = math.inf
        with contextlib.ExitStack() as made:
            number = self._engine.capture(self._port, purpose=FOR_TRACE)
            made.callback(self._engine.end_capture, self._port, purpose=FOR_TRACE)
            # The number is its own from here on, and is closed once.
            reader = made.enter_context(Descriptor(number, "copies"))
            os.set_blocking(number, False)
            self._count = self._engine.counting(self._port, purpose=FOR_TRACE)
            given = (reader, Batch(DEPTH), memoryview(bytearray(LONGEST)))
            thread = threading.Thread(target=self._read, args=given, name="vecwire-copies", daemon=True)
            confine.start(thread, self._engine.confine, seccomp.READER)
            made.pop_all()
        self._thread = thread
        return self

    @property
    def counts(self) -> tuple[int, int]:
        """Frames that were copied since it was started, and those that came too fast; after its end, too."""
        return self._count()

    @property
    def over(self) -> bool:
        """Whether it was to end so long ago that no taker may wait for anything any more."""
        return time.monotonic() > self._end

    def stop(self) -> None:
        """Ends it; returns once every taker has had what was copied, and was told the end."""
        self._end = time.monotonic() + LAST_SECONDS
        if self._thread is not None:
            self._engine.end_capture(self._port, purpose=FOR_TRACE)
            self._thread.join()
            self._thread = None

    def _read(self, reader: Descriptor, batch: Batch, room: memoryview) -> None:
        watch = select.poll()
        watch.register(reader, select.POLLIN)
        with reader:
            more = True
            while more and self._takers:
                with contextlib.suppress(OSError):  # no memory for now
                    watch.poll()
                more = self._fill(reader, batch, room)
                if len(batch):
                    self._each(lambda taker: taker.take(batch))
                if len(batch) < DEPTH:
                    self._each(lambda taker: taker.rest())
            self._each(lambda taker: taker.end())

    def _fill(self, reader: Descriptor, batch: Batch, room: memoryview) -> bool:
        """Reads what waits into a batch, as much as it holds; whether more may come."""
        batch.clear()
        while len(batch) < DEPTH:
            try:
                length = os.readv(reader.fileno(), [room])
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in TRANSIENT:
                    continue
                logger.warning("%s: its frames are not copied any more: %s", self._name, error.strerror)
                return False
            if not length:
                return False
            batch.append(room[:length], timestamp=time.time_ns())
        return True

    def _each(self, tell: Callable[[Taker], object]) -> None:
        """Tells something to every taker; one that fails is told no more."""
        for taker in list(self._takers):
            try:
                tell(taker)
            except (VecwireError, MemoryError) as error:
                logger.error("%s: %s", self._name, error or "no memory")  # noqa: TRY400 # it explains itself
                self._takers.remove(taker)
                with contextlib.suppress(VecwireError, MemoryError):
                    taker.end()
