"""The service's file: what it gives, and every error in it with line, key and remedy."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from vecwire.errors import ConfigError, Fault
from vecwire.service import config as module
from vecwire.service._models import TABLES, Allowed, Config, Part, PortConfig, allowed
from vecwire.service.config import from_document, horizons, load, loads, memberships
from vecwire.service.keys import PORT

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
[service]
control = "/run/vecwire/control.sock"
metrics = "9477"
workers = 4
pin = true
poll = 20
user = "vecwire"
log = "json"

[ports]
uplink = "raw,ifname=eth1"
guest1 = { spec = "bess,listen=/run/vecwire/guest1", vlan = 10, addresses = 16, flood_rate = 0 }
branch1 = { spec = "gre,src=192.0.2.1,dst=192.0.2.2", tagged = [20, 10], horizon = "mesh" }
branch2 = { spec = "gre,src=192.0.2.1,dst=192.0.2.3", tagged = [10, 20], horizon = "mesh" }
a = "tap,ifname=tap0"
b = "tap,ifname=tap1"

[cables]
backhaul = ["a", "b"]

[switches.lan]
ports = ["uplink", "guest1", "branch1", "branch2"]
age = 60
addresses = 1000
addresses_per_port = 100
flood_rate = 500
"""
TWO = '[ports]\na = "tap,ifname=tap0"\nb = "tap,ifname=tap1"\n'


def faults(text: str) -> list[Fault]:
    """What is wrong in a text."""
    with pytest.raises(ConfigError) as caught:
        loads(text, "x.toml")
    assert all(fault.file == "x.toml" and fault.message and fault.remedy for fault in caught.value.faults)
    return list(caught.value.faults)


def test_every_key_has_its_value() -> None:
    """Each key of a file is found under its name, in the form that it is used in."""
    config = loads(FULL)
    service = config.service
    assert (service.control, service.metrics) == ("/run/vecwire/control.sock", "127.0.0.1:9477")
    assert (service.workers, service.pin, service.poll) == (4, True, 20)
    assert (service.user, service.log) == ("vecwire", "json")
    assert config.port("uplink").canonical == "transport=raw,ifname=eth1"
    assert config.port("branch1").tagged == {10, 20}
    assert config.cables == {"backhaul": ("a", "b")}
    lan = config.switches["lan"]
    assert (lan.age, lan.addresses, lan.addresses_per_port, lan.flood_rate) == (60.0, 1000, 100, 500)
    assert [config.joined(name) for name in ("a", "uplink")] == ["cable backhaul", "switch lan"]
    with pytest.raises(KeyError):
        config.port("absent")


def test_an_empty_file_has_the_defaults() -> None:
    """Nothing is required: ports may come by the control socket."""
    config = loads("")
    assert (config.ports, config.cables, config.switches) == ({}, {}, {})
    assert config.service == module.ServiceConfig()
    assert (config.service.workers, config.service.control, config.service.log) == (1, None, "text")


def test_a_config_cannot_be_changed() -> None:
    """What was judged stays as it is."""
    config = loads(FULL)
    with pytest.raises(ValueError, match="frozen"):
        config.port("guest1").vlan = 5


def test_all_errors_are_told_at_once_in_the_order_of_lines() -> None:
    """One wrong key hides no other, nor a contradiction between parts that are right by themselves."""
    found = faults(
        """\
[service]
workers = 65
[ports]
a = "tap,ifname=tap0,dpeth=1"
b = { spec = "tap,ifname=tap1", vlan = 0 }
c = { spec = "tap,ifname=tap2", vlan = 5, tagged = [4, 5] }
[cables]
x = ["c", "missing"]
[switches.lan]
ports = ["a", "b"]
prots = ["c"]
"""
    )
    assert [(fault.line, fault.key) for fault in found] == [
        (2, "service.workers"),
        (4, "ports.a"),
        (5, "ports.b.vlan"),
        (6, "ports.c.tagged"),
        (6, "ports.c.vlan"),
        (6, "ports.c.tagged"),
        (8, "cables.x[1]"),
        (11, "switches.lan.prots"),
    ]


def test_a_wrong_port_is_still_a_port() -> None:
    """A cable's end whose spec is wrong is not told to be absent as well."""
    assert len(faults(TWO.replace("tap0", "tap0,x=1") + '[cables]\nx = ["a", "b"]\n')) == 1


def test_a_wrong_spec_is_shown_with_its_caret() -> None:
    """An error of a spec has its text with carets, and the file, line and key around it."""
    for text in ('a = "tap,ifnam=tap0"', 'a = { vlan = 3, spec = "tap,ifnam=tap0" }'):
        (fault,) = faults(f"[ports]\n{text}\n")
        assert fault.line == 2
        assert fault.key.startswith("ports.a")
        assert fault.suggestion == "ifname"
        assert fault.explain().splitlines()[1:3] == ["  tap,ifnam=tap0", "      ^^^^^"]


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "remedy"),
    [
        (
            '[service]\nworkers = "3"',
            2,
            "service.workers",
            "an integer from 1 to 64, not '3'",
            "quotes away: 3",
        ),
        ("[service]\nworkers = true", 2, "service.workers", "not true", "the default, 1"),
        ("[service]\npin = 1", 2, "service.pin", "must be true or false, not 1", "the default, false"),
        ('[service]\npin = "true"', 2, "service.pin", "true or false", "quotes away: true"),
        ('[service]\nlog = "xml"', 2, "service.log", '"text" or "json", not \'xml\'', 'the default, "text"'),
        ("[service]\nuser = 1000", 2, "service.user", "as text, not 1000", 'in quotes: "1000"'),
        ('[service]\ncontrol = "a.sock"', 2, "service.control", "an absolute path", "take it away"),
        ('[service]\ncontrol = "@a"', 2, "service.control", "no mode", "an absolute path"),
        (f'[service]\ncontrol = "/{"a" * 107}"', 2, "service.control", "108 octets", "at most 107"),
        ('[service]\nmetrics = "::1:80"', 2, "service.metrics", "in brackets", "[::1]:9477"),
        ('[service]\nmetrics = "localhost:80"', 2, "service.metrics", "no name is looked up", "[::1]:9477"),
        ('[service]\nmetrics = "127.0.0.1:65536"', 2, "service.metrics", "not '127.0.0.1:65536'", "9477"),
        ("service = 1", 1, "service", "must be a table: [service], not 1", "a table"),
        ("ports = []", 1, "ports", "a table of ports", "[ports]"),
        ("[ports]\na = 5", 2, "ports.a", "a spec as text, or a table like { spec", "write a spec"),
        ("[ports]\na = {}", 2, "ports.a", "spec is missing", "add spec ="),
        ("[ports]\n[ports.a]\nvlan = 3", 2, "ports.a", "spec is missing", "add spec ="),
        ("[ports.a]\nspec = 3", 2, "ports.a.spec", "must be text", "write text"),
        (f"{TWO}[ports.a.b]", None, "", "cannot", "no table too"),
        ('[ports]\n"a b" = "tap,ifname=a"', 2, 'ports."a b"', "1 to 64 letters", "rename"),
        ("[cables]\na = 1", 2, "cables.a", 'names of ports, like ["a", "b"], not 1', "two names"),
        (f'{TWO}[cables]\nc = ["a"]', 5, "cables.c", "two names of ports", "two names"),
        (f'{TWO}[cables]\nc = ["a", "b", "a"]', 5, "cables.c", "two names of ports", "two names"),
        (f'{TWO}[cables]\nc = ["a", 1]', 5, "cables.c[1]", "the name of a port", 'quotes: "1"'),
        ('[switches]\nlan = ["a"]', 2, "switches.lan", "a table: [switches.lan]", "ports = [...]"),
        (
            "[switches.lan]\nage = 0",
            2,
            "switches.lan.age",
            "from 1 to 1000000, in seconds",
            "the default, 300",
        ),
        ("[switches.lan]\nage = nan", 2, "switches.lan.age", "not nan", "the default, 300"),
        ("[switches.lan]\nage = inf", 2, "switches.lan.age", "not inf", "the default, 300"),
        ('[switches.lan]\nports = "a"', 2, "switches.lan.ports", "a list of names", "take it away"),
        ("[switches.lan]\naddresses = 4194305", 2, "switches.lan.addresses", "to 4194304", "65536"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_told(text: str, line: int | None, key: str, message: str, remedy: str) -> None:
    """A value of another type or out of its bounds is told with what is allowed, and what to do."""
    (fault,) = faults(text)
    assert (fault.line, fault.key) == (line or fault.line, key)
    assert message in fault.message
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    ("line", "key", "given"),
    [
        ("vlan = 4095", "vlan", "4095"),
        ("vlan = 1.0", "vlan", "1.0"),
        ("tagged = [1, 0]", "tagged[1]", "0"),
        ("tagged = [1, true]", "tagged[1]", "true"),
        ("tagged = 1", "tagged", "1"),
        ("tagged = [3, 3]", "tagged", "[3, 3]"),
        ('horizon = "a b"', "horizon", "'a b'"),
        ("flood_rate = -1", "flood_rate", "-1"),
        ("addresses = 0", "addresses", "0"),
        ("addresses = 1979-05-27", "addresses", "1979-05-27"),
    ],
)
def test_a_wrong_value_of_a_port_is_told(line: str, key: str, given: str) -> None:
    """Each key of a port's table refuses what is out of its bounds, and shows what was given."""
    (fault,) = faults(f'[ports.a]\nspec = "tap,ifname=a"\n{line}\n')
    assert (fault.line, fault.key, fault.given) == (3, f"ports.a.{key}", given)


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("[prots]", "prots", "ports"),
        ("[service]\nworker = 1", "service.worker", "workers"),
        ('[ports.a]\nspec = "tap,ifname=a"\nvlna = 1', "ports.a.vlna", "vlan"),
        ("[switches.a]\nagee = 1", "switches.a.agee", "age"),
        ("[switches.a]\nzzzz = 1", "switches.a.zzzz", None),
    ],
)
def test_an_unknown_key_gets_the_nearest_name(text: str, key: str, suggestion: str | None) -> None:
    """A key that there is not is told with the one that was probably meant, and all that there are."""
    (fault,) = faults(text)
    assert (fault.key, fault.suggestion) == (key, suggestion)
    assert fault.line == text.count("\n") + 1
    assert f"there are {(fault.allowed or '').removeprefix('one of ')}" in fault.remedy


def test_a_key_of_another_table_is_sent_there() -> None:
    """A key that stands in the wrong table is told where it belongs."""
    (fault,) = faults("[switches.a]\nvlan = 1")
    assert "belongs to a table of ports" in fault.remedy


def test_load_logs_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A slip in a file that is loaded reaches the log, in one line."""
    path = tmp_path / "x.toml"
    path.write_text('\ufeff[ports]\r\na = "tap,ifname=a"\r\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING, "vecwire.service"):
        assert list(load(path).ports) == ["a"]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}:2: ports.a: ")


@pytest.mark.parametrize(
    ("octets", "line", "message"),
    [(None, None, "No such file"), (b"a = 1\nb = '\xff'", 2, "no UTF-8"), (b"[ports", 1, "expected ']'")],
)
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, octets: bytes | None, line: int | None, message: str
) -> None:
    """A file that is absent, no text or no TOML is one ConfigError too, with its name."""
    path = tmp_path / "x.toml"
    if octets is not None:
        path.write_bytes(octets)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == (str(path), line)
    assert message in fault.message
    assert fault.remedy


def test_a_file_name_with_a_nul_is_told() -> None:
    """A path that no system call takes is told as one that cannot be read."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load("a\0b")


def test_a_document_is_judged_as_a_text_is() -> None:
    """Values that came another way have the same checks; their errors have keys and no lines."""
    with pytest.raises(ConfigError) as caught:
        from_document({"ports": {"a": {"spec": "tap,ifname=a", "vlan": 0}}}, "<control>")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.key) == ("<control>", None, "ports.a.vlan")


def test_memberships_resolve_the_defaults_of_the_switch() -> None:
    """A port's own bounds go before its switch's, 0 too; horizons are numbers; ports of cables have none."""
    told = memberships(loads(FULL))
    assert set(told) == {"uplink", "guest1", "branch1", "branch2"}
    assert told["uplink"] == {
        "vlan": None,
        "tagged": frozenset(),
        "horizon": 0,
        "flood_rate": 500,
        "addresses": 100,
    }
    assert (told["guest1"]["vlan"], told["guest1"]["flood_rate"], told["guest1"]["addresses"]) == (10, 0, 16)
    assert told["branch1"]["tagged"] == frozenset({10, 20})
    assert told["branch1"]["horizon"] == told["branch2"]["horizon"] == 1


def grouped(*names: str) -> Config:
    """A switch with a port for each name, in the horizon of that name."""
    ports = {
        f"p{number}": {"spec": f"tap,ifname=t{number}", "horizon": name} for number, name in enumerate(names)
    }
    return from_document({"ports": ports, "switches": {"s": {"ports": list(ports)}}}, "x")


def test_horizons_are_numbered_as_they_appear() -> None:
    """The first name is 1, the next is 2; a name keeps its number."""
    assert horizons(grouped("b", "a", "b")) == {"b": 1, "a": 2}


def test_horizons_keep_the_numbers_in_force() -> None:
    """A name keeps its number when others come and go, and no number in force goes to another name."""
    first = horizons(grouped("b", "a"))
    second = horizons(grouped("c", "a"), first)
    assert second == {"c": 3, "a": 2}
    third = horizons(grouped("d", "c", "a"), second)
    assert third == {"d": 1, "c": 3, "a": 2}
    assert memberships(grouped("c", "a"), second)["p0"]["horizon"] == 3


def test_keys_of_a_port_are_named_once() -> None:
    """What a port's table may hold is what errors, helps and the control socket name."""
    assert tuple(PortConfig.model_fields) == PORT


def test_every_key_says_what_is_allowed() -> None:
    """Each key of each table has a phrase for its errors and a description for editors."""
    parts: list[type[Part]] = [Config, *TABLES.values()]
    for part in parts:
        for key, field in part.model_fields.items():
            assert allowed(part, key), key
            assert field.description, key
            assert not any(isinstance(each, Allowed) and not each.phrase for each in field.metadata)


def test_names_of_things_are_safe_everywhere() -> None:
    """A name that is accepted has no character that a label, a path or a shell would take amiss."""
    for name in ("a", "A_1.b-c", "0"):
        assert loads(f'[ports]\n"{name}" = "tap,ifname=a"').ports[name]
    values: list[Any] = ["", "a b", "a/b", ".a", "-a", "a" * 65, "é", "a\\n"]
    for name in values:
        (fault,) = faults(f'[ports]\n"{name}" = "tap,ifname=a"')
        assert re.search("letters, digits", fault.message)
