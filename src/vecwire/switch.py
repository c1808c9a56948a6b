"""Which frames go where: a cable joins two ports, in both directions, until it is stopped.

Topology is plain Python; motion is a worker's, in a thread of its own without the GIL. A cable claims its
ports while it runs: nobody else moves frames on them, and they stay their owner's to close afterwards.
"""

import logging
import threading
from types import TracebackType
from typing import Self

from vecwire.errors import ClosedError, PortError
from vecwire.path.worker import Worker
from vecwire.transports import TransportPort

logger = logging.getLogger("vecwire.switch")


class Cable:
    """Joins two ports: every frame that one receives leaves through the other.

    Args:
        a: one end.
        b: the other end.
        poll: microseconds to look again before sleeping; 0 sleeps at once.

    Raises:
        PortError: if both ends are the same port.
        ClosedError: if a port is closed.
        ValueError: if ``poll`` is negative.
    """

    def __init__(self, a: TransportPort, b: TransportPort, *, poll: int = 0) -> None:
        if a is b:
            raise PortError("a cable has two ends; both of these are the same port")
        if poll < 0:
            raise ValueError(f"poll is a number of microseconds, not {poll}")
        for port in (a, b):
            if port.closed:
                raise ClosedError(f"the port {port.spec} was joined after it was closed")
        self.ports = (a, b)
        self._poll = poll
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether frames flow."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def wakeups(self) -> int:
        """How often the worker woke, since the start, because there was something to do."""
        return 0 if self._worker is None else self._worker.wakeups

    def start(self) -> Self:
        """Begins to move frames, in a thread of its own; returns once they flow.

        Raises:
            PortError: if another cable has claimed one of the ports.
        """
        if self._thread is not None:
            return self
        claimed: list[TransportPort] = []
        try:
            for port in self.ports:
                port.channel.claim(self)
                claimed.append(port)
            self._worker = Worker(
                [port.channel for port in self.ports],
                [port.batch() for port in self.ports],
                [1, 0],
                self._poll,
            )
        except BaseException:
            for port in claimed:
                port.channel.release(self)
            raise
        self._thread = threading.Thread(
            target=self._worker.run, args=(self._recover,), name="vecwire-cable", daemon=True
        )
        self._thread.start()
        return self

    def _recover(self, index: int) -> bool:
        """Brings a port back, called by the worker."""
        try:
            return self.ports[index].recover()
        except Exception:
            # The worker must go on with the other port, whatever became of this one.
            logger.exception("%s: bringing it back failed", self.ports[index].spec)
            return False

    def stop(self) -> None:
        """Ends it; returns once no frame moves any more. The ports stay open."""
        if self._worker is None or self._thread is None:
            return
        self._worker.stop()
        self._thread.join()
        for port in self.ports:
            port.channel.release(self)
        self._thread = None
        self._worker = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Cable {self.ports[0].spec} - {self.ports[1].spec}>"
