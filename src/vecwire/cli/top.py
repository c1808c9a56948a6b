"""``vecwire top``: the ports of a running service, live."""

import contextlib
import os
import signal
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from vecwire.cli._common import JsonOption
from vecwire.cli._counters import log_lines
from vecwire.cli._output import print_json, print_line
from vecwire.cli._service import DEFAULT, SocketOption
from vecwire.cli._top_readings import Snapshot, Watch
from vecwire.cli._top_terminal import Keys, Screen
from vecwire.cli._top_view import View
from vecwire.cli._wakeup import Wakeup
from vecwire.client import Client
from vecwire.errors import PortError

HELP = """
Watch the ports of a running service.

On a terminal the ports are drawn in place: frames and bits a second both ways, frames that one system call
moves, drops, and what is down. The last line but one says why the selected port is down, or why it drops
frames. Keys: q quits, h shows all of them.

Where standard output is no terminal, each reading is a line for each port; with --json it is one object a
line. It ends after -n readings, or on Ctrl-C. Rates are those since the reading before.

Examples:

    vecwire top
    vecwire top --interval 0.5
    vecwire top -n 1
    vecwire top --json -n 10 | jq '.ports[] | {name, per_second}'
"""
#: Seconds to wait for the service: keys are not answered meanwhile.
_PATIENCE = 5.0
#: Seconds after which an escape that nothing follows is the key of that name.
_ESCAPE = 0.05
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def command(
    socket: SocketOption = DEFAULT,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600.0, metavar="SECONDS", help="Seconds between two readings.")
    ] = 1.0,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, metavar="N", help="End after N readings.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Shows reading after reading."""
    console = Console(highlight=False, markup=False, emoji=False)
    live = not json and console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    with Client(socket, timeout=_PATIENCE) as client:
        watch = Watch(client)
        if live:
            _Live(watch, interval, count, console).run()
        else:
            _tell(watch, interval, count, json=json)


def _tell(watch: Watch, interval: float, count: int | None, *, json: bool) -> None:
    """Tells reading after reading, on standard output."""
    with Wakeup(_ENDING) as wakeup:
        watch.read()  # what the rates of the first reading begin from
        due = time.monotonic() + interval
        told = 0
        while told != count:
            signals, _ = wakeup.wait(seconds=due - time.monotonic())
            if signals:
                return
            if time.monotonic() < due:
                continue
            due = max(due + interval, time.monotonic())
            snapshot = watch.read()
            if json:
                print_json(snapshot.as_object())
            else:
                print_line("\n".join(_lines(snapshot)))
            told += 1


def _lines(snapshot: Snapshot) -> list[str]:
    return log_lines(snapshot.seconds, [row.reading for row in snapshot.rows]) or [
        f"{snapshot.seconds:.1f} s  no ports"
    ]


class _Live:
    """The view on a terminal, until it is told to end."""

    def __init__(self, watch: Watch, interval: float, count: int | None, console: Console) -> None:
        self._watch = watch
        self._interval = interval
        self._left = count
        self._screen = Screen(console)
        self._view = View()
        self._keys = Keys()

    def run(self) -> None:
        """Shows it.

        Raises:
            PortError: No service listens at the beginning; later that is shown, and it is asked again.
        """
        self._view.snapshot = self._watch.read()
        signals = (*_ENDING, signal.SIGWINCH, signal.SIGTSTP)
        with Wakeup(signals) as wakeup, self._screen:
            due = time.monotonic() + self._interval
            while self._left != 0:
                self._screen.show(self._view.draw(*self._screen.size))
                if not self._take(wakeup, due):
                    return
                if time.monotonic() >= due:
                    due = max(due + self._interval, time.monotonic())
                    self._read()

    def _read(self) -> None:
        try:
            self._view.snapshot = self._watch.read()
            self._view.trouble = ""
        except PortError as error:
            self._view.trouble = f"asking again: {error}"
        if self._left is not None:
            self._left -= 1

    def _take(self, wakeup: Wakeup, due: float) -> bool:
        """Sleeps until a key, a signal or the next reading; returns whether to go on."""
        seconds = _ESCAPE if self._keys.pending else due - time.monotonic()
        signals, ready = wakeup.wait(self._screen.keyboard, seconds=seconds)
        if signals & set(_ENDING):
            return False
        if signal.SIGTSTP in signals:
            self._suspend()
        if not ready:
            keys = self._keys.flush() if self._keys.pending else []
        else:
            data = self._screen.read()
            if not data:
                return False  # the terminal is gone
            keys = self._keys.feed(data)
        return all(self._view.press(key) for key in keys)

    def _suspend(self) -> None:
        """Gives the terminal back while the shell has it (Ctrl-Z)."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._screen.__enter__)
            self._screen.__exit__(None, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
