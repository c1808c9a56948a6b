"""The metrics over HTTP: ``GET /metrics`` for Prometheus, ``GET /healthz`` for whoever restarts services.

On the loopback unless told otherwise: nobody is asked who they are. Each connection has a thread and one
request, which must be there whole within some seconds, however its octets are spread, and is given up where
the answer is not taken within as many; there is a bound on how many there are. Where there are as many as may
be and one more comes, one of those that keep their thread waiting gives way: of the address that has most of
them, the oldest. So a slow or malicious client costs little, and the others nothing. Its
threads have no capability, and of system calls those that answering takes, where that was asked for.
"""

import contextlib
import io
import json
import logging
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from prometheus_client.exposition import choose_encoder

from vecwire import confine
from vecwire.confine import Seccomp, seccomp
from vecwire.errors import SCARCE, PortError
from vecwire.host import start
from vecwire.service.address import Address
from vecwire.service.metrics import registry_of
from vecwire.service.state import Controlled

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger("vecwire.service")

MOST_CONNECTIONS = 16
#: How long a client may take for its request, and then to take the answer, in seconds.
PATIENCE = 5.0
#: How long one that gives way may take to do so, in seconds.
ROOM = 1.0
#: How long no connection is taken after one could not be, in seconds.
PAUSE = 0.1
NAME = "vecwire-metrics"


@dataclass(slots=True)
class _Connection:
    """A connection that is served.

    Attributes:
        peer: the address of its client.
        waits: whether it waits for its client, to ask or to take the answer.
    """

    peer: str
    waits: bool = True


class _Server(ThreadingMixIn, TCPServer):
    """Takes connections, and starts a thread for each."""

    allow_reuse_address = True
    request_queue_size = 8 * MOST_CONNECTIONS  # while there is no room, clients come again after a second

    def __init__(self, service: Controlled, address: Address) -> None:
        self.service = service
        self.registry = registry_of(service)
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        #: By their sockets, the oldest first.
        self._connections: dict[Any, _Connection] = {}
        self._changed = threading.Condition()
        self._serving: list[threading.Thread] = []
        self._ending = threading.Event()
        super().__init__((address.host, address.port), _Handler)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return Address(host, port)

    def serve(self) -> None:
        """Takes connections until ``end``, whatever the kernel says meanwhile."""
        while True:
            try:
                # It is woken when it is to end: it need not look again and again. Where that is before it has
                # begun it returns at once, and ``shutdown`` waits until it has.
                self.serve_forever(poll_interval=None)  # type: ignore[arg-type]  # what select takes
            except OSError as error:
                logger.warning("metrics: no connection can be taken: %s", error.strerror)
                self._ending.wait(PAUSE)
            if self._ending.is_set():
                return

    def get_request(self) -> tuple[Any, Any]:
        """Takes a connection; where there are no descriptors left, not again for a moment."""
        try:
            return super().get_request()
        except OSError:
            self._ending.wait(PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts the connection's thread, unless there are enough of them and none gives way."""
        with self._changed:
            full = len(self._connections) >= MOST_CONNECTIONS
            if full:
                logger.warning("metrics: more than %d connections at once: one was closed", MOST_CONNECTIONS)
                full = not self._make_room()
            if not full:
                self._connections[request] = _Connection(client_address[0])
        if full:
            self.shutdown_request(request)
            return
        # It has no more rights, and no more system calls, than this one, which starts it.
        serving = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=serving, name=NAME)
        try:
            start(thread)
        except (PortError, MemoryError) as error:
            logger.warning("metrics: a connection was closed: %s", error)
            self.shutdown_request(request)
        else:
            self._serving = [each for each in self._serving if each.is_alive()] + [thread]

    def server_close(self) -> None:
        """Closes the listener; returns once no connection is served any more."""
        super().server_close()
        for thread in self._serving:
            thread.join()

    def _make_room(self) -> bool:
        """Ends a connection that waits for its client; whether there is one, and its place is free."""
        waiting = [(request, each.peer) for request, each in self._connections.items() if each.waits]
        if not waiting:
            return False
        having = Counter(peer for _, peer in waiting)
        request, _ = max(waiting, key=lambda each: having[each[1]])  # the first of those is the oldest
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        return self._changed.wait_for(lambda: request not in self._connections, ROOM)

    def note(self, request: Any, *, waits: bool) -> None:
        """Notes whether a connection waits for its client from now on."""
        with self._changed:
            if request in self._connections:
                self._connections[request].waits = waits

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.pop(request, None)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (the base's signature)
        """Notes that a connection broke."""
        logger.debug("metrics: a connection broke", exc_info=sys.exception())

    def end(self) -> None:
        """Takes no more connections, and ends those that there are; called while or before it serves."""
        self._ending.set()
        # A listener that is shut down is readable, so that the thread that waits for it looks up.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Timely(io.RawIOBase):
    """What a connection says until so many seconds are over, all of it together.

    A timeout of the socket's own begins anew with each octet.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Takes what is there; 0 at the end.

        Raises:
            TimeoutError: the time is over.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    server_version = "vecwire"
    sys_version = ""
    timeout = PATIENCE
    pages: ClassVar[dict[str, str]] = {"/metrics": "_metrics", "/healthz": "_health"}

    def setup(self) -> None:
        """Has the whole request be read by a deadline."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Timely(self.connection, self.timeout))

    def parse_request(self) -> bool:
        """Reads the rest of the request; whether it is one."""
        right = super().parse_request()
        self.server.note(self.request, waits=False)
        return right

    def do_GET(self) -> None:
        """Answers with the page, or says that there is none."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics and /healthz\n")
            return
        try:
            kind, body = getattr(self, page)()
        except Exception:
            logger.exception("metrics: the service could not be asked for %s", self.path)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"see the service's log\n")
        else:
            self._answer(HTTPStatus.OK, kind, body)

    def _metrics(self) -> tuple[str, bytes]:
        encoder, kind = choose_encoder(self.headers.get("Accept", ""))
        return kind, encoder(self.server.registry)

    def _health(self) -> tuple[str, bytes]:
        state = self.server.service.status()
        about = {"status": "ok", "ports": state.ports, "up": state.up}
        return "application/json", json.dumps(about).encode() + b"\n"

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.server.note(self.request, waits=True)
        # For each of the two calls that send, however little the other side takes at a time (socket.sendall).
        self.connection.settimeout(self.timeout)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the base's name)
        """Notes a request, for those who want every detail."""
        logger.debug("metrics: %s", format % arguments)


class Exporter:
    """Serves the metrics of a service at an address.

    Made, it is bound, so that an address that is not to be had is an error at once, and a port below 1024 can
    be had before privileges are given up. It answers from ``start`` to ``stop``.

    Args:
        service: is asked, from the threads of requests.
        address: where.
        confine: what its threads give up; None leaves them what the one that starts it has. See
            ``vecwire.confine``.

    Raises:
        PortError: if the address is in use, or not this host's.
    """

    def __init__(self, service: Controlled, address: Address, *, confine: Seccomp | None = None) -> None:
        self._thread: threading.Thread | None = None
        self._confine = confine
        try:
            self._server = _Server(service, address)
        except OSError as error:
            raise PortError(
                f"cannot serve metrics at {address}",
                errno=error.errno,
                remedy=SCARCE.get(
                    error.errno or 0,
                    "end what listens there (ss -ltnp), or choose another ADDR:PORT of this host",
                ),
            ) from error

    @property
    def address(self) -> Address:
        """Where it serves, with the port that the kernel chose."""
        return self._server.address

    def start(self) -> Self:
        """Begins to answer.

        Raises:
            PortError: if there is no thread to be had.
            UnsupportedError: if it must be held to its system calls, and cannot be.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._server.serve, name=NAME)
            confine.start(thread, self._confine, seccomp.SERVER)
            self._thread = thread
        return self

    def stop(self) -> None:
        """Answers no more, ends what is being answered, and gives the address back; twice does no harm."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._server.end()
            thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
