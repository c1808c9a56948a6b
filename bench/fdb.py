"""Measures the MAC address table, in nanoseconds an address: ``python bench/fdb.py``.

Each round makes a new table, fills it, and then asks for its addresses in another order, so that of a million
hardly any is in the cache. A frame is one address learned, its source, and one looked up, its destination.
What is measured is the compiled path: the interpreter takes part once for many addresses.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import TYPE_CHECKING

from vecwire.path.table import Outcome, Table

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (1_000, 65_536, 1_000_000)
#: Addresses asked for in one measurement, at the least: few are asked for again and again.
LEAST = 200_000
SECOND = 1_000_000_000
COLUMNS = ("learn new", "learn known", "refresh", "lookup", "unknown", "frame", "refused")


def addresses(count: int, first: int, order: random.Random) -> bytes:
    """Addresses of one maker in random order, as a factory or a hypervisor numbers them."""
    numbers = list(range(first, first + count))
    order.shuffle(numbers)
    return b"".join((0x525400000000 + number).to_bytes(6) for number in numbers)


def timed(action: Callable[[], object], count: int) -> float:
    """Nanoseconds that an action on so many addresses takes for each."""
    began = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - began) / count


def measure(size: int, order: random.Random) -> dict[str, float]:
    """One round with a table of so many addresses."""
    known = addresses(size, 0, order)
    asked = addresses(size, 0, order) * -(-LEAST // size)
    strangers = addresses(size, size, order) * -(-LEAST // size)
    count = len(asked) // 6
    table = Table(size, seed=order.getrandbits(128), bound=size)
    table.forget()  # touches the buckets, as a table that has run for a while has
    now = SECOND
    later = now + round(table.age * SECOND) // 2
    found = {"learn new": timed(lambda: table.learn_all(known, 1, 1, now), size)}
    found["learn known"] = timed(lambda: table.learn_all(asked, 1, 1, now), count)
    found["lookup"] = timed(lambda: table.lookup_all(asked, 1, now), count)
    found["unknown"] = timed(lambda: table.lookup_all(strangers, 1, now), count)
    found["refused"] = timed(lambda: table.learn_all(strangers, 1, 1, now), count)
    found["refresh"] = timed(lambda: table.learn_all(asked[: 6 * size], 1, 1, later), size)
    found["frame"] = found["learn known"] + found["lookup"]
    if table.count(later) != size or table.learn_all(known, 1, 1, later)[Outcome.KNOWN] != size:
        raise SystemExit("the table does not hold what was measured: no figure of this run means anything")
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is shown")
    parser.add_argument("--seed", type=int, default=1, help="where the random order begins")
    chosen = parser.parse_args()
    order = random.Random(chosen.seed)  # noqa: S311  (an order of addresses, not a secret)
    print(f"nanoseconds an address, median of {chosen.rounds} rounds")
    print(f"{'addresses':>12}" + "".join(f"{name:>13}" for name in COLUMNS))
    for size in SIZES:
        rounds = [measure(size, order) for _ in range(chosen.rounds)]
        medians = [statistics.median(one[name] for one in rounds) for name in COLUMNS]
        print(f"{size:>12,}" + "".join(f"{value:>13.1f}" for value in medians))


if __name__ == "__main__":
    main()
