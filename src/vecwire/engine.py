"""An engine: one worker thread without the GIL, and the ports that have a seat in it.

Cables and switches are made in an engine (``vecwire.switch``). Topology is plain Python; what changes it
while frames move reaches the worker as a message. Nothing that moves frames waits for anything here.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Self, TypeVar

from vecwire._engine_captures import Capture, Drops, record_sockets
from vecwire.confine import Seccomp, confine
from vecwire.errors import ClosedError, PortError
from vecwire.host import await_from, start
from vecwire.keeper import Keeper
from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.path.worker import FOR_CAPTURE, Worker
from vecwire.transports import TransportPort
from vecwire.transports._refusal import refusals
from vecwire.wire.counters import DROPS

logger = logging.getLogger("vecwire.engine")

T = TypeVar("T")

#: Seconds after which a worker that was told something is nudged again.
PATIENCE = 1.0


class Engine:
    """Moves frames between its ports, in a thread of its own.

    Args:
        poll: microseconds to look again before sleeping; 0 sleeps at once.
        cpu: the processor to stay on; None leaves that to the kernel.
        name: the thread's name.
        keeper: brings lost ports back; by default the engine has its own.
        confine: gives up its thread's capabilities, and holds it to the system calls that moving frames
            takes; None leaves it what the thread that starts it has. See ``vecwire.confine``.

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
        confine: Seccomp | None = None,
    ) -> None:
        if poll < 0:
            raise ValueError(f"poll is a number of microseconds, not {poll}")
        with refusals("make a worker"):
            self._worker = Worker(poll)
        self._cpu = cpu
        self._confine = confine
        self._name = name
        self._keeper = Keeper() if keeper is None else keeper
        self._own_keeper = keeper is None
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._quiet_for = 0
        self._seats: dict[TransportPort, int] = {}
        self._ports: dict[int, TransportPort] = {}
        self._captures: dict[int, Capture] = {}
        self._drops: Drops | None = None

    @property
    def running(self) -> bool:
        """Whether frames flow."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def thread(self) -> threading.Thread | None:
        """The thread that moves frames, for its clock and its number; None where none does."""
        return self._thread

    @property
    def confine(self) -> Seccomp | None:
        """What its thread gives up, and whoever else reads its frames should; None is nothing."""
        return self._confine

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
            PortError: if there is no thread to be had, or it may not stay on its processor.
            UnsupportedError: if its system calls must be filtered, and this host cannot.
        """
        with self._lock:
            if self._thread is None:
                # What the worker starts would have no more rights than it has, and no more system calls.
                self._keeper.start()
                begun: Future[None] = Future()
                thread = threading.Thread(target=self._run, args=(begun,), name=self._name, daemon=True)
                try:
                    start(thread)
                    self._thread = thread
                    with refusals("start a worker"):
                        await_from(thread, begun)
                except BaseException:
                    if self._thread is not None:
                        self._thread.join()
                        self._thread = None
                    if self._own_keeper:
                        self._keeper.close()
                    raise
                for port in self._seats:
                    self._guard(port)
        return self

    def stop(self) -> None:
        """Ends it; returns once no frame moves any more. Ports keep their seats, and stay open."""
        with self._lock:
            if self._thread is None:
                return
            self.do(lambda: self._end_captures(lambda _: True))
            self.end_drops()
            for port in self._seats:
                self._keeper.guard.forget(port)
            while self._thread.is_alive():
                self._worker.stop()
                self._thread.join(PATIENCE)
            self._thread = None
        if self._own_keeper:
            self._keeper.close()

    def _run(self, begun: "Future[None]") -> None:
        try:
            if self._cpu is not None:
                with refusals(f"keep a worker on processor {self._cpu}"):
                    os.sched_setaffinity(0, {self._cpu})
            if self._confine is not None:
                confine(self._confine)
        except BaseException as error:  # noqa: BLE001 # it is raised where the start is awaited
            begun.set_exception(error)
            return
        begun.set_result(None)
        self._worker.run(self._lost)

    def do(self, what: Callable[[], T]) -> T:
        """Calls ``what`` while no frame moves: the worker waits for its end, between two batches.

        It runs in the caller's thread, which may do what the worker may not.

        Returns:
            What it returned.

        Raises:
            PortError: if the worker has ended by itself, which nothing that was asked of it can bring about.
        """
        if threading.current_thread() is self._thread:
            # Whoever holds the lock may be waiting for this very thread.
            return what()
        with self._lock:
            if not self.running or self._quiet_for == threading.get_ident():
                return what()
            waits: Future[None] = Future()
            done = threading.Event()

            def message() -> None:
                waits.set_result(None)
                done.wait()

            try:
                self._worker.post(message)
                while not wait([waits], PATIENCE).done:
                    if not self.running:
                        raise self._ended()
                    self._worker.nudge()
                self._quiet_for = threading.get_ident()
                return what()
            finally:
                self._quiet_for = 0
                done.set()

    def answer(self) -> None:
        """Returns once the worker has answered, or at once where none was started.

        Raises:
            PortError: if it has ended by itself.
        """
        if self._thread is not None and not self._thread.is_alive():
            raise self._ended()
        self.do(lambda: None)

    def _ended(self) -> PortError:
        return PortError(f"the worker {self._name} has ended by itself", remedy="start again")

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
            raise ClosedError(f"the port {port.spec.public} was joined after it was closed")
        port.channel.claim(owner)
        port.quietly = self.do

    def seat(self, port: TransportPort) -> int:
        """Gives a port that is claimed a seat; inside ``do``.

        Raises:
            MemoryError: if there is no memory for it.
            PortError: if the kernel does not watch its descriptors.
        """
        with refusals(f"watch {port.spec.public}"):
            index = self._worker.seat(port.channel, port.batch, port.shape)
        self._seats[port] = index
        self._ports[index] = port
        self._testify(port, index)
        if self.running:
            self._guard(port)
        return index

    def seat_of(self, port: TransportPort) -> int:
        """The number of a port's seat.

        Raises:
            PortError: if it has none here.
        """
        if port not in self._seats:
            raise PortError(f"the port {port.spec.public} is not in this engine")
        return self._seats[port]

    def unseat(self, port: TransportPort, owner: object) -> None:
        """Takes a port out, if it is there: it is its owner's to use or to close from then on."""

        def leave() -> None:
            self._end_captures(lambda captured: captured is port)
            index = self._seats.pop(port, None)
            if index is not None:
                del self._ports[index]
                self._worker.unseat(index)

        self._keeper.guard.forget(port)
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
            logger.info("%s: is down: %s", port.spec.public, port.why)
            self._keeper.lost(port, lambda: self._back(port))
        elif index in self._captures:
            capture = self._captures[index]
            # Not now: the worker is looking at that very seat.
            self._worker.post(lambda: self.end_capture(capture.port, purpose=capture.purpose))
        elif self._drops is not None and index == self._drops.sink:
            self._worker.post(self.end_drops)

    def _guard(self, port: TransportPort) -> None:
        """Has a port that is in a namespace be lost when that is taken down, so that it follows the name."""

        def lose() -> None:
            index = self._seats.get(port)
            if index is not None and not port.channel.lost:
                self._worker.lose(index, errno.ENODEV)

        self._keeper.guard.watch(port, lambda: self.do(lose))

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
                raise PortError(
                    f"the port {port.spec.public} is captured already", remedy="end that capture first"
                )
            with refusals(f"capture {port.spec.public}"):
                capture = Capture(port, purpose)
                try:
                    sink = self._seat_of_records(capture.channel)
                except BaseException:
                    capture.close()
                    raise
                self._captures[sink] = capture
                self._worker.mirror(index, sink, purpose)
            return capture.take_reader()

        return self.do(begin)

    def _seat_of_records(self, channel: Channel) -> int:
        index: int = self._worker.seat(channel, lambda: Batch(1, 2048), "capture")
        return index

    def end_capture(self, port: TransportPort, *, purpose: int = FOR_CAPTURE) -> None:
        """Ends the capture of a port, if there is one for that purpose."""

        def end() -> None:
            for sink, capture in list(self._captures.items()):
                if (capture.port, capture.purpose) == (port, purpose):
                    self._drop_capture(sink)

        self.do(end)

    def counting(self, port: TransportPort, *, purpose: int = FOR_CAPTURE) -> Callable[[], tuple[int, int]]:
        """What tells how many frames a port's capture has given to its reader, and how many came too fast.

        It may be asked from any thread, and when the capture has ended, too.

        Raises:
            PortError: if there is no capture for that purpose.
        """
        for capture in list(self._captures.values()):
            if (capture.port, capture.purpose) == (port, purpose):
                return capture.counts
        raise PortError(f"the port {port.spec.public} is not captured", remedy="begin that first")

    def _end_captures(self, which: Callable[[TransportPort], bool]) -> None:
        for sink, capture in list(self._captures.items()):
            if which(capture.port):
                self._drop_capture(sink)

    def _drop_capture(self, sink: int) -> None:
        capture = self._captures.pop(sink)
        self._worker.unseat(sink)
        logger.info(
            "%s: captured %d frames; %d came too fast for the reader",
            capture.port.spec.public,
            *capture.counts(),
        )
        capture.close()

    # Drops.

    def capture_drops(
        self,
        reasons: Iterable[str] = DROPS,
        *,
        name: Callable[[TransportPort], str | None] = lambda port: port.spec.public,
    ) -> int:
        """Has every frame that is dropped copied to a SEQPACKET socket, one record a frame, with the reason.

        ``vecwire.capture.drops`` reads the records. What the reader is too slow for is not copied; no port is
        slowed down. It ends when the reader closes its end, or with the engine.

        Args:
            reasons: the names of the counters that are wanted, of ``vecwire.wire.counters.DROPS``.
            name: what a port is called in the records; ports without a name are left out. It is also asked
                when a port gets its seat, by the thread that moves frames.

        Returns:
            The reader's descriptor, which is the caller's to close.

        Raises:
            PortError: if drops are captured already.
            ValueError: if there is no such reason.
        """
        writer, reader = record_sockets()
        try:
            self.report_drops(writer.fileno(), reasons, name=name)
            return reader.release()
        finally:
            writer.close()
            reader.close()

    def report_drops(
        self, writer: int, reasons: Iterable[str], *, name: Callable[[TransportPort], str | None]
    ) -> None:
        """Does what ``capture_drops`` does, towards a descriptor that several engines may share.

        Args:
            writer: the sending end, of which the engine makes a copy.
            reasons: the names of the counters that are wanted.
            name: what a port is called in the records.

        Raises:
            PortError: if drops are captured already.
            ValueError: if there is no such reason.
        """
        wanted = frozenset(reasons)
        if unknown := sorted(wanted.difference(DROPS)):
            raise ValueError(f"there is no drop by the reason {unknown[0]}")

        def begin() -> None:
            if self._drops is not None and self._drops.abandoned:
                self.end_drops()
            if self._drops is not None:
                raise PortError("drops are captured already", remedy="end that capture first")
            drops = Drops(writer, wanted, name)
            try:
                drops.sink = self._seat_of_records(drops.channel)
                self._worker.watch_drops(drops.sink)
            except BaseException:
                drops.close()
                raise
            self._drops = drops
            for port, index in self._seats.items():
                self._testify(port, index)

        self.do(begin)

    def _testify(self, port: TransportPort, index: int) -> None:
        """Has a port's drops be recorded, if they are wanted."""
        drops = self._drops
        if drops is not None and (name := drops.name(port)) is not None:
            self._worker.testify(index, name, drops.reasons)

    def end_drops(self) -> None:
        """Ends the capture of drops, if there is one."""

        def end() -> None:
            drops, self._drops = self._drops, None
            if drops is not None:
                self._worker.watch_drops(None)
                self._worker.unseat(drops.sink)
                drops.close()

        self.do(end)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
