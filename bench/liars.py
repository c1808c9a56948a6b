"""Measures what liars cost everybody else, as root: ``python bench/liars.py``.

In a network namespace of its own, a switch has two honest ports, between which frames of 60 octets go at a
steady rate, and a third port at which somebody lies, from a process of its own. The worker has one processor,
all who send have the other, so that what is measured is what the switch makes of lies. Told are

- the share of the honest frames, known by their addresses, that arrive at the far end;
- what the round trip of an honest request and its answer takes, for half of them and for 99 of a hundred;
- the lies told, and for how long the worker is busy with each one that it hears of, system calls included.

The stream alone takes turns with each kind of lie, so that what else happens on the machine meets both. With
``--busy SHARE`` the stream goes into a tap, which takes a system call for each frame, at the rate at which it
alone keeps the worker busy for that share of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vecwire
from lies import AWAY, DEAF, DRAINED, LIES, LISTENING, OTHER, SINK, SOURCE, frame
from pinging import Counter
from vecwire.confine import Seccomp
from vecwire.transports._unshare import own_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire.transports import TransportPort

#: What no liar may cost the others: that share of their frames.
MOST_SLOWED = 0.1
#: Lies that must have reached the port, to tell what one costs there.
HEARD = 5
#: Seconds without a frame after which there are no more.
SETTLING = 0.2
#: How often a rate is looked for at which the worker is as busy as it should be, and how near that may be.
TRIES, NEAR = 5, 0.03
HERE = Path(__file__).parent


# The switch.


def links() -> None:
    """Makes the links, each of which has the engine's port at one end."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    lines = ["link set lo up", "tuntap add t0 mode tap", "link set t0 up"]
    for name in "abc":
        lines += [f"link add {name}0 type veth peer name {name}1"]
        lines += [f"link set {name}{end} up" for end in (0, 1)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)  # noqa: S607


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A process on the senders' processor, once it says that it is ready; killed at the end."""
    senders = max(os.sched_getaffinity(0))
    made = subprocess.Popen(  # noqa: S603
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {senders}),  # noqa: PLW1509
    )
    with made:
        try:
            if made.stdout is None or LISTENING not in made.stdout.readline():
                raise SystemExit(f"{' '.join(words)} did not start")
            yield made
        finally:
            made.kill()


@dataclass(frozen=True)
class Way:
    """Where the honest stream leaves the switch.

    Attributes:
        spec: the port.
        ifname: the interface at its far end, where its frames are counted.
    """

    spec: str
    ifname: str


LINK, TAP = Way("raw,ifname=b0", "b1"), Way("tap,ifname=t0", "t0")


def introduce(
    stack: contextlib.ExitStack, way: Way, other: str, listener: socket.socket, unread: socket.socket
) -> None:
    """Has the switch learn who is behind the honest ports and the other one: nothing is for all then."""
    known = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    known.bind((way.ifname, 0))
    known.send(frame(SOURCE, SINK))
    if other == DEAF:
        stack.enter_context(listener.accept()[0]).send(frame(SOURCE, OTHER))
    elif other == AWAY:
        unread.sendto(struct.pack("!II", 0x00030000, 3) + frame(SOURCE, OTHER), ("127.0.0.3", 1703))


@dataclass
class Sample:
    """What one measurement found.

    Attributes:
        sent: honest frames that the far end of the first port has sent.
        passed: those of them that arrived at the far end of the second.
        told: lies that were told.
        heard: those that the port counted.
        seconds: how long it took.
        busy: nanoseconds for which the worker was, until all had gone where it goes.
        share: the share of the time in which was sent for which it was.
        trips: round trips of the honest exchange, in nanoseconds.
        lost: requests or answers that never came.
    """

    sent: int
    passed: int
    told: int
    heard: int
    seconds: float
    busy: int
    share: float
    trips: list[int] = field(default_factory=list)
    lost: int = 0

    def trip(self, share: float) -> float:
        """The time within which such a share of the round trips was over, in microseconds."""
        trips = [*sorted(self.trips), *([math.inf] * self.lost)]
        return trips[min(int(share * len(trips)), len(trips) - 1)] / 1000


def sent_by(ifname: str) -> int:
    """How many frames an interface has sent (proc(5), /proc/net/dev)."""
    lines = Path("/proc/thread-self/net/dev").read_text("ascii").splitlines()
    return next(int(line.split()[10]) for line in lines if line.strip().startswith(f"{ifname}:"))


def heard_by(port: TransportPort) -> int:
    """How many lies a port has heard, dropped or passed on."""
    stats = port.stats
    told = stats.rx_frames + stats.rx_dropped - stats.rx_missed + stats.unreachable
    return told + (stats.lost if not stats.rx_frames else 0)


def settle(ports: list[TransportPort]) -> None:
    """Waits until what was sent has gone where it goes."""
    seen, now = -1, 0
    while seen != now:
        seen = now
        time.sleep(SETTLING)
        now = sum(port.stats.rx_frames + port.stats.dropped for port in ports)


def measure(name: str | None, rate: int, seconds: float, way: Way = LINK, like: str | None = None) -> Sample:
    """One measurement: the stream alone, among the ports of a lie, or while somebody tells it."""
    lie = LIES[name or like or "honest frames"]
    with contextlib.ExitStack() as stack:
        # Neither is read: a record socket then has no more room, and of datagrams the kernel drops the most.
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind("\0deaf")
        listener.listen(1)
        unread = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        unread.bind(("127.0.0.4", 1704))
        if DRAINED in lie.others:
            stack.enter_context(started(str(HERE / "lies.py"), "--drain", str(len(lie.others))))
        specs = ["raw,ifname=a0", way.spec, lie.spec, *lie.others]
        ports = [stack.enter_context(vecwire.open(spec)) for spec in specs]
        processor = min(os.sched_getaffinity(0))
        engine = stack.enter_context(vecwire.Engine(cpu=processor, confine=Seccomp.REQUIRE))
        switch = vecwire.Switch(engine=engine)
        for port in ports:
            switch.add(port)
        stack.enter_context(switch)
        introduce(stack, way, lie.others[0], listener, unread)
        far = stack.enter_context(Counter(way.ifname, SOURCE, SINK))
        if engine.thread is None or engine.thread.ident is None:
            raise SystemExit("the worker did not start")
        clock = time.pthread_getcpuclockid(engine.thread.ident)
        with tempfile.NamedTemporaryFile() as told:
            told.write(bytes(8))
            told.flush()
            before = sent_by("a1"), far.count, heard_by(ports[2]), time.clock_gettime_ns(clock)
            trips, took = send(name, rate, seconds, way, told.name)
            share = (time.clock_gettime_ns(clock) - before[3]) / 1e9 / took
            settle(ports)
            after = sent_by("a1"), far.count, heard_by(ports[2]), time.clock_gettime_ns(clock)
            lies = struct.unpack("=Q", Path(told.name).read_bytes())[0]
        sent, passed, heard, busy = (now - then for now, then in zip(after, before, strict=True))
        lost = trips["sent"] - len(trips["round_trips"])
        return Sample(
            sent - trips["sent"], passed, lies, heard, took, busy, share, trips["round_trips"], lost
        )


def send(name: str | None, rate: int, seconds: float, way: Way, file: str) -> tuple[dict[str, Any], float]:
    """Sends the stream, the exchange and the lies; what came of the exchange, and how many seconds it was."""
    marks = ["--frames", "ethernet", "--source-mac", SOURCE.hex(":"), "--destination-mac", SINK.hex(":")]
    words = ["-m", "vecwire", "blast", "raw,ifname=a1", "--json", *marks]
    with contextlib.ExitStack() as senders:
        senders.enter_context(started(*words, *(["--rate", str(rate)] if rate else [])))
        began = time.perf_counter()
        if name is not None:
            senders.enter_context(started(str(HERE / "lies.py"), name, file))
        pinging = senders.enter_context(started(str(HERE / "pinging.py"), "a1", way.ifname))
        time.sleep(seconds)
        out, _ = pinging.communicate("")
        return json.loads(out.splitlines()[-1]), time.perf_counter() - began


def busying(share: float, seconds: float) -> int:
    """The rate at which the stream into a tap keeps the worker busy for such a share of the time, alone.

    Where the senders' processor cannot send so many, the most that it can.
    """
    rate, most = 0, 0
    for _ in range(TRIES):
        found = measure(None, rate, seconds, TAP)
        sent = found.sent / found.seconds
        most = max(most, round(sent))
        if rate and (abs(found.share - share) <= NEAR or (sent < 0.9 * rate and found.share < share)):
            break
        rate = round(sent * share / found.share)
    return min(rate, most)


def figures(pairs: list[tuple[Sample, Sample]]) -> dict[str, float]:
    """The medians of the rounds of one lie."""
    found = {
        "lies_per_second": statistics.median(beside.told / beside.seconds for _, beside in pairs),
        "ns_per_lie": statistics.median(
            (beside.busy - alone.busy * beside.passed / max(alone.passed, 1)) / beside.heard
            if beside.heard >= HEARD
            else math.nan
            for alone, beside in pairs
        ),
    }
    for place, which in enumerate(("alone", "beside")):
        samples = [pair[place] for pair in pairs]
        found[which] = statistics.median(each.passed / max(each.sent, 1) for each in samples)
        found[f"busy_{which}"] = statistics.median(each.share for each in samples)
        found[f"sent_{which}"] = statistics.median(each.sent / each.seconds for each in samples)
        found[f"p50_{which}"] = statistics.median(each.trip(0.5) for each in samples)
        found[f"p99_{which}"] = statistics.median(each.trip(0.99) for each in samples)
    return found


def time_of(microseconds: float) -> str:
    """A round trip's time for the table; one that never ended has none."""
    return f"{microseconds:,.0f}" if math.isfinite(microseconds) else "lost"


def show(rows: dict[str, dict[str, float]], title: str) -> None:
    """Prints the table."""
    print(title)
    print(f"{'':>26}{'arrive':>18}{'round trip, us: half, 99%':>38}{'worker busy':>15}")
    print(f"{'':>26}{'alone':>9}{'beside':>9}{'alone':>19}{'beside':>19}{'alone':>7}{'beside':>8}", end="")
    print(f"{'lies/s':>11}{'us a lie':>10}")
    for name, row in rows.items():
        met = row["beside"] >= (1 - MOST_SLOWED) * row["alone"]
        trips = "".join(
            f"{time_of(row[f'p50_{which}']):>10},{time_of(row[f'p99_{which}']):>8}"
            for which in ("alone", "beside")
        )
        cost = "unheard" if math.isnan(row["ns_per_lie"]) else f"{row['ns_per_lie'] / 1000:.2f}"
        print(
            f"{name:>26}{row['alone']:>9.2%}{row['beside']:>9.2%}{trips}"
            f"{row['busy_alone']:>7.0%}{row['busy_beside']:>8.0%}"
            f"{row['lies_per_second']:>11,.0f}{cost:>10}"
            f"{'' if met else f'  more than {MOST_SLOWED:.0%} lost'}"
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is shown")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long one measurement takes")
    parser.add_argument("--rate", type=int, default=100_000, help="honest frames a second")
    parser.add_argument("--busy", type=float, help="instead: the share of the worker that they take, alone")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--only", choices=LIES, action="append", help="these kinds alone")
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    own_network()
    links()
    way, rate = LINK, chosen.rate
    if chosen.busy is not None:
        way, rate = TAP, busying(chosen.busy, chosen.seconds)
    found: dict[str, list[tuple[Sample, Sample]]] = {name: [] for name in chosen.only or LIES}
    for _ in range(chosen.rounds):
        for name, pairs in found.items():
            alone = measure(None, rate, chosen.seconds, way, name)
            pairs.append((alone, measure(name, rate, chosen.seconds, way)))
    rows = {name: figures(pairs) for name, pairs in found.items()}
    if chosen.json:
        print(json.dumps(rows))
        return
    show(
        rows,
        f"{rate:,} honest frames/s of 60 octets through {way.spec}, median of {chosen.rounds} rounds of "
        f"{chosen.seconds:g} s",
    )


if __name__ == "__main__":
    main()
