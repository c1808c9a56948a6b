"""Receives what a ``Blast`` sends, and tells what became of it."""

import threading
import time
from dataclasses import dataclass, fields

from vecwire.path.tally import Tally
from vecwire.port import Port
from vecwire.transports import TransportPort

#: Seconds that the compiled loop runs before it is looked whether the port has to be brought back.
SLICE = 0.5
#: Seconds that a port is waited for at a time.
WAIT_SECONDS = 0.05
#: Seconds of silence after the end of a blast that end a sink which waits for that; and where flows have
#: not ended yet: their marks may be late, or were lost.
QUIET_SECONDS = 0.25
PATIENT_SECONDS = 1.0
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """How long frames were on their way, in nanoseconds; percentiles are off by 0.4 % at the most.

    Attributes:
        least: The least.
        mean: The mean.
        p50: The median.
        p90: What 90 % were not above.
        p99: What 99 % were not above.
        p99_9: What 99.9 % were not above.
        most: The greatest.
    """

    least: int
    mean: float
    p50: int
    p90: int
    p99: int
    p99_9: int
    most: int


@dataclass(frozen=True, slots=True)
class Report:
    """What has become of the frames so far.

    Attributes:
        counts: Frames by what became of them: ``vecwire.path.tally.MEANINGS`` tells what each is.
        latency: How long they were on their way; None while none has come.
        seconds: From the first frame to the last.
    """

    counts: dict[str, int]
    latency: Latency | None
    seconds: float

    def share(self, what: str) -> float:
        """The frames counted as ``what``, as a share of those expected, 0 to 1."""
        return self.counts[what] / self.counts["expected"] if self.counts["expected"] else 0.0


class Sink:
    """Judges the frames that a port receives.

    ``run`` is for a thread of its own; everything else is for another one.

    Args:
        port: an open port.
        count: after how many stamped frames it ends; 0 for any number.
        once: whether it ends once a blast has told that it is over.
    """

    def __init__(self, port: Port, *, count: int = 0, once: bool = False) -> None:
        self.port = port
        self._count = count
        self._once = once
        self._tally = Tally()
        self._batch = port.batch()
        self._heard = (0, 0)
        self._heard_at = 0.0
        self._ending = threading.Event()

    def stop(self) -> None:
        """Ends ``run``."""
        self._ending.set()
        self._tally.stop()

    def run(self) -> None:
        """Receives until there is enough, or ``stop`` is called.

        Raises:
            ClosedError: if the port is closed.
            PortError: if somebody else receives from it.
        """
        receive = self._by_channel if isinstance(self.port, TransportPort) else self._by_calls
        while not self._ending.is_set() and not self._enough():
            if not receive():
                self.port.wait(WAIT_SECONDS)

    def _enough(self) -> bool:
        if self._count and self._tally.frames >= self._count:
            return True
        if not self._once or not self._tally.ended:
            return False
        # A mark that ends one more flow is as much a sign of life as a frame.
        heard = (self._tally.frames, self._tally.ended)
        if heard != self._heard:
            self._heard, self._heard_at = heard, time.monotonic()
        all_ended = self._tally.ended >= self._tally.flows
        return time.monotonic() - self._heard_at > (QUIET_SECONDS if all_ended else PATIENT_SECONDS)

    def _by_channel(self) -> bool:
        """Receives with the compiled loop; whether the port is up."""
        assert isinstance(self.port, TransportPort)  # noqa: S101 # as run has seen
        seconds = QUIET_SECONDS / 2 if self._once else SLICE
        return self._tally.run(self.port.channel, self._batch, seconds, self._count)

    def _by_calls(self) -> bool:
        """Receives one batch with the calls of any port; whether there was any."""
        if not self.port.recv(self._batch):
            return False
        self._tally.judge(self._batch, time.time_ns())
        return True

    def report(self) -> Report:
        """What has become of the frames so far."""
        tally = self._tally
        found = tally.latency
        latency = None
        if len(found):
            p50, p90, p99, p99_9 = (found.percentile(share) for share in (50, 90, 99, 99.9))
            latency = Latency(found.least, found.mean, p50, p90, p99, p99_9, found.most)
        return Report(tally.counts(), latency, max(0, tally.last - tally.first) / _NANOSECONDS)


LATENCIES = tuple(field.name for field in fields(Latency))
