"""How things are measured: TCP, round trips, frames, processor time, memory."""

import contextlib
import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vecwire.bench.lab import BenchError, Namespace, Process, wait_until
from vecwire.bench.samples import percentile
from vecwire.wire.checksum import checksum

_ports = itertools.count(5301)
_idents = itertools.count(os.getpid())
_TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1_000_000


class Client(Protocol):
    """Where a client can be run: a namespace, or a guest."""

    def output(self, argv: list[str], seconds: float) -> str:
        """Runs a command to its end and returns what it printed."""
        ...


@dataclass
class Cost:
    """What something has cost, filled in when the context of ``watch`` ends.

    Attributes:
        seconds: how long it took.
        cpu: processor seconds that the processes used, what the kernel did in their name included.
        machine_cpu: processor seconds that the whole machine was not idle for.
        each: ``cpu`` for each process.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    machine_cpu: float = 0.0
    each: list[float] = field(default_factory=list)


def cpu_clock(pid: int) -> float:
    """Processor seconds that a process has used, exactly (clock_getcpuclockid(3)); 0 once it is gone."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of linux/posix-timers.h, all threads
    return 0.0


def machine_clock() -> float:
    """Processor seconds that this machine was busy since it started, to the kernel's tick."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    user, nice, system, _idle, _wait, hard, soft = map(int, fields[1:8])
    return (user + nice + system + hard + soft) / _TICKS


@contextlib.contextmanager
def watch(processes: Iterable[Process]) -> Iterator[Cost]:
    """Measures what happens in the context; the processes must be there before and after."""
    pids = [process.pid for process in processes]
    cost = Cost()
    start, machine = time.monotonic(), machine_clock()
    before = [cpu_clock(pid) for pid in pids]
    yield cost
    cost.each = [max(0.0, cpu_clock(pid) - used) for pid, used in zip(pids, before, strict=True)]
    cost.cpu = sum(cost.each)
    cost.seconds, cost.machine_cpu = time.monotonic() - start, machine_clock() - machine


def memory(processes: Iterable[Process]) -> dict[str, float]:
    """Resident and proportional memory of processes, and the most that was ever resident, in MB of 10^6."""
    found = {"rss_mb": 0.0, "pss_mb": 0.0, "peak_mb": 0.0}
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended: it needs none
            base = Path(f"/proc/{process.pid}")
            rollup = _kilobytes(base.joinpath("smaps_rollup").read_text(encoding="ascii"))
            found["rss_mb"] += rollup["Rss"] * 1024 / MEGABYTE
            found["pss_mb"] += rollup["Pss"] * 1024 / MEGABYTE
            status = _kilobytes(base.joinpath("status").read_text(encoding="utf-8"))
            found["peak_mb"] += status["VmHWM"] * 1024 / MEGABYTE
    return found


def _kilobytes(text: str) -> dict[str, int]:
    pairs = (line.split(":") for line in text.splitlines() if line.endswith(" kB"))
    return {key: int(value.split()[0]) for key, value in pairs}


def parse_iperf3(text: str) -> float:
    """Gbit/s that the receiver of a run of iperf3 got, from its JSON report.

    Raises:
        BenchError: The text is no report, or reports an error.
    """
    start = text.find("{")
    try:
        report: dict[str, Any] = json.loads(text[start:]) if start >= 0 else {"error": text.strip()[-200:]}
    except json.JSONDecodeError as error:
        raise BenchError(f"iperf3 gave no report: {error}") from error
    if "error" in report:
        raise BenchError(f"iperf3: {report['error'] or 'it said nothing'}")
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9


def tcp(
    client: Client, server: Namespace, address: str, seconds: float, *, reverse: bool = False, flows: int = 1
) -> float:
    """Gbit/s of TCP from a client to a server, or back, as the receiver counts them."""
    # The last moments of a server refuse, or reset, the next client: each run has a port of its own.
    port = str(next(_ports))
    command = ["iperf3", "-s", "-1", "-B", address, "-p", port, "--forceflush"]
    listening = server.start(command)
    try:
        listening.expect("Server listening")
        options = [*(["-R"] if reverse else []), *(["-P", str(flows)] if flows > 1 else [])]
        text = client.output(
            ["iperf3", "-c", address, "-p", port, "-t", f"{seconds:g}", "-J", *options], seconds + 20
        )
        return parse_iperf3(text)
    finally:
        listening.stop()


def echo_request(ident: int, sequence: int, size: int = 56) -> bytes:
    """An ICMP echo request (RFC 792) with ``size`` octets of data."""
    data = bytes(size)
    head = struct.pack("!BBHHH", 8, 0, 0, ident, sequence)
    value = checksum(head + data)
    return struct.pack("!BBHHH", 8, 0, value, ident, sequence) + data


def round_trips(namespace: Namespace, address: str, count: int, gap: float = 0.0) -> list[float]:
    """Microseconds of round trips, one ping at a time, each sent ``gap`` seconds after the last answer.

    Raises:
        BenchError: More than one in a hundred was not answered in half a second.
    """
    ident = next(_idents) & 0xFFFF
    with namespace.enter():
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    found: list[float] = []
    lost = 0
    answer = bytearray(256)
    with made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 500_000))
        made.connect((address, 0))
        for sequence in range(count):
            request = echo_request(ident, sequence & 0xFFFF)
            wanted = b"\0\0" + request[4:8]
            if gap:
                time.sleep(gap)
            start = time.perf_counter_ns()
            made.send(request)
            try:
                while True:
                    made.recv_into(answer)
                    stop = time.perf_counter_ns()
                    head = (answer[0] & 15) * 4
                    if answer[head : head + 2] + answer[head + 4 : head + 8] == wanted:
                        break
                found.append((stop - start) / 1000)
            except BlockingIOError:
                lost += 1
                if lost > max(3, count // 100):
                    raise BenchError(f"{lost} pings of {sequence + 1} were not answered") from None
    return found


def wait_reachable(namespace: Namespace, address: str, seconds: float = 15) -> None:
    """Waits until a ping is answered."""

    def answered() -> bool:
        with contextlib.suppress(OSError, BenchError):
            return bool(round_trips(namespace, address, 1))
        return False

    wait_until(answered, timeout=seconds, what=f"{address} answers")


def spread(trips: list[float]) -> dict[str, float]:
    """The figures of a list of round trips, in microseconds."""
    return {"p50_us": percentile(trips, 0.5), "p99_us": percentile(trips, 0.99), "least_us": min(trips)}
