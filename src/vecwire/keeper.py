"""The keeper: brings lost ports back, beside the workers that move the frames of all others.

Opening may take long: a name is looked up, a namespace entered, a peer does not answer. So it is never done
by a worker. A lost port is tried when the kernel tells of something that may bring it back (a new interface,
a route, a namespace, a client at the door), and otherwise after a delay that grows. There is one thread,
which sleeps while no port is lost. It is there before any worker: what a worker started would be held to what
a worker may do.
"""

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vecwire.errors import VecwireError
from vecwire.guard import Guard
from vecwire.host import start
from vecwire.transports import TransportPort
from vecwire.transports._watch import Watch

logger = logging.getLogger("vecwire.keeper")

#: Seconds until a port that is lost is tried again, the first time and at the most.
FIRST_DELAY = 0.05
LAST_DELAY = 2.0
#: Seconds after which a thread that is to end is woken again.
PATIENCE = 1.0


@dataclass(slots=True, eq=False)
class _Patient:
    """A lost port, and when it is tried next.

    Attributes:
        port: the port.
        back: what is called once it is back.
        due: when it is tried next, by the monotonic clock.
        delay: how long after that it is tried again.
        door: the descriptor that tells of a client, while it is watched; -1 otherwise.
        knocked: whether it did, and the client was not taken yet.
    """

    port: TransportPort
    back: Callable[[], None]
    due: float = field(default_factory=time.monotonic)
    delay: float = FIRST_DELAY
    door: int = -1
    knocked: bool = False


class Keeper:
    """Brings lost ports back, in a thread of its own."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._patients: dict[TransportPort, _Patient] = {}
        self._treated: TransportPort | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake = -1
        #: Tells of ports whose namespace has gone.
        self.guard = Guard()

    def start(self) -> None:
        """Begins to look after ports; the thread has the rights of whoever calls this first.

        Raises:
            PortError: if there is no thread to be had.
        """
        with self._change:
            if self._thread is None:
                self._closing = False
                thread = threading.Thread(target=self._run, name="vecwire-keeper", daemon=True)
                start(thread)
                self._thread = thread

    def lost(self, port: TransportPort, back: Callable[[], None]) -> None:
        """Takes a port that is lost; quick, from any thread, once ``start`` was called.

        Args:
            port: the port; nobody else may bring it back meanwhile.
            back: called from the keeper's thread once the port is back.

        Raises:
            PortError: if there is no thread to be had; ask again later.
        """
        with self._change:
            self._patients[port] = _Patient(port, back)
            self._nudge()

    def forget(self, port: TransportPort) -> None:
        """Leaves a port alone; returns once nothing is done about it any more."""
        with self._change:
            self._patients.pop(port, None)
            self._nudge()
            if threading.current_thread() is not self._thread:
                self._change.wait_for(lambda: self._treated is not port)

    def close(self) -> None:
        """Leaves all ports alone; returns once the thread has ended."""
        self.guard.close()
        with self._change:
            self._patients.clear()
            self._closing = True
            thread = self._thread
            self._nudge()
        while thread is not None and thread.is_alive():
            thread.join(PATIENCE)
            with self._change:
                self._nudge()
        self._thread = None

    def _nudge(self) -> None:
        """Has the thread look at what has changed; with the lock held."""
        self._change.notify_all()
        if self._wake >= 0:
            # One that is full wakes the thread as well.
            with contextlib.suppress(OSError):
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._patients or self._closing)
                if self._closing:
                    return
            try:
                self._treat()
                continue
            except (OSError, VecwireError) as error:
                # Such as no descriptors left: what is lost must not stay so for ever.
                logger.warning("nobody looks after lost ports for now: %s", error)
            except Exception:
                logger.exception("nobody looks after lost ports for now")
            with self._change:
                self._change.wait_for(lambda: not self._patients, LAST_DELAY)

    def _treat(self) -> None:
        """Brings ports back until none is lost."""
        with contextlib.ExitStack() as stack:
            watch = stack.enter_context(Watch())
            events = stack.enter_context(select.epoll())
            stack.callback(self._close_wake)
            with self._change:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            events.register(self._wake, select.EPOLLIN)
            events.register(watch.fileno(), select.EPOLLIN)
            known: dict[TransportPort, _Patient] = {}
            while True:
                with self._change:
                    patients = dict(self._patients)
                if not patients:
                    return
                self._follow(known, patients, watch, events)
                self._sleep(known, watch, events)
                for patient in list(known.values()):
                    if patient.due <= time.monotonic():
                        self._try(patient, events)

    def _close_wake(self) -> None:
        with self._change:
            wake, self._wake = self._wake, -1
            with contextlib.suppress(OSError):  # closed all the same (close(2))
                os.close(wake)

    @staticmethod
    def _follow(
        known: dict[TransportPort, _Patient],
        patients: dict[TransportPort, _Patient],
        watch: Watch,
        events: select.epoll,
    ) -> None:
        """Begins to watch for new patients, and ends it for those that are none any more."""
        for port, patient in list(known.items()):
            if patients.get(port) is not patient:
                watch.remove(port)
                if patient.door >= 0:
                    with contextlib.suppress(OSError):  # closed with its port
                        events.unregister(patient.door)
                del known[port]
        for port, patient in patients.items():
            if port not in known:
                if patient.door >= 0:
                    # It was watched by the set before, which could not be kept.
                    patient.door = -1
                    patient.due = time.monotonic()
                watch.add(port, port.spec)
                known[port] = patient

    def _sleep(self, known: dict[TransportPort, _Patient], watch: Watch, events: select.epoll) -> None:
        """Waits until something happens, or a patient is due."""
        due = min(patient.due for patient in known.values())
        wait = max(0.0, due - time.monotonic())
        doors = {patient.door: patient for patient in known.values() if patient.door >= 0}
        for fd, _ in events.poll(wait if due < float("inf") else None):
            if fd == self._wake:
                os.eventfd_read(self._wake)
            elif fd in doors:
                patient = doors[fd]
                events.unregister(fd)
                patient.door = -1
                patient.knocked = True
                patient.due = time.monotonic()
        for port in watch.take():
            if isinstance(port, TransportPort) and port in known:
                known[port].due = time.monotonic()
                known[port].delay = FIRST_DELAY

    def _try(self, patient: _Patient, events: select.epoll) -> None:
        """Tries to bring a port back; where that fails, says when next."""
        port = patient.port
        with self._change:
            if self._patients.get(port) is not patient:
                return
            self._treated = port
        try:
            if port.recover():
                with self._change:
                    if self._patients.get(port) is patient:
                        del self._patients[port]
                patient.back()
            elif port.channel.wake_fd >= 0 and not patient.knocked:
                self._watch_door(patient, events)
            else:
                self._try_later(patient)
        except Exception:
            # The others must go on, whatever became of this one.
            logger.exception("%s: bringing it back failed", port.spec.public)
            self._try_later(patient)
        finally:
            # From here on its owner may close it.
            with self._change:
                self._treated = None
                self._change.notify_all()

    @staticmethod
    def _try_later(patient: _Patient) -> None:
        """Lets some time pass: a client who could not be taken waits, and so does all else that failed.

        What can never succeed is left alone.
        """
        patient.knocked = False
        if patient.port.hopeless:
            patient.due = float("inf")
            return
        patient.due = time.monotonic() + patient.delay
        patient.delay = min(2 * patient.delay, LAST_DELAY)

    @staticmethod
    def _watch_door(patient: _Patient, events: select.epoll) -> None:
        """Has a client at a listening port's door wake the thread; until then there is nothing to try."""
        patient.knocked = False
        patient.due = float("inf")
        events.register(patient.port.channel.wake_fd, select.EPOLLIN)
        patient.door = patient.port.channel.wake_fd
