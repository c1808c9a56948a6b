"""A trace: a line of the log for each frame that a port receives or sends, as many as people read."""

import contextlib
import errno
import logging
import os
import threading
import time
from types import TracebackType
from typing import Self

from vecwire.capture.describe import words
from vecwire.engine import Engine
from vecwire.host import start
from vecwire.path.worker import FOR_TRACE
from vecwire.transports import TransportPort
from vecwire.transports._descriptor import Descriptor

logger = logging.getLogger("vecwire.trace")

#: Lines a second, after which frames are only counted.
USUAL_RATE = 100
LONGEST = 1 << 17
#: What read(2) may say once and not again: a signal, no memory for now.
TRANSIENT = frozenset((errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM))


class Teller:
    """Writes frames to the log, so many lines a second; how many came beyond that it writes then.

    Args:
        name: what the port is called.
        rate: lines a second.
    """

    def __init__(self, name: str, rate: int) -> None:
        self._name = name
        self._rate = rate
        self._began = time.monotonic()
        self._lines = 0
        self._more = 0

    def tell(self, frame: bytes | memoryview) -> None:
        """Writes a frame, or counts it."""
        moment = time.monotonic()
        if moment - self._began >= 1:
            self.end()
            self._began, self._lines = moment, 0
        if self._lines < self._rate:
            self._lines += 1
            logger.debug("%s: %s", self._name, words(frame))
        else:
            self._more += 1

    def end(self) -> None:
        """Writes how many frames were not told."""
        if self._more:
            logger.debug("%s: %d frames more, too many to tell", self._name, self._more)
            self._more = 0


def _next(reader: Descriptor) -> bytes:
    """The next frame of a capture; empty where it has ended."""
    while True:
        try:
            return os.read(reader.fileno(), LONGEST)
        except OSError as error:
            if error.errno not in TRANSIENT:
                logger.warning("a trace ends: %s", error.strerror)
                return b""


class Trace:
    """Writes what a port receives and sends to the log ``vecwire.trace``, at level DEBUG.

    Frames are copied as a capture copies them; those that come faster than lines may be written are counted.

    Args:
        port: the port, which has a place in the engine.
        engine: moves its frames.
        name: what it is called in the log; by default its spec.
        rate: lines a second.
    """

    def __init__(
        self, port: TransportPort, *, engine: Engine, name: str | None = None, rate: int = USUAL_RATE
    ) -> None:
        self._port = port
        self._engine = engine
        self._teller = Teller(name or str(port.spec), rate)
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Begins.

        Raises:
            PortError: if the port has no place in the engine, or is traced already.
        """
        with contextlib.ExitStack() as made:
            number = self._engine.capture(self._port, purpose=FOR_TRACE)
            made.callback(self._engine.end_capture, self._port, purpose=FOR_TRACE)
            # The number is its own from here on, and is closed once.
            reader = made.enter_context(Descriptor(number, "trace"))
            thread = threading.Thread(target=self._read, args=(reader,), name="vecwire-trace", daemon=True)
            start(thread)
            made.pop_all()
        self._thread = thread
        return self

    def _read(self, reader: Descriptor) -> None:
        with reader:
            while frame := _next(reader):
                self._teller.tell(frame)
        self._teller.end()

    def stop(self) -> None:
        """Ends it; returns once the last line is written."""
        if self._thread is not None:
            self._engine.end_capture(self._port, purpose=FOR_TRACE)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
