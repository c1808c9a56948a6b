"""Measures what a switch costs beside a cable, as root: ``python bench/switching.py``.

In a network namespace of its own, frames of 60 octets go from one packet socket to another: by a cable, and
by switches of more and more ports, of which all others are idle taps. What is told is how many frames a
second leave while there are always more, and for how long the worker's processor is busy with each, system
calls included. Arrangements take turns, so that what else happens on the machine meets all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import struct
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import vecwire
from vecwire.transports._unshare import own_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire.transports import TransportPort

SIZES = (2, 16, 64, 256)
SOURCE, SINK = bytes.fromhex("0200000000aa"), bytes.fromhex("0200000000bb")
#: IEEE 802 local experimental EtherType 1: no stack answers it.
EXPERIMENTAL = 0x88B5
#: Seconds of traffic before a measurement begins.
RUN_IN = 0.05


def links() -> None:
    """Makes the two links, each of which has the engine's port at one end."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    lines = []
    for name in ("a", "b"):
        lines += [f"link add {name}0 type veth peer name {name}1"]
        lines += [f"link set {name}{end} up" for end in (0, 1)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)  # noqa: S607


def frame(destination: bytes, source: bytes) -> bytes:
    """A frame of 60 octets."""
    return (destination + source + struct.pack("!H", EXPERIMENTAL)).ljust(60, b"\0")


@contextlib.contextmanager
def saturated(source: TransportPort) -> Iterator[None]:
    """Has a port send more than anybody takes, until the context ends."""
    ending = threading.Event()
    batch = source.batch()
    batch.extend([frame(SINK, SOURCE)] * batch.depth)

    def send() -> None:
        while not ending.is_set():
            source.send(batch)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def clock_of(engine: vecwire.Engine) -> int:
    """The clock of the processor time of an engine's thread."""
    if engine.thread is None or engine.thread.ident is None:
        raise SystemExit("no frame moves")
    return time.pthread_getcpuclockid(engine.thread.ident)


def measure(
    engine: vecwire.Engine, ports: list[TransportPort], ends: list[TransportPort], seconds: float
) -> tuple[float, float]:
    """Frames a second that pass from the first port to the second, and nanoseconds of the worker for each."""
    clock = clock_of(engine)
    with saturated(ends[0]):
        # The switch learns where the sink is.
        known = ends[1].batch()
        known.append(frame(SOURCE, SINK))
        ends[1].send(known)
        time.sleep(RUN_IN)
        strangers = sum(port.stats.tx_frames for port in ports[2:])
        frames, busy, began = ports[1].stats.tx_frames, time.clock_gettime_ns(clock), time.perf_counter()
        time.sleep(seconds)
        frames = ports[1].stats.tx_frames - frames
        busy, took = time.clock_gettime_ns(clock) - busy, time.perf_counter() - began
        if not frames or sum(port.stats.tx_frames for port in ports[2:]) != strangers:
            raise SystemExit("frames went astray: no figure of this run means anything")
    return frames / took, busy / frames


def by_cable(ports: list[TransportPort], ends: list[TransportPort], seconds: float) -> tuple[float, float]:
    """One measurement of a cable."""
    with vecwire.Engine() as engine, vecwire.Cable(ports[0], ports[1], engine=engine):
        return measure(engine, ports, ends, seconds)


def by_switch(
    count: int,
    membership: vecwire.Membership,
    ports: list[TransportPort],
    ends: list[TransportPort],
    seconds: float,
) -> tuple[float, float]:
    """One measurement of a switch of so many ports."""
    with vecwire.Engine() as engine:
        switch = vecwire.Switch(engine=engine)
        for port in ports[:count]:
            switch.add(port, membership)
        with switch:
            return measure(engine, ports, ends, seconds)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is shown")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long one measurement takes")
    chosen = parser.parse_args()
    own_network()
    links()
    specs = [
        "raw,ifname=a0",
        "raw,ifname=b0",
        *(f"tap,ifname=idle{number}" for number in range(SIZES[-1] - 2)),
    ]
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(vecwire.open(spec)) for spec in specs]
        ends = [stack.enter_context(vecwire.open(f"raw,ifname={name}1")) for name in ("a", "b")]
        arrangements: dict[str, Callable[[], tuple[float, float]]] = {
            "cable": partial(by_cable, ports, ends, chosen.seconds)
        }
        for name, count, vlan in [
            *((f"switch of {count}", count, None) for count in SIZES),
            (f"{SIZES[-1]} in a VLAN", SIZES[-1], 10),
        ]:
            arrangements[name] = partial(
                by_switch, count, vecwire.Membership(vlan=vlan), ports, ends, chosen.seconds
            )
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in arrangements}
        for _ in range(chosen.rounds):
            for name, run in arrangements.items():
                found[name].append(run())
    print(f"frames of 60 octets between two ports, median of {chosen.rounds} rounds")
    print(f"{'':>14}{'frames/s':>12}{'ns a frame':>12}{'cable = 1':>11}")
    base = statistics.median(cost for _, cost in found["cable"])
    for name, rounds in found.items():
        rate, cost = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:>14}{rate:>12,.0f}{cost:>12.0f}{cost / base:>11.2f}")


if __name__ == "__main__":
    main()
