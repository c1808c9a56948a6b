"""The ``vecwire`` command: one file per subcommand, imported only when that subcommand is asked for.

A subcommand NAME is a module ``vecwire.cli.NAME`` and an entry of :data:`COMMANDS`. The module has

- ``HELP``: its manual page as plain text. The first sentence is its summary; indented paragraphs stay as
  they are.
- ``command``: a function whose annotated parameters are the options and arguments (typer's way). It returns
  when it is done and raises a :class:`~vecwire.errors.VecwireError` when it fails.
- ``SETTINGS``, where it has click's settings of its own for reading the command line.
- ``SUBCOMMANDS``, where it has subcommands of its own: pairs of the manual page and the function, by name.
  ``command`` then takes the options that they share, and ``Group`` is the class that holds them together.

What subcommands share is in ``_common`` (options, exit codes, logging) and ``_output`` (printing). A module
of this package that ``cable`` needs at its start does not import rich, which takes longer than all the rest.
"""

import errno
import io
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vecwire.cli._common import exit_code_of
from vecwire.cli._completion import join_bash_words
from vecwire.cli._output import print_error
from vecwire.errors import SCARCE, PortError, VecwireError
from vecwire.spec.text import nearest

COMMANDS = (
    *("cable", "switch", "run", "ctl", "top", "open", "dump", "replay", "blast", "sink"),
    *("spec", "probe", "demo", "bench"),
)

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_HELP = """
Opens Linux layer-2 transports from one line of text and joins them.

A SPEC names a transport and its options, as User Mode Linux's vector driver writes them:

    tap,ifname=tap0
    l2tpv3,udp=1,src=10.0.0.1,dst=10.0.0.2,srcport=1701,dstport=1701,rx_session=1,tx_session=2

Exit codes:

    0   done
    1   failed while running
    2   the command line, a spec or a configuration file is wrong
    77  this host or user cannot do that; the remedy is on standard error
"""


class _Commands(TyperGroup):
    """The subcommands, each imported when it is asked for; their errors become messages and exit codes."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 # the base class passes it
        """Returns the names in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a subcommand, or None where there is none of that name, nor any like it."""
        if cmd_name not in COMMANDS:
            if (meant := nearest(cmd_name, COMMANDS)) and not ctx.resilient_parsing:
                ctx.fail(f"No such command {cmd_name!r}; did you mean {meant}?")
            return None
        module = import_module(f"{__name__}.{cmd_name}")
        if not hasattr(module, "SUBCOMMANDS"):
            single = _app()
            settings = {**_SETTINGS, **getattr(module, "SETTINGS", {})}
            single.command(cmd_name, help=_manual(module.HELP), context_settings=settings)(module.command)
            return typer.main.get_command(single)
        several = _app(cls=module.Group, no_args_is_help=True, context_settings=_SETTINGS)
        several.callback(help=_manual(module.HELP))(module.command)
        for name, (text, function) in module.SUBCOMMANDS.items():
            several.command(name, help=_manual(text), context_settings=_SETTINGS)(function)
        return typer.main.get_command(several)

    def invoke(self, ctx: Any) -> Any:
        """Runs the subcommand; says on standard error why it failed."""
        try:
            return super().invoke(ctx)
        except VecwireError as error:
            print_error(error)
            raise typer.Exit(exit_code_of(error)) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            doing = "cannot go on" if error.errno in SCARCE else "cannot write what was asked for"
            print_error(PortError(doing, errno=error.errno))
            raise typer.Exit(1) from None
        except MemoryError as error:
            print_error(PortError(str(error) or "no memory", errno=errno.ENOMEM))
            raise typer.Exit(1) from None


def main() -> None:
    """Runs the ``vecwire`` command with the arguments of the process, and ends the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path that is no UTF-8 goes out as it came in
    join_bash_words()
    application()(prog_name="vecwire")


def application() -> typer.Typer:
    """Returns the whole command as a typer application."""
    app = _app(cls=_Commands, add_completion=True, no_args_is_help=True, context_settings=_SETTINGS)
    app.callback(help=_manual(_HELP))(_shared)
    return app


def _app(**settings: Any) -> typer.Typer:
    # Plain help: it comes at once, and its examples can be copied.
    return typer.Typer(
        **{"add_completion": False, "rich_markup_mode": None, **settings}, pretty_exceptions_enable=False
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # noqa: PLC0415 # slow, and needed by this alone

        try:
            typer.echo(f"vecwire {metadata.version('vecwire')}")
        except metadata.PackageNotFoundError:
            typer.echo("vecwire, not installed")
        raise typer.Exit


def _shared(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Takes the options that stand in front of a subcommand."""


def _manual(text: str) -> str:
    """Returns a manual page for the help formatter, indented paragraphs marked as not to be filled."""
    paragraphs = text.strip("\n").split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith(" ") else part for part in paragraphs)
