"""A trace: a line of the log for each frame that a port receives or sends, as many as people read."""

import logging
import time
from types import TracebackType
from typing import Self

from vecwire.capture.describe import words
from vecwire.copies import Copies
from vecwire.engine import Engine
from vecwire.path.batch import Batch
from vecwire.transports import TransportPort

logger = logging.getLogger("vecwire.trace")

#: Lines a second, after which frames are only counted.
USUAL_RATE = 100


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


class Telling:
    """Has copies of frames be told."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def take(self, batch: Batch) -> None:
        """Tells frames, or counts them."""
        for frame in batch:
            self._teller.tell(frame)

    def rest(self) -> None:
        """Nothing is kept back that could be told."""

    def end(self) -> None:
        """Tells how many frames were not told."""
        self._teller.end()


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
        self._name = name or port.spec.public
        self._rate = rate
        self._copies = Copies(port, engine=engine, name=self._name)

    def start(self) -> Self:
        """Begins.

        Raises:
            PortError: if the port has no place in the engine, or is traced already.
        """
        self._copies.start(Telling(Teller(self._name, self._rate)))
        return self

    def stop(self) -> None:
        """Ends it; returns once the last line is written."""
        self._copies.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
