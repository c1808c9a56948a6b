"""A mirror: what ports of an engine receive and send, copied to another, as a switch's SPAN port has it."""

from types import TracebackType
from typing import Self

from vecwire.engine import Engine
from vecwire.errors import PortError
from vecwire.path.worker import FOR_MIRROR
from vecwire.transports import TransportPort


class Mirror:
    """Sends a copy of every frame that its ports receive or send through one more port.

    What that port receives goes nowhere. What it cannot take is dropped there, and slows nobody.

    Args:
        sink: where the copies go; it is in no cable and no switch.
        engine: moves the frames of the ports that are copied.
    """

    def __init__(self, sink: TransportPort, *, engine: Engine) -> None:
        self.sink = sink
        self._engine = engine
        self._sources: list[TransportPort] = []
        self._started = False

    @property
    def ports(self) -> tuple[TransportPort, ...]:
        """The ports that are copied."""
        return tuple(self._sources)

    def start(self) -> Self:
        """Takes the sink.

        Raises:
            ClosedError: if it is closed.
            PortError: if a cable or a switch has it.
        """
        if not self._started:
            self._engine.claim(self.sink, self)
            try:
                self._engine.do(lambda: self._engine.seat(self.sink))
            except BaseException:
                self._engine.unseat(self.sink, self)
                raise
            self._started = True
        return self

    def add(self, port: TransportPort) -> None:
        """Begins to copy a port, while frames move or before; it ends when the port leaves the engine.

        Raises:
            PortError: if the port, or the sink, has no place in the engine.
        """
        if port is self.sink:
            raise PortError(f"the port {port.spec.public} cannot be copied to itself")

        def begin() -> None:
            engine = self._engine
            engine.worker.mirror(engine.seat_of(port), engine.seat_of(self.sink), FOR_MIRROR)

        self._engine.do(begin)
        self._sources.append(port)

    def remove(self, port: TransportPort) -> None:
        """Ends to copy a port, if it is copied."""
        if port not in self._sources:
            return
        self._sources.remove(port)

        def end() -> None:
            if port in self._engine.ports:
                self._engine.worker.mirror(self._engine.seat_of(port), None, FOR_MIRROR)

        self._engine.do(end)

    def stop(self) -> None:
        """Ends it; the sink stays open."""
        if self._started:
            # Whoever was copied here is not any more as soon as the seat is gone.
            self._engine.unseat(self.sink, self)
            self._sources.clear()
            self._started = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Mirror of {len(self._sources)} ports to {self.sink.spec.public}>"
