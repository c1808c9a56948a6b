"""Measures ``vecwire blast`` beside C and scapy, and a delay that is set, as root: ``bench/generate.py``.

Between two network namespaces of its own, over one veth pair, three generators take turns to send frames of
60 octets as fast as they can: the bench's loop in C around sendmmsg(2), ``vecwire blast`` and scapy's
``sendp``. What is told is what the far end's counters say has arrived.

Then frames pass a cable whose far port delays them, between ``vecwire blast`` and ``vecwire sink``, and the
percentiles that the sink tells are set against that delay.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bounds import judge
from vecwire.bench.frames import as_input, frame
from vecwire.bench.helper import compile_helper
from vecwire.bench.lab import Namespace, veth

DEPTH = 64
SCAPY = """
import sys, time
from scapy.config import conf
conf.verb = 0
from scapy.layers.l2 import Ether
from scapy.sendrecv import sendp
frames = [Ether(bytes.fromhex(sys.argv[1]))] * 1000
socket = conf.L2socket(iface="veth0")
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    sendp(frames, socket=socket)
"""
VECWIRE = [sys.executable, "-m", "vecwire"]


def arrived(here: Namespace, there: Namespace, argv: list[str], text: bytes) -> float:
    """Frames a second that arrived while a generator ran, from the first that is seen to its end."""
    before = there.octets_and_frames("veth1")[1]
    process = here.start(argv, stdin=text)
    try:
        while there.octets_and_frames("veth1")[1] - before < DEPTH:
            time.sleep(0.001)
        first, began = there.octets_and_frames("veth1")[1], time.monotonic()
        last, ended = first, began
        while process.alive:
            time.sleep(0.02)
            now = there.octets_and_frames("veth1")[1]
            # Marks at the end of a blast are no traffic.
            if now - last > DEPTH:
                last, ended = now, time.monotonic()
    finally:
        process.stop()
    return (last - first) / (ended - began)


def generators(rounds: int, seconds: float) -> None:
    """Prints the table of generators."""
    plain = frame(60)
    with contextlib.ExitStack() as stack:
        here, there = Namespace(), Namespace()
        stack.callback(here.close)
        stack.callback(there.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        veth((here, "veth0"), (there, "veth1"))
        helper = os.fspath(compile_helper(folder))
        contenders: dict[str, tuple[list[str], bytes]] = {
            "C, sendmmsg": ([helper, "send", "veth0", "0", str(DEPTH), str(seconds)], as_input([plain])),
            "vecwire blast": (
                [*VECWIRE, "blast", "--rate", "max", "--duration", str(seconds), "raw,ifname=veth0"],
                b"",
            ),
            "scapy, sendp": ([sys.executable, "-c", SCAPY, plain.hex(), str(seconds)], b""),
        }
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, (argv, text) in contenders.items():
                found[name].append(arrived(here, there, argv, text))
    print(f"frames of 60 octets, as fast as it goes, over veth, median of {rounds} rounds (least, most)")
    base = statistics.median(found["C, sendmmsg"])
    for name, rates in found.items():
        middle = statistics.median(rates)
        print(f"{name:>16}{middle:>12,.0f}/s  ({min(rates):,.0f}, {max(rates):,.0f}){middle / base:>8.2f}")
    ours, scapy = (statistics.median(found[name]) for name in ("vecwire blast", "scapy, sendp"))
    judge(ours >= 0.9 * base, "at least 0.9 of the generator in C", f"{ours / base:.2f}")
    judge(ours >= 5 * scapy, "at least 5 times scapy's sendp", f"{ours / scapy:.1f} times")


def delays(wanted: list[float], rate: int, seconds: float) -> None:
    """Prints the table of delays."""
    print(f"latency told by the sink at {rate} frames/s through a cable with a delay")
    names = ("p50", "p90", "p99", "p99_9")
    print(f"{'delay':>10}" + "".join(f"{name:>12}{'off by':>8}" for name in names))
    worst = 0.0
    for delay in wanted:
        with contextlib.ExitStack() as stack:
            a, middle, b = spaces = [Namespace() for _ in range(3)]
            for space in spaces:
                stack.callback(space.close)
            veth((a, "veth0"), (middle, "veth1"))
            veth((middle, "veth2"), (b, "veth3"))
            ports = ["raw,ifname=veth1", f"raw,ifname=veth2,limit=65000,delay={delay * 1e3:g}ms"]
            cable = middle.start([*VECWIRE, "cable", *ports])
            stack.callback(cable.stop)
            cable.expect("ready")
            sink = b.start([*VECWIRE, "sink", "--json", "--once", "--duration", "60", "raw,ifname=veth3"])
            stack.callback(sink.stop)
            sink.expect("ready")
            blast = a.start(
                [*VECWIRE, "blast", "--rate", str(rate), "--duration", str(seconds), "raw,ifname=veth0"]
            )
            stack.callback(blast.stop)
            events = [json.loads(line) for line in sink.finish().splitlines() if line.startswith("{")]
        found = events[-1]["latency"]
        off = {name: abs(found[name] / 1e9 / delay - 1) for name in names}
        worst = max(worst, *off.values())
        print(
            f"{delay * 1000:>7.1f} ms"
            + "".join(f"{found[name] / 1e6:>9.3f} ms{off[name]:>8.1%}" for name in names)
        )
    judge(worst <= 0.05, "percentiles within 5 % of the delay that is set", f"off by {worst:.1%} at the most")


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is shown")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long one measurement takes")
    parser.add_argument("--rate", type=int, default=1000, help="frames/s of the blast through the delay")
    parser.add_argument(
        "--delays", type=float, nargs="*", default=[0.005, 0.02, 0.05], help="seconds of delay"
    )
    parser.add_argument(
        "--first",
        action="store_true",
        help="have what measures delays go before all else on the machine (SCHED_FIFO)",
    )
    chosen = parser.parse_args()
    generators(chosen.rounds, chosen.seconds)
    if chosen.first:
        # Whatever is started from here on has it too (sched(7)).
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    delays(chosen.delays, chosen.rate, max(chosen.seconds, 2.0))


if __name__ == "__main__":
    main()
