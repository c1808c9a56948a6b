"""``vecwire run``: its --check and --schema, and what it hands to the service."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vecwire.cli import application
from vecwire.cli._completion import complete_file
from vecwire.service.config import examine_file
from vecwire.service.daemon import Settings
from vecwire.service.schema import shipped

RIGHT = """
[ports]
uplink = "raw,ifname=eth1"
guest = { spec = "tap,iface=tap[red]0", vlan = 10, tagged = [30, 20] }
a = "tap,ifname=tap1"
b = "tap,ifname=tap2"
spare = "tap,ifname=tap3"
[cables]
x = ["a", "b"]
[switches.lan]
ports = ["uplink", "guest"]
"""
WRONG = '[ports]\na = "tap,ifnam=tap0"\n[switches.lan]\nage = 0\n'


def run(*arguments: str | Path) -> Result:
    """Runs the command in this process, on a wide terminal."""
    words = ["run", *map(str, arguments)]
    return CliRunner().invoke(application(), words, env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is right."""
    path = tmp_path / "right.toml"
    path.write_text(RIGHT, encoding="utf-8")
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A file that is wrong."""
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_check_shows_what_a_right_file_holds(file: Path) -> None:
    """A right file ends with 0: how much it holds, a line for each port; warnings on standard error."""
    result = run("--check", file)
    assert result.exit_code == 0
    first, header, *rows = result.stdout.splitlines()
    assert first == f"{file}: right, with 5 ports, 1 cable, 1 switch"
    assert header.split() == ["port", "in", "vlan", "tagged", "spec"]
    assert [row.split() for row in rows] == [
        ["uplink", "switch", "lan", "-", "-", "transport=raw,ifname=eth1"],
        ["guest", "switch", "lan", "10", "20,30", "transport=tap,ifname=tap[red]0"],
        ["a", "cable", "x", "-", "-", "transport=tap,ifname=tap1"],
        ["b", "cable", "x", "-", "-", "transport=tap,ifname=tap2"],
        ["spare", "nothing", "-", "-", "transport=tap,ifname=tap3"],
    ]
    assert result.stderr.startswith(f"vecwire: warning: {file}:7: ports.spare: ")


def test_check_of_an_empty_file(tmp_path: Path) -> None:
    """Nothing is right too."""
    path = tmp_path / "empty.toml"
    path.touch()
    result = run("--check", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: right, with 0 ports, 0 cables, 0 switches\n")


def test_check_tells_all_errors(wrong: Path) -> None:
    """A wrong file ends with 2: all errors are on standard error, and nothing on standard output."""
    result = run("--check", wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0] == f"vecwire: {wrong} has 2 errors"
    assert lines[1:4] == [
        f"{wrong}:2: ports.a: tap has no option 'ifnam'; did you mean ifname?",
        "  tap,ifnam=tap0",
        "      ^^^^^",
    ]
    assert lines[5].startswith(f"{wrong}:4: switches.lan.age: must be a number from 1 ")
    assert [line for line in lines if line.startswith("  remedy: ")] == [lines[4], lines[6]]


def test_check_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is one error."""
    result = run("--check", tmp_path / "absent.toml")
    assert result.exit_code == 2
    assert "cannot be read: No such file or directory" in result.stderr


def test_check_as_json(file: Path, wrong: Path) -> None:
    """With --json it is one object on one line, for a right file and for a wrong one."""
    result = run("--check", "--json", file)
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    told = json.loads(result.stdout)
    assert (told["ok"], told["file"]) == (True, str(file))
    assert told["ports"]["guest"] == {"spec": "transport=tap,ifname=tap[red]0", "joined": "switch lan"}
    assert (told["cables"], told["switches"]) == ({"x": ["a", "b"]}, {"lan": ["uplink", "guest"]})
    assert [warning["key"] for warning in told["warnings"]] == ["ports.spare"]

    result = run("--check", "--json", wrong)
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (2, "", 1)
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert [(each["line"], each["key"]) for each in told["errors"]] == [
        (2, "ports.a"),
        (4, "switches.lan.age"),
    ]
    assert told["errors"][0]["suggestion"] == "ifname"
    assert set(told["errors"][0]) == set(told["errors"][1])


def test_schema_is_what_is_shipped() -> None:
    """--schema prints the schema, and needs no file."""
    result = run("--schema")
    assert (result.exit_code, result.stdout) == (0, shipped())


def test_without_a_file_it_is_a_usage_error() -> None:
    """A file is needed to run, and to check."""
    for arguments in ([], ["--check"]):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Usage: " in result.stderr
        assert "FILE.toml" in result.stderr


def test_options_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --check the service gets the file and the options, as they are or left out."""
    calls: list[tuple[Path, Settings]] = []
    monkeypatch.setattr(
        "vecwire.service.daemon.serve", lambda path, settings, **_: calls.append((path, settings))
    )
    assert run("x.toml").exit_code == 0
    arguments = "x.toml --json --workers 3 --pin --control /c --metrics 9477 --user me --duration 2"
    assert run(*arguments.split()).exit_code == 0
    assert run("x.toml", "--no-pin", "--seccomp", "off", "-v").exit_code == 0
    given = {"workers": 3, "pin": True, "control": "/c", "metrics": "9477", "user": "me"}
    assert calls == [
        (Path("x.toml"), Settings()),
        (Path("x.toml"), Settings(given, duration=2.0)),
        (Path("x.toml"), Settings({"pin": False, "seccomp": "off"}, level=logging.DEBUG)),
    ]


def test_options_are_held_to_the_rules_of_the_file(file: Path, wrong: Path) -> None:
    """What no file may say no option may, for --check and before anything is opened."""
    options = {
        "--control": ("relative", "@abs", ""),
        "--metrics": ("70000", "localhost:1"),
        "--user": ("", "a b"),
    }
    for mode in ([], ["--check"]):
        for option, values in options.items():
            for value in values:
                result = run(*mode, option, value, file)
                assert (result.exit_code, result.stdout) == (2, "")
                assert f"the command line: {option}: must be " in result.stderr
                assert f", not {value!r}" in result.stderr
                assert "  remedy: write " in result.stderr
    result = run("--check", "--metrics", "x", wrong)
    assert f"{wrong} and the command line have 3 errors" in result.stderr


def test_right_options_go_before_the_file(tmp_path: Path) -> None:
    """Each key that is given is the option's, each other the file's; a key can be turned off too."""
    path = tmp_path / "told.toml"
    path.write_text('[service]\npin = true\nworkers = 3\nmetrics = "1"\n', encoding="utf-8")
    told = examine_file(path, {"pin": False, "metrics": "[::1]:2"})
    assert (told.service.pin, told.service.workers, told.service.metrics) == (False, 3, "[::1]:2")
    assert told.config.service.pin
    assert run("--check", "--no-pin", "--workers", "2", path).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "strange"),
    [
        ("--check --schema", "--schema does not go with --check"),
        ("--unit --check x.toml", "--unit does not go with --check"),
        ("--schema x.toml", "--schema does not go with FILE"),
        ("--unit x.toml --workers 3 --json", "--unit does not go with --workers, --json"),
        ("--check x.toml --duration 5", "--check does not go with --duration"),
    ],
)
def test_modes_take_nothing_that_they_do_not_read(arguments: str, strange: str) -> None:
    """What a mode would ignore is a usage error."""
    result = run(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert strange in result.stderr


def test_only_run_waits_for_pydantic() -> None:
    """A cable, and the list of subcommands, start without what judges files."""
    script = (
        "import sys, vecwire.cli, vecwire.cli.cable, vecwire.cli.run;"
        "print([name for name in sys.modules if name.startswith('pydantic')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_files_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and TOML files are proposed, hidden ones when their dot was typed."""
    (tmp_path / "etc").mkdir()
    for name in ("a.toml", "b.toml", "b.txt", ".c.toml", "etc/d.toml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert complete_file("") == ["a.toml", "b.toml", "etc/"]
    assert complete_file("b") == ["b.toml"]
    assert complete_file(".") == [".c.toml"]
    assert complete_file("etc/") == ["etc/d.toml"]
    assert complete_file(f"{tmp_path}/a") == [f"{tmp_path}/a.toml"]
    assert complete_file("absent/") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_files_and_options(shell: str, file: Path) -> None:
    """The completion of the whole command proposes the files and the options of run."""

    def complete(typed: str) -> str:
        line = f"vecwire run {typed}"
        asked = {
            "_VECWIRE_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "COMP_WORDS": line.replace(" ", "\n"),
            "COMP_CWORD": "2",
        }
        done = subprocess.run(
            [sys.executable, "-m", "vecwire"],
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
            env={**os.environ, **asked},
        )
        return done.stdout

    assert str(file) in complete(str(file)[:-3])
    assert "--check" in complete("--ch")
