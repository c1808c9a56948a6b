"""Plots of the tables, as PNG, where matplotlib is installed."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vecwire.bench.figures import figure
from vecwire.bench.samples import Results
from vecwire.bench.tables import Table

OURS, SECOND = "#1f6feb", "#8ab4f8"
OTHERS, DARK = "#9aa4b2", "#4b5563"
_DPI = 120


def available() -> bool:
    """Whether plots can be drawn here."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(results: Results, tables: Sequence[Table], folder: Path) -> dict[str, Path]:
    """Draws what was measured of the tables into a folder.

    Returns:
        The file of each table that has one.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 # optional, and slow to import

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for table in tables:
        drawn = Figure(figsize=(8, 4.5), layout="constrained")
        axes = drawn.add_subplot()
        done = _lines(axes, results, table) if table.line else _bars(axes, results, table)
        if not done:
            continue
        axes.set_title(table.title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        path = folder / f"bench-{table.name}.png"
        drawn.savefig(path, dpi=_DPI, metadata={"Software": None})
        made[table.name] = path
    return made


def _bars(axes: Any, results: Results, table: Table) -> bool:
    """Bars with the range as a whisker: the last case, where there are several."""
    columns = [column for column in table.columns if column.heading.endswith("Gbit/s")] or table.columns[:1]
    if table.name == "latency":
        columns = table.columns[:2]
    case = results.cases(table.name)[-1] if results.cases(table.name) else ""
    if table.name == "frames":
        case = next((each for each in results.cases(table.name) if "flat out" in each), case)
        axes.set_xlabel(f"{table.columns[0].heading}, {case}")
    names = [
        name
        for name in results.contenders(table.name)
        if results.summary(table.name, case, name, columns[0].value)
    ]
    for number, column in enumerate(columns):
        for place, name in enumerate(names):
            found = figure(results, table.name, case, name, column.value)
            if found is None:
                continue
            ours = name.startswith("vecwire")
            height = 0.8 / len(columns)
            axes.barh(
                place + (number - (len(columns) - 1) / 2) * height,
                found.median,
                height * 0.92,
                color=(OURS, SECOND)[number % 2] if ours else OTHERS,
                alpha=1.0 if number == 0 else 0.7,
                xerr=[[found.median - found.least], [found.most - found.median]],
                error_kw={"lw": 0.8, "ecolor": "#444444"},
            )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    if table.name != "frames":
        bars = ("dark: ", "light: ") if len(columns) > 1 else ("",)
        axes.set_xlabel("; ".join(bar + column.heading for bar, column in zip(bars, columns, strict=True)))
    if table.name == "latency":
        axes.set_xscale("log")
    return bool(names)


def _lines(axes: Any, results: Results, table: Table) -> bool:
    """A line for each contender over the cases, which are numbers."""
    column = table.columns[0]
    drawn = False
    drawn_others: list[str] = []
    for name in results.contenders(table.name):
        points = [
            (int(case), found)
            for case in results.cases(table.name)
            if (found := figure(results, table.name, case, name, column.value))
        ]
        if not points:
            continue
        drawn = True
        middle = [found.median for _, found in points]
        spread = [
            [found.median - found.least for _, found in points],
            [found.most - found.median for _, found in points],
        ]
        color = OURS if name.startswith("vecwire") else OTHERS if not drawn_others else DARK
        drawn_others += [] if name.startswith("vecwire") else [name]
        axes.errorbar(
            [number for number, _ in points],
            middle,
            yerr=spread,
            marker="o",
            capsize=2,
            label=name,
            color=color,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([int(case) for case in results.cases(table.name)], results.cases(table.name))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(column.heading)
    axes.set_xlabel(table.name)
    if drawn:
        axes.legend(frameon=False)
    return drawn
