"""The client for ordinary programs."""

import array
import contextlib
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from vecwire.client import _protocol
from vecwire.client._protocol import Call, Conversation
from vecwire.errors import PortError
from vecwire.service.state import CableState, CaptureState, PortState, ServiceState, StationState, SwitchState

T = TypeVar("T")
CHUNK = 1 << 16
#: Descriptors that one answer may bring.
MOST_DESCRIPTORS = 8


class Client:
    """Asks and controls a running service.

    It connects when it is first asked something, or entered as a context, and again after a failure. One
    thread at a time may use it.

    Every method raises a :class:`~vecwire.errors.PortError` where no service listens or it has no port or
    switch of that name, with what to do as its ``remedy``; a :class:`~vecwire.errors.ConfigError` where an
    option or the file is wrong; an :class:`~vecwire.errors.UnsupportedError` where the service may not do it.

    Args:
        path: Where the service listens; by default what ``VECWIRE_SOCKET`` says, or else
            ``/run/vecwire/control.sock``.
        timeout: Seconds to wait for an answer; None waits for ever.
    """

    def __init__(self, path: str | None = None, *, timeout: float | None = 60.0) -> None:
        self.path = path or _protocol.default_path()
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._conversation = Conversation()

    def status(self) -> ServiceState:
        """Returns the service as a whole."""
        return self._do(_protocol.status())

    def ports(self, name: str | None = None) -> list[PortState]:
        """Returns the ports, or with ``name`` that one alone."""
        return self._do(_protocol.ports(name))

    def switches(self) -> list[SwitchState]:
        """Returns the switches."""
        return self._do(_protocol.switches())

    def cables(self) -> list[CableState]:
        """Returns the cables."""
        return self._do(_protocol.cables())

    def stations(self, switch: str, port: str | None = None) -> list[StationState]:
        """Returns the FDB of a switch, or with ``port`` what was learned from that one."""
        return self._do(_protocol.stations(switch, port))

    def flush(self, switch: str, port: str | None = None) -> int:
        """Has a switch forget what it has learned, or what it has from one port; how many addresses."""
        return self._do(_protocol.flush(switch, port))

    def reset(self, name: str | None = None) -> None:
        """Has the counters of a port, or of all, start from zero again."""
        self._do(_protocol.reset(name))

    def reload(self) -> dict[str, list[str]]:
        """Has the file applied anew; the names under ``added``, ``removed``, ``changed`` and ``kept``."""
        return self._do(_protocol.reload())

    def add_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Has a port opened and joined.

        Args:
            name: A name that no port has yet.
            options: As in the file's ``[ports]`` table, and ``switch``: the one that it joins.
        """
        self._do(_protocol.add_port(name, options))

    def remove_port(self, name: str) -> None:
        """Has a port taken out of its switch and closed."""
        self._do(_protocol.remove_port(name))

    def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Changes how a port takes part in its switch.

        Args:
            name: The port.
            options: Any of ``vlan``, ``tagged``, ``horizon``, ``flood_rate``, ``addresses``, ``mirror``,
                ``trace``, ``capture``, and what impairs it, such as ``delay``, as text of a spec.
        """
        self._do(_protocol.set_port(name, options))

    def capture(self, port: str) -> socket.socket:
        """Returns a SEQPACKET socket that gives a copy of each of a port's frames, one a record.

        It is the caller's; closing it ends the capture.
        """
        self._do(_protocol.capture(port))
        return socket.socket(fileno=self._conversation.descriptor())

    def captured(self, port: str) -> CaptureState:
        """Returns how many frames a port's capture has had, and how many came too fast for its reader."""
        return self._do(_protocol.captured(port))

    def capture_drops(self, port: str | None = None, reasons: Sequence[str] = ()) -> socket.socket:
        """Returns a SEQPACKET socket that gives a record of each frame that is dropped, with the reason.

        ``vecwire.capture.drops`` reads the records. It is the caller's; closing it ends the capture.

        Args:
            port: The port that drops them; without it, every port.
            reasons: Names of counters, or ``rx``, ``switch``, ``tx`` for all that begin so; none is all.
        """
        self._do(_protocol.capture_drops(port, reasons))
        return socket.socket(fileno=self._conversation.descriptor())

    def stop(self) -> None:
        """Asks the service to end; returns before it has."""
        self._do(_protocol.stop())

    def methods(self) -> list[dict[str, Any]]:
        """Returns which methods the service has: names, descriptions, parameters, results."""
        return self._do(_protocol.methods())

    def close(self) -> None:
        """Ends the connection; again and again does no harm."""
        self._conversation.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._timeout)
                connection.connect(self.path)
            except OSError as error:
                connection.close()
                raise _protocol.not_there(self.path, error) from error
            self._socket, self._conversation = connection, Conversation()
        return self._socket

    def _do(self, call: Call[T]) -> T:
        connection = self._connected()
        try:
            # A service that turns a client away says why and hangs up: its word is read all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(self._conversation.ask(call))
            while not self._conversation.received(*self._some(connection)):
                pass
        except TimeoutError as error:
            self.close()
            raise _protocol.late(self.path, self._timeout) from error
        except BaseException:
            # Interrupted in the middle: what comes next would be the answer to this.
            self.close()
            raise
        return self._conversation.complete(call)

    def _some(self, connection: socket.socket) -> tuple[bytes, list[int]]:
        try:
            data, descriptors = receive(connection)
        except ConnectionResetError:
            data, descriptors = b"", []
        if not data:
            _protocol.gone(self.path)
        return data, descriptors

    def __enter__(self) -> Self:
        self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_socket", None) is not None:
            self.close()


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Returns octets and the descriptors that came along, closed in programs that are executed."""
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = connection.recvmsg(CHUNK, room, socket.MSG_CMSG_CLOEXEC)
    numbers = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    if flags & socket.MSG_CTRUNC and not numbers:
        raise PortError(
            "a descriptor that the service sent could not be taken",
            remedy="raise the limit of open files (ulimit -n)",
        )
    return data, list(numbers)
