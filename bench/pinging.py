"""An honest exchange, and the counting of honest frames, for ``bench/liars.py``.

``python bench/pinging.py NEAR FAR`` sends a request from one interface every so often, whether or not the
last was answered, and an answer from the other one where a request arrives. When its input ends it prints the
round trips. Each is what the kernel's times say (SO_TIMESTAMPNS, socket(7)): from the request's leaving one
interface to its arrival at the other, and the same for the answer. So how soon this process is woken has no
part in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Self

NEAR, FAR = bytes.fromhex("0200000000a1"), bytes.fromhex("0200000000b1")
#: IEEE 802 local experimental EtherType 2.
KIND = 0x88B6
EVERY = 0.002
PACKET_STATISTICS = 6  # linux/if_packet.h
ETH_P_ALL = 3
SO_TIMESTAMPNS, SO_ATTACH_FILTER = 35, 26
SOL_PACKET = 263
_NUMBER = struct.Struct("!I")
_TIME = struct.Struct("@qq")  # struct timespec
_LOAD, _LOAD_HALF, _EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06  # linux/bpf_common.h: absolute


def listener(ifname: str, tests: list[tuple[int, int, int]]) -> socket.socket:
    """A packet socket for the frames that pass all tests: load, offset, value; those that leave with them."""
    lines = [
        line
        for number, (load, offset, value) in enumerate(tests)
        for line in ((load, 0, 0, offset), (_EQUAL, 0, 2 * (len(tests) - number) - 1, value))
    ]
    program = b"".join(
        struct.pack("=HBBI", *line) for line in [*lines, (_RETURN, 0, 0, 64), (_RETURN, 0, 0, 0)]
    )
    memory = ctypes.create_string_buffer(program)
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(
        socket.SOL_SOCKET,
        SO_ATTACH_FILTER,
        struct.pack("@HP", len(program) // 8, ctypes.addressof(memory)),
    )
    made.bind((ifname, ETH_P_ALL))
    return made


class Counter:
    """Counts the frames from one station to another that arrive at an interface, and no others.

    The socket is never read: the kernel counts what would have no room in it too (packet(7)).

    Args:
        ifname: the interface.
        source: the address of the station that sends.
        destination: that of the other.
    """

    def __init__(self, ifname: str, source: bytes, destination: bytes) -> None:
        words = struct.unpack("!III", destination + source)
        self._socket = listener(ifname, [(_LOAD, 4 * place, word) for place, word in enumerate(words)])
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._count = 0

    @property
    def count(self) -> int:
        """How many there have been."""
        told = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        self._count += struct.unpack("=II", told)[0]
        return self._count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@dataclass
class Trip:
    """A request and its answer: when each left and arrived, in nanoseconds; whether it was answered yet."""

    times: dict[tuple[str, bool], int] = field(default_factory=dict)
    answered: bool = False

    @property
    def nanoseconds(self) -> int | None:
        """For how long they were on their way; None where one has not arrived."""
        if len(self.times) < 4:
            return None
        there = self.times["far", True] - self.times["near", False]
        return there + self.times["near", True] - self.times["far", False]


class Pinging:
    """Sends and answers, until its input ends."""

    def __init__(self, near: str, far: str) -> None:
        self.trips: list[Trip] = []
        self._ends = {
            name: listener(ifname, [(_LOAD_HALF, 12, KIND)])
            for name, ifname in (("near", near), ("far", far))
        }
        self._out: dict[str, socket.socket] = {}
        for name, ifname in (("near", near), ("far", far)):
            self._ends[name].setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._ends[name].setblocking(False)
            # A socket does not see what it sends itself.
            self._out[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._out[name].bind((ifname, 0))

    def run(self) -> None:
        """Sends a request whenever it is time."""
        names = {end.fileno(): name for name, end in self._ends.items()}
        watch = select.poll()
        for number in (*names, 0):
            watch.register(number, select.POLLIN)
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                due = max(due + EVERY, time.monotonic())
                self._send("near", FAR + NEAR, len(self.trips))
                self.trips.append(Trip())
            for number, _ in watch.poll(max(0.0, due - time.monotonic()) * 1000):
                if number not in names:
                    return
                self._take(names[number])

    def _send(self, name: str, addresses: bytes, number: int) -> None:
        with contextlib.suppress(OSError):
            self._out[name].send((addresses + struct.pack("!HI", KIND, number)).ljust(60, b"\0"))

    def _take(self, name: str) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                octets, told, _, address = self._ends[name].recvmsg(64, 256)
                (number,) = _NUMBER.unpack_from(octets, 14)
                seconds, nanoseconds = _TIME.unpack(told[0][2])
                arrived = address[2] != socket.PACKET_OUTGOING
                trip = self.trips[number]
                trip.times[name, arrived] = seconds * 1_000_000_000 + nanoseconds
                if name == "far" and arrived and not trip.answered:
                    trip.answered = True
                    self._send("far", NEAR + FAR, number)


def main() -> None:
    """Pings until standard input ends, and prints what came of that."""
    pinging = Pinging(sys.argv[1], sys.argv[2])
    # What is measured is the switch, not who else wants the senders' processor.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("ready", flush=True)
    pinging.run()
    trips = [trip.nanoseconds for trip in pinging.trips]
    print(json.dumps({"sent": len(trips), "round_trips": [trip for trip in trips if trip is not None]}))


if __name__ == "__main__":
    main()
