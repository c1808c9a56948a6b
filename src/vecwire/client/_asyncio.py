"""The client for programs that use asyncio."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from vecwire.client import _protocol
from vecwire.client._blocking import receive
from vecwire.client._protocol import Call, Conversation
from vecwire.service.state import CableState, CaptureState, PortState, ServiceState, StationState, SwitchState

T = TypeVar("T")


class AsyncClient:
    """Asks and controls a running service; the methods of :class:`~vecwire.client.Client`, to be awaited.

    Tasks may share it: one request is under way at a time, the others wait for their turn. It belongs to one
    event loop.

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
        self._turn = asyncio.Lock()

    async def status(self) -> ServiceState:
        """Returns the service as a whole."""
        return await self._do(_protocol.status())

    async def ports(self, name: str | None = None) -> list[PortState]:
        """Returns the ports, or with ``name`` that one alone."""
        return await self._do(_protocol.ports(name))

    async def switches(self) -> list[SwitchState]:
        """Returns the switches."""
        return await self._do(_protocol.switches())

    async def cables(self) -> list[CableState]:
        """Returns the cables."""
        return await self._do(_protocol.cables())

    async def stations(self, switch: str, port: str | None = None) -> list[StationState]:
        """Returns the FDB of a switch, or with ``port`` what was learned from that one."""
        return await self._do(_protocol.stations(switch, port))

    async def flush(self, switch: str, port: str | None = None) -> int:
        """Has a switch forget what it has learned, or what it has from one port; how many addresses."""
        return await self._do(_protocol.flush(switch, port))

    async def reset(self, name: str | None = None) -> None:
        """Has the counters of a port, or of all, start from zero again."""
        await self._do(_protocol.reset(name))

    async def reload(self) -> dict[str, list[str]]:
        """Has the file applied anew; the names under ``added``, ``removed``, ``changed`` and ``kept``."""
        return await self._do(_protocol.reload())

    async def add_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Has a port opened and joined.

        Args:
            name: A name that no port has yet.
            options: As in the file's ``[ports]`` table, and ``switch``: the one that it joins.
        """
        await self._do(_protocol.add_port(name, options))

    async def remove_port(self, name: str) -> None:
        """Has a port taken out of its switch and closed."""
        await self._do(_protocol.remove_port(name))

    async def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Changes how a port takes part in its switch.

        Args:
            name: The port.
            options: Any of ``vlan``, ``tagged``, ``horizon``, ``flood_rate``, ``addresses``, ``mirror``,
                ``trace``, ``capture``, and what impairs it, such as ``delay``, as text of a spec.
        """
        await self._do(_protocol.set_port(name, options))

    async def capture(self, port: str) -> socket.socket:
        """Returns a SEQPACKET socket that gives a copy of each of a port's frames, one a record.

        It does not block, so that ``loop.sock_recv`` takes it. It is the caller's; closing it ends the
        capture.
        """
        return await self._captured(_protocol.capture(port))

    async def captured(self, port: str) -> CaptureState:
        """Returns how many frames a port's capture has had, and how many came too fast for its reader."""
        return await self._do(_protocol.captured(port))

    async def capture_drops(self, port: str | None = None, reasons: Sequence[str] = ()) -> socket.socket:
        """Returns a SEQPACKET socket that gives a record of each frame that is dropped, with the reason.

        It does not block. ``vecwire.capture.drops`` reads the records. It is the caller's; closing it ends
        the capture.

        Args:
            port: The port that drops them; without it, every port.
            reasons: Names of counters, or ``rx``, ``switch``, ``tx`` for all that begin so; none is all.
        """
        return await self._captured(_protocol.capture_drops(port, reasons))

    async def _captured(self, call: Call[int]) -> socket.socket:
        async with self._turn:
            await self._exchange(call)
            captured = socket.socket(fileno=self._conversation.descriptor())
        captured.setblocking(False)
        return captured

    async def stop(self) -> None:
        """Asks the service to end; returns before it has."""
        await self._do(_protocol.stop())

    async def methods(self) -> list[dict[str, Any]]:
        """Returns which methods the service has: names, descriptions, parameters, results."""
        return await self._do(_protocol.methods())

    def close(self) -> None:
        """Ends the connection; again and again does no harm."""
        self._conversation.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _do(self, call: Call[T]) -> T:
        async with self._turn:
            return await self._exchange(call)

    async def _exchange(self, call: Call[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connected()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    await asyncio.get_running_loop().sock_sendall(connection, self._conversation.ask(call))
                while not self._conversation.received(*await self._some(connection)):
                    pass
        except TimeoutError as error:
            self.close()
            raise _protocol.late(self.path, self._timeout) from error
        except BaseException:
            # Cancelled in the middle: what comes next would be the answer to this.
            self.close()
            raise
        return self._conversation.complete(call)

    async def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                await asyncio.get_running_loop().sock_connect(connection, self.path)
            except OSError as error:
                connection.close()
                raise _protocol.not_there(self.path, error) from error
            except BaseException:
                connection.close()
                raise
            self._socket, self._conversation = connection, Conversation()
        return self._socket

    async def _some(self, connection: socket.socket) -> tuple[bytes, list[int]]:
        while True:
            try:
                data, descriptors = receive(connection)
            except BlockingIOError:
                await _readable(connection)
                continue
            except ConnectionResetError:
                data, descriptors = b"", []
            if not data:
                _protocol.gone(self.path)
            return data, descriptors

    async def __aenter__(self) -> Self:
        async with self._turn:
            await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_socket", None) is not None:
            self.close()


async def _readable(connection: socket.socket) -> None:
    """Returns once there is something to receive."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(connection, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(connection)
