"""The parts of ``vecwire replay``: the file, its schedule, and what is told about it."""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from vecwire.capture import CaptureReader
from vecwire.cli._counters import as_object, info_object, quantity, span, table_lines
from vecwire.cli._output import print_json, print_line
from vecwire.cli._running import label_all
from vecwire.cli._signals import Signals
from vecwire.errors import PortError, VecwireError
from vecwire.meter import Meter
from vecwire.path.batch import Batch
from vecwire.path.pace import Pacer
from vecwire.path.tape import cut_long
from vecwire.traffic.plan import Rate
from vecwire.transports import TransportPort
from vecwire.transports._delayed import LONGEST_SECONDS, drain, due, rest
from vecwire.transports._link import link_mtu

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STANDARD_INPUT = Path("-")
#: Frames that one batch holds.
DEPTH = 256
#: Seconds for which what is held of the last frame may take to leave.
LAST_SECONDS = 1.0
#: A rate is told as missed where less than this share of it was reached.
REACHED = 0.99


@dataclass(frozen=True, slots=True)
class Timing:
    """When frames leave.

    Attributes:
        speed: how many times as fast as they were captured.
        rate: at which rate instead; of 0 and 0 as fast as it goes; None is by the file's times.
    """

    speed: float = 1.0
    rate: Rate | None = None

    @property
    def flat_out(self) -> bool:
        """Whether nothing is waited for."""
        return self.rate is not None and not self.rate.frames and not self.rate.bits


class Replay:
    """A file on its way through a port.

    Args:
        path: the file.
        timing: when its frames leave.
        loops: how many times it is sent; 0 is for ever.
        spin: nanoseconds for which the processor is kept before a frame is due.
    """

    def __init__(self, path: Path, timing: Timing, *, loops: int, spin: int) -> None:
        self.path = path
        self.timing = timing
        self.loops = loops
        self.pacer = Pacer(spin=spin)
        self.loop = 0
        self.cut = 0
        self.left_out = 0
        #: Frames that are longer than the link takes, and that nobody can cut.
        self.too_long = 0
        self._asked = False
        self._offset = 0
        self._size = 0
        self._started = 0.0
        self._ended = 0.0

    def check(self) -> None:
        """Says what is wrong with the file before anything is opened.

        Raises:
            PortError: It cannot be read, or is no capture.
        """
        if self.path == STANDARD_INPUT:
            return
        with self._opened() as file:
            CaptureReader(file, str(self.path))
            self._size = self.path.stat().st_size if self.path.is_file() else 0

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1; None where there is no end."""
        if not self._size or not self.loops:
            return None
        return min(1.0, (self.loop + self._offset / self._size) / self.loops)

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return (self._ended or time.monotonic()) - self._started if self._started else 0.0

    def run(self, port: TransportPort, signals: Signals, show: "Show", *, duration: float | None) -> None:
        """Sends until the file has ended as often as wanted, a signal comes, or time is over.

        Raises:
            PortError: The file cannot be read further; what came before has been sent.
        """
        # Between two frames of a batch nobody would have a port send what it delays.
        batch = Batch(1 if port.impairment and not self.timing.flat_out else DEPTH)
        self._started = time.monotonic()
        end = None if duration is None else self._started + duration
        mtu = link_mtu(port)
        self.pacer.start()
        try:
            with self._opened() as file:
                reader = CaptureReader(file, str(self.path))
                while not self.loops or self.loop < self.loops:
                    if self.loop:
                        reader.rewind()
                    if not self._through(port, reader, batch, mtu, signals, show, end):
                        return
                    self.loop += 1
                    self._offset = 0
        finally:
            drain(port, lambda: self._goes_on(signals, show))
            port.wait(0 if self._asked_to_end(signals) else LAST_SECONDS, write=True)
            self._ended = time.monotonic()

    def _goes_on(self, signals: Signals, show: "Show") -> bool:
        """Tells how far it is; whether what is late is to be waited for any longer."""
        show.progress()
        return not self._asked_to_end(signals)

    def _asked_to_end(self, signals: Signals) -> bool:
        """Whether a signal has come, now or before."""
        self._asked = self._asked or signals.wait(0)
        return self._asked

    def _through(
        self,
        port: TransportPort,
        reader: CaptureReader,
        batch: Batch,
        mtu: int,
        signals: Signals,
        show: "Show",
        end: float | None,
    ) -> bool:
        """Sends the file once; whether it came to its end."""
        base: int | None = None
        while reader.fill(batch):
            base = batch.timestamps[0] if base is None else base
            self.cut, self.left_out = reader.cut, reader.left_out
            self.too_long += cut_long(batch, mtu)
            moment = self._moment(batch, base)
            self._schedule(batch, base)
            first = 0
            while first < len(batch):
                first += self._send(port, batch, first, moment)
                show.progress()
                if self._asked_to_end(signals) or (end is not None and time.monotonic() >= end):
                    return False
            self._offset = reader.offset
        self.cut, self.left_out = reader.cut, reader.left_out
        if base is None:
            raise PortError(f"there are no frames in {self.path}")
        if self.timing.rate is None:
            # The next time through begins when this one has ended.
            self.pacer.start()
        return True

    def _moment(self, batch: Batch, base: int) -> float:
        """When the first frame of a batch, which is to be scheduled yet, is due (``time.monotonic``)."""
        behind = batch.timestamps[0] - base if self.timing.rate is None else 0
        return self.pacer.due_next + max(0, behind) / 1e9 / self.timing.speed

    def _send(self, port: TransportPort, batch: Batch, first: int, moment: float) -> int:
        """Sends what is due by now, after 50 ms at the most; how many frames of the batch are done with."""
        if due(port) is not None:
            # The pacer only sleeps.
            now = time.monotonic()
            rest(port, min(moment, now + LONGEST_SECONDS))
            if moment > now + LONGEST_SECONDS:
                return 0
        return self.pacer.send(port, batch, first)

    def _schedule(self, batch: Batch, base: int) -> None:
        rate = self.timing.rate
        if rate is None:
            self.pacer.at_times(batch, base, self.timing.speed)
        elif rate.bits:
            self.pacer.at_bits(batch, rate.bits)
        else:
            self.pacer.at_rate(batch, rate.frames)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self.path == STANDARD_INPUT:
            yield sys.stdin.buffer
            return
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise PortError(f"the capture {self.path} cannot be read", errno=error.errno) from error
        with file:
            try:
                yield file
            except VecwireError:
                raise
            except OSError as error:
                raise PortError(f"the capture {self.path} cannot be read", errno=error.errno) from error

    def missed(self) -> str:
        """Says that the rate that was asked for was not reached; empty where it was, or none was."""
        rate = self.timing.rate
        if rate is None or not self.seconds or self.timing.flat_out:
            return ""
        wanted, unit = (rate.bits, "bit/s") if rate.bits else (rate.frames, "frames/s")
        reached = (8 * self.pacer.octets if rate.bits else self.pacer.frames) / self.seconds
        if reached >= REACHED * wanted:
            return ""
        return f"{quantity(reached, unit)} of {quantity(wanted, unit)} that were asked for"


class Show:
    """Tells how a replay goes: events with ``--json``, a bar on a terminal, lines with ``--stats``."""

    def __init__(self, replay: Replay, port: TransportPort, *, json: bool, every: float | None) -> None:
        self._replay = replay
        self._json = json
        self._every = every
        self._next = every or 0.0
        self._meter = Meter({label_all([port.info])[0]: port})
        self._port = port
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if not json and every is None and sys.stderr.isatty():
            self._begin_bar()
            self._every = 0.2

    def _begin_bar(self) -> None:
        from rich.console import Console  # noqa: PLC0415 # slow to import, and needed by this alone
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None if self._replay.share is None else 1.0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        if self._json:
            print_json({"event": "ready", "port": info_object(self._port.info)})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._end()

    def progress(self) -> None:
        """Tells how far it is, if it is time."""
        seconds = self._replay.seconds
        if self._every is None or seconds < self._next:
            return
        self._next = max(self._next + self._every, seconds)
        if self._bar is not None and self._task is not None:
            rate = quantity(self._replay.pacer.frames / seconds, "frames/s")
            self._bar.update(
                self._task,
                completed=self._replay.share or 0.0,
                description=f"{self._replay.pacer.frames:,} frames, {rate}",
                refresh=True,
            )
        elif self._json:
            print_json({"event": "stats", **self._object()})
        else:
            share = self._replay.share
            print_line(
                f"{seconds:.1f} s  {self._replay.pacer.frames:,} frames"
                + ("" if share is None else f", {share:.0%}, {self._left(share)} left")
            )

    def _left(self, share: float) -> str:
        return span(self._replay.seconds * (1 - share) / share) if share else "some time"

    def _object(self) -> dict[str, Any]:
        replay, pacer = self._replay, self._replay.pacer
        told: dict[str, Any] = {
            "seconds": round(replay.seconds, 3),
            "frames": pacer.frames,
            "octets": pacer.octets,
            "loops": replay.loop,
            "share": replay.share,
        }
        if not replay.timing.flat_out:
            late = pacer.late
            told["late_ns"] = {"mean": round(late.mean), "p99": late.percentile(99), "worst": late.most}
        return told

    def _end(self) -> None:
        replay, pacer = self._replay, self._replay.pacer
        if self._json:
            (reading,) = self._meter.total()
            ending = {**self._object(), "cut": replay.cut, "left_out": replay.left_out}
            ending["too_long"] = replay.too_long
            print_json({"event": "end", **ending, "port": as_object(reading)})
            return
        print_line("\n".join(table_lines(self._meter.total(), average=True)))
        seconds = replay.seconds or 1.0
        print_line(
            f"{pacer.frames:,} frames in {seconds:.3f} s: {quantity(pacer.frames / seconds, 'frames/s')}, "
            f"{quantity(8 * pacer.octets / seconds, 'bit/s')}"
        )
        if pacer.frames and not replay.timing.flat_out:
            late = pacer.late
            print_line(
                f"late: {quantity_of_time(late.mean)} on average, 99 of 100 at most "
                f"{quantity_of_time(late.percentile(99))}, the worst {quantity_of_time(late.most)}"
            )
        for told in (
            replay.missed(),
            replay.cut
            and f"{replay.cut:,} frames were cut when they were captured: their beginnings were sent",
            replay.left_out
            and f"{replay.left_out:,} frames are longer than any port takes: they were left out",
            replay.too_long
            and f"{replay.too_long:,} frames are longer than the link takes, and no TCP that could be cut",
        ):
            if told:
                print_line(f"{told}")


def quantity_of_time(nanoseconds: float) -> str:
    """A short time with three digits: ``12.3 us``, ``1.20 ms``, ``2.00 s``."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"
    return f"{nanoseconds:.0f} ns"
