"""``vecwire sink``: judges the frames of ``vecwire blast``."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from vecwire.cli._common import (
    DropOption,
    DurationOption,
    JsonOption,
    SeccompOption,
    SpecArgument,
    StatsOption,
    UserOption,
    VerboseOption,
)
from vecwire.cli._counters import quantity
from vecwire.cli._running import Shared
from vecwire.cli._traffic import Rows, span_of, tell, work
from vecwire.confine import Seccomp
from vecwire.errors import VecwireError
from vecwire.path.tally import MEANINGS
from vecwire.spec.kinds import Duration
from vecwire.traffic.sink import LATENCIES, Latency, Report, Sink
from vecwire.transports import TransportPort

HELP = """
Tell what became of the frames of "vecwire blast": lost, reordered, twice, corrupted, and how late.

Start it before the blast: then it knows from the marks of the blast which frames were sent, the first and
the last included. Started later, it counts from the first frame that it sees.

    lost         sent and not received, as far as numbers and marks tell
    reordered    received after one with a higher number (RFC 4737)
    duplicates   received once more (RFC 5560)
    late         more than 1,024 numbers late: counted as lost
    corrupted    with a wrong checksum
    foreign      without a stamp: whatever else is on the wire
    early        received before they were sent, by the clocks

Latency is from when the blast handed a frame to the kernel until this process had it, by CLOCK_REALTIME.
On one host that is exact to what the scheduler adds. Between hosts it has the difference of their clocks in
it: have them follow one clock (PTP, NTP), or look at differences only. Percentiles are of a histogram of
fixed memory, and off by 0.4 % at the most.

It ends after --count frames or --duration, with --once when a blast has told that it is over, on Ctrl-C or
on SIGTERM. Then it prints a table. With --json it prints one event a line: "warning", "ready", "stats"
(every --stats seconds) and "end"; times are in nanoseconds.

Limits make it a test: where one is broken, or nothing came at all, it says so and the exit code is 1. They
are shares of the frames sent, 0.1%, or numbers of frames.

Once the port is open it keeps only the capabilities that opening it again takes, and none with --drop. The
thread that judges frames has none, and only the system calls of its loop.

Examples:

    vecwire sink raw,ifname=eth2
    vecwire sink --once --duration 60 --max-loss 0 --max-latency p99=5ms tap,ifname=tap1
    vecwire sink --json --stats 1 bess,listen=/run/vecwire.sock
"""

_LIMIT = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<percent>%?)")
_LIMITED = {"loss": "lost", "reordered": "reordered", "duplicates": "duplicates", "corrupted": "corrupted"}


class LimitError(VecwireError):
    """What came is not as good as was asked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How bad it may be.

    Attributes:
        counts: By what is counted, the option's text; None where anything goes.
        latency: The option's text.
    """

    counts: dict[str, str | None]
    latency: str | None = None

    def __post_init__(self) -> None:
        for option, text in self.counts.items():
            if text is not None and not _LIMIT.fullmatch(text):
                raise ValueError(f"--max-{option} is a share, 0.1%, or a number of frames, not {text!r}")
        if self.latency is not None:
            read_latency(self.latency)

    def broken(self, report: Report) -> list[str]:
        """What is worse than it may be, each in a sentence."""
        wanted = {option: text for option, text in self.counts.items() if text is not None}
        if (wanted or self.latency) and report.latency is None:
            return ["no frame of a blast came"]
        found = []
        for option, text in wanted.items():
            name = _LIMITED[option]
            match = _LIMIT.fullmatch(text)
            assert match is not None  # noqa: S101 # as was seen before
            value = 100 * report.share(name) if match["percent"] else report.counts[name]
            if value > float(match["number"]):
                told = f"{report.counts[name]:,} of {report.counts['expected']:,} frames"
                found.append(f"{name}: {told} ({report.share(name):.4%}), more than --max-{option} {text}")
        if self.latency and report.latency is not None:
            found += _slow(self.latency, report.latency)
        return found


def read_latency(text: str) -> tuple[str, int]:
    """Returns which latency a text bounds, and the bound in nanoseconds; the time is one as a spec has it.

    Raises:
        ValueError: It is no such text.
    """
    what, equals, time = text.rpartition("=")
    if not equals or what in LATENCIES:
        with contextlib.suppress(ValueError):
            return what or "most", Duration().scaled(time)
    raise ValueError(f"--max-latency is a time, 5ms or p99=5ms, not {text!r}")


def _slow(text: str, latency: Latency) -> list[str]:
    what, most = read_latency(text)
    value = getattr(latency, what)
    if value <= most:
        return []
    return [f"latency: {_label(what)} is {span_of(value)}, more than --max-latency {text}"]


def _label(name: str) -> str:
    return {"least": "min", "most": "max"}.get(name, name.replace("_", "."))


def command(
    spec: SpecArgument,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="FRAMES", help="End after so many.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when a blast is over.")] = False,
    max_loss: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Fail where more are lost.", show_default=False)
    ] = None,
    max_reordered: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Fail where more are reordered.", show_default=False)
    ] = None,
    max_duplicates: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Fail where more came twice.", show_default=False)
    ] = None,
    max_corrupted: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Fail where more are corrupted.", show_default=False)
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(
            metavar="[WHICH=]TIME",
            help="Fail where it is greater: p50, p90, p99, p99_9, or most, which is meant without a name.",
            show_default=False,
        ),
    ] = None,
    duration: DurationOption = None,
    stats: StatsOption = None,
    user: UserOption = None,
    drop: DropOption = False,
    seccomp: SeccompOption = Seccomp.ON,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Judges frames until the end is asked for.

    Raises:
        LimitError: A limit is broken.
    """
    counts = {
        "loss": max_loss,
        "reordered": max_reordered,
        "duplicates": max_duplicates,
        "corrupted": max_corrupted,
    }
    try:
        limits = Limits(counts, max_latency)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    made: list[Sink] = []

    def make(port: TransportPort) -> tuple[Sink, "Received"]:
        made.append(Sink(port, count=count or 0, once=once))
        return made[0], Received(made[0])

    shared = Shared(json=json, duration=duration, stats=stats, user=user, drop=drop)
    if work(spec, make, shared, seccomp, quiet=True):
        broken = limits.broken(made[0].report())
        tell(Received(made[0], broken), json=json)
        if broken:
            raise LimitError("; ".join(broken))


class Received:
    """How far a sink is.

    Args:
        sink: which.
        broken: the limits that are broken, in sentences.
    """

    def __init__(self, sink: Sink, broken: Sequence[str] | None = None) -> None:
        self.sink = sink
        self.broken = broken

    def line(self) -> str:
        """A line of a log."""
        report = self.sink.report()
        counts, latency = report.counts, report.latency
        late = f"; p50 {span_of(latency.p50)}, p99 {span_of(latency.p99)}" if latency else ""
        return (
            f"{report.seconds:.1f} s  received {counts['received']:,} of {counts['expected']:,} frames, "
            f"lost {counts['lost']:,}, reordered {counts['reordered']:,}, "
            f"twice {counts['duplicates']:,}{late}"
        )

    def rows(self) -> Rows:
        """All of it."""
        report = self.sink.report()
        counts, seconds = report.counts, max(report.seconds, 1e-6)
        rows: Rows = [
            (
                "received",
                f"{counts['received']:,}",
                f"of {counts['expected']:,} frames in {counts['flows']:,} flows, {report.seconds:.2f} s",
            ),
            ("rate", quantity(counts["frames"] / seconds, "frames/s"), ""),
            ("", quantity(counts["octets"] * 8 / seconds, "bit/s"), ""),
        ]
        for name in ("lost", "reordered", "duplicates", "late", "corrupted"):
            rows.append((name, f"{counts[name]:,}", f"{report.share(name):.4%}" if counts[name] else ""))
        rows += [(name, f"{counts[name]:,}", MEANINGS[name]) for name in ("foreign", "early") if counts[name]]
        if report.latency is not None:
            for name in LATENCIES:
                rows.append((_label(name), span_of(getattr(report.latency, name)), ""))
        return rows

    def event(self) -> dict[str, Any]:
        """The members of an event."""
        report = self.sink.report()
        seconds = max(report.seconds, 1e-6)
        latency = report.latency
        return {
            "seconds": round(report.seconds, 6),
            **report.counts,
            "frames_per_second": round(report.counts["frames"] / seconds, 1),
            "bits_per_second": round(report.counts["octets"] * 8 / seconds, 1),
            "latency": latency and {name: round(getattr(latency, name)) for name in LATENCIES},
            **({} if self.broken is None else {"broken": list(self.broken)}),
        }
