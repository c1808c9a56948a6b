"""The command as a whole: start, errors and their exit codes, shared options."""

import errno
import logging
import os
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from vecwire import cli
from vecwire.cli import _common
from vecwire.errors import (
    ClosedError,
    ConfigError,
    Fault,
    PortError,
    SpecError,
    UnsupportedError,
    VecwireError,
)


def run_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs ``python -m vecwire`` with the arguments."""
    return subprocess.run(
        [sys.executable, "-m", "vecwire", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (SpecError("no", text="tap,x", start=4, end=5), 2, "vecwire: no\n  tap,x\n      ^\n"),
        (
            UnsupportedError("no tun", remedy="modprobe tun"),
            77,
            "vecwire: no tun\n  remedy: modprobe tun\n",
        ),
        (
            PortError("cannot bind", errno=errno.EPIPE),
            1,
            f"vecwire: cannot bind: {os.strerror(errno.EPIPE)}\n",
        ),
        (PortError("no peer", remedy="start it"), 1, "vecwire: no peer\n  remedy: start it\n"),
        (ClosedError("closed"), 1, "vecwire: closed\n"),
        (
            ConfigError([Fault(message="no spec", file="a.toml", line=2, key="ports.a", remedy="add it")]),
            2,
            "vecwire: a.toml has 1 error\na.toml:2: ports.a: no spec\n  remedy: add it\n",
        ),
        (VecwireError("other"), 1, "vecwire: other\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_becomes_a_message_and_an_exit_code(
    error: VecwireError, code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each error of a subcommand is told on standard error, with its remedy, and decides the exit code."""

    def parse(_text: str) -> None:
        raise error

    monkeypatch.setattr("vecwire.cli.spec.parse", parse)
    result = CliRunner().invoke(cli.application(), ["spec", "tap"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", told)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not vecwire's own is a bug, and is not turned into a message."""

    def parse(_text: str) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("vecwire.cli.spec.parse", parse)
    assert isinstance(CliRunner().invoke(cli.application(), ["spec", "tap"]).exception, RuntimeError)


def test_python_m_vecwire_is_the_command() -> None:
    """``python -m vecwire`` explains a spec, and a path that is no UTF-8 leaves it as it came."""
    done = run_process("spec", os.fsdecode(b"bess,dst=/\xff"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[0] == b"transport=bess,dst=/\xff"


def test_exit_code_of_the_process() -> None:
    """The exit code of a wrong spec is that of the process too."""
    assert run_process("spec", "tapp").returncode == 2


def test_help_lists_every_subcommand_with_a_summary() -> None:
    """The help page names every subcommand and says in a line what it does."""
    done = run_process("--help")
    assert done.returncode == 0
    listed = done.stdout.decode().partition("Commands:")[2].split("\n")
    for name in cli.COMMANDS:
        row = next(line.split(maxsplit=1) for line in listed if line.split()[:1] == [name])
        assert len(row) == 2


def test_without_a_subcommand_the_help_page_is_a_usage_error() -> None:
    """The bare command shows how it is used, and fails."""
    result = CliRunner().invoke(cli.application(), [])
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_a_mistyped_subcommand_is_suggested() -> None:
    """A name near a subcommand's is answered with that, another one with what is wrong alone."""
    near = CliRunner().invoke(cli.application(), ["spce"])
    far = CliRunner().invoke(cli.application(), ["zzzzzz"])
    assert (near.exit_code, far.exit_code) == (2, 2)
    assert "No such command 'spce'; did you mean spec?" in near.stderr
    assert "No such command 'zzzzzz'" in far.stderr
    assert "did you mean" not in far.stderr


def test_version() -> None:
    """--version says what this is and ends well."""
    result = CliRunner().invoke(cli.application(), ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("vecwire")
    assert result.stdout.count("\n") == 1


def test_starting_imports_neither_rich_nor_subcommands() -> None:
    """The frame of the command imports nothing slow, so that a cable starts at once."""
    script = "import sys, vecwire.cli; print([name for name in sys.modules if name.split('.')[0] == 'rich'])"
    script += "; print([name for name in vecwire.cli.COMMANDS if f'vecwire.cli.{name}' in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ([], logging.WARNING),
        (["-v"], logging.INFO),
        (["-vv"], logging.DEBUG),
        (["-v", "--verbose", "-v"], logging.DEBUG),
    ],
)
def test_verbose_decides_what_is_logged(flags: list[str], level: int) -> None:
    """Without -v warnings are logged, with one what happens, with two every detail."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    try:
        assert CliRunner().invoke(cli.application(), ["spec", "tap,ifname=a", *flags]).exit_code == 0
        assert root.level == level
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ([], (None, None, 0)),
        (["--duration", "1.5", "--stats", "2", "--poll", "50"], (1.5, 2.0, 50)),
        (["--duration", "-1"], None),
        (["--stats", "0"], None),
        (["--poll", "-1"], None),
    ],
)
def test_shared_options(arguments: list[str], seen: tuple[Any, ...] | None) -> None:
    """The options that the running subcommands share are numbers with a unit, refused out of their range."""
    app = typer.Typer()
    values: list[tuple[Any, ...]] = []

    @app.command()
    def running(
        duration: _common.DurationOption = None,
        stats: _common.StatsOption = None,
        poll: _common.PollOption = 0,
    ) -> None:
        values.append((duration, stats, poll))

    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, values) == ((0, [seen]) if seen else (2, []))
