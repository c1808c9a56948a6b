"""What every wrapper of a port does: whatever the port does."""

from types import TracebackType
from typing import Self

from vecwire.path.batch import Batch
from vecwire.port import Port, PortInfo, PortStats


class Wrapper:
    """A port around another, which does what that one does; closing it closes that one.

    Args:
        port: the port; from here on it is used through the wrapper alone.
    """

    def __init__(self, port: Port) -> None:
        self.port = port

    @property
    def info(self) -> PortInfo:
        """What was opened, and whether it is up."""
        return self.port.info

    @property
    def stats(self) -> PortStats:
        """The counters as they stand now."""
        return self.port.stats

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self.port.closed

    @property
    def due(self) -> int | None:
        """When the next frame that is delayed leaves, in nanoseconds of the monotonic clock; None without."""
        return getattr(self.port, "due", None)

    def batch(self, depth: int | None = None) -> Batch:
        """A batch that fits the port."""
        return self.port.batch(depth)

    def recv(self, batch: Batch) -> int:
        """Receives frames into ``batch``; how many it holds then.

        Raises:
            ClosedError: if the port is closed.
        """
        got = self.port.recv(batch)
        if got:
            self._received(batch)
        return got

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends the frames of ``batch`` from ``first`` on; how many are done with.

        Raises:
            ClosedError: if the port is closed.
            ValueError: if there is no frame ``first``, or one was given a length that leaves its slot.
        """
        done = self.port.send(batch, first)
        if done:
            self._sent(batch, first, first + done)
        return done

    def _received(self, batch: Batch) -> None:
        """Does what is to be done with frames that were received."""

    def _sent(self, batch: Batch, first: int, last: int) -> None:
        """Does what is to be done with frames ``first`` to ``last``, which are done with."""

    def wait(self, timeout: float | None = None, *, write: bool = False) -> bool:
        """Waits until frames can be received, or sent with ``write``; False where the time ran out.

        Raises:
            ClosedError: if the port is closed.
        """
        return self.port.wait(timeout, write=write)

    def fileno(self) -> int:
        """A descriptor that is readable when frames may be received; it stays the same.

        Raises:
            ClosedError: if the port is closed.
        """
        return self.port.fileno()

    def close(self) -> None:
        """Gives everything back; again and again does no harm."""
        self.port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.port!r}>"
