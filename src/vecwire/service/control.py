"""The control socket: JSON-RPC 2.0 on a Unix stream socket, one message a line.

Theory of operation: each client has a task that reads a line, has it answered, and sends all of the answer
before it reads the next. So what a client costs is one line and one answer, however much it sends and however
little it reads; one that leaves an answer standing for too long, or a line without its end, is hung up on.
One that asks nothing may stay. Descriptors go along with the
first octet of the answer (unix(7), SCM_RIGHTS), for which the sockets are used bare: asyncio's streams cannot
carry them.

Nobody but root and the user of the service may connect: the path's mode says so, and the kernel is asked who
is at the other end (SO_PEERCRED), lest the path was made readable.
"""

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from vecwire.errors import PortError
from vecwire.service._place import credentials, listen
from vecwire.service.dispatch import Answer, Dispatcher
from vecwire.service.jsonrpc import LONGEST_LINE, Code, Lines, RpcError, error_text
from vecwire.service.state import Controlled

logger = logging.getLogger("vecwire.control")

#: Clients at a time.
CLIENTS = 32
#: Seconds that an answer may stand unread, and that a line may take from its first octet to its end.
PATIENCE = 30.0
_CHUNK = 1 << 16
#: Seconds without an accept after one failed, for want of descriptors.
_PAUSE = 0.5
#: Seconds that answers have to get out when the service ends.
_GRACE = 2.0


class Control:
    """Listens on a Unix socket and lets its clients ask and control the service.

    Args:
        service: whom to ask.
        path: where to listen. A directory that is not there is made, but not the one above it.
        clients: the most clients at a time; one more is told so and hung up on.
        patience: seconds that an answer may stand unread, and a line may take, until a client is hung up on.
        owner: the user id whose the path is to be, where the service becomes another user after it listens.
    """

    def __init__(
        self,
        service: Controlled,
        path: str | Path,
        *,
        clients: int = CLIENTS,
        patience: float = PATIENCE,
        owner: int | None = None,
    ) -> None:
        self.path = Path(path)
        self._dispatcher = Dispatcher(service)
        self._most = clients
        self._patience = patience
        self._owner = owner
        self._listener: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._clients: dict[asyncio.Task[None], _Client] = {}

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            PortError: if another process listens there, or the path cannot be made.
        """
        if self._listener is not None:
            return
        listener = await listen(self.path, self._owner)
        try:
            found = self.path.stat()
        except OSError as error:
            listener.close()
            raise PortError(f"the control socket is not at {self.path}", errno=error.errno) from error
        self._listener = listener
        self._identity = found.st_dev, found.st_ino
        self._accepting = asyncio.create_task(self._accept(self._listener), name="control")
        logger.info("%s: listening", self.path)

    async def stop(self) -> None:
        """Stops listening, lets answers that are under way go out, hangs up, and removes the path."""
        if self._listener is None or self._accepting is None:
            return
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._remove()
        self._listener.close()
        self._listener = self._accepting = None
        for task, client in self._clients.items():
            if not client.busy:
                task.cancel()
        if self._clients:
            _, late = await asyncio.wait(self._clients, timeout=_GRACE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _remove(self) -> None:
        """Removes the path, if it is still the one that was made here."""
        try:
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            # The directory was root's, and the service has dropped its privileges since.
            logger.warning("%s: cannot be removed: %s", self.path, error.strerror)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            peer = None
            try:
                await readable(listener)
                peer, _ = listener.accept()
                peer.setblocking(False)
                self._begin(peer)
            except BlockingIOError:
                continue  # the client has gone again
            except (OSError, MemoryError) as error:
                # Whoever comes later is to find somebody.
                if peer is not None:
                    peer.close()
                logger.warning("%s: no client can be taken: %s", self.path, error)
                await asyncio.sleep(_PAUSE)

    def _begin(self, peer: socket.socket) -> None:
        """Serves a client, or says why not."""
        if why := self._refusal(peer):
            _turn_away(peer, why)
            return
        client = _Client(peer, self._dispatcher, self._patience)
        task = asyncio.create_task(client.run(), name="control client")
        self._clients[task] = client
        task.add_done_callback(self._clients.pop)

    def _refusal(self, peer: socket.socket) -> str:
        """Returns why a client is not served; empty where it is."""
        uid = user_of(peer)
        if uid not in {0, os.geteuid()}:
            return f"user {uid} may not control this service: only root and user {os.geteuid()} may"
        if len(self._clients) >= self._most:
            return f"{self._most} clients are connected, as many as may be: end one of them"
        return ""


class _Client:
    """One client, from its connection to its end."""

    def __init__(self, peer: socket.socket, dispatcher: Dispatcher, patience: float) -> None:
        self._peer = peer
        self._dispatcher = dispatcher
        self._patience = patience
        #: Whether it waits for an answer.
        self.busy = False
        self._stopping = False

    async def run(self) -> None:
        """Answers line after line, until the client goes or does not take its answers."""
        with self._peer:
            try:
                await self._converse()
            except RpcError as failure:
                with contextlib.suppress(OSError, TimeoutError):
                    await self._send(Answer(error_text(None, failure).encode() + b"\n"))
            except TimeoutError:
                logger.warning("a client left its answer unread for %g s: hung up", self._patience)
            except OSError as error:
                logger.debug("a client has gone: %s", error.strerror)
            except asyncio.CancelledError:
                # Only Control.stop cancels, and it waits for the end of this.
                logger.debug("a client was hung up on, since the service ends")

    async def _converse(self) -> None:
        now = asyncio.get_running_loop().time
        lines = Lines(LONGEST_LINE)
        deadline = None
        while data := await self._receive(deadline):
            for line in lines.feed(data):
                await self._answer(line)
            if not lines.unfinished:
                deadline = None
            elif deadline is None or b"\n" in data:  # this line's first octets
                deadline = now() + self._patience
        if line := lines.end():
            await self._answer(line)

    async def _receive(self, deadline: float | None) -> bytes:
        """Returns what the client says next; empty at its end.

        Raises:
            RpcError: if it has said nothing by the deadline, in the time of the loop.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().sock_recv(self._peer, _CHUNK)
        except TimeoutError:
            logger.warning("a client left a line without its end for %g s: hung up", self._patience)
            message = f"a line had no end after {self._patience:g} seconds"
            raise RpcError(Code.INVALID_REQUEST, message) from None

    async def _answer(self, line: bytes) -> None:
        self.busy = True
        answer = await self._dispatcher.answer(line)
        try:
            await self._send(answer)
        finally:
            answer.close()
        self.busy = False
        await asyncio.sleep(0)  # who sends many lines at once does not keep the others waiting

    async def _send(self, answer: Answer) -> None:
        async with asyncio.timeout(self._patience):
            data = answer.line
            while answer.descriptors:
                try:
                    data = data[socket.send_fds(self._peer, [data], answer.descriptors) :]
                    break
                except BlockingIOError:
                    await writable(self._peer)
            await asyncio.get_running_loop().sock_sendall(self._peer, data)


async def readable(sock: socket.socket) -> None:
    """Returns once there is something to receive, or somebody to take."""
    loop = asyncio.get_running_loop()
    some = asyncio.Event()
    loop.add_reader(sock, some.set)
    try:
        await some.wait()
    finally:
        loop.remove_reader(sock)


async def writable(sock: socket.socket) -> None:
    """Returns once there is room to send."""
    loop = asyncio.get_running_loop()
    room = asyncio.Event()
    loop.add_writer(sock, room.set)
    try:
        await room.wait()
    finally:
        loop.remove_writer(sock)


def _turn_away(peer: socket.socket, why: str) -> None:
    logger.warning("a client was turned away: %s", why)
    with peer, contextlib.suppress(OSError):
        peer.send(error_text(None, RpcError(Code.NOT_SERVED, why)).encode() + b"\n")


def user_of(peer: socket.socket) -> int:
    """Returns the user id of who is at the other end of a Unix socket."""
    return credentials(peer)[1]
