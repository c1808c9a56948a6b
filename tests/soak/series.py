"""What the service took and moved over time: read once a second, judged, written down and drawn."""

from __future__ import annotations

import itertools
import json
import statistics
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from soak.kernel import process
from vecwire.client import Client
from vecwire.port import PortStats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from soak.kernel import Process

SECONDS = 1.0


@dataclass(frozen=True)
class Sample:
    """One reading.

    Attributes:
        at: seconds since the first.
        process: what the service takes.
        received: frames that its ports have received.
        sent: frames that they have sent.
        dropped: frames that they have dropped, for all reasons; those that the kernel did are ``missed``.
        missed: frames that the kernel had no room for in front of the service.
    """

    at: float
    process: Process
    received: int
    sent: int
    dropped: int
    missed: int


class Sampler:
    """Reads in a thread of its own.

    Args:
        pid: the service's process.
        control: its control socket.
    """

    def __init__(self, pid: int, control: str) -> None:
        self.samples: list[Sample] = []
        self._pid, self._client = pid, Client(control)
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self.read()

    def read(self) -> Sample:
        """Reads now."""
        with self._lock:
            stats = [PortStats(state.counters) for state in self._client.ports()]
        missed = sum(each.rx_missed for each in stats)
        found = Sample(
            at=time.monotonic() - self._start,
            process=process(self._pid),
            received=sum(each.rx_frames for each in stats),
            sent=sum(each.tx_frames for each in stats),
            dropped=sum(each.dropped for each in stats) - missed,
            missed=missed,
        )
        self.samples.append(found)
        return found

    def _run(self) -> None:
        while not self._ending.wait(SECONDS):
            self.read()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._client.close()


def growth(samples: Sequence[Sample]) -> tuple[float, float]:
    """How memory grows: kB a minute by the line of least squares; kB from the first tenth to the last."""
    memory = [float(each.process.resident) for each in samples]
    slope = statistics.linear_regression([each.at / 60 for each in samples], memory).slope
    part = max(1, len(memory) // 10)
    return slope, statistics.median(memory[-part:]) - statistics.median(memory[:part])


def write(path: Path, samples: Sequence[Sample], about: dict[str, Any]) -> None:
    """Writes all that was read as one JSON object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**about, "samples": [asdict(each) for each in samples]})
    path.write_text(text + "\n", encoding="utf-8")


def draw(path: Path, samples: Sequence[Sample]) -> None:
    """Draws memory, descriptors and threads, and frames a second, over time."""
    from matplotlib.figure import Figure  # noqa: PLC0415 # slow to import, and for long runs alone

    minutes = [each.at / 60 for each in samples]
    drawn = Figure(figsize=(8, 7), layout="constrained")
    memory, things, frames = drawn.subplots(3, 1, sharex=True)
    memory.plot(
        minutes, [each.process.resident / 1024 for each in samples], color="#1f6feb", label="resident"
    )
    memory.plot(minutes, [each.process.proportional / 1024 for each in samples], color="#8ab4f8", label="PSS")
    memory.set_ylabel("MB")
    memory.set_ylim(bottom=0)
    memory.legend(loc="lower right")
    things.plot(minutes, [each.process.descriptors for each in samples], color="#1f6feb", label="descriptors")
    things.plot(minutes, [each.process.threads for each in samples], color="#4b5563", label="threads")
    things.set_ylim(bottom=0)
    things.legend(loc="center right")
    for name, color in (("received", "#1f6feb"), ("sent", "#8ab4f8"), ("missed", "#9aa4b2")):
        rates = [
            (getattr(late, name) - getattr(early, name)) / (late.at - early.at) / 1000
            for early, late in itertools.pairwise(samples)
        ]
        frames.plot(minutes[1:], rates, color=color, label=name, linewidth=0.6)
    frames.set_ylabel("1000 frames/s")
    frames.set_xlabel("minutes")
    frames.legend(loc="upper right")
    for axes in (memory, things, frames):
        axes.spines[["top", "right"]].set_visible(False)
    memory.set_title("A service at saturation, with peers that come and go", loc="left")
    drawn.savefig(path, dpi=120, metadata={"Software": None})
