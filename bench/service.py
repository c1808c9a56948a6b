"""Measures a service that is left alone, as root: ``python bench/service.py [--minutes N]``.

In network namespaces of its own, ``vecwire run`` joins 64 ports of every transport by one switch. Told are
the share of a processor that it takes while nothing moves; and its resident memory and descriptors while as
many frames as possible move between several of its ports, with clients that come and go and reloads all the
while: the lowest, the middle and the highest in each tenth of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import statistics
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import vecwire
from vecwire.bench.lab import Namespace, Process, veth
from vecwire.errors import VecwireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire.transports import TransportPort

PORTS = 64
#: Links whose far ends send without a pause, two by two to each other; each batch is one system call.
BUSY = 4
IDLE_SECONDS = 10.0
#: IEEE 802 local experimental EtherType 1: no stack answers it.
EXPERIMENTAL = 0x88B5
HELLO = b"\xff" * 6 + b"\x02\x00\x00\x00\x02\x01" + struct.pack("!H", EXPERIMENTAL) + bytes(46)
TICKS = os.sysconf("SC_CLK_TCK")


def specs(here: Namespace, far: Namespace, folder: Path) -> Iterator[str]:
    """The specs of the ports; what they need is made on the way."""
    veth((here, "wan0"), (far, "wan0"))
    here.ip("addr add 192.168.7.1/24 dev wan0")
    far.ip("addr add 192.168.7.2/24 dev wan0")
    for number in range(BUSY):
        veth((here, f"busy{number}"), (far, f"busy{number}"))
        yield f"raw,ifname=busy{number}"
    kinds = (
        "tap,ifname=tap{0}",
        "hybrid,ifname=hyb{0}",
        "bess,listen=" + str(folder / "guest{0}"),
        "gre,src=192.168.7.1,dst=192.168.7.2,rx_key={0},tx_key={0}",
        "l2tpv3,udp=1,src=192.168.7.1,dst=192.168.7.2,srcport={1},dstport={1},rx_session={0},tx_session={0}",
    )
    for number, kind in zip(range(PORTS - BUSY), itertools.cycle(kinds), strict=False):
        yield kind.format(number + 1, 20000 + number)


def frames(number: int) -> list[bytes]:
    """What the far end of a busy link sends: to its partner's address, from its own."""
    partner = number ^ 1
    head = bytes([2, 0, 0, 0, 1, partner]) + bytes([2, 0, 0, 0, 1, number]) + struct.pack("!H", EXPERIMENTAL)
    return [(head + struct.pack("!I", size)).ljust(size, b"\0") for size in (60, 590, 1514) * 20]


def keep_sending(port: TransportPort, number: int, end: threading.Event) -> None:
    """Sends without a pause, and throws away what comes."""
    out, into = port.batch(), port.batch()
    out.extend(frames(number))
    while not end.is_set():
        first = 0
        while first < len(out) and not end.is_set():
            first += port.send(out, first)
        port.recv(into)


def come_and_go(path: Path, end: threading.Event) -> None:
    """A client of a BESS port that connects, says something and leaves, again and again."""
    while not end.wait(0.2):
        with contextlib.suppress(VecwireError), vecwire.open(f"bess,dst={path}") as port:
            batch = port.batch(1)
            batch.append(
                b"\xff" * 6 + b"\x02\x00\x00\x00\x02\x01" + struct.pack("!H", EXPERIMENTAL) + bytes(46)
            )
            port.send(batch)


def pid_of(process: Process) -> int:
    """The process that was started: it has taken its launcher's place."""
    return process._popen.pid  # noqa: SLF001 # the bench's own process


def resident(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def busy_seconds(pid: int) -> float:
    """Processor time of all threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def descriptors(pid: int) -> int:
    """How many descriptors are open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def watch(pid: int, seconds: float) -> list[tuple[float, int]]:
    """Resident memory and descriptors, a reading a second; a reload every ten."""
    readings: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() >= end:
            return readings
        if number % 10 == 0:
            os.kill(pid, signal.SIGHUP)
        readings.append((resident(pid), descriptors(pid)))
        time.sleep(1)
    raise AssertionError


def tell(readings: list[tuple[float, int]]) -> None:
    """Prints what was read, a line for each tenth of the time."""
    part = max(1, len(readings) // 10)
    print("tenth  resident, MB: lowest, middle, highest  descriptors")
    for number in range(min(10, len(readings))):
        some = readings[number * part : (number + 1) * part]
        memory = [each[0] for each in some]
        print(
            f"{number + 1:5}  {min(memory):20.1f} {statistics.median(memory):8.1f} {max(memory):8.1f}"
            f"  {max(each[1] for each in some):11}"
        )


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of saturation; 10 by default")
    minutes = parser.parse_args().minutes
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vecwire-bench-")))
        here, far = Namespace(), Namespace()
        stack.callback(here.close)
        stack.callback(far.close)
        named = {f"port{number}": spec for number, spec in enumerate(specs(here, far, folder))}
        lines = [f'{name} = "{spec}"' for name, spec in named.items()]
        file = folder / "service.toml"
        file.write_text(
            "\n".join(["[ports]", *lines, "[switches.lan]", f"ports = {list(named)}", ""]), encoding="utf-8"
        )
        service = here.start([sys.executable, "-m", "vecwire", "run", str(file)])
        stack.callback(service.stop)
        service.expect("ready\n")
        pid = pid_of(service)
        before = busy_seconds(pid)
        time.sleep(IDLE_SECONDS)
        share = (busy_seconds(pid) - before) / IDLE_SECONDS
        print(f"idle with {len(named)} ports: {share:.2%} of a processor, {resident(pid):.1f} MB", flush=True)
        end = threading.Event()
        with far.enter():
            ports = [stack.enter_context(vecwire.open(f"raw,ifname=busy{number}")) for number in range(BUSY)]
        threads = [
            threading.Thread(target=keep_sending, args=(port, number, end))
            for number, port in enumerate(ports)
        ]
        guest = next(spec for spec in named.values() if "listen=" in spec).partition("listen=")[2]
        threads.append(threading.Thread(target=come_and_go, args=(Path(guest), end)))
        for thread in threads:
            thread.start()
        try:
            readings = watch(pid, minutes * 60)
        finally:
            end.set()
            for thread in threads:
                thread.join()
        moved = sum(port.stats.tx_frames for port in ports)
        print(f"saturated for {minutes:g} minutes: {moved:,} frames in, {moved / minutes / 60:,.0f} a second")
        tell(readings)


if __name__ == "__main__":
    main()
