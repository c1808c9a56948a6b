"""``vecwire run``: the service, from a file; ``--check`` only judges the file."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecwire.cli._common import DurationOption, ExitCode, JsonOption
from vecwire.cli._completion import complete_file
from vecwire.cli._counters import as_object, info_object, table_lines
from vecwire.cli._output import print_json, print_line
from vecwire.cli._running import warn
from vecwire.confine import Seccomp
from vecwire.errors import ConfigError, Fault
from vecwire.meter import Rates, Reading

if TYPE_CHECKING:
    from vecwire.service.config import Examined
    from vecwire.service.service import Service

HELP = """
Run ports, cables and switches from a file, until it is told to end.

The file is TOML. docs/service.md has all its tables and keys:

    [ports]
    uplink = "raw,ifname=eth1"
    guest1 = { spec = "bess,listen=/run/vecwire/guest1", vlan = 10 }
    guest2 = { spec = "tap,ifname=tap0", vlan = 10 }

    [switches.lan]
    ports = ["uplink", "guest1", "guest2"]

With --check the file is only judged: nothing is opened. All errors are told at once, each with its line, its
key and what to do; with --json as one object. --schema prints the JSON schema by which an editor completes
and checks the file; --unit prints a unit for systemd, hardened, that runs this command with FILE.

It prints "ready" once frames flow, and the counters of all ports when it ends: after --duration, on Ctrl-C
or on SIGTERM. SIGHUP, or "vecwire ctl reload", applies only what has changed in the file: a port that is the
same loses no frame. Ports whose interface, namespace or peer is not there are waited for.

Options go before the keys of [service] of the same name, and are held to the same rules, by --check too.

Exit codes of --check:

    0  the file is right
    2  it is wrong, or cannot be read; or an option is wrong

Examples:

    vecwire run --check vecwire.toml
    vecwire run --check --json vecwire.toml | jq -r '.errors[] | "\\(.line): \\(.message)"'
    vecwire run --schema > vecwire.schema.json
    vecwire run --unit /etc/vecwire/vecwire.toml > /etc/systemd/system/vecwire.service
    vecwire run vecwire.toml
    vecwire run --workers 2 --pin --user vecwire /etc/vecwire.toml
"""
#: Which parameters each mode reads; how much is logged goes with all of them.
_READ_BY = {
    "schema": ("verbose",),
    "unit": ("file", "verbose"),
    "check": ("file", "json", "verbose", "workers", "pin", "control", "metrics", "user", "seccomp"),
}
_NO_FILE = "which file? Give its path: vecwire run FILE.toml"


def command(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="The service's file, TOML.", autocompletion=complete_file, show_default=False
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Judge the file, and open nothing.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the file's JSON schema.")] = False,
    unit: Annotated[bool, typer.Option("--unit", help="Print a unit for systemd.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="N", help="How many threads move frames.", show_default=False),
    ] = None,
    pin: Annotated[
        bool | None,
        typer.Option("--pin/--no-pin", help="Bind each worker to a processor.", show_default=False),
    ] = None,
    control: Annotated[
        str | None, typer.Option(metavar="PATH", help="The control socket.", show_default=False)
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR:PORT",
            help="Where Prometheus reads; loopback if only a port is given.",
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Run as this user, by name or number.", show_default=False),
    ] = None,
    seccomp: Annotated[
        Seccomp | None,
        typer.Option(
            help="Hold threads that read what strangers wrote to the system calls of their work; "
            "require fails where that cannot be.",
            show_default=False,
        ),
    ] = None,
    duration: DurationOption = None,
    json: JsonOption = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Log every detail, not only what happens."),
    ] = False,
) -> None:
    """Runs the service, or judges its file, or prints the file's schema or the service's unit.

    Raises:
        typer.Exit: With 2 where the file is wrong and was told as JSON.
    """
    _one_mode(ctx, [name for name, given in (("schema", schema), ("unit", unit), ("check", check)) if given])
    # What follows needs pydantic, or much of the package: --help does not wait for them.
    if schema:
        from vecwire.service.schema import shipped  # noqa: PLC0415

        sys.stdout.write(shipped())
        return
    if unit:
        from vecwire.service.unit import CONFIG, unit_text  # noqa: PLC0415

        sys.stdout.write(unit_text(config=CONFIG if file is None else str(file.absolute())))
        return
    if file is None:
        ctx.fail(_NO_FILE)
    given = {
        "workers": workers,
        "pin": pin,
        "control": control,
        "metrics": metrics,
        "user": user,
        "seccomp": None if seccomp is None else seccomp.value,
    }
    options = {key: value for key, value in given.items() if value is not None}
    if check:
        _check(file, options, json=json)
        return
    from vecwire.service.daemon import Settings, serve  # noqa: PLC0415

    serve(
        file,
        Settings(options=options, duration=duration, level=logging.DEBUG if verbose else logging.INFO),
        ready=lambda service: _say_ready(service, json=json),
        ended=lambda service: _say_end(service, json=json),
    )


def _one_mode(ctx: typer.Context, modes: list[str]) -> None:
    """Ends the command where what is given is not read by what it is to do."""
    if not modes:
        return
    given = [name for name in ctx.params if _is_given(ctx, name)]
    if strange := [name for name in given if name != modes[0] and name not in _READ_BY[modes[0]]]:
        words = ["FILE" if name == "file" else f"--{name}" for name in strange]
        ctx.fail(f"--{modes[0]} does not go with {', '.join(words)}")


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _say_ready(service: "Service", *, json: bool) -> None:
    if json:
        ports = [{"name": name, **info_object(port.info)} for name, port in service.ports.items()]
        print_json({"event": "ready", "ports": ports})
        return
    for port in service.ports.values():
        warn(port.info, json=False)
    print_line("ready")


def _say_end(service: "Service", *, json: bool) -> None:
    seconds = service.status().uptime
    readings = [
        Reading(name, port.info, port.stats, Rates.of(port.stats, seconds))
        for name, port in service.ports.items()
    ]
    if json:
        ports = [as_object(reading) for reading in readings]
        print_json({"event": "end", "seconds": round(seconds, 3), "ports": ports})
    else:
        print_line("\n".join(table_lines(readings, average=True)))


def _check(file: Path, options: dict[str, Any], *, json: bool) -> None:
    """Judges a file, and options that go before it, and says what it holds."""
    from vecwire.service.config import examine_file  # noqa: PLC0415

    try:
        examined = examine_file(file, options)
    except ConfigError as error:
        if not json:
            raise
        print_json({"ok": False, "file": str(file), "errors": [_as_object(each) for each in error.faults]})
        raise typer.Exit(ExitCode.USAGE) from None
    if json:
        print_json(_as_summary(file, examined))
        return
    for warning in examined.warnings:
        sys.stderr.write(f"vecwire: warning: {warning.explain()}\n")
    sys.stderr.flush()
    _print_summary(file, examined)


def _as_object(fault: Fault) -> dict[str, Any]:
    return {
        "line": fault.line,
        "key": fault.key or None,
        "message": fault.message,
        "given": fault.given,
        "allowed": fault.allowed,
        "suggestion": fault.suggestion,
        "remedy": fault.remedy,
        "excerpt": fault.excerpt or None,
    }


def _as_summary(file: Path, examined: "Examined") -> dict[str, Any]:
    config = examined.config
    return {
        "ok": True,
        "file": str(file),
        "ports": {
            name: {"spec": port.parsed.public, "joined": config.joined(name)}
            for name, port in config.ports.items()
        },
        "cables": {name: list(ends) for name, ends in config.cables.items()},
        "switches": {name: list(switch.ports) for name, switch in config.switches.items()},
        "warnings": [_as_object(each) for each in examined.warnings],
    }


def _print_summary(file: Path, examined: "Examined") -> None:
    """Prints what a file holds, each port on a line."""
    from rich.console import Console  # noqa: PLC0415 # slow to import, and needed by this alone
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    config = examined.config
    counts = [
        _count(len(config.ports), "port"),
        _count(len(config.cables), "cable"),
        _count(len(config.switches), "switch"),
    ]
    print_line(f"{file}: right, with {counts[0]}, {counts[1]}, {counts[2]}")
    if not config.ports:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("port", "in", "vlan", "tagged", "spec"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "spec")
    for name, port in config.ports.items():
        tagged = ",".join(map(str, sorted(port.tagged)))
        cells = (
            name,
            config.joined(name) or "nothing",
            "-" if port.vlan is None else str(port.vlan),
            tagged or "-",
            port.parsed.public,
        )
        table.add_row(*map(Text, cells))
    Console(file=sys.stdout, highlight=False, markup=False, emoji=False).print(table)


def _count(number: int, what: str) -> str:
    plural = "es" if what.endswith("ch") else "s"
    return f"{number} {what}{'' if number == 1 else plural}"
