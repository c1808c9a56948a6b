"""From samples to what people read: the cells of the tables, and the verdict."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from vecwire.bench.samples import Results, Summary
from vecwire.bench.tables import BRIDGE, C_LOOP, QEMU, RAW, SWITCH, VECWIRE, VXLAN, Column, Table

_FLAT_OUT = "60 octets, flat out"
_WAYS = ("forward_gbit", "reverse_gbit")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table.

    Attributes:
        case: what was asked for; empty where the table asks for one thing.
        contender: who answered.
        cells: a text for each column; or one, where there is no figure, which says why.
    """

    case: str
    contender: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure that was promised, beside what was measured.

    Attributes:
        figure: what it is about.
        target: what was promised.
        measured: what was found; empty where it was not measured.
        met: whether the promise was kept; None where that was not measured.
        goal: whether what is hoped for beyond the promise was reached; None where nothing is.
    """

    figure: str
    target: str
    measured: str = ""
    met: bool | None = None
    goal: bool | None = None


def rows(results: Results, table: Table) -> list[Row]:
    """The lines of a table, in the order in which it was measured."""
    return [
        Row(case, contender, _cells(results, table, case, contender))
        for case in results.cases(table.name)
        for contender in results.contenders(table.name)
    ]


def figure(results: Results, table: str, case: str, contender: str, value: str) -> Summary | None:
    """A median with its range, as :meth:`Results.summary` has it, or derived where it is known so alone."""
    found = results.summary(table, case, contender, value)
    if found is None and (table, contender, value) == ("frames", BRIDGE, "ns") and "flat out" in case:
        loaded = results.summary(table, case, contender, "load_ns")
        bare = results.summary(table, case, "nothing", "load_ns")
        if loaded and bare:
            return Summary(
                loaded.median - bare.median,
                loaded.least - bare.most,
                loaded.most - bare.least,
                min(loaded.count, bare.count),
            )
    return found


def text_of(found: Summary | None, digits: int) -> str:
    """``4.31 (4.02..4.55)``: the median and the range."""
    if found is None:
        return ""
    middle = f"{found.median:,.{digits}f}"
    if found.count < 2:
        return middle
    return f"{middle} ({found.least:,.{digits}f}..{found.most:,.{digits}f})"


def _cells(results: Results, table: Table, case: str, contender: str) -> tuple[str, ...]:
    cells = tuple(_cell(results, table, case, contender, column) for column in table.columns)
    if any(cells):
        return cells
    return (results.why_not(table.name, case, contender) or "not measured",)


def _cell(results: Results, table: Table, case: str, contender: str, column: Column) -> str:
    return text_of(figure(results, table.name, case, contender, column.value), column.digits)


def ratios(
    results: Results,
    table: str,
    case: str,
    values: Sequence[str],
    *,
    ours: str,
    theirs: str,
    other_case: str | None = None,
) -> list[float]:
    """Ours over theirs, one for each value; empty where one was not measured.

    It is the median of the rounds' ratios: what both had in a round, they had within the same seconds, so
    that what else the machine did meanwhile weighs on both.
    """
    found = []
    for value in values:
        mine = results.by_turn(table, case, ours, value)
        other = results.by_turn(table, case if other_case is None else other_case, theirs, value)
        each = [mine[turn] / other[turn] for turn in sorted(mine.keys() & other.keys()) if other[turn]]
        if not each:
            return []
        found.append(median(each))
    return found


def verdicts(results: Results) -> list[Verdict]:
    """Every promise, beside what this run has measured."""
    return list(_verdicts(results))


def _verdicts(results: Results) -> Iterator[Verdict]:
    def at_least(name: str, table: str, pair: tuple[str, str], least: float, goal: float | None) -> Verdict:
        found = ratios(results, table, "", _WAYS, ours=pair[0], theirs=pair[1])
        aim = f", goal {goal:g}" if goal else ""
        target = f"at least {least:g} of {pair[1]}{aim}"
        if not found:
            return Verdict(name, target)
        text = " and ".join(f"{ratio:.2f}" for ratio in found) + ", forward and reverse"
        reached = min(found) >= goal if goal else None
        return Verdict(name, target, text, min(found) >= least, reached)

    yield at_least(f"TCP, {VECWIRE}", "tunnel", (VECWIRE, QEMU), 5, None)
    yield at_least(f"TCP, {VECWIRE}", "tunnel", (VECWIRE, VXLAN), 0.5, 0.8)
    for name, least in (("vecwire l2tpv3 ip", 1.3), ("vecwire gre", 1.3), ("vecwire bess", 2)):
        yield at_least(f"TCP, {name}", "tunnel", (name, QEMU), least, None)
    for kind in ("l2tpv3 ip", "gre", "bess"):
        yield at_least(f"TCP, vecwire {kind}", "tunnel", (f"vecwire {kind}", f"UML {kind}"), 1, None)
    yield at_least("TCP, raw to raw", "wire", (RAW, BRIDGE), 0.7, 0.9)
    yield at_least("TCP, raw to raw by a switch", "wire", (SWITCH, RAW), 0.9, None)
    yield _at_most(
        "processor time a frame, raw to raw, 60 octets, flat out",
        "at most 1.15 of the C loop",
        ratios(results, "frames", _FLAT_OUT, ["ns"], ours=RAW, theirs=C_LOOP),
        1.15,
    )
    yield _at_most(
        "processor time a frame, raw to raw by a switch, 60 octets, flat out",
        f"at most 1.3 of {RAW}",
        ratios(results, "frames", _FLAT_OUT, ["ns"], ours=SWITCH, theirs=RAW),
        1.3,
    )
    yield _at_most(
        "round trip through the tunnel, p50",
        f"at most that of {QEMU}",
        ratios(results, "latency", "", ["p50_us"], ours=VECWIRE, theirs=QEMU),
        1.0,
    )
    yield _at_most(
        "processor time a frame, up to 64 tunnels in one process, the dearest number of them",
        "at most 1.3 of 2 tunnels",
        _dearest(results, "tunnels", VECWIRE, than="2"),
        1.3,
    )
    yield _below(results, "memory, two ports at depth 64, most ever resident", "below 100 MB", _memory)
    yield _below(
        results, "packets with a wrong checksum, all runs of TCP with vecwire", "none", _checksum_errors
    )


def _dearest(results: Results, table: str, contender: str, *, than: str) -> list[float]:
    """What the dearest case of a table costs beside one of them; empty where any was not measured."""
    found = [
        ratios(results, table, case, ["ns"], ours=contender, theirs=contender, other_case=than)
        for case in results.cases(table)
        if case != than
    ]
    return [max(each[0] for each in found)] if found and all(found) else []


def _at_most(name: str, target: str, found: list[float], most: float) -> Verdict:
    if not found:
        return Verdict(name, target)
    return Verdict(name, target, f"{found[0]:.2f}", found[0] <= most)


def _below(
    results: Results, name: str, target: str, measure: Callable[[Results], tuple[str, bool | None] | None]
) -> Verdict:
    found = measure(results)
    return Verdict(name, target) if found is None else Verdict(name, target, *found)


def _memory(results: Results) -> tuple[str, bool] | None:
    peaks = [
        sample.values["peak_mb"] / sample.values["processes"]
        for sample in results.samples
        if sample.table in {"tunnel", "wire"}
        and sample.contender.startswith("vecwire")
        and sample.values.get("processes")
    ]
    return (f"{max(peaks):.0f} MB", max(peaks) < 100) if peaks else None


def _checksum_errors(results: Results) -> tuple[str, bool | None] | None:
    """Of all runs that vecwire takes part in; a guest of UML has it at the other end."""
    ran = [
        sample.values.get("checksum_errors")
        for sample in results.samples
        if sample.contender.startswith(("vecwire", "UML")) and sample.values.keys() & {"gbit", *_WAYS}
    ]
    found = [value for value in ran if value is not None]
    if not found:
        return None
    text = f"{sum(found):.0f} in {len(found)} runs"
    if left := len(ran) - len(found):
        return f"{text}, {left} more not looked at", False if any(found) else None
    return text, not any(found)
