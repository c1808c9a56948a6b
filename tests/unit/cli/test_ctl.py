"""``vecwire ctl``: what it asks, and how it tells the answers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from peers.controlled import PORTS, Fake
from vecwire.cli import application
from vecwire.cli.ctl import SUBCOMMANDS
from vecwire.cli.ctl._membership import SETTINGS
from vecwire.service.keys import CHANGEABLE, PORT

if TYPE_CHECKING:
    from pathlib import Path


def ctl(path: str, *arguments: str) -> Result:
    """Runs the command in this process, on a wide terminal."""
    environment = {"VECWIRE_SOCKET": path, "COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(application(), ["ctl", *arguments], env=environment)


def table(path: str, *arguments: str) -> list[list[str]]:
    """The rows of a table that it prints, cells apart by two spaces or more."""
    result = ctl(path, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return [re.split(r"  +", line.strip()) for line in result.stdout.splitlines()]


def objects(path: str, *arguments: str) -> list[dict[str, Any]]:
    """The objects that it prints."""
    result = ctl(path, "--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


# What is asked.


def test_status(path: str) -> None:
    """The service as a whole: pairs for people, one object for programs."""
    rows = dict(table(path, "status"))
    assert rows["process"] == "4711"
    assert rows["running for"] == "1 h"
    assert rows["ports"] == "3 of 4 up"
    (told,) = objects(path, "status")
    assert (told["pid"], told["uptime"], told["up"]) == (4711, 3600.0, 3)


def test_ports(path: str) -> None:
    """A row for each port, and why one is down that is."""
    heading, *rows, why = table(path, "ports")
    assert heading == ["port", "state", "in", "vlans", "rx frames", "tx frames", "dropped"]
    assert rows == [
        ["uplink", "up", "switch lan", "+10,20", "1,200", "800", "0"],
        ["guest1", "down", "switch lan", "10", "0", "0", "7"],
        ["a", "up", "cable backhaul", "-", "5", "6", "0"],
        ["b", "up", "cable backhaul", "-", "6", "5", "0"],
    ]
    assert why == ["guest1: down for 12 s: no client is connected"]
    assert [port["name"] for port in objects(path, "ports")] == [port.name for port in PORTS]


def test_one_port(path: str) -> None:
    """All about one port, with its counters and what each counts."""
    rows = table(path, "ports", "guest1")
    assert ["spec", PORTS[1].spec] in rows
    assert ["state", "down for 12 s"] in rows
    assert ["tx_down", "7", "dropped: the interface or the peer is down"] in rows
    assert not [row for row in rows if row[0] == "rx_frames"]
    (told,) = objects(path, "ports", "guest1")
    assert told["counters"] == PORTS[1].counters


def test_switches_cables_and_addresses(path: str) -> None:
    """A row for each."""
    assert table(path, "switches")[1] == ["lan", "2", "65,536", "300 s", "0", "uplink, guest1"]
    assert table(path, "cables")[1] == ["backhaul", "1", "a = b"]
    assert table(path, "fdb", "lan")[1:] == [
        ["02:00:00:00:00:01", "10", "guest1", "3 s"],
        ["02:00:00:00:00:02", "20", "uplink", "1 min"],
    ]
    (told,) = objects(path, "fdb", "lan", "--port", "uplink")
    assert told == {"mac": "02:00:00:00:00:02", "vlan": 20, "port": "uplink", "idle": 61.5}
    assert objects(path, "switches")[0]["ports"] == ["uplink", "guest1"]
    assert objects(path, "cables")[0]["ports"] == ["a", "b"]


# What is done.


@pytest.mark.parametrize(
    ("arguments", "told", "text", "answer"),
    [
        (["flush", "lan"], ("flush", "lan", None), "2 addresses forgotten: lan", {"addresses": 2}),
        (
            ["flush", "lan", "--port", "guest1"],
            ("flush", "lan", "guest1"),
            "1 addresses forgotten: lan from guest1",
            {"addresses": 1},
        ),
        (["reset"], ("reset", None), "counters start from zero again: all ports", {}),
        (["reset", "a"], ("reset", "a"), "counters start from zero again: a", {}),
        (
            ["reload"],
            ("reload",),
            "added: guest2",
            {"added": ["guest2"], "removed": [], "changed": [], "kept": [port.name for port in PORTS]},
        ),
        (["remove", "b"], ("remove_port", "b"), "removed b", {"port": "b"}),
        (
            ["set", "guest1", "vlan=", "tagged=1,2", "horizon=7", "flood_rate=9"],
            ("set_port", "guest1", {"vlan": None, "tagged": [1, 2], "horizon": "7", "flood_rate": 9}),
            "changed guest1: vlan, tagged, horizon, flood_rate",
            {
                "port": "guest1",
                "options": {"vlan": None, "tagged": [1, 2], "horizon": "7", "flood_rate": 9},
            },
        ),
        (
            ["set", "guest1", "vln=7", "addresses=many"],
            ("set_port", "guest1", {"vln": 7, "addresses": "many"}),
            "changed guest1: vln, addresses",
            {"port": "guest1", "options": {"vln": 7, "addresses": "many"}},
        ),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_actions(
    fake: Fake,
    path: str,
    arguments: list[str],
    told: tuple[Any, ...],
    text: str,
    answer: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """The service is told what was typed; what came of it is said in a line or an object."""
    if as_json:
        assert objects(path, *arguments) == [{"done": arguments[0], **answer}]
    else:
        assert ctl(path, *arguments).stdout == f"{text}\n"
    assert fake.told == [told]


def test_add(fake: Fake, path: str) -> None:
    """A port is added with the options that are given, and no others."""
    result = ctl(path, "add", "c", "tap,ifname=tap3")
    assert result.stdout == "added c, and joined to nothing\n"
    words = ["--switch", "lan", "--vlan", "5", "--tagged", "6,7", "--horizon", "mesh"]
    more = ["--flood-rate", "100", "--addresses", "8", "--mirror", "probe", "--trace"]
    files = ["--capture", "/d.pcap", "--capture-size", "5000", "--capture-keep", "3"]
    assert ctl(path, "add", "d", "tap,ifname=tap4", *words, *more, *files).stdout == "added d to switch lan\n"
    assert fake.told == [
        ("add_port", "c", {"spec": "tap,ifname=tap3"}),
        (
            "add_port",
            "d",
            {
                "spec": "tap,ifname=tap4",
                "switch": "lan",
                "vlan": 5,
                "tagged": [6, 7],
                "horizon": "mesh",
                "flood_rate": 100,
                "addresses": 8,
                "mirror": "probe",
                "trace": True,
                "capture": "/d.pcap",
                "capture_size": 5000,
                "capture_keep": 3,
            },
        ),
    ]
    assert [*fake.told[1][2]] == ["spec", "switch", *PORT[1:]]


def test_every_key_that_can_be_set_has_its_meaning(path: str) -> None:
    """The keys of set are those that the service changes; its help and the completion have each."""
    assert tuple(SETTINGS) == CHANGEABLE
    text = ctl(path, "set", "--help").stdout
    for key, meaning in SETTINGS.items():
        assert f"    {key:<13} {meaning}\n" in text


def test_stop(fake: Fake, path: str) -> None:
    """The service is asked to end."""
    assert ctl(path, "stop").exit_code == 0
    assert fake.stopped.wait(30)


def test_shared_options_stand_anywhere(path: str, tmp_path: Path) -> None:
    """In front of the subcommand or behind it; what --socket says goes before the environment."""
    elsewhere = str(tmp_path / "elsewhere")
    for words in (
        ["--socket", path, "--json", "status"],
        ["status", "--socket", path, "--json"],
        ["status", "--json", f"--socket={path}"],
    ):
        assert json.loads(ctl(elsewhere, *words).stdout)["pid"] == 4711


# What goes wrong.


def test_an_option_without_its_value_is_told(path: str) -> None:
    """Wherever --socket stands, it is what is told to lack its path."""
    for words in (["status", "--socket"], ["--json", "ports", "guest1", "--socket"], ["--socket"]):
        result = ctl(path, *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--socket PATH" in result.stderr


def test_no_service(tmp_path: Path) -> None:
    """The exit code is 1, with what to do."""
    result = ctl(str(tmp_path / "control.sock"), "status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no service listens at" in result.stderr
    assert "remedy: start it with: vecwire run FILE" in result.stderr


def test_an_unknown_port(path: str) -> None:
    """The exit code is 1, with the nearest name."""
    result = ctl(path, "ports", "guest")
    assert result.exit_code == 1
    assert "remedy: did you mean guest1?" in result.stderr


def test_wrong_options(path: str) -> None:
    """The exit code is 2, and every fault is told."""
    result = ctl(path, "add", "c", "tap,ifname=x", "--vlan", "9999")
    assert result.exit_code == 2
    assert "<control> has 2 errors" in result.stderr
    assert "9999 is no VLAN" in result.stderr
    assert "<control>:2: and more" in result.stderr


def test_what_is_no_setting(path: str) -> None:
    """A word without = is a mistake of the command line."""
    result = ctl(path, "set", "guest1", "vlan")
    assert result.exit_code == 2
    assert "is no KEY=VALUE" in result.stderr


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name: str) -> None:
    """Help asks no service."""
    result = ctl("/nothere", name, "--help")
    assert result.exit_code == 0
    assert SUBCOMMANDS[name][0].strip().splitlines()[0] in result.stdout


# Completion.


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("vecwire ctl ports ", ["uplink", "guest1", "a", "b"]),
        ("vecwire ctl --json remove gu", ["guest1"]),
        ("vecwire ctl fdb ", ["lan"]),
        ("vecwire ctl fdb lan --port up", ["uplink"]),
        ("vecwire ctl add c tap,ifname=x --switch ", ["lan"]),
        ("vecwire ctl set guest1 fl", ["flood_rate="]),
        ("vecwire ctl re", ["reset", "reload", "remove"]),
    ],
)
def test_completion_asks_the_service(path: str, words: str, found: list[str]) -> None:
    """Names of ports and switches come from the running service."""
    environment = {
        "_VECWIRE_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": words,
        "VECWIRE_SOCKET": path,
    }
    result = CliRunner().invoke(application(), [], env=environment, prog_name="vecwire")
    assert re.findall(r'^(?:.*\(\()?"([^":]+)":', result.stdout, re.MULTILINE) == found


def test_completion_without_a_service(tmp_path: Path) -> None:
    """Where no service runs nothing is proposed, and nothing is said."""
    environment = {
        "_VECWIRE_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "vecwire ctl ports ",
        "VECWIRE_SOCKET": str(tmp_path / "nothere"),
    }
    result = CliRunner().invoke(application(), [], env=environment, prog_name="vecwire")
    assert "remedy" not in result.output
    assert "guest1" not in result.output
