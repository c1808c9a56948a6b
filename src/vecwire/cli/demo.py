"""``vecwire demo``: two hosts and a tunnel between them, on this machine, changing nothing on it."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from vecwire.cli._common import ExitCode, JsonOption, VerboseOption
from vecwire.cli._demo_views import JsonView, LineView, LiveView
from vecwire.cli._signals import Interrupted, Signals
from vecwire.demo.show import Demo

HELP = """
Show a tunnel between two hosts on this machine.

Two network namespaces are the hosts; a veth pair is the wire between them. Each host has a tap, and a cable
from it to one end of an L2TPv3 tunnel over UDP. Through the tunnel go pings, of the longest packets too, and
TCP in both directions, while the counters of all four ports are shown. At the end come the commands
that do the same by hand.

It works as root, and as an ordinary user where user namespaces are allowed: in one of its own. Where
/dev/net/tun is closed to the user, raw ports on veth pairs stand in for the taps. Nothing on the machine is
changed, and nothing left behind, however it ends: the namespaces have no names and go with the process. No
other program is needed.

With --json it prints one event a line: "step", "plan" (with the commands), "ping", "stats", "tcp", "end".

Exit codes:

    0   done
    1   something failed, or it was interrupted
    77  this user may make network namespaces neither as it is nor in a user namespace

Examples:

    vecwire demo
    vecwire demo --duration 10
    vecwire demo --json | jq 'select(.event == "tcp") | .gbit_per_second'
"""


def command(
    duration: Annotated[
        float,
        typer.Option(min=0.1, max=3600, metavar="SECONDS", help="How long TCP moves, in each direction."),
    ] = 3.0,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Shows the demo.

    Raises:
        typer.Exit: With 1 where it was interrupted.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    view: JsonView | LiveView | LineView
    if json:
        view = JsonView()
    elif console.is_terminal:
        view = LiveView(duration, console)
    else:
        view = LineView()
    try:
        with Signals() as signals:
            # From the first moment on a signal is taken where the demo pauses, and nowhere else: everything
            # in it is short, and much of it must not be broken off half done.
            signals.hold()
            with Demo(duration, view.tell, signals.pause) as demo, view.context():
                demo.run()
    except Interrupted:
        sys.stderr.write("vecwire: interrupted; nothing is left behind\n")
        raise typer.Exit(ExitCode.FAILED) from None
    view.finish()
