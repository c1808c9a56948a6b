"""Measures how exact a delay is, ``python bench/impair.py``.

Frames of 100 octets with the time in them go from one record socket through a cable to another, whose port
delays them by 50 ms, at several rates. What is told is how long they were under way beyond that, in
percentiles; and how long without a delay, which is what the rest of the way takes.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import threading
import time
from typing import TYPE_CHECKING

import vecwire

if TYPE_CHECKING:
    from vecwire.transports import TransportPort

SOURCE, SINK = bytes.fromhex("0200000000aa"), bytes.fromhex("0200000000bb")
#: IEEE 802 local experimental EtherType 1: no stack answers it.
HEADER = SINK + SOURCE + struct.pack("!H", 0x88B5)
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


def main() -> None:
    """Prints a line for each rate, with and without a delay."""
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


if __name__ == "__main__":
    main()
