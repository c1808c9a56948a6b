"""Measures how exact a delay is, ``python bench/impair.py``.

Frames of 100 octets with the time in them go from one record socket through a cable to another, whose port
delays them by 50 ms, at several rates. What is told is how long they were under way beyond that, in
percentiles; and how long without a delay, which is what the rest of the way takes.

Then a switch has two ports besides the one that asks. The round trip to a station behind the one is told
before and while what the other sends, which goes on all the time, is delayed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import struct
import threading
import time
from typing import TYPE_CHECKING

import vecwire
from bounds import judge

if TYPE_CHECKING:
    from vecwire.transports import TransportPort

SOURCE, SINK = bytes.fromhex("0200000000aa"), bytes.fromhex("0200000000bb")
#: IEEE 802 local experimental EtherType 1: no stack answers it.
TYPE = struct.pack("!H", 0x88B5)
HEADER = SINK + SOURCE + TYPE
STATIONS = [bytes.fromhex(f"0200000000{number:02x}") for number in range(3)]
#: What a round trip may be of what it was before, where it counts as unchanged: runs differ by as much.
UNCHANGED = 1.1
RATES = (1_000, 10_000)
PERCENTILES = (1, 50, 90, 99)


def receive(port: TransportPort, waits: list[int], count: int, ended: threading.Event) -> None:
    """Notes how long each frame was under way, in nanoseconds, until enough came or none comes any more."""
    batch = port.batch()
    while len(waits) < count and not ended.is_set():
        if not port.recv(batch):
            port.wait(0.2)
            continue
        moment = time.monotonic_ns()
        waits.extend(moment - struct.unpack_from("!Q", each, len(HEADER))[0] for each in batch)


def run(delay: str, rate: int, seconds: float, poll: int) -> list[int]:
    """Sends so many frames a second through a delayed port; how long each was under way."""
    count = round(rate * seconds)
    waits: list[int] = []
    ended = threading.Event()
    with (
        vecwire.open("bess,listen=@impair-in") as way_in,
        vecwire.open("bess,dst=@impair-in") as source,
        vecwire.open("bess,listen=@impair-out") as sink,
        vecwire.open(f"bess,dst=@impair-out,delay={delay},limit=10000") as way_out,
    ):
        way_in.recv(way_in.batch(1))
        sink.recv(sink.batch(1))
        with vecwire.Cable(way_in, way_out, poll=poll):
            reader = threading.Thread(target=receive, args=(sink, waits, count, ended))
            reader.start()
            batch = source.batch(1)
            begun = time.monotonic_ns()
            for number in range(count):
                due = begun + number * 1_000_000_000 // rate
                while (left := due - time.monotonic_ns()) > 0:
                    time.sleep(left / 1e9)
                batch.clear()
                batch.append(HEADER + struct.pack("!Q", time.monotonic_ns()).ljust(86, b"\0"))
                source.send(batch)
            reader.join(timeout=2)
            ended.set()
            reader.join()
    if len(waits) < count:
        print(f"{count - len(waits)} of {count} frames did not come")
    return waits


def echo(port: TransportPort, ended: threading.Event) -> None:
    """Sends back what comes for the last station, until it is over."""
    batch, back = port.batch(), port.batch()
    while not ended.is_set():
        if not port.recv(batch):
            port.wait(0.2)
            continue
        back.clear()
        asked = [bytes(each) for each in batch if each[:6] == STATIONS[2]]
        back.extend([each[6:12] + each[:6] + each[12:] for each in asked])
        port.send(back)


def swallow(port: TransportPort, ended: threading.Event) -> None:
    """Takes what comes, until it is over."""
    batch = port.batch()
    while not ended.is_set():
        if not port.recv(batch):
            port.wait(0.2)


def round_trips(port: TransportPort, count: int) -> list[int]:
    """How long frames to the last station and back take, each behind one to the station in the middle.

    Raises:
        SystemExit: if one does not come back.
    """
    batch, answers = port.batch(), port.batch()
    found: list[int] = []
    for number in range(count):
        tail = STATIONS[0] + (TYPE + struct.pack("!Q", number)).ljust(48, b"\0")
        answer = STATIONS[0] + STATIONS[2] + tail[6:]
        batch.clear()
        batch.extend([STATIONS[1] + tail, STATIONS[2] + tail])
        begun = time.monotonic_ns()
        port.send(batch)
        while not (port.recv(answers) and any(each == answer for each in answers)):
            if not port.wait(2.0):
                raise SystemExit(f"frame {number} did not come back")
        found.append(time.monotonic_ns() - begun)
        time.sleep(0.001)
    return found


def beside(delay: float, count: int) -> None:
    """Prints the median round trip through one port of a switch, before and while another delays frames."""
    with contextlib.ExitStack() as stack:
        stations = [stack.enter_context(vecwire.open(f"bess,listen=@impair-{n}")) for n in range(3)]
        ports = [stack.enter_context(vecwire.open(f"bess,dst=@impair-{n}")) for n in range(3)]
        for station in stations:
            station.recv(station.batch(1))
        switch = vecwire.Switch()
        for port in ports:
            switch.add(port)
        stack.enter_context(switch)
        ended = threading.Event()
        threads = [
            threading.Thread(target=swallow, args=(stations[1], ended)),
            threading.Thread(target=echo, args=(stations[2], ended)),
        ]
        for number in (1, 2):  # so that the switch knows where they are
            hello = stations[number].batch(1)
            hello.append(STATIONS[0] + STATIONS[number] + TYPE.ljust(48, b"\0"))
            stations[number].send(hello)
        for thread in threads:
            thread.start()
        try:
            before = statistics.median(round_trips(stations[0], count))
            ports[1].impair(vecwire.Impairment(delay=delay, limit=10_000))
            during = statistics.median(round_trips(stations[0], count))
            late = ports[1].stats.tx_delayed
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    print(f"round trip beside it, median: {before / 1000:.1f} us, and while {late} frames were delayed")
    print(f"on the other port {during / 1000:.1f} us")
    judge(
        during <= UNCHANGED * before,
        f"{delay * 1000:g} ms on one port leave another's round trip unchanged",
        f"{during / before:.2f} of what it was",
    )


def main() -> None:
    """Prints a line for each rate, with and without a delay; and what another port has of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=int, default=50, help="milliseconds")
    parser.add_argument("--seconds", type=float, default=4.0, help="of traffic for each line")
    parser.add_argument("--poll", type=int, default=0, help="microseconds that the worker looks again")
    asked = parser.parse_args()
    print(
        "delay    frames/s   mean ms  "
        + "  ".join(f"{each:>4}%" for each in PERCENTILES)
        + "   most (us late)"
    )
    for rate in RATES:
        for delay in (0, asked.delay):
            waits = run(f"{delay}ms", rate, asked.seconds, asked.poll)
            late = sorted((each - delay * 1_000_000) / 1000 for each in waits)
            cuts = [late[min(len(late) - 1, len(late) * each // 100)] for each in PERCENTILES]
            told = "  ".join(f"{each:5.0f}" for each in [*cuts, late[-1]])
            print(f"{delay:3} ms  {rate:10}  {statistics.mean(waits) / 1e6:8.3f}  {told}")
    beside(asked.delay / 1000, round(1000 * asked.seconds))


if __name__ == "__main__":
    main()
