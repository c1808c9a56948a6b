"""An engine: one worker thread without the GIL, and the ports that have a seat in it.

Cables and switches are made in an engine (``vecwire.switch``). Topology is plain Python; what changes it
while frames move reaches the worker as a message. Nothing that moves frames waits for anything here.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

from vecwire.errors import ClosedError, PortError
from vecwire.host import start
from vecwire.keeper import Keeper
from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.path.worker import FOR_CAPTURE, Worker
from vecwire.transports import TransportPort
from vecwire.transports._descriptor import Descriptor
from vecwire.transports._refusal import refusals

logger = logging.getLogger("vecwire.engine")

T = TypeVar("T")

#: Seconds after which a worker that was told something is nudged again.
PATIENCE = 1.0
#: Octets that wait for whoever reads a capture, asked of the kernel.
CAPTURE_BUFFER = 4 * 1024 * 1024


class Engine:
    """Moves frames between its ports, in a thread of its own.

    Args:
        poll: microseconds to look again before sleeping; 0 sleeps at once.
        cpu: the processor to stay on; None leaves that to the kernel.
        name: the thread's name.
        keeper: brings lost ports back; by default the engine has its own.

    Raises:
        ValueError: if ``poll`` is negative.
        PortError: if the kernel gives no descriptors for it.
    """

    def __init__(
        self,
        *,
        poll: int = 0,
        cpu: int | None = None,
        name: str = "vecwire-worker",
        keeper: Keeper | None = None,
    ) -> None:
        if poll < 0:
            raise ValueError(f"poll is a number of microseconds, not {poll}")
        with refusals("make a worker"):
            self._worker = Worker(poll)
        self._cpu = cpu
        self._name = name
        self._keeper = Keeper() if keeper is None else keeper
        self._own_keeper = keeper is None
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._seats: dict[TransportPort, int] = {}
        self._ports: dict[int, TransportPort] = {}
        self._captures: dict[int, _Capture] = {}

    @property
    def running(self) -> bool:
        """Whether frames flow."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def wakeups(self) -> int:
        """How often the worker woke because there was something to do."""
        count: int = self._worker.wakeups
        return count

    @property
    def ports(self) -> tuple[TransportPort, ...]:
        """The ports that have a seat."""
        return tuple(self._seats)

    def start(self) -> Self:
        """Begins to move frames; returns once they flow.

        Raises:
            PortError: if there is no thread to be had, or it may not stay on the processor asked for.
        """
        with self._lock:
            if self._thread is None:
                begun: Future[None] = Future()
                thread = threading.Thread(target=self._run, args=(begun,), name=self._name, daemon=True)
                start(thread)
                self._thread = thread
                try:
                    with refusals(f"keep a worker on processor {self._cpu}"):
                        begun.result()
                except BaseException:
                    self._thread.join()
                    self._thread = None
                    raise
        return self

    def stop(self) -> None:
        """Ends it; returns once no frame moves any more. Ports keep their seats, and stay open."""
        with self._lock:
            if self._thread is None:
                return
            self.do(lambda: self._end_captures(lambda _: True))
            while self._thread.is_alive():
                self._worker.stop()
                self._thread.join(PATIENCE)
            self._thread = None
        if self._own_keeper:
            self._keeper.close()

    def _run(self, begun: "Future[None]") -> None:
        try:
            if self._cpu is not None:
                os.sched_setaffinity(0, {self._cpu})
        except BaseException as error:  # noqa: BLE001 # it is raised where the start is awaited
            begun.set_exception(error)
            return
        begun.set_result(None)
        self._worker.run(self._lost)

    def do(self, what: Callable[[], T]) -> T:
        """Calls ``what`` where no frame moves meanwhile: in the worker's thread, between two batches.

        Returns:
            What it returned; what it raised is raised here.
        """
        if threading.current_thread() is self._thread:
            # Whoever holds the lock may be waiting for this very thread.
            return what()
        with self._lock:
            if not self.running:
                return what()
            done: Future[T] = Future()
            try:
                self._worker.post(_Message(what, done))
                while not wait([done], PATIENCE).done:
                    self._worker.nudge()
                return done.result()
            finally:
                # What it raised must not keep itself alive by way of this frame, nor what it was about.
                del done

    @property
    def worker(self) -> Worker:
        """What moves the frames; its seats are changed inside ``do`` alone."""
        return self._worker

    def claim(self, port: TransportPort, owner: object) -> None:
        """Makes a port ``owner``'s: nobody else moves frames on it from here on.

        Raises:
            ClosedError: if the port is closed.
            PortError: if another has claimed it.
        """
        if port.closed:
            raise ClosedError(f"the port {port.spec} was joined after it was closed")
        port.channel.claim(owner)
        port.quietly = self.do

    def seat(self, port: TransportPort) -> int:
        """Gives a port that is claimed a seat; inside ``do``.

        Raises:
            MemoryError: if there is no memory for it.
            PortError: if the kernel does not watch its descriptors.
        """
        with refusals(f"watch {port.spec}"):
            index = self._worker.seat(port.channel, port.batch, port.shape)
        self._seats[port] = index
        self._ports[index] = port
        return index

    def seat_of(self, port: TransportPort) -> int:
        """The number of a port's seat.

        Raises:
            PortError: if it has none here.
        """
        if port not in self._seats:
            raise PortError(f"the port {port.spec} is not in this engine")
        return self._seats[port]

    def unseat(self, port: TransportPort, owner: object) -> None:
        """Takes a port out, if it is there: it is its owner's to use or to close from then on."""

        def leave() -> None:
            self._end_captures(lambda captured: captured is port)
            index = self._seats.pop(port, None)
            if index is not None:
                del self._ports[index]
                self._worker.unseat(index)

        self.do(leave)
        self._keeper.forget(port)
        if port.channel.user is owner:
            port.quietly = None
        port.channel.release(owner)

    def _lost(self, index: int) -> None:
        """Called by the worker when a seat's channel is lost."""
        port = self._ports.get(index)
        if port is not None:
            port.note_change()
            logger.info("%s: is down: %s", port.spec, port.why)
            self._keeper.lost(port, lambda: self._back(port))
        elif index in self._captures:
            capture = self._captures[index]
            # Not now: the worker is looking at that very seat.
            self._worker.post(lambda: self.end_capture(capture.port, purpose=capture.purpose))

    def _back(self, port: TransportPort) -> None:
        """Called by the keeper once a port is back."""

        def revive() -> None:
            index = self._seats.get(port)
            if index is not None:
                self._worker.revive(index)

        self.do(revive)

    # Captures.

    def capture(self, port: TransportPort, *, purpose: int = FOR_CAPTURE) -> int:
        """Has every frame that a port receives or sends copied to a SEQPACKET socket, one record a frame.

        Super-frames are copied as segments, with their checksums. What the reader is too slow for is not
        copied; the port is not slowed down. It ends when the reader closes its end, or with the port.
        There is one for each purpose: people's, and the log's (``vecwire.path.worker.FOR_TRACE``).

        Returns:
            The reader's descriptor, which is the caller's to close.

        Raises:
            PortError: if the port has no seat here, or is captured already.
        """

        def begin() -> int:
            index = self.seat_of(port)
            if any((each.port, each.purpose) == (port, purpose) for each in self._captures.values()):
                raise PortError(f"the port {port.spec} is captured already", remedy="end that capture first")
            with refusals(f"capture {port.spec}"):
                capture = _Capture(port, purpose)
                try:
                    sink = self._worker.seat(capture.channel, lambda: Batch(1, 2048), "capture")
                    self._captures[sink] = capture
                    self._worker.mirror(index, sink, purpose)
                except BaseException:
                    capture.close()
                    raise
            return capture.take_reader()

        return self.do(begin)

    def end_capture(self, port: TransportPort, *, purpose: int = FOR_CAPTURE) -> None:
        """Ends the capture of a port, if there is one for that purpose."""

        def end() -> None:
            for sink, capture in list(self._captures.items()):
                if (capture.port, capture.purpose) == (port, purpose):
                    self._drop_capture(sink)

        self.do(end)

    def _end_captures(self, which: Callable[[TransportPort], bool]) -> None:
        for sink, capture in list(self._captures.items()):
            if which(capture.port):
                self._drop_capture(sink)

    def _drop_capture(self, sink: int) -> None:
        capture = self._captures.pop(sink)
        self._worker.unseat(sink)
        counters = capture.channel.counters()
        logger.info(
            "%s: captured %d frames; %d came too fast for the reader",
            capture.port.spec,
            counters["tx_frames"],
            counters["tx_full"],
        )
        capture.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Message(Generic[T]):
    """What the worker is to call, and where the answer is awaited."""

    def __init__(self, what: Callable[[], T], done: "Future[T]") -> None:
        self._what: Callable[[], T] | None = what
        self._done: Future[T] | None = done

    def __call__(self) -> None:
        what, done = self._what, self._done
        self._what = self._done = None
        if what is None or done is None:
            return
        try:
            done.set_result(what())
        except BaseException as error:  # noqa: BLE001 # it is raised where the answer is awaited
            done.set_exception(error)
        finally:
            del what, done


class _Capture:
    """The two ends of a capture: the channel that frames are copied to, and the reader's descriptor."""

    def __init__(self, port: TransportPort, purpose: int) -> None:
        self.port = port
        self.purpose = purpose
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        with ours, theirs:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CAPTURE_BUFFER)
            self._writer = Descriptor(ours.detach(), "capture's socket")
            self._reader = Descriptor(theirs.detach(), "capture's other end")
        self.channel = Channel()
        self.channel.attach(self._writer.fileno(), self._writer.fileno(), seqpacket=True)

    def take_reader(self) -> int:
        """The reader's descriptor: the caller's from here on."""
        return self._reader.release()

    def close(self) -> None:
        """Ends it."""
        self.channel.detach()
        self._writer.close()
        self._reader.close()
