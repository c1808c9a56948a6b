"""The bench on a terminal: a line for each measurement as it comes, tables and the verdict at the end."""

import time
from collections.abc import Sequence
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from vecwire.bench.figures import Verdict, rows
from vecwire.bench.runner import Step
from vecwire.bench.samples import Results, Sample
from vecwire.bench.tables import Table

_MET = {True: ("met", "green"), False: ("not met", "red"), None: ("not measured", "dim")}


class Live:
    """Says what is being measured, and what came of it; for ``runner.run``.

    It draws only between measurements, so that it takes no processor time from them.

    Args:
        console: where to.
        total: how many measurements there are in all.
        done: how many of them were made before.
    """

    def __init__(self, console: Console, total: int, done: int) -> None:
        self._console = console
        self._started = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, completed=done)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, step: Step, sample: Sample | None) -> None:
        """Takes news of a measurement."""
        what = " · ".join(filter(None, (step.table.name, step.case, step.contender.name)))
        if sample is None:
            self._started = time.monotonic()
            self._progress.update(self._task, description=f"round {step.turn + 1} · {what}", refresh=True)
            return
        seconds = time.monotonic() - self._started
        self._progress.console.print(
            Text.assemble((f"{seconds:5.1f} s  ", "dim"), f"{what}: ", _outcome(step.table, sample)),
            soft_wrap=True,
        )
        self._progress.advance(self._task)
        self._progress.refresh()


def _outcome(table: Table, sample: Sample) -> Text:
    if sample.missing:
        return Text(sample.missing, style="yellow")
    if sample.error:
        return Text(sample.error, style="red")
    figures = [
        f"{sample.values[column.value]:,.{column.digits}f} {column.heading}"
        for column in table.columns
        if column.value in sample.values
    ]
    return Text("; ".join(figures), style="cyan")


def tables(console: Console, results: Results, wanted: Sequence[Table]) -> None:
    """Prints the tables."""
    for table in wanted:
        if not results.of(table.name):
            continue
        cases = any(table.cases)
        drawn = RichTable(
            title=table.title,
            caption=table.note,
            title_justify="left",
            caption_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for heading in [*(["case"] if cases else []), "contender"]:
            drawn.add_column(heading)
        for column in table.columns:
            drawn.add_column(column.heading, justify="right")
        last = None
        for row in rows(results, table):
            if last not in {None, row.case}:
                drawn.add_section()
            front = [row.case if row.case != last else ""] if cases else []
            drawn.add_row(*front, row.contender, *row.cells, style="bold" if _ours(row.contender) else "")
            last = row.case
        console.print(drawn)


def verdict(console: Console, found: Sequence[Verdict]) -> None:
    """Prints what was promised beside what was measured."""
    drawn = RichTable(
        title="Verdict", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("figure", "target", "measured", ""):
        drawn.add_column(heading)
    for each in found:
        word, style = _MET[each.met]
        drawn.add_row(
            each.figure, each.target, each.measured, Text(word + (", goal too" if each.goal else ""), style)
        )
    console.print(drawn)


def _ours(contender: str) -> bool:
    return contender.startswith("vecwire")
