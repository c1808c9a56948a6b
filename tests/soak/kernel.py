"""What the kernel has counted, without asking vecwire: for interfaces, for sockets, and for a process."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.net import Namespace

TICKS = os.sysconf("SC_CLK_TCK")
#: The columns of /proc/net/dev (net/core/net-procfs.c) that are kept.
COLUMNS = {"rx_octets": 0, "rx_frames": 1, "rx_dropped": 3, "tx_octets": 8, "tx_frames": 9, "tx_dropped": 11}


@dataclass(frozen=True)
class Link:
    """The counters of an interface; one skb is one frame, a super-frame too."""

    rx_frames: int
    rx_octets: int
    rx_dropped: int
    tx_frames: int
    tx_octets: int
    tx_dropped: int

    def __sub__(self, earlier: Link) -> Link:
        """What was counted since ``earlier``."""
        return Link(*(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(Link)))


def links(namespace: Namespace) -> dict[str, Link]:
    """The interfaces of a namespace by name."""
    with namespace.enter():
        text = Path("/proc/thread-self/net/dev").read_text(encoding="ascii")
    found = {}
    for line in text.splitlines()[2:]:
        name, _, columns = line.partition(":")
        numbers = [int(each) for each in columns.split()]
        found[name.strip()] = Link(**{column: numbers[at] for column, at in COLUMNS.items()})
    return found


@dataclass(frozen=True)
class Reports:
    """Messages of ICMP, of any kind."""

    received: int
    sent: int

    def __sub__(self, earlier: Reports) -> Reports:
        """What was counted since ``earlier``."""
        return Reports(self.received - earlier.received, self.sent - earlier.sent)


def reports(namespace: Namespace) -> Reports:
    """The messages of ICMP that a namespace has received and sent (RFC 2011, icmpInMsgs and icmpOutMsgs)."""
    with namespace.enter():
        text = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii")
    names, values = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
    found = dict(zip(names, values, strict=True))
    return Reports(int(found["InMsgs"]), int(found["OutMsgs"]))


def packet_drops(namespace: Namespace, ifname: str) -> int:
    """What the packet sockets on an interface have dropped for want of room, as ss(8) tells it by netlink."""
    text = namespace.run(["ss", "-H", "-n", "-a", "-m", "-O", "-0"]).stdout
    lines = [line for line in text.splitlines() if f":{ifname} " in line]
    return sum(int(found[1]) for line in lines if (found := re.search(r"skmem:\(.*?,d(\d+)\)", line)))


def inet_drops(namespace: Namespace, protocol: str, local: str) -> int:
    """What the sockets of an IPv4 address have dropped for want of room (/proc/net/raw, /proc/net/udp).

    Args:
        namespace: theirs.
        protocol: ``raw`` or ``udp``.
        local: their address.
    """
    with namespace.enter():
        text = Path("/proc/thread-self/net", protocol).read_text(encoding="ascii")
    # An address is a number in the byte order of the host.
    wanted = socket.inet_aton(local)[:: -1 if sys.byteorder == "little" else 1].hex().upper()
    rows = [line.split() for line in text.splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if row[1].startswith(f"{wanted}:"))


@dataclass(frozen=True)
class Process:
    """What a process takes: memory in kB, processor seconds of all its threads."""

    resident: int
    proportional: int
    peak: int
    descriptors: int
    threads: int
    busy: float


def threads(pid: int) -> Counter[str]:
    """How many threads of each name a process has; those that it gave none have the process's."""
    found: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found[task.joinpath("comm").read_text(encoding="ascii").strip()] += 1
    return found


def process(pid: int) -> Process:
    """What a process takes now."""
    status = _fields(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))
    numbers = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return Process(
        resident=status["VmRSS"],
        proportional=rollup["Pss"],
        peak=status["VmHWM"],
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 numbers, not paths
        threads=status["Threads"],
        busy=(int(numbers[11]) + int(numbers[12])) / TICKS,
    )


def _fields(text: str) -> dict[str, int]:
    """The lines ``Name: number``, with or without a unit."""
    found = (re.fullmatch(r"(\w+):\s+(\d+)(?: kB)?", line) for line in text.splitlines())
    return {each[1]: int(each[2]) for each in found if each}
