"""The page of the control socket: its examples run against a service, its methods are all there are."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from peers.controlled import Fake, Peer, serving
from peers.dropping import record
from vecwire.cli import application
from vecwire.cli.ctl import SUBCOMMANDS
from vecwire.client import DEFAULT_PATH
from vecwire.service import control
from vecwire.service.jsonrpc import LONGEST_BATCH, LONGEST_LINE, Code
from vecwire.service.methods import METHODS, Method

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = (Path(__file__).parents[2] / "docs" / "control.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE.split("## Methods")[1], re.MULTILINE | re.DOTALL)
)
FRAME = bytes.fromhex("0200000000010200000000020800") + bytes(46)


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Busy(Fake):
    """Captures of it have a hundred frames waiting."""

    def capture(self, port: str) -> int:
        """Gives the reader's end."""
        number = super().capture(port)
        for _ in range(100):
            self.captures[-1].send(FRAME)
        return number

    def capture_drops(self, port: str | None = None, reasons: Sequence[str] = ()) -> int:
        """Gives the reader's end."""
        number = super().capture_drops(port, reasons)
        for each in range(100):
            self.captures[-1].send(record(FRAME, port="guest1", reason="switch_horizon", number=each))
        return number


@pytest.fixture
def fake() -> Iterator[Fake]:
    """The service that the page speaks of."""
    made = Busy()
    made.counted = (100, 0)
    yield made
    made.close()


@pytest.fixture
def path(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where it listens, as the environment says."""
    path = tmp_path / "control.sock"
    monkeypatch.setenv("VECWIRE_SOCKET", str(path))
    monkeypatch.chdir(tmp_path)
    with serving(fake, path):
        yield path


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_run(code: str) -> None:
    """Every example in Python runs to its end."""
    exec(compile(code, "docs/control.md", "exec"), {"__name__": "example"})  # noqa: S102 what the page tells


@pytest.mark.parametrize("block", blocks("json"))
def test_requests_are_answered_as_shown(path: Path, block: str) -> None:
    """Each request on the page gets the response below it."""
    request, end = json.JSONDecoder().raw_decode(block)
    with Peer(path) as peer:
        peer.send(request)
        assert peer.read() == json.loads(block[end:])


def test_commands_do_what_they_say(fake: Fake, path: Path) -> None:
    """Every line of ``vecwire ctl`` on the page ends with 0, in their order; all subcommands are there."""
    lines = [
        line for block in blocks("bash") for line in block.splitlines() if line.startswith("vecwire ctl")
    ]
    shown = set()
    for line in lines:
        words = line.partition("#")[0].partition("|")[0].split()
        result = CliRunner().invoke(application(), words[1:])
        assert result.exit_code == 0, line + result.output
        shown |= {*words} & {*SUBCOMMANDS}
    assert shown == {*SUBCOMMANDS}
    assert fake.stopped.wait(30)
    assert path.with_name("uplink.pcap").stat().st_size == 24 + 100 * (16 + len(FRAME))


@pytest.mark.needs("socat")
def test_any_program_can_ask(path: Path) -> None:
    """The line with socat prints the response."""
    (line,) = [line for block in blocks("bash") for line in block.splitlines() if "socat" in line]
    done = subprocess.run(
        ["sh", "-c", line.replace(DEFAULT_PATH, str(path))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["result"]["pid"] == 4711


def test_every_method_has_its_section() -> None:
    """The methods are in the order of the table, and there are no others."""
    assert list(SECTIONS) == list(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_is_told_as_the_table_has_it(method: Method) -> None:
    """What it does, its parameters and what it returns are those of ``methods``."""
    section = SECTIONS[method.name]
    told = " ".join(section.split())
    assert method.description.rstrip(".") in told
    assert "Result: " in told
    assert ("Errors: " in told) != ("no errors of its own" in told)
    rows = re.findall(r"^\| `(\w+)` \| (\w+), (\w+) \| (.*) \|$", section, re.MULTILINE)
    wanted: list[tuple[Any, ...]] = [
        (each["name"], each["type"], "required" if each["required"] else "optional", each["meaning"])
        for each in method.described()["params"]
    ]
    assert rows == wanted
    assert ("No parameters" in told) == (not wanted)


def test_codes_and_limits_are_those_of_the_code() -> None:
    """The tables have every code, and the limits as they are."""
    codes = re.findall(r"^\| (-?\d+) \|", PAGE, re.MULTILINE)
    assert {int(code) for code in codes} == {int(code) for code in Code}
    limits = dict(re.findall(r"^\| ([a-z ]+) \| (\d+)[a-z ]* \|", PAGE, re.MULTILINE))
    assert limits == {
        "a line": str(LONGEST_LINE),
        "a batch": str(LONGEST_BATCH),
        "clients at a time": str(control.CLIENTS),
        "an answer that stands unread": f"{control.PATIENCE:g}",
    }
