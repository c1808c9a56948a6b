"""Who watches the ports of a service: the port that gets copies of their frames, and the log."""

from collections.abc import Mapping

from vecwire.engine import Engine
from vecwire.mirror import Mirror
from vecwire.service.config import PortConfig
from vecwire.trace import Trace
from vecwire.transports import TransportPort


class Watches:
    """Begins and ends what ``mirror`` and ``trace`` of ports ask for."""

    def __init__(self) -> None:
        self._mirrors: dict[str, Mirror] = {}
        self._sinks: dict[str, str] = {}
        self._traces: dict[str, Trace] = {}

    def begin(
        self, name: str, wanted: PortConfig, ports: Mapping[str, TransportPort], engine: Engine
    ) -> None:
        """Begins to watch a port.

        Args:
            name: the port's.
            wanted: its table in the file.
            ports: all ports by their names.
            engine: moves its frames.

        Raises:
            PortError: if the port or the one that gets its copies has another use; it is not watched then.
        """
        try:
            if wanted.mirror is not None:
                self._sinks[name] = wanted.mirror
                if wanted.mirror not in self._mirrors:
                    self._mirrors[wanted.mirror] = Mirror(ports[wanted.mirror], engine=engine)
                self._mirrors[wanted.mirror].start().add(ports[name])
            if wanted.trace:
                self._traces[name] = Trace(ports[name], engine=engine, name=name).start()
        except BaseException:
            self.end(name, ports[name])
            raise

    def end(self, name: str, port: TransportPort) -> None:
        """Ends to watch a port; the one that got its copies is free once nobody's go there any more."""
        sink = self._sinks.pop(name, None)
        if sink in self._mirrors:
            self._mirrors[sink].remove(port)
            if sink not in self._sinks.values():
                self._mirrors.pop(sink).stop()
        trace = self._traces.pop(name, None)
        if trace is not None:
            trace.stop()

    def close(self, ports: Mapping[str, TransportPort]) -> None:
        """Ends all of it."""
        for name in {*self._sinks, *self._traces}:
            self.end(name, ports[name])
