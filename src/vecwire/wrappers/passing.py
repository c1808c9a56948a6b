"""Wrappers that look at what passes: traced, captured, mirrored."""

import logging
import threading
import time
from collections.abc import Iterator

from vecwire.capture import Recorder
from vecwire.path.batch import Batch
from vecwire.port import Port
from vecwire.spec import public
from vecwire.trace import USUAL_RATE, Teller, logger
from vecwire.wrappers.base import Wrapper

#: Frames that are copied at a time.
DEPTH = 64


class _Copies:
    """Copies of the frames that pass, a batch of them at a time: what is done with them changes nothing."""

    def __init__(self) -> None:
        self._batch = Batch(DEPTH)
        self.lock = threading.Lock()

    def of(self, batch: Batch, first: int, last: int) -> Iterator[Batch]:
        """Gives frames ``first`` to ``last`` in copies, without those that the mask does not accept."""
        mask, headers, times = batch.mask, batch.vnet, batch.timestamps
        self._batch.clear()
        for index in range(first, last):
            if not mask[index]:
                continue
            self._batch.append(batch[index], headers[index], timestamp=times[index])
            if len(self._batch) == DEPTH:
                yield self._batch
                self._batch.clear()
        if len(self._batch):
            yield self._batch


class Traced(Wrapper):
    """Writes what a port receives and sends to the log ``vecwire.trace``, at level DEBUG.

    Args:
        port: the port.
        name: what it is called in the log; by default its spec, without cookies.
        rate: lines a second, after which frames are only counted.
    """

    def __init__(self, port: Port, *, name: str | None = None, rate: int = USUAL_RATE) -> None:
        super().__init__(port)
        self._teller = Teller(name or public(port.info.spec), rate)
        self._lock = threading.Lock()

    def _received(self, batch: Batch) -> None:
        self._sent(batch, 0, len(batch))

    def _sent(self, batch: Batch, first: int, last: int) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            mask = batch.mask
            with self._lock:
                for index in range(first, last):
                    if mask[index]:
                        self._teller.tell(batch[index])

    def close(self) -> None:
        """Gives everything back, and tells what there were too many of to tell."""
        super().close()
        with self._lock:
            self._teller.end()


class Captured(Wrapper):
    """Writes what a port receives and sends to a file.

    Args:
        port: the port.
        recorder: writes the file; it stays its owner's to close.
    """

    def __init__(self, port: Port, recorder: Recorder) -> None:
        super().__init__(port)
        self._recorder = recorder
        self._copies = _Copies()

    def _received(self, batch: Batch) -> None:
        self._sent(batch, 0, len(batch))

    def _sent(self, batch: Batch, first: int, last: int) -> None:
        with self._copies.lock:
            for copies in self._copies.of(batch, first, last):
                self._recorder.take(copies, time.time_ns())


class Mirrored(Wrapper):
    """Sends a copy of what a port receives and sends through one more port.

    What that port cannot take is not copied; nobody waits for it.

    Args:
        port: the port.
        sink: where the copies go; it stays its owner's to close, and ends the copying when it is closed.
    """

    def __init__(self, port: Port, sink: Port) -> None:
        super().__init__(port)
        self.sink = sink
        #: Frames that the sink had no room for.
        self.missed = 0
        self._copies = _Copies()

    def _received(self, batch: Batch) -> None:
        self._sent(batch, 0, len(batch))

    def _sent(self, batch: Batch, first: int, last: int) -> None:
        with self._copies.lock:
            for copies in self._copies.of(batch, first, last):
                self.missed += len(copies) - (0 if self.sink.closed else self.sink.send(copies))
