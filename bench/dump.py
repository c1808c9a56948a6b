"""Measures how many frames a capture takes, as root: ``python bench/dump.py``.

In a network namespace of its own, frames of 60 octets go through a veth pair at a rate that is kept, or as
fast as the sender can. At the other end one of three captures: ``vecwire dump -w``, ``tcpdump -w`` with a
buffer of the same size, and scapy's ``sniff(store=False)``, which only counts. They take turns. What is
told of each is how many frames it took, of how many that were sent, and the highest of the rates at which
it lost none.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import vecwire
from bounds import judge
from vecwire.capture import CaptureReader
from vecwire.capture.sockets import BUFFER
from vecwire.path.pace import Pacer
from vecwire.transports._unshare import own_network

RATES = (50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 800_000, 0)
FRAME = (bytes.fromhex("0200000000bb0200000000aa") + struct.pack("!H", 0x88B5)).ljust(60, b"\0")
SNIFF = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
from scapy.all import AsyncSniffer, conf
conf.sniff_promisc = False
counted = 0
def count(packet):
    global counted
    counted += 1
ready = lambda: print("ready", flush=True)
sniffer = AsyncSniffer(iface="right0", store=False, prn=count, started_callback=ready)
sniffer.start()
signal.sigwait([signal.SIGTERM])
sniffer.stop()
print(counted, flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one capture: frames sent, frames taken, and for how many seconds they were sent."""

    sent: int
    taken: int
    seconds: float

    @property
    def rate(self) -> float:
        """Frames taken a second."""
        return self.taken / self.seconds


def links() -> None:
    """Makes the pair that frames go through."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    lines = ["link add left0 type veth peer name right0", "link set left0 up", "link set right0 up"]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)  # noqa: S607


def command(tool: str, file: Path) -> list[str]:
    """How a capture is started."""
    if tool == "vecwire":
        return [sys.executable, "-m", "vecwire", "dump", "raw,ifname=right0", "-w", str(file), "--json"]
    if tool == "tcpdump":
        return ["tcpdump", "-i", "right0", "-n", "-B", str(BUFFER // 1024), "-w", str(file)]
    return [sys.executable, "-c", SNIFF]


def capture(tool: str, file: Path, rate: int, seconds: float) -> Outcome:
    """Sends while a tool captures."""
    with subprocess.Popen(  # noqa: S603 # the tools that are compared
        command(tool, file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        stream = running.stderr if tool == "tcpdump" else running.stdout
        assert stream is not None  # noqa: S101 # it was asked for
        while not re.search("ready|listening", stream.readline()):
            pass
        sent, took = send(rate, seconds)
        time.sleep(1.0)  # what is in its buffer yet
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=120)
    if tool == "scapy":
        return Outcome(sent, int(output.split()[-1]), took)
    with file.open("rb") as octets:
        taken = sum(1 for _ in CaptureReader(octets))
    if tool == "vecwire":
        end = json.loads(output.splitlines()[-1])
        told = end["frames"] + end["kernel_dropped"]
        if told != sent or end["frames"] != taken:
            print(f"vecwire tells of {told} frames and {end['frames']} written, not {sent} and {taken}")
    return Outcome(sent, taken, took)


def send(rate: int, seconds: float) -> tuple[int, float]:
    """Sends at a rate, or as fast as it goes; how many frames, and how many seconds it took."""
    pacer = Pacer()
    with vecwire.open("raw,ifname=left0,depth=128") as port:
        batch = port.batch()
        batch.extend([FRAME] * batch.depth)
        pacer.start()
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            pacer.at_rate(batch, rate)
            first = 0
            while first < len(batch):
                first += pacer.send(port, batch, first)
        took = time.monotonic() - start
        return port.stats.tx_frames, took


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of traffic in each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each tool at each rate")
    parser.add_argument("--rates", type=int, nargs="*", default=RATES, help="frames/s; 0 is flat out")
    parser.add_argument("--tools", nargs="*", default=["vecwire", "tcpdump", "scapy"])
    given = parser.parse_args()
    own_network()
    with tempfile.TemporaryDirectory() as folder:
        links()
        best: dict[str, int] = {}
        lossless: dict[str, float] = {}
        most: dict[str, float] = {}
        for rate in given.rates:
            outcomes: dict[str, list[Outcome]] = {tool: [] for tool in given.tools}
            for _ in range(given.rounds):
                for tool in given.tools:
                    outcomes[tool].append(capture(tool, Path(folder) / f"{tool}.pcap", rate, given.seconds))
            for tool, found in outcomes.items():
                taken = statistics.median(outcome.rate for outcome in found)
                sent = statistics.median(outcome.sent / outcome.seconds for outcome in found)
                lost = statistics.median(1 - outcome.taken / outcome.sent for outcome in found)
                most[tool] = max(most.get(tool, 0.0), taken)
                if lost == 0:
                    lossless[tool] = max(lossless.get(tool, 0.0), rate or math.inf)
                    best[tool] = max(best.get(tool, 0), round(sent))
                name = f"{rate:,}" if rate else "flat out"
                print(
                    f"{name:>9}  {tool:8} sent {sent:>11,.0f}/s  took {taken:>11,.0f}/s  lost {lost:7.2%}",
                    flush=True,
                )
        for tool, rate in best.items():
            print(f"{tool}: without loss at {rate:,} frames/s")
    if "scapy" in most and "vecwire" in most:
        times = most["vecwire"] / most["scapy"]
        judge(times >= 3, "at least 3 times the frames/s of scapy's sniff", f"{times:.1f} times")
    if "tcpdump" in most and "vecwire" in most:
        # At one rate both have the same sender, whose own speed varies from round to round.
        rates = [lossless.get(tool, 0.0) for tool in ("vecwire", "tcpdump")]
        judge(
            rates[0] >= rates[1], "without loss up to what tcpdump takes so", " and ".join(map(named, rates))
        )


def named(rate: float) -> str:
    """A rate that was asked for, in words."""
    return "flat out" if math.isinf(rate) else f"{rate:,.0f} frames/s" if rate else "none"


if __name__ == "__main__":
    main()
