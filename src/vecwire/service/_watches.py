"""Who watches the ports of a service: the port that gets copies of their frames, the log, and files."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

from vecwire.copies import Copies, Taker
from vecwire.engine import Engine
from vecwire.errors import VecwireError
from vecwire.mirror import Mirror
from vecwire.service._recording import Recording
from vecwire.service.config import PortConfig
from vecwire.trace import USUAL_RATE, Teller, Telling
from vecwire.transports import TransportPort

logger = logging.getLogger("vecwire.service")


class Watches:
    """Begins and ends what ``mirror``, ``trace`` and ``capture`` of ports ask for.

    The latter two have threads, and files of the user whom the service becomes: they wait for ``start``.
    """

    def __init__(self) -> None:
        self._mirrors: dict[str, Mirror] = {}
        self._sinks: dict[str, str] = {}
        self._copies: dict[str, Copies] = {}
        self._waiting: dict[str, tuple[PortConfig, TransportPort, Engine]] | None = {}

    def start(self) -> Iterator[str]:
        """Begins what has waited until now; what cannot begin is told in the log, and its names are given."""
        waiting, self._waiting = self._waiting or {}, None
        for name, (wanted, port, engine) in waiting.items():
            try:
                self._copy(name, wanted, port, engine)
            except (VecwireError, OSError, MemoryError) as error:
                logger.error("%s: %s", name, error or type(error).__name__)  # noqa: TRY400 # it explains itself
                self.end(name, port)
                yield name

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
            PortError: if the port or the one that gets its copies has another use, or a file cannot be made;
                it is not watched then.
        """
        try:
            if wanted.mirror is not None:
                self._sinks[name] = wanted.mirror
                if wanted.mirror not in self._mirrors:
                    self._mirrors[wanted.mirror] = Mirror(ports[wanted.mirror], engine=engine)
                self._mirrors[wanted.mirror].start().add(ports[name])
            if self._waiting is not None:
                self._waiting[name] = (wanted, ports[name], engine)
            else:
                self._copy(name, wanted, ports[name], engine)
        except BaseException:
            self.end(name, ports[name])
            raise

    def _copy(self, name: str, wanted: PortConfig, port: TransportPort, engine: Engine) -> None:
        """Begins to tell a port's frames in the log, and to write them to files."""
        copies = Copies(port, engine=engine, name=name)
        takers: list[Taker] = [Telling(Teller(name, USUAL_RATE))] if wanted.trace else []
        with contextlib.ExitStack() as made:
            if wanted.capture is not None:
                recording = Recording(name, wanted, copies, engine.confine)
                made.callback(recording.end)
                takers.append(recording)
            if takers:
                self._copies[name] = copies.start(*takers)
            made.pop_all()

    def end(self, name: str, port: TransportPort) -> None:
        """Ends to watch a port; the one that got its copies is free once nobody's go there any more."""
        sink = self._sinks.pop(name, None)
        if sink in self._mirrors:
            self._mirrors[sink].remove(port)
            if sink not in self._sinks.values():
                self._mirrors.pop(sink).stop()
        if self._waiting is not None:
            self._waiting.pop(name, None)
        copies = self._copies.pop(name, None)
        if copies is not None:
            copies.stop()

    def close(self, ports: Mapping[str, TransportPort]) -> None:
        """Ends all of it."""
        for name in {*self._sinks, *self._copies}:
            self.end(name, ports[name])
