"""The run as a page: what it was measured on, how to repeat it, the verdict, the tables, the plots."""

from collections.abc import Iterator, Mapping, Sequence
from os.path import relpath
from pathlib import Path

from vecwire.bench.figures import rows, verdicts
from vecwire.bench.samples import Results
from vecwire.bench.tables import Table

_MET = {True: "met", False: "**not met**", None: "not measured"}
_START, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
_HEAD = """# Performance

How fast vecwire is, beside its peers, on one machine in one run. `vecwire bench` measures it; the part
between the marks below is written by `vecwire bench --report docs/performance.md`.

"""


def write(results: Results, tables: Sequence[Table], plots: Mapping[str, Path], path: Path) -> None:
    """Writes the page, or the part of it that is between the marks, and leaves the rest as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8") if path.exists() else f"{_HEAD}{_START}\n{_END}\n"
    if _START not in text or _END not in text:
        text = f"{text.rstrip()}\n\n{_START}\n{_END}\n"
    before, _, rest = text.partition(_START)
    after = rest.partition(_END)[2]
    links = {name: relpath(file, path.parent) for name, file in plots.items()}
    body = "\n".join(_body(results, tables, links))
    path.write_text(f"{before}{_START}\n\n{body}\n{_END}{after}", encoding="utf-8")


def _body(results: Results, tables: Sequence[Table], plots: Mapping[str, str]) -> Iterator[str]:
    settings, machine = results.settings, results.machine
    if settings.get("quick"):
        yield "> A quick run, to show the form: its figures say little. The real ones come from a full run.\n"
    yield from _machine(machine, settings)
    yield "## Verdict\n"
    yield from _markdown(
        ("figure", "target", "measured", ""),
        [
            (each.figure, each.target, each.measured, _MET[each.met] + (", goal too" if each.goal else ""))
            for each in verdicts(results)
        ],
    )
    for table in tables:
        found = rows(results, table)
        if not found:
            continue
        yield f"## {table.title}\n"
        yield f"{table.note}\n"
        cases = any(row.case for row in found)
        front = ("case", "contender") if cases else ("contender",)
        width = len(front) + len(table.columns)
        lines = []
        for row in found:
            cells = (*((row.case,) if cases else ()), row.contender, *row.cells)
            lines.append(cells + ("",) * (width - len(cells)))
        yield from _markdown((*front, *(column.heading for column in table.columns)), lines)
        if table.name in plots:
            yield f"![{table.title}]({plots[table.name]})\n"


def _machine(machine: Mapping[str, object], settings: Mapping[str, object]) -> Iterator[str]:
    yield "## The machine\n"
    labels = {
        "date": "date",
        "processor": "processor",
        "processors": "processors",
        "memory_mb": "memory, MB",
        "virtual": "a virtual machine",
        "system": "system",
        "kernel": "kernel",
        "python": "Python",
    }
    lines = [(label, _plain(machine.get(key, ""))) for key, label in labels.items()]
    versions = machine.get("versions")
    if isinstance(versions, dict):
        lines += [(name, str(value)) for name, value in versions.items()]
    yield from _markdown(("what", "here"), lines)
    yield "## To repeat it\n"
    quick = " --quick" if settings.get("quick") else ""
    yield f"As root, in a clone: `make bench`; or with vecwire installed: `vecwire bench{quick}`.\n"
    yield (
        f"Each figure is the median of {settings.get('rounds')} rounds, with the least and the most of them "
        f"in brackets. A run of TCP is {settings.get('tcp')} s, frames are counted for "
        f"{settings.get('frames')} s, round trips are {settings.get('pings')} in a row. The contenders take "
        "turns; the verdict is the median of each round's ratio.\n"
    )


def _plain(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(headings) + " |"
    yield "|" + " --- |" * len(headings)
    for line in lines:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
    yield ""
