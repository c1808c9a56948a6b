"""Measures what liars cost everybody else, as root: ``python bench/liars.py``.

In a network namespace of its own, a switch has two honest ports, between which frames of 60 octets go at a
rate well below what it could do, and a third port at which somebody lies, from a process of its own. The
worker has one processor, all who send have the other, so that what is measured is what the switch makes of
lies. Told are the share of the honest frames that arrive, and for how long the worker is busy with each lie,
system calls included, beside what an honest frame to another port costs. The stream alone takes turns with
each kind of lie, so that what else happens on the machine meets both.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import vecwire
from vecwire.confine import Seccomp
from vecwire.transports._unshare import own_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire.transports import TransportPort

SOURCE, SINK, LIAR, OTHER = (bytes.fromhex(f"0200000000{each}") for each in ("aa", "bb", "66", "cc"))
#: IEEE 802 local experimental EtherType 1: no stack answers it.
EXPERIMENTAL = struct.pack("!H", 0x88B5)
TUNNEL = "l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.2,srcport=1701,dstport=1702,rx_session=1,tx_session=2"
AWAY = "l2tpv3,udp=1,src=127.0.0.3,dst=127.0.0.4,srcport=1703,dstport=1704,rx_session=3,tx_session=4"
COOKIES = ",cookie64=1,rx_cookie=3,tx_cookie=4"
#: What no liar may cost the others: that share of their frames.
MOST_SLOWED = 0.1
#: Seconds without a frame after which there are no more.
SETTLING = 0.2


def frame(destination: bytes, source: bytes, length: int = 60) -> bytes:
    """A frame of that many octets."""
    return (destination + source + EXPERIMENTAL).ljust(length, b"\0")


def super_frame(size: int) -> bytes:
    """A TCP super-frame of 60,000 octets for the other port, behind a header that asks for short segments."""
    carried = 60_000
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + carried, 1, 0x4000, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2")
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 512, 0, 0)
    header = struct.pack("=BBHHHH", 1, 1, 54, size, 34, 16)
    return header + OTHER + LIAR + b"\x08\x00" + ip + tcp + bytes(carried)


# The liars: each connects, says "ready", and then lies until it is killed.


def by_tunnel(payload: bytes) -> Iterator[None]:
    """Sends a datagram from the peer's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.2", 1702))
        peer.connect(("127.0.0.1", 1701))
        while True:
            yield
            with contextlib.suppress(ConnectionRefusedError):
                peer.send(payload)


def by_packet(protocol: int, payload: bytes) -> Iterator[None]:
    """Sends an IP packet from the peer's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as peer:
        peer.bind(("127.0.0.2", 0))
        peer.connect(("127.0.0.1", 0))
        while True:
            yield
            peer.send(payload)


def unreachable() -> bytes:
    """A forged report (ICMP, RFC 792) that nobody listens at the peer's port, about a datagram of ours."""
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 100, 1, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\2")
    report = struct.pack("!BBHI", 3, 3, 0, 0) + quoted + struct.pack("!HHHH", 1701, 1702, 80, 0)
    total = sum(struct.unpack(f"!{len(report) // 2}H", report))
    total = (total & 0xFFFF) + (total >> 16)
    return report[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + report[4:]


def by_record(records: Iterator[bytes]) -> Iterator[None]:
    """Sends records as a client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect("\0liars")
        while True:
            yield
            client.send(next(records))


def by_coming() -> Iterator[None]:
    """Connects, says something, and leaves."""
    while True:
        yield
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client,
        ):
            client.connect("\0liars")
            client.send(frame(OTHER, LIAR))


def by_link(octets: bytes) -> Iterator[None]:
    """Writes frames with virtio-net headers into the guest's end of a link."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as guest:
        guest.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        guest.bind(("c1", 0))
        while True:
            yield
            with contextlib.suppress(OSError):
                guest.send(octets)


def made_up() -> Iterator[bytes]:
    """Frames for an address that stays on its link, from ever new ones."""
    for number in itertools.count():
        yield frame(bytes.fromhex("0180c2000001"), b"\x02\x66" + struct.pack("!I", number & 0xFFFFFFFF))


@dataclass(frozen=True)
class Lie:
    """One kind of lie.

    Attributes:
        spec: the port that is lied to.
        tell: what tells it, once a step.
        deaf: whether what passes goes to a port whose peer never reads, and not to a tunnel.
    """

    spec: str
    tell: Callable[[], Iterator[None]]
    deaf: bool = False


WORD = struct.pack("!II", 0x00030000, 1)
KEYED = "gre,src=127.0.0.1,dst=127.0.0.2,rx_key=3,tx_key=4"
WRONG_KEY = struct.pack("!HHI", 0x2000, 0x6558, 99)
STACK = OTHER + LIAR + struct.pack("!HH", 0x8100, 1) * 10 + EXPERIMENTAL
LINK, SERVER = "raw,ifname=c0", "bess,listen=@liars"
LIES: dict[str, Lie] = {
    "honest frames": Lie(SERVER, lambda: by_record(itertools.repeat(frame(OTHER, LIAR)))),
    "wrong cookies": Lie(TUNNEL + COOKIES, lambda: by_tunnel(WORD + bytes(8) + frame(OTHER, LIAR))),
    "wrong keys": Lie(KEYED, lambda: by_packet(socket.IPPROTO_GRE, WRONG_KEY + frame(OTHER, LIAR))),
    "forged reports": Lie(TUNNEL, lambda: by_packet(socket.IPPROTO_ICMP, unreachable())),
    "control bits": Lie(TUNNEL, lambda: by_tunnel(b"\x80" + WORD[1:] + frame(OTHER, LIAR))),
    "runts": Lie(SERVER, lambda: by_record(itertools.repeat(bytes(13)))),
    "empty records": Lie(SERVER, lambda: by_record(itertools.repeat(b""))),
    "made up addresses": Lie(SERVER, lambda: by_record(made_up())),
    "stacks of VLAN tags": Lie(SERVER, lambda: by_record(itertools.repeat(STACK.ljust(100, b"\0")))),
    "frames for a deaf port": Lie(SERVER, lambda: by_record(itertools.repeat(frame(OTHER, LIAR))), True),
    "segments of 1400": Lie(LINK, lambda: by_link(super_frame(1400))),
    "segments of 8": Lie(LINK, lambda: by_link(super_frame(8))),
    "segments of 1": Lie(LINK, lambda: by_link(super_frame(1))),
    "come and go": Lie(SERVER, by_coming),
}


def tell(name: str) -> None:
    """Lies until this process is ended."""
    steps = LIES[name].tell()
    next(steps)
    print("ready", flush=True)
    for _ in steps:
        pass


# The switch.


def links() -> None:
    """Makes the links, each of which has the engine's port at one end."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    lines = ["link set lo up"]
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
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {senders}),  # noqa: PLW1509
    )
    with made:
        try:
            if made.stdout is None or "ready" not in made.stdout.readline():
                raise SystemExit(f"{' '.join(words)} did not start")
            yield made
        finally:
            made.kill()


def introduce(stack: contextlib.ExitStack, other: socket.socket) -> None:
    """Has the switch learn who is behind the honest ports and the other one: nothing is for all then."""
    known = stack.enter_context(vecwire.open("raw,ifname=b1"))
    batch = known.batch()
    batch.append(frame(SOURCE, SINK))
    known.send(batch)
    if other.family == socket.AF_UNIX:
        stack.enter_context(other)
        other.send(frame(SOURCE, OTHER))
    else:
        other.sendto(struct.pack("!II", 0x00030000, 3) + frame(SOURCE, OTHER), ("127.0.0.3", 1703))


@dataclass
class Sample:
    """What one measurement found: honest frames sent and passed on, and lies; seconds; busy nanoseconds."""

    sent: int
    passed: int
    lies: int
    seconds: float
    busy: int


def sent_by(ifname: str) -> int:
    """How many frames an interface has sent (proc(5), /proc/net/dev)."""
    lines = Path("/proc/thread-self/net/dev").read_text("ascii").splitlines()
    return next(int(line.split()[10]) for line in lines if line.strip().startswith(f"{ifname}:"))


def lies_of(port: TransportPort) -> int:
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


def measure(name: str | None, rate: int, seconds: float) -> Sample:
    """One measurement: the stream alone, or while somebody lies."""
    lie = LIES[name or "honest frames"]
    with contextlib.ExitStack() as stack:
        # Neither is read: a record socket then has no more room, and of datagrams the kernel drops the most.
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listener.bind("\0deaf")
        listener.listen(1)
        unread = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        unread.bind(("127.0.0.4", 1704))
        specs = ["raw,ifname=a0", "raw,ifname=b0", lie.spec, "bess,dst=@deaf" if lie.deaf else AWAY]
        ports = [stack.enter_context(vecwire.open(spec)) for spec in specs]
        processor = min(os.sched_getaffinity(0))
        engine = stack.enter_context(vecwire.Engine(cpu=processor, confine=Seccomp.REQUIRE))
        switch = vecwire.Switch(engine=engine)
        for port in ports:
            switch.add(port)
        stack.enter_context(switch)
        introduce(stack, listener.accept()[0] if lie.deaf else unread)
        told = ["--frames", "ethernet", "--source-mac", SOURCE.hex(":"), "--destination-mac", SINK.hex(":")]
        words = ["-m", "vecwire", "blast", "raw,ifname=a1", "--rate", str(rate), "--json", *told]
        if engine.thread is None or engine.thread.ident is None:
            raise SystemExit("the worker did not start")
        clock = time.pthread_getcpuclockid(engine.thread.ident)
        before = sent_by("a1"), ports[1].stats.tx_frames, lies_of(ports[2])
        busy = time.clock_gettime_ns(clock)
        with contextlib.ExitStack() as senders:
            senders.enter_context(started(*words))
            began = time.perf_counter()
            if name is not None:
                senders.enter_context(started(__file__, "--tell", name))
            time.sleep(seconds)
        took = time.perf_counter() - began
        settle(ports)
        after = sent_by("a1"), ports[1].stats.tx_frames, lies_of(ports[2])
        sent, passed, lies = (now - then for now, then in zip(after, before, strict=True))
        return Sample(sent, passed, lies, took, time.clock_gettime_ns(clock) - busy)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is shown")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long one measurement takes")
    parser.add_argument("--rate", type=int, default=100_000, help="honest frames a second")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--only", choices=LIES, action="append", help="these kinds alone")
    parser.add_argument("--tell", choices=LIES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tell:
        tell(chosen.tell)
        return
    logging.disable(logging.WARNING)
    own_network()
    links()
    rows: dict[str, dict[str, float]] = {}
    found: dict[str, list[tuple[Sample, Sample]]] = {name: [] for name in chosen.only or LIES}
    for _ in range(chosen.rounds):
        for name, pairs in found.items():
            pairs.append(
                (
                    measure(None, chosen.rate, chosen.seconds),
                    measure(name, chosen.rate, chosen.seconds),
                )
            )
    for name, pairs in found.items():
        rows[name] = {
            "alone": statistics.median(alone.passed / max(alone.sent, 1) for alone, _ in pairs),
            "beside": statistics.median(beside.passed / max(beside.sent, 1) for _, beside in pairs),
            "lies_per_second": statistics.median(beside.lies / beside.seconds for _, beside in pairs),
            "ns_per_lie": statistics.median(
                (beside.busy - alone.busy * beside.passed / max(alone.passed, 1)) / max(beside.lies, 1)
                for alone, beside in pairs
            ),
        }
    if chosen.json:
        print(json.dumps(rows))
        return
    print(f"{chosen.rate:,} honest frames/s of 60 octets, median of {chosen.rounds} rounds")
    print(f"{'':>24}{'arrive alone':>14}{'beside':>10}{'lies/s':>12}{'us a lie':>10}")
    for name, row in rows.items():
        met = row["beside"] >= (1 - MOST_SLOWED) * row["alone"]
        print(
            f"{name:>24}{row['alone']:>14.2%}{row['beside']:>10.2%}"
            f"{row['lies_per_second']:>12,.0f}{row['ns_per_lie'] / 1000:>10.2f}"
            f"{'' if met else f'  slowed by more than {MOST_SLOWED:.0%}'}"
        )


if __name__ == "__main__":
    main()
