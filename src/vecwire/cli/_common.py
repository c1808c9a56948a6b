"""What subcommands share: the options of the same meaning, the exit codes, logging.

The annotated types are for the parameters of a subcommand's function::

    def command(first: SpecArgument, second: SpecArgument, json: JsonOption = False) -> None: ...
"""

import logging
from enum import IntEnum
from typing import Annotated

import typer

from vecwire.cli._completion import complete_spec
from vecwire.confine import Seccomp
from vecwire.errors import ConfigError, SpecError, UnsupportedError, VecwireError


class ExitCode(IntEnum):
    """How the command ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # click's own for a wrong command line
    UNSUPPORTED = 77  # what automake's test driver calls "skipped": the host, not the program


NOT_FOR_A_TERMINAL = "a capture is not for a terminal: pipe it to another program, or name a file"

_EXIT_CODES: dict[type[VecwireError], ExitCode] = {
    SpecError: ExitCode.USAGE,
    ConfigError: ExitCode.USAGE,
    UnsupportedError: ExitCode.UNSUPPORTED,
}


def exit_code_of(error: VecwireError) -> ExitCode:
    """Returns the code with which the command ends after the error."""
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), ExitCode.FAILED)


def set_up_logging(verbosity: int) -> int:
    """Sends log records to standard error: warnings, with one ``-v`` what happens, with two every detail."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    logging.basicConfig(level=level, format="vecwire: %(message)s", force=True)
    return verbosity


SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A transport and its options.", autocompletion=complete_spec)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
VerboseOption = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        callback=set_up_logging,
        show_default=False,
        metavar="",
        help="Say what happens; twice, in every detail.",
    ),
]
DurationOption = Annotated[
    float | None,
    typer.Option(min=0.0, metavar="SECONDS", help="End by itself after so long.", show_default=False),
]
StatsOption = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Print counters as often.", show_default=False),
]
PollOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=1_000_000,
        metavar="MICROSECONDS",
        help="Look for frames for so long before sleeping: faster answers, more processor time.",
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        metavar="USER", help="Go on as this user, by name or number, once ports are open.", show_default=False
    ),
]
DropOption = Annotated[
    bool,
    typer.Option("--drop", help="Give up all capabilities, those that open a lost port again included."),
]
SeccompOption = Annotated[
    Seccomp,
    typer.Option(help="Hold workers to the system calls of their loop; require fails where that cannot be."),
]
