"""The parts of ``vecwire dump``: taking frames, where they go, and what is told about it."""

import math
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

from vecwire.capture import Recorder, describe
from vecwire.capture.sockets import RETIRE, Tap
from vecwire.cli._counters import info_object, quantity
from vecwire.cli._output import print_json
from vecwire.cli._wakeup import Wakeup
from vecwire.path.batch import Batch
from vecwire.port import PortStats
from vecwire.transports import TransportPort
from vecwire.wire.counters import MEANINGS, OWN_DROPS, RX_DROPS

#: Calls of ``recv`` between two looks at the clock and for signals, while frames keep coming.
CALLS = 16
#: Seconds of sleep at the most.
LOOK_SECONDS = 1.0
#: Seconds after the end in which what came before it is taken, and in which a pipe has to take it.
LAST_SECONDS = 2.0
#: The reasons for which a port itself drops what it receives: what the kernel drops is told by the tap.
OWN_RX_DROPS = tuple(name for name in RX_DROPS if name in OWN_DROPS)


def reasons(stats: PortStats) -> Iterator[str]:
    """Why the port dropped frames that it received, a line for each reason."""
    for name in OWN_RX_DROPS:
        if stats.counters[name]:
            yield f"{stats.counters[name]:,} {MEANINGS[name]} ({name})"


class Lines:
    """Frames as lines on standard output, or as objects."""

    def __init__(self, *, json: bool, snaplen: int) -> None:
        self._json = json
        self._snaplen = snaplen
        self.records = 0
        self.octets = 0

    def take(self, batch: Batch, now: int, most: int | None) -> int:
        """Tells frames; how many."""
        frames = batch[:most]
        for frame, stamp in zip(frames, batch.timestamps, strict=False):
            kept = frame[: self._snaplen]
            if self._json:
                print_json({"event": "frame", **describe.as_object(kept, stamp or now, len(frame))})
            else:
                sys.stdout.write(describe.line(kept, stamp or now, len(frame)) + "\n")
            self.octets += len(frame)
        self.records += len(frames)
        return len(frames)

    def flush(self) -> None:
        """Sends on what was told."""
        sys.stdout.flush()

    def close(self) -> None:
        """Sends on what was told."""
        sys.stdout.flush()


class Files:
    """Frames in files."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    @property
    def records(self) -> int:
        """Frames written."""
        return self.recorder.records

    @property
    def octets(self) -> int:
        """Octets of the frames, as they were."""
        return self.recorder.octets

    def take(self, batch: Batch, now: int, most: int | None) -> int:
        """Writes frames; how many that makes.

        Raises:
            PortError: if a file cannot be written.
        """
        return self.recorder.take(batch, now, most)

    def flush(self) -> None:
        """Has what was written be seen by readers.

        Raises:
            PortError: if a file cannot be written.
        """
        self.recorder.flush()

    def close(self) -> None:
        """Ends the files.

        Raises:
            PortError: if a file cannot be written.
        """
        self.recorder.close()


class Patience:
    """How long a capture goes on, and how long what it has is waited for then.

    Args:
        wakeup: tells of signals that end it.
        duration: seconds after which it ends; None is never.
    """

    def __init__(self, wakeup: Wakeup, duration: float | None) -> None:
        self._wakeup = wakeup
        self._end = math.inf if duration is None else time.monotonic() + duration
        self._hurry = False
        self._taken = 0
        self._moved = 0.0

    @property
    def over(self) -> bool:
        """Whether a signal has come, or the time is over."""
        return time.monotonic() >= self._end

    def wait(self, *descriptors: int, seconds: float) -> None:
        """Sleeps until one of the descriptors can be read, a signal comes, or the time is over."""
        over = self.over
        left = max(0.0, self._end - time.monotonic())
        signals, _ = self._wakeup.wait(*descriptors, seconds=min(seconds, left))
        if signals:
            self._hurry = self._hurry or over
            self._end = min(self._end, time.monotonic())

    def with_a_pipe(self, taken: int) -> bool:
        """Whether a pipe is waited for: after the end only while its reader reads.

        Args:
            taken: octets that it has taken so far.
        """
        if taken != self._taken:
            self._taken, self._moved = taken, time.monotonic()
        return self.with_a_disk(taken) and time.monotonic() < max(self._end, self._moved) + LAST_SECONDS

    def with_a_disk(self, _: int) -> bool:
        """Whether a disk is waited for, however slow it is: not after a signal that comes when it is over."""
        self.wait(seconds=0)
        return not self._hurry


class Dump:
    """A capture while it runs.

    Args:
        port: what is captured.
        tap: what the kernel knows of it.
        count: frames after which it ends; None is never.
    """

    def __init__(self, port: TransportPort, tap: Tap, *, count: int | None) -> None:
        self.port = port
        self.tap = tap
        self._count = count
        self._start = time.monotonic()
        #: Frames that came before the end, and were not taken in the time that there is for that.
        self.left = 0

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return time.monotonic() - self._start

    def run(self, sink: Lines | Files, patience: Patience, show: "Show", *, depth: int) -> None:
        """Takes frames until the count or the end of patience, and then what came before that.

        Raises:
            PortError: if a file cannot be written.
        """
        batch = self.port.batch(depth)
        descriptor = self.port.fileno()
        while self._wanted(sink) != 0:
            due = show.due(self.seconds)
            patience.wait(descriptor, seconds=LOOK_SECONDS if due is None else min(due, LOOK_SECONDS))
            if patience.over:
                self._finish(sink, batch)
                return
            self._drain(sink, batch)
            # Where it was opened anew frames come from another socket.
            self.tap.follow(self.port.info.descriptors.get("rx", -1))
            show.progress(self, sink)

    def _wanted(self, sink: Lines | Files) -> int | None:
        """Frames that are wanted yet; None without a bound."""
        return None if self._count is None else self._count - sink.records

    def _receive(self, batch: Batch) -> int:
        """Receives from the ring, or else from the port, whose call also finds out that it is lost."""
        ring = self.tap.ring
        return int((ring is not None and ring.recv(self.port.channel, batch)) or self.port.recv(batch))

    def _drain(self, sink: Lines | Files, batch: Batch) -> bool:
        """Takes what is there, for a while at the most; whether there may be more."""
        for _ in range(CALLS):
            left = self._wanted(sink)
            if left == 0 or not self._receive(batch):
                # Nobody is in a hurry now: a reader sees all that there was.
                sink.flush()
                return False
            sink.take(batch, time.time_ns(), left)
        return True

    def _finish(self, sink: Lines | Files, batch: Batch) -> None:
        """Takes what came before the end, in a while at the most; counts what it leaves."""
        ended, deadline = time.time_ns(), time.monotonic() + LAST_SECONDS
        if not self.tap.listens:
            # Nobody says when a frame came, and the queue is short.
            self._drain(sink, batch)
            return
        for _ in self._earlier(batch, ended, deadline):
            sink.take(batch, time.time_ns(), self._wanted(sink))
            if self._wanted(sink) == 0:
                break
        else:
            if time.monotonic() >= deadline:
                self.left = sum(self._earlier(batch, ended, deadline + LAST_SECONDS))
        sink.flush()

    def _earlier(self, batch: Batch, ended: int, deadline: float) -> Iterator[int]:
        """Receives what came before a moment, as long as there is time; how many frames each batch has."""
        descriptor = self.port.fileno()
        while time.monotonic() < deadline:
            if got := self._receive(batch):
                if batch.timestamps[0] > ended:
                    return
                yield got
            # A block of the ring is handed over when its time is over, full or not.
            elif not select.select([descriptor], [], [], 2 * RETIRE / 1000)[0]:
                return


class Show:
    """Tells how a capture goes: events on standard output with ``--json``, else on standard error."""

    def __init__(self, *, json: bool, every: float | None, writes: bool) -> None:
        self._json = json
        self._live = not json and every is None and writes and sys.stderr.isatty()
        self._every = 1.0 if self._live else every
        self._next = self._every or 0.0
        self._drawn = False

    def ready(self, port: TransportPort) -> None:
        """Says that frames are captured from now on."""
        if self._json:
            print_json({"event": "ready", "port": info_object(port.info)})
        else:
            sys.stderr.write("ready\n")
            sys.stderr.flush()

    def due(self, seconds: float) -> float | None:
        """In how many seconds there is something to tell."""
        return None if self._every is None else max(0.0, self._next - seconds)

    def progress(self, dump: Dump, sink: Lines | Files) -> None:
        """Tells how far it is, if it is time."""
        seconds = dump.seconds
        if self._every is None or seconds < self._next:
            return
        self._next = max(self._next + self._every, seconds)
        if self._json:
            print_json({"event": "stats", **_object(dump, sink)})
            return
        text = _sentence(dump, sink)
        sys.stderr.write(f"\r\033[K{text}" if self._live else f"{seconds:.1f} s  {text}\n")
        sys.stderr.flush()
        self._drawn = self._live

    def end(self, dump: Dump, sink: Lines | Files) -> None:
        """Tells what came of it."""
        if self._json:
            print_json({"event": "end", **_object(dump, sink)})
            return
        if self._drawn:
            sys.stderr.write("\r\033[K")
        sys.stderr.write(_sentence(dump, sink) + "\n")
        for reason in (*reasons(dump.port.stats), *_lost(dump, sink)):
            sys.stderr.write(f"{reason}\n")
        sys.stderr.flush()


def _lost(dump: Dump, sink: Lines | Files) -> Iterator[str]:
    """What had come before the end, and is nowhere all the same, a line for each reason."""
    if dump.left:
        yield f"{dump.left:,} waited to be taken at the end, and were not"
    if isinstance(sink, Files) and sink.recorder.unwritten:
        yield f"{sink.recorder.unwritten:,} of those captured could not be written"


def _object(dump: Dump, sink: Lines | Files) -> dict[str, Any]:
    told: dict[str, Any] = {
        "seconds": round(dump.seconds, 3),
        "frames": sink.records,
        "octets": sink.octets,
        "kernel_dropped": dump.tap.dropped,
        "left": dump.left,
        "counters": dict(dump.port.stats.counters),
    }
    if isinstance(sink, Files):
        told["files"] = sink.recorder.files
        told["written"] = sink.recorder.written
        told["cut"] = sink.recorder.cut
        told["unwritten"] = sink.recorder.unwritten
    return told


def _sentence(dump: Dump, sink: Lines | Files) -> str:
    seconds = dump.seconds or 1.0
    counters = dump.port.stats.counters
    parts = [
        f"{sink.records:,} frames captured",
        quantity(sink.octets, "B"),
        quantity(sink.records / seconds, "frames/s"),
        f"{dump.tap.dropped:,} dropped by the kernel",
        f"{sum(counters[name] for name in OWN_RX_DROPS):,} by the port",
    ]
    if isinstance(sink, Files) and sink.recorder.files > 1:
        parts.insert(1, f"{sink.recorder.files} files")
    return ", ".join(parts)
