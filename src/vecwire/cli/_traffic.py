"""What ``blast`` and ``sink`` share: one port, a thread that does the work, and how far it is.

On standard output come ``ready``, how far it is and the result; with ``--json`` one event a line:
``warning``, ``ready``, ``stats``, ``end``.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import typer

from vecwire import confine
from vecwire.cli._counters import info_object
from vecwire.cli._output import print_json, print_line
from vecwire.cli._running import Shared, give_up, warn
from vecwire.cli._signals import Interrupted, Signals
from vecwire.confine import Seccomp, seccomp
from vecwire.spec import parse
from vecwire.transports import TransportPort, open_port

#: How often it is looked whether the work is done, in seconds.
LOOK_SECONDS = 0.05
LIVE_SECONDS = 1.0
Rows = list[tuple[str, str, str]]


class Job(Protocol):
    """What is done by a thread of its own."""

    def run(self) -> None:
        """Does it."""

    def stop(self) -> None:
        """Ends that."""


class View(Protocol):
    """How far a job is, as people and programs read it."""

    def line(self) -> str:
        """A line of a log."""

    def rows(self) -> Rows:
        """What is told, each with its name, and a share or the like."""

    def event(self) -> dict[str, Any]:
        """The members of an event."""


class _Worker(threading.Thread):
    """Does the job, with the rights of a worker; what it fails with is kept."""

    def __init__(self, job: Job, mode: Seccomp) -> None:
        super().__init__(name="vecwire-traffic")
        self._job = job
        self._mode = mode
        self._begun = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Does the job once it is told to."""
        try:
            self._begun.wait()
            self._job.run()
        except BaseException as error:  # noqa: BLE001 # raised again by the main thread
            self.error = error

    def prepare(self) -> None:
        """Starts the thread, which gives up what the job does not need, and does nothing yet.

        Raises:
            UnsupportedError: if its system calls are to be filtered, and cannot be.
            PortError: if there is no thread to be had.
        """
        confine.start(self, self._mode, seccomp.WORKER)

    def begin(self) -> None:
        """Has it do the job."""
        self._begun.set()


def work(
    spec: str,
    make: Callable[[TransportPort], tuple[Job, View]],
    shared: Shared,
    seccomp: Seccomp,
    *,
    quiet: bool = False,
) -> bool:
    """Opens a port and has a job done on it until that is done, SIGINT, SIGTERM or the end of the duration.

    Args:
        spec: The text of the spec.
        make: Makes the job and its view for the open port; a ValueError says that an option is wrong.
        shared: The shared options.
        seccomp: Whether the thread that does the job is held to a worker's system calls.
        quiet: Whether the last event and the result are printed by who calls.

    Returns:
        Whether the job was begun: False where a signal came before.

    Raises:
        SpecError: The text is wrong.
        UnsupportedError: This user may not, or this host cannot, open the port.
        PortError: An interface, an address or a peer is not there.
    """
    parsed = parse(spec)
    with Signals() as signals, contextlib.suppress(Interrupted), open_port(parsed) as port:
        warn(port.info, json=shared.json)
        signals.hold()
        try:
            job, view = make(port)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        give_up([parsed], shared)
        # Brought back by this thread, which has what that takes.
        port.kept = True
        worker = _Worker(job, seccomp)
        worker.prepare()
        try:
            if shared.json:
                print_json({"event": "ready", "port": info_object(port.info)})
            else:
                print_line("ready")
            worker.begin()
            with _display(shared) as show:
                _watch(signals, worker, port, view, shared, show)
        finally:
            job.stop()
            worker.begin()
            worker.join()
        if worker.error is not None:
            raise worker.error
        if not quiet:
            tell(view, json=shared.json)
        return True
    return False


def tell(view: View, *, json: bool) -> None:
    """Prints the result."""
    if json:
        print_json({"event": "end", **view.event()})
    else:
        print_line("\n".join(lines(view.rows())))


def lines(rows: Rows) -> list[str]:
    """Rows as a table of plain text."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{name.ljust(widths[0])}  {value.rjust(widths[1])}  {beside}".rstrip()
        for name, value, beside in rows
    ]


def span_of(nanoseconds: float) -> str:
    """A time with three digits and the unit that suits it: ``12.3 us``."""
    value, units = float(nanoseconds), ["ns", "us", "ms", "s"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    digits = 0 if units[0] == "ns" or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {units[0]}"


def _watch(
    signals: Signals,
    worker: _Worker,
    port: TransportPort,
    view: View,
    shared: Shared,
    show: Callable[[View], None],
) -> None:
    """Sleeps until the job is done or it is time to end; shows how far it is, and brings the port back."""
    began = moment = time.monotonic()
    every = shared.stats or (LIVE_SECONDS if sys.stdout.isatty() and not shared.json else None)
    end = None if shared.duration is None else began + shared.duration
    due = None if every is None else began + every
    while worker.is_alive():
        moments = [moment + LOOK_SECONDS, *(moment for moment in (end, due) if moment is not None)]
        if signals.wait(min(moments) - time.monotonic()):
            return
        port.recover_when_due()
        moment = time.monotonic()
        if due is not None and every is not None and moment >= due:
            show(view)
            due = max(due + every, moment)
        if end is not None and moment >= end:
            return


@contextlib.contextmanager
def _display(shared: Shared) -> Iterator[Callable[[View], None]]:
    """How it is shown how far the job is: events, a table that stays in place, or lines of a log."""
    if shared.json:
        yield lambda view: print_json({"event": "stats", **view.event()})
    elif not sys.stdout.isatty():
        yield lambda view: print_line(view.line())
    else:
        from rich.live import Live  # noqa: PLC0415 # slow to import, and needed by this alone

        with Live(auto_refresh=False, transient=True) as live:
            yield lambda view: live.update(_table(view.rows()), refresh=True)


def _table(rows: Rows) -> Any:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for name, value, beside in rows:
        table.add_row(Text(name, style="dim"), Text(value, style="cyan"), Text(beside))
    return table
