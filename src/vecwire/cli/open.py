"""``vecwire open``: opens transports with the privileges of now, and runs a command that has none."""

import os
from typing import Annotated

import typer

from vecwire.cli._common import UserOption, VerboseOption
from vecwire.errors import PortError, SpecError
from vecwire.service import privileges
from vecwire.spec import SPEC_CLASSES, parse
from vecwire.transports import hand_over

HELP = """
Run a command without privileges on transports that are opened with them.

Stands in front of another command, like sudo(8) or nice(1). Every argument of that command that is a SPEC is
opened here, with what this user may do. In its place the command is given a SPEC that takes the open
descriptors, as "tap,fd=3". Then all capabilities are given up, the user of --user takes over, no program can
gain anything any more, and the command runs in the place of this process. It can open nothing: what is lost,
because an interface or a peer goes, stays so.

An argument is a SPEC if it begins with a transport and a comma, or with "transport=". Options of this
command stand in front of the other one.

Examples:

    sudo vecwire open --user nobody vecwire cable tap,ifname=tap0 raw,ifname=eth1
    sudo vecwire open --user nobody vecwire switch bess,listen=/run/a tap,ifname=tap0,netns=lab
"""
SETTINGS = {"allow_interspersed_args": False}


def command(
    words: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND [ARGUMENT...]", help="The command, with a SPEC among its arguments."),
    ],
    user: UserOption = None,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Opens what the command names, and becomes the command.

    Raises:
        SpecError: An argument begins like a spec, and is none.
        UnsupportedError: This user may not, or this host cannot, open one of them.
        PortError: An interface, an address or a peer is not there; or there is no such command.
    """
    specs = {place: parse(word) for place, word in enumerate(words) if place and is_spec(word)}
    if not specs:
        raise SpecError("no argument of the command is a spec: there is nothing to open", allowed="a SPEC")
    if user is not None:
        privileges.account_of(user)
    for place, spec in specs.items():
        words[place] = str(hand_over(spec))
    privileges.keep((), user)
    try:
        os.execvp(words[0], words)  # noqa: S606 # the command is the caller's
    except OSError as error:
        raise PortError(
            f"cannot run {words[0]}", errno=error.errno, remedy="give its path; the user must reach it"
        ) from error


def is_spec(word: str) -> bool:
    """Whether an argument is meant as a spec."""
    first, comma, _ = word.partition(",")
    return word.startswith("transport=") or bool(comma and first.strip() in SPEC_CLASSES)
