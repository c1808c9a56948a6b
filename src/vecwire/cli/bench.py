"""``vecwire bench``: measures vecwire beside its peers, on this machine, changing nothing on it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vecwire.cli._common import ExitCode, VerboseOption
from vecwire.cli._signals import Interrupted, Signals

HELP = """
Measure vecwire beside its peers, in one run, and hold the figures against what was promised.

Everything happens in network namespaces of its own, which are gone when it ends, however it ends. Nothing is
sent to a network and nothing on this host is changed. Whatever is installed takes part: the kernel's
bridge and VXLAN, QEMU, Open vSwitch, socat, User Mode Linux, DPDK's testpmd, Python's sockets, scapy, and a
loop in C that it compiles. What is not installed is named.

The contenders take turns, in rounds; figures are medians, with the least and the most in brackets. A full
run takes half an hour or so, a --quick one three minutes. It needs root, iperf3, ethtool and a C compiler.

With --json every measurement is kept in a file at once, and --resume goes on with that file after an
interruption. --plots and --report can also be made of a file that is complete.

Examples:

    vecwire bench --quick
    vecwire bench --only tunnel --only latency --rounds 5
    vecwire bench --json bench.json --report docs/performance.md
    vecwire bench --resume bench.json
"""

_WIDE = 150
_NAMES = ("tunnel", "wire", "frames", "latency", "depth", "ports", "tunnels", "flows")


def command(
    quick: Annotated[bool, typer.Option("--quick", help="Short runs, one round: does it work?")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE", help=f"Measure this table alone: {', '.join(_NAMES)}; again for more."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rounds; 3, or 1 with --quick.", show_default=False)
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep everything here.", show_default=False)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Go on with this file.", show_default=False)
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw plots (PNG) here.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page (Markdown), plots in img/ beside it.", show_default=False
        ),
    ] = None,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Measures what was asked for, and shows it."""
    # Slow to import, and needed by this command alone.
    from rich.console import Console  # noqa: PLC0415

    from vecwire.bench.session import Request, Session  # noqa: PLC0415

    request = Request(quick, tuple(only or ()), rounds, json, resume, plots, report)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    session = None
    try:
        with Signals():
            session = Session(request, console)
            session.measure()
    except Interrupted:
        if session is not None:
            session.show()
        raise typer.Exit(ExitCode.FAILED) from None
    session.show()
    session.write()
