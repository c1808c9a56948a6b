"""A whole run, as the command asks for it: measure what is wanted, show it, draw it, write it down."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from vecwire.bench import machine, plots, report, runner, show
from vecwire.bench.catalogue import catalogue
from vecwire.bench.figures import verdicts
from vecwire.bench.samples import Results, load
from vecwire.bench.tables import Settings, Table
from vecwire.errors import PortError, SpecError, UnsupportedError


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        quick: short runs.
        only: the names of the tables; all where it is empty.
        rounds: how often each contender is asked; None leaves that to ``quick``.
        keep: the file to keep everything in.
        resume: the file to go on with; its settings count, and nothing else of this request but ``only``.
        plots: the folder for plots.
        report: the page to write.
    """

    quick: bool = False
    only: Sequence[str] = ()
    rounds: int | None = None
    keep: Path | None = None
    resume: Path | None = None
    plots: Path | None = None
    report: Path | None = None


class Session:
    """One run of the bench.

    Args:
        request: what is asked for.
        console: where to show it.

    Raises:
        SpecError: The request contradicts itself, or names a table that there is not.
        PortError: A file cannot be read.
        UnsupportedError: Plots are asked for, and matplotlib is not installed.
    """

    def __init__(self, request: Request, console: Console) -> None:
        self._request = request
        self._console = console
        self.tables = choose(request.only)
        if request.plots is not None and not plots.available():
            raise UnsupportedError("plots need matplotlib", remedy="pip install 'vecwire[bench]'")
        if request.resume is None:
            self.settings = Settings.quick(request.rounds or 1) if request.quick else full(request.rounds)
            kept = {**asdict(self.settings), "quick": request.quick}
            self.results = Results(machine.describe(), kept, request.keep)
            return
        if request.quick or request.rounds is not None or request.keep is not None:
            raise SpecError(
                "--resume takes its settings from the file: no --quick, --rounds or --json with it"
            )
        self.results = load(request.resume)
        known = {name: value for name, value in self.results.settings.items() if name != "quick"}
        self.settings = Settings(**known)

    def measure(self) -> None:
        """Measures what has not been measured yet; may be interrupted at any time.

        Raises:
            UnsupportedError: This user or this host cannot.
            PortError: The file is of another machine.
        """
        steps = list(runner.steps(self.tables, self.settings.rounds))
        done = sum(self.results.done(step.key) for step in steps)
        if done == len(steps):
            return
        runner.check_host()
        if self._request.resume is not None and not machine.same(self.results.machine, machine.describe()):
            raise PortError(
                f"{self._request.resume} is of another machine, or of other versions",
                remedy="start anew, with --json",
            )
        with show.Live(self._console, len(steps), done) as live:
            runner.run(self.tables, self.settings, self.results, live.tell)

    def show(self) -> None:
        """Shows what has been measured."""
        show.tables(self._console, self.results, self.tables)
        show.verdict(self._console, verdicts(self.results))
        if self.results.path is not None:
            self._console.print(f"kept in {self.results.path}")

    def write(self) -> None:
        """Draws and writes what was asked for."""
        page, folder = self._request.report, self._request.plots
        if page is None and folder is None:
            return
        drawn = {}
        if plots.available():
            drawn = plots.draw(self.results, catalogue(), folder or Path(page or "").parent / "img")
        if page is not None:
            report.write(self.results, catalogue(), drawn, page)


def full(rounds: int | None) -> Settings:
    """The settings of a full run."""
    return Settings() if rounds is None else Settings(rounds)


def choose(only: Sequence[str]) -> list[Table]:
    """The tables of those names, in their order; all where none is named.

    Raises:
        SpecError: There is none of a name.
    """
    every = catalogue()
    names = [table.name for table in every]
    for name in only:
        if name not in names:
            raise SpecError(f"the bench has no table {name!r}; it has {', '.join(names)}")
    return [table for table in every if not only or table.name in only]
