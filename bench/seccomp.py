"""Measures what the workers' filter of system calls costs, as root: ``python bench/seccomp.py``.

A cable moves frames of 60 octets between two packet sockets, with the filter and without it in turns, so that
what else happens on the machine meets both. With ``depth=1`` there is a system call for each frame and the
filter costs most; with ``depth=64`` it is as people have it. "without again" tells how far two
measurements of the same lie apart. The last table is of one system call by itself, getpid(2), the loop around
it included: there the difference is the filter's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import vecwire
from switching import links, measure
from vecwire.confine import Seccomp
from vecwire.confine import confine as give_up
from vecwire.transports._unshare import own_network

CALLS = 100_000
ROUNDS = {"without": None, "without again": None, "capabilities only": Seccomp.OFF, "with": Seccomp.REQUIRE}


def once(depth: int, confine: Seccomp | None, seconds: float) -> tuple[float, float]:
    """Frames a second and nanoseconds of the worker for each."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(vecwire.open(f"raw,ifname={name}0,depth={depth}")) for name in "ab"]
        ends = [stack.enter_context(vecwire.open(f"raw,ifname={name}1")) for name in "ab"]
        engine = stack.enter_context(vecwire.Engine(confine=confine))
        stack.enter_context(vecwire.Cable(ports[0], ports[1], engine=engine))
        return measure(engine, ports, ends, seconds)


def one_call(confine: Seccomp | None) -> float:
    """Nanoseconds of one getpid(2) in a thread of its own, its loop included."""

    def calls() -> float:
        if confine is not None:
            give_up(confine)
        began = time.thread_time_ns()
        for _ in range(CALLS):
            os.getpid()
        return (time.thread_time_ns() - began) / CALLS

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(calls).result()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of which the median is shown")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long one measurement takes")
    chosen = parser.parse_args()
    own_network()
    links()
    for depth in (1, 64):
        runs = {name: partial(once, depth, mode, chosen.seconds) for name, mode in ROUNDS.items()}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(chosen.rounds):
            for name, run in runs.items():
                found[name].append(run())
        print(f"depth={depth}, median of {chosen.rounds} rounds")
        print(f"{'filter':>18}{'frames/s':>12}{'ns a frame':>12}{'without = 1':>13}")
        base = statistics.median(cost for _, cost in found["without"])
        for name, rounds in found.items():
            rate, cost = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{name:>18}{rate:>12,.0f}{cost:>12.0f}{cost / base:>13.3f}")
    print(f"one system call, median of {chosen.rounds} rounds")
    costs: dict[str, list[float]] = {name: [] for name in ROUNDS}
    for _ in range(chosen.rounds):
        for name, mode in ROUNDS.items():
            costs[name].append(one_call(mode))
    for name, each in costs.items():
        print(f"{name:>18}{statistics.median(each):>12.1f} ns")


if __name__ == "__main__":
    main()
