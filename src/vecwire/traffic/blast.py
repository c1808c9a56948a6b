"""Sends stamped frames through a port."""

import math
import secrets
import threading
import time
from collections.abc import Callable

from vecwire.path.batch import Batch
from vecwire.path.generate import Generator
from vecwire.port import Port
from vecwire.traffic.plan import Rate, Traffic
from vecwire.transports import TransportPort
from vecwire.transports._delayed import drain, rest

#: Marks are sent so often, since they may be lost too, with so many seconds between.
MARKS = 3
MARK_SECONDS = 0.02
#: Seconds that the compiled loop runs before it is looked whether the port has to be brought back.
SLICE = 0.5
#: Seconds that a port without room, or without a peer, is waited for at a time.
ROOM_SECONDS = 0.05
#: Seconds that may be made up for after a pause, as in ``vecwire.path.generate``.
ARREARS_SECONDS = 0.01
_MOST = 2**63 - 1


class Blast:
    """Sends traffic through a port: a mark, the frames at their rate, and marks that tell how many they were.

    ``run`` is for a thread of its own; everything else is for another one.

    Args:
        port: an open port.
        traffic: what frames look like.
        rate: how fast they are sent.
        count: how many; 0 for any number.
        seconds: for how long; None for ever.

    Raises:
        ValueError: if the frames are longer than the port takes.
    """

    def __init__(
        self, port: Port, traffic: Traffic, rate: Rate, *, count: int = 0, seconds: float | None = None
    ) -> None:
        self.port = port
        self.traffic = traffic
        self.number = secrets.randbelow(1 << 16)
        lengths = traffic.lengths
        room = port.info.mtu + 14 + (4 if traffic.vlan is not None else 0)
        if max(lengths) > room:
            raise ValueError(
                f"the port takes frames of {room} octets, not of {max(lengths)}: its mtu says so"
            )
        #: Frames a second that are wanted; 0 for as fast as it goes.
        self.wanted = rate.frames_of(lengths)
        self._count = count
        self._seconds = math.inf if seconds is None else seconds
        self._batch = port.batch()
        self._marks = port.batch()
        self._generator = Generator(traffic.pattern(), lengths, traffic.flows, self.number, self.wanted)
        self._ending = threading.Event()
        self._began = self._ended = 0.0
        self._skipped = 0

    @property
    def frames(self) -> int:
        """Frames sent, or dropped by the port and counted there."""
        return int(self._generator.frames)

    @property
    def octets(self) -> int:
        """Their octets."""
        return int(self._generator.octets)

    @property
    def skipped(self) -> int:
        """Frames that the rate had asked for and that were not made: the machine was too slow."""
        return int(self._generator.skipped) + self._skipped

    @property
    def stalls(self) -> int:
        """How often there was no room to send."""
        return int(self._generator.stalls)

    @property
    def seconds(self) -> float:
        """For how long it has sent frames."""
        return (self._ended or time.monotonic()) - self._began if self._began else 0.0

    def stop(self) -> None:
        """Ends ``run``, which sends its last marks then."""
        self._ending.set()
        self._generator.stop()

    def run(self) -> None:
        """Sends until all is sent, or ``stop`` is called.

        Raises:
            ClosedError: if the port is closed.
            PortError: if somebody else sends through it.
        """
        self._send_marks(begin=True)
        self._generator.restart()
        self._began = time.monotonic()
        # What impairs frames does so within the calls of the port.
        whole = isinstance(self.port, TransportPort) and not self.port.impairment
        send = self._by_channel if whole else self._by_calls
        while not self._ending.is_set() and (left := (self._count or _MOST) - self.frames) > 0:
            if (time_left := self._began + self._seconds - time.monotonic()) <= 0:
                break
            if not send(left, min(time_left, SLICE)):
                self.port.wait(ROOM_SECONDS, write=True)
        self._ended = time.monotonic()
        # What is on its way is not to be overtaken, nor driven out of a full queue.
        self._rest(MARK_SECONDS)
        self._send_marks(begin=False)
        drain(self.port, lambda: not self._ending.is_set())

    def _rest(self, seconds: float) -> None:
        """Sleeps; frames that the port delays leave meanwhile."""
        rest(self.port, time.monotonic() + seconds)

    def _by_channel(self, left: int, seconds: float) -> bool:
        """Sends with the compiled loop; whether the port is up."""
        assert isinstance(self.port, TransportPort)  # noqa: S101 # as run has seen
        return bool(self._generator.run(self.port.channel, self._batch, left, seconds))

    def _by_calls(self, left: int, seconds: float) -> bool:
        """Sends one batch with the calls of any port; whether there is room for more."""
        due = self._due() if self.wanted else self._batch.depth
        if not due:
            wait = self._began + (self.frames + self._skipped) / self.wanted - time.monotonic()
            self._rest(min(max(wait, 0.0), ROOM_SECONDS, seconds))
            return True
        count = min(left, self._batch.depth, due)
        self._generator.fill(self._batch, count, time.time_ns())
        done = self.port.send(self._batch)
        self._generator.unsend(count - done)
        return done == count

    def _due(self) -> int:
        """How many frames are due by now; those that a pause of the machine has cost are skipped."""
        behind = time.monotonic() - self._began - (self.frames + self._skipped) / self.wanted
        if behind < 0:
            return 0
        if behind > max(ARREARS_SECONDS, 1 / self.wanted):
            missed = int((behind - ARREARS_SECONDS) * self.wanted)
            self._skipped += missed
            behind -= missed / self.wanted
        return 1 + int(behind * self.wanted)

    def _send_marks(self, *, begin: bool) -> None:
        """Sends the marks of all flows; at the begin one is enough."""
        batch = self._marks
        for turn in range(MARKS):
            if turn:
                self._rest(MARK_SECONDS)
            flow = 0
            while flow < (1 if begin else self.traffic.flows):
                flow = self._generator.marks(batch, begin=begin, first=flow)
                if not _send_all(self.port, batch, lambda: begin and self._ending.is_set()):
                    return
                time.sleep(0.001)  # thousands of flows have thousands of marks


def _send_all(port: Port, batch: Batch, given_up: Callable[[], bool]) -> bool:
    """Sends a batch, waiting for room; False where that was given up, or there is nobody to send to."""
    first, until = 0, time.monotonic() + 1.0
    while first < len(batch):
        first += (done := port.send(batch, first))
        if not done:
            port.wait(ROOM_SECONDS, write=True)
            if given_up() or time.monotonic() > until:
                return False
    return True
