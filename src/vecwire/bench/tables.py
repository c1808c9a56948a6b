"""The questions: who is asked, in which cases, how it is measured, and how the answers are shown."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vecwire.bench.contender import ADDRESSES, Contender, Site, Wan, Wire
from vecwire.bench.frames import NOBODY, SENDER, as_input, frame
from vecwire.bench.helper import compile_helper
from vecwire.bench.hub import Hub, ManyCables
from vecwire.bench.lab import BenchError, Process
from vecwire.bench.measure import memory, round_trips, spread, tcp, watch
from vecwire.bench.wires import Nothing

VECWIRE, QEMU, VXLAN, BRIDGE, C_LOOP = (
    "vecwire l2tpv3 udp",
    "QEMU l2tpv3",
    "kernel VXLAN",
    "kernel bridge",
    "C loop",
)
RAW = "vecwire raw"
SWITCH = "vecwire switch"
SIZES = (60, 590, 1514)
#: Frames a second that all but scapy can forward on any machine of today.
MODEST = 50_000
_BURST = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """How long things are measured.

    Attributes:
        rounds: how often each contender is asked.
        tcp: seconds of one run of TCP.
        frames: seconds in which frames are counted.
        warm: seconds of load before that.
        pings: round trips in a row.
    """

    rounds: int = 3
    tcp: float = 4.0
    frames: float = 2.0
    warm: float = 0.5
    pings: int = 3000

    @classmethod
    def quick(cls, rounds: int = 1) -> "Settings":
        """To see that everything works; the figures say little."""
        return cls(rounds, tcp=1.0, frames=0.5, warm=0.2, pings=300)


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a table.

    Attributes:
        value: its name in a sample.
        heading: with the unit.
        digits: after the point.
    """

    value: str
    heading: str
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Table:
    """One question.

    Attributes:
        name: what ``--only`` takes.
        title: the question.
        note: what a reader has to know.
        columns: the figures; the first is what a plot shows.
        contenders: who is asked.
        measure: how one is asked; gets the contender, the case and the settings.
        cases: what is asked for; one empty word where there is one thing.
        line: whether the cases are numbers that grow, to be drawn as a line.
    """

    name: str
    title: str
    note: str
    columns: Sequence[Column]
    contenders: Sequence[Contender]
    measure: Callable[[Contender, str, Settings], dict[str, float]]
    cases: Sequence[str] = ("",)
    line: bool = False


def processors() -> tuple[int | None, int | None]:
    """One for the load and one for the contender, where there are two."""
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[1]) if len(found) > 1 else (None, None)


def both_ways(contender: Contender, site: Site, settings: Settings) -> dict[str, float]:
    """TCP in both directions, what it costs, and what is resident after it."""
    contender.start(site)
    try:
        contender.wait(site)
        client = contender.client(site)
        with watch(contender.processes) as idle:
            time.sleep(settings.warm)
        values = {"idle_cores": idle.cpu / idle.seconds}
        for way in ("forward", "reverse"):
            with watch(contender.processes) as cost:
                gbit = tcp(client, site.b, ADDRESSES[1], settings.tcp, reverse=way == "reverse")
            values[f"{way}_gbit"] = gbit
            values[f"{way}_cores"] = cost.cpu / cost.seconds
            values[f"{way}_machine_cores"] = cost.machine_cpu / cost.seconds
        values |= memory(contender.processes)
        values["processes"] = len(contender.processes)
        values["checksum_errors"] = contender.checksum_errors(site)
        return values
    finally:
        contender.stop()


def tunnel_tcp(contender: Contender, _case: str, settings: Settings) -> dict[str, float]:
    """TCP through a tunnel."""
    with Wan() as site:
        return both_ways(contender, site, settings)


def wire_tcp(contender: Contender, _case: str, settings: Settings) -> dict[str, float]:
    """TCP from interface to interface."""
    with Wire(offloads=contender.offloads) as site:
        return both_ways(contender, site, settings)


def flows_tcp(contender: Contender, case: str, settings: Settings) -> dict[str, float]:
    """TCP of several flows through a tunnel."""
    with Wan() as site:
        contender.start(site)
        try:
            contender.wait(site)
            with watch(contender.processes) as cost:
                gbit = tcp(site.a, site.b, ADDRESSES[1], settings.tcp, flows=int(case))
            return {
                "gbit": gbit,
                "cores": cost.cpu / cost.seconds,
                "checksum_errors": contender.checksum_errors(site),
            }
        finally:
            contender.stop()


def latency(contender: Contender, _case: str, settings: Settings) -> dict[str, float]:
    """Round trips, one at a time: back to back, and two milliseconds after each other."""
    with Wan() as site:
        contender.start(site)
        try:
            contender.wait(site)
            round_trips(site.a, ADDRESSES[1], settings.pings // 10)
            with watch(contender.processes) as cost:
                values = spread(round_trips(site.a, ADDRESSES[1], settings.pings))
            values["cores"] = cost.cpu / cost.seconds
            seldom = spread(round_trips(site.a, ADDRESSES[1], settings.pings // 5, gap=0.002))
            return {**values, "seldom_p50_us": seldom["p50_us"], "seldom_p99_us": seldom["p99_us"]}
        finally:
            contender.stop()


def offer(site: Site, frames: Sequence[bytes], rate: float, settings: Settings, cpu: int | None) -> Process:
    """Starts to offer frames, without an end that matters, and returns once they have flowed a while."""
    program = str(compile_helper(site.folder))
    seconds = str(settings.warm + settings.frames + 5)
    process = site.a.start(
        [program, "send", "host0", f"{rate:g}", str(_BURST), seconds], cpu=cpu, stdin=as_input(list(frames))
    )
    process.expect("ready")
    time.sleep(settings.warm)
    return process


def introduce(site: Site) -> None:
    """Has the second host send a frame from the address that the load is for, so that a switch knows it."""
    hello = as_input([frame(SIZES[0], to=SENDER, source=NOBODY)])
    process = site.b.start(
        [str(compile_helper(site.folder)), "send", "host0", "100", "1", "0.05"], stdin=hello
    )
    try:
        process.finish()
    finally:
        process.stop()


def _rate_of(case: str) -> tuple[int, float]:
    size, _, rate = case.partition(" octets, ")
    return int(size), 0.0 if rate == "flat out" else float(rate.split("/")[0].replace(",", ""))


def frames_per_second(contender: Contender, case: str, settings: Settings) -> dict[str, float]:
    """Frames from interface to interface; the load has one processor, the contender the other."""
    size, rate = _rate_of(case)
    load_cpu, cpu = processors()
    with Wire(offloads=contender.offloads) as site:
        contender.start(site, cpu=cpu)
        try:
            contender.wait(site)
            introduce(site)
            load = offer(site, [frame(size)], rate, settings, load_cpu)
            try:
                before = site.b.octets_and_frames("host0")[1]
                sent = site.middle.octets_and_frames("port0")[1]
                watched = [load, *contender.processes]
                with watch(watched) as cost:
                    time.sleep(settings.frames)
                sent = site.middle.octets_and_frames("port0")[1] - sent
                count = site.b.octets_and_frames("host0")[1] - before
            finally:
                load.stop()
        finally:
            contender.stop()
    values = {"offered": sent / cost.seconds, "load_ns": cost.each[0] * 1e9 / max(1, sent)}
    if isinstance(contender, Nothing):
        return values
    if count < 10:
        raise BenchError(f"only {count} frames came through")
    values |= {"frames": count / cost.seconds, "lost": max(0.0, 1 - count / max(1, sent))}
    if len(watched) > 1:
        used = cost.cpu - cost.each[0]
        values |= {"ns": used * 1e9 / count, "cores": used / cost.seconds}
    return values


def depth(contender: Contender, case: str, settings: Settings) -> dict[str, float]:
    """Frames of 60 octets flat out, with so many frames a call at the most."""
    contender.depth = int(case)
    return frames_per_second(contender, "60 octets, flat out", settings)


def ports(contender: Contender, case: str, settings: Settings) -> dict[str, float]:
    """Frames of 60 octets flat out between two ports of a switch that has so many."""
    contender.ports = int(case)
    return frames_per_second(contender, "60 octets, flat out", settings)


def many_tunnels(contender: Contender, case: str, settings: Settings) -> dict[str, float]:
    """Frames of 60 octets flat out through so many tunnels of one process, in turn."""
    assert isinstance(contender, ManyCables)  # noqa: S101 # as the table below has it
    contender.tunnels = int(case)
    load_cpu, cpu = processors()
    with Hub() as site:
        contender.start(site, cpu=cpu)
        try:
            load = offer(site, contender.load(), 0.0, settings, load_cpu)
            try:
                before, _ = contender.counts()
                with watch(contender.processes) as cost:
                    time.sleep(settings.frames)
                count = contender.counts()[0] - before
            finally:
                load.stop()
            resident = memory(contender.processes)["rss_mb"]
        finally:
            contender.stop()
    if count < 10:
        raise BenchError(f"only {count} frames came through")
    return {
        "ns": cost.cpu * 1e9 / count,
        "frames": count / cost.seconds,
        "cores": cost.cpu / cost.seconds,
        "rss_mb": resident,
    }
