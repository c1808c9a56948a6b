"""How a run of the fuzzer is told: while it goes on, at its end, and in a page."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Figures = dict[str, Any]
_START, _END = "<!-- fuzz: begin -->", "<!-- fuzz: end -->"
_HEADINGS = ("target", "inputs", "a second", "edges", "corpus", "broken by")


def progress(ended: Sequence[Figures], running: Sequence[Figures], waiting: int) -> None:
    """Writes a line for each target that has ended; on a terminal, one that changes for those that run."""
    terminal = sys.stdout.isatty()
    clear = "\r\033[K" if terminal else ""
    for each in ended:
        state = "BROKEN" if each["failed"] else "held"
        sys.stdout.write(
            f"{clear}{each['target']}: {state}, {each['executions']:,} inputs in {each['seconds']:.0f} s, "
            f"{each['edges']:,} edges, a corpus of {each['corpus']:,}\n"
        )
    if terminal and running:
        parts = [
            f"{each['target']} {each['seconds']:.0f} s: {each['executions']:,}, {each['edges']:,} edges"
            for each in running
        ]
        sys.stdout.write(f"{clear}{'; '.join(parts)}; {waiting} wait")
    sys.stdout.flush()


def _cells(each: Figures) -> tuple[str, ...]:
    return (
        each["target"],
        f"{each['executions']:,}",
        f"{each['per_second']:,}",
        f"{each['edges']:,}",
        f"{each['corpus']:,} ({each['corpus_octets']:,} octets)",
        str(len(each["inputs"]) or 1) if each["failed"] else "nothing",
    )


def summary(found: Sequence[Figures]) -> None:
    """Writes the figures of all as a table."""
    from rich.console import Console  # noqa: PLC0415  (not there in the environment that lints this)
    from rich.table import Table  # noqa: PLC0415  (the same)

    table = Table(box=None)
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="right" if 0 < number < 4 else "left")
    for each in found:
        table.add_row(*_cells(each))
    Console().print(table)


def _version(*command: str) -> str:
    """The first line of what a program says of itself, or its name where it is not there."""
    if shutil.which(command[0]) is None:
        return command[0]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return done.stdout.splitlines()[0]


def _body(found: Sequence[Figures]) -> Iterator[str]:
    seconds = sum(each["seconds"] for each in found)
    total = sum(each["executions"] for each in found)
    broken = [each["target"] for each in found if each["failed"]]
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}: {total:,} inputs in {seconds / 60:.0f} minutes of "
        f"running, on {os.cpu_count()} processors, with Python {platform.python_version()} and "
        f"{_version('clang', '--version')}. Broken: {', '.join(broken) or 'nothing'}."
    )
    yield ""
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for each in found:
        name, *cells = _cells(each)
        yield f"| `{name}` | {' | '.join(cells)} |"


def write(page: Path, found: Sequence[Figures]) -> None:
    """Writes the figures into a page, between their marks.

    Raises:
        SystemExit: if the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    if _START not in text or _END not in text:
        raise SystemExit(f"vecwire: {page} has no place for figures: {_START} and {_END}")
    before, _, rest = text.partition(_START)
    body = "\n".join(_body(found))
    page.write_text(f"{before}{_START}\n\n{body}\n\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")
