"""Measures rewriting every frame of a cable with numpy, in nanoseconds a frame: ``python bench/rewrite.py``.

A cable in Python: frames are received from one port, rewritten, and sent through another. Both ends of
both ports are in this process, on Unix sockets, so that nothing is measured beside it and no privilege is
needed. Each rewrite is checked on the frames that come out at the far end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import vecwire
from bounds import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire import Batch, Port

#: What every rewrite is to take less than, at a depth of 256.
MOST_NANOSECONDS = 150
#: Ethernet, IPv4 10.0.0.1 to 10.0.0.2, UDP 1000 to 2000 without a checksum.
HEADERS = bytes.fromhex(
    "0200000000bb 0200000000aa 0800 4500 001c 0000 4000 4011 0000 0a000001 0a000002 03e8 07d0 0008 0000"
)
ADDRESS = np.frombuffer(bytes([192, 0, 2, 9]), np.uint8)
NEW = ADDRESS.view(np.uint16)
#: The new words, and the complements of the three from which the old are taken away.
WITHOUT = NEW.sum(dtype=np.uint32) + np.uint32(3 * 0xFFFF)
MAC = np.frombuffer(bytes.fromhex("02000000ffff"), np.uint8)


def nothing(batch: Batch) -> None:
    """Looks at nothing: what the cable costs by itself."""


def one_field(batch: Batch) -> None:
    """Gives all frames one destination address, where they all begin at one column."""
    begin = batch.headroom
    np.asarray(batch.data)[: len(batch), begin : begin + 6] = MAC


def swap(batch: Batch) -> None:
    """Swaps source and destination, wherever the frames begin."""
    ends = np.asarray(batch.gather(0, 12))
    batch.scatter(0, np.hstack([ends[:, 6:], ends[:, :6]]))


def translate(batch: Batch) -> None:
    """Gives IPv4 packets another destination and puts the header's checksum right (RFC 1624, equation 3).

    Sums in ones' complement are the same in either order of octets (RFC 1071), so nothing is swapped.
    """
    words = np.asarray(batch.gather(24, 10)).view(np.uint16)  # checksum, source, destination
    total = WITHOUT - words[:, 0] - words[:, 3] - words[:, 4]
    total = (total & 0xFFFF) + (total >> 16)
    words[:, 0] = ~((total & 0xFFFF) + (total >> 16))
    words[:, 3:] = NEW
    batch.scatter(24, words)


def every_other(batch: Batch) -> None:
    """Accepts the frames with an even source port."""
    ports = np.asarray(batch.gather(34, 2))
    np.asarray(batch.mask)[:] = (ports[:, 1] & 1) ^ 1


REWRITES: dict[str, Callable[[Batch], None]] = {
    "nothing": nothing,
    "one field": one_field,
    "swap addresses": swap,
    "translate IPv4": translate,
    "mask": every_other,
}


def right(name: str, frame: bytes) -> bool:
    """Whether a frame came out as the rewrite was to make it."""
    if name == "one field":
        return frame[:6] == MAC.tobytes()
    if name == "swap addresses":
        return frame[:12] == HEADERS[6:12] + HEADERS[:6]
    if name == "translate IPv4":
        words = np.frombuffer(frame[14:34], ">u2").astype(np.uint32)
        total = int(words.sum())
        return (total & 0xFFFF) + (total >> 16) == 0xFFFF and frame[30:34] == ADDRESS.tobytes()
    return frame[:34] == first_frame(0)[:34]


def first_frame(number: int, size: int = 60) -> bytes:
    """A frame whose source port has the number's lowest bit, with the checksum of its header."""
    frame = bytearray(HEADERS.ljust(size, b"\0"))
    frame[35] = (frame[35] & 0xFE) | (number & 1)
    total = sum(int.from_bytes(frame[place : place + 2]) for place in range(14, 34, 2))
    total = (total & 0xFFFF) + (total >> 16)
    frame[24:26] = (total ^ 0xFFFF).to_bytes(2)
    return bytes(frame)


@contextlib.contextmanager
def link(name: str, depth: int) -> Iterator[tuple[Port, Port]]:
    """Two ports that are joined by a Unix socket."""
    address = f"@vecwire-rewrite-{os.getpid()}-{name}"
    options = f"depth={depth},gro=0"
    with (
        vecwire.open(f"bess,listen={address},{options}") as server,
        vecwire.open(f"bess,dst={address},{options}") as client,
    ):
        server.recv(server.batch(1))
        yield client, server


def measure(name: str, depth: int, size: int, rounds: int) -> dict[str, float]:
    """Nanoseconds a frame of each step and of all of them, the median of many batches.

    Raises:
        SystemExit: if what came out is not what was to.
    """
    rewrite = REWRITES[name]
    steps: dict[str, list[float]] = {"recv": [], "rewrite": [], "send": [], "in all": []}
    with link("in", depth) as (source, left), link("out", depth) as (right_port, sink):
        out, batch, into = source.batch(), left.batch(), sink.batch()
        for number in range(depth):
            out.append(first_frame(number, size))
        for _ in range(rounds):
            if source.send(out) != depth:
                raise SystemExit("the socket has no room for a batch: raise net.core.wmem_max")
            began = time.perf_counter_ns()
            got = left.recv(batch)
            received = time.perf_counter_ns()
            rewrite(batch)
            rewritten = time.perf_counter_ns()
            sent = right_port.send(batch)
            ended = time.perf_counter_ns()
            arrived = sink.recv(into)
            if got != depth or sent != depth or arrived != (depth // 2 if name == "mask" else depth):
                raise SystemExit(f"{name}: {got} frames came, {sent} were sent, {arrived} arrived")
            parts = (received - began, rewritten - received, ended - rewritten, ended - began)
            for step, took in zip(steps, parts, strict=True):
                steps[step].append(took / depth)
        if not all(right(name, bytes(frame)) for frame in into):
            raise SystemExit(f"{name}: a frame came out wrong")
    return {step: statistics.median(values) for step, values in steps.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=256, help="frames a batch")
    parser.add_argument("--size", type=int, default=60, help="octets a frame")
    parser.add_argument("--rounds", type=int, default=2000, help="batches of which the median is shown")
    chosen: Any = parser.parse_args()
    print(
        f"nanoseconds a frame, {chosen.size} octets, depth {chosen.depth}, median of {chosen.rounds} batches"
    )
    print(f"{'rewrite':>16}{'recv':>10}{'rewrite':>10}{'send':>10}{'in all':>10}")
    totals: dict[str, float] = {}
    for name in REWRITES:
        found = measure(name, chosen.depth, chosen.size, chosen.rounds)
        totals[name] = found["in all"]
        print(f"{name:>16}" + "".join(f"{value:>10.1f}" for value in found.values()))
    costs = {name: total - totals["nothing"] for name, total in totals.items()}
    dearest = max(costs, key=costs.__getitem__)
    wanted = f"a rewrite costs less than {MOST_NANOSECONDS} ns a frame, beside a cable that rewrites nothing"
    judge(costs[dearest] < MOST_NANOSECONDS, wanted, f"{costs[dearest]:.1f} ns, {dearest}")


if __name__ == "__main__":
    main()
