"""``vecwire spec``: what it prints, where, and with which exit code it ends."""

import json
import os
import shlex

import pytest
from typer.testing import CliRunner, Result

from vecwire import UnsupportedError, bpf
from vecwire.cli import application
from vecwire.spec import SPEC_CLASSES, parse

L2TPV3 = "l2tpv3,src=10.0.0.1,dst=10.0.0.2,udp=1,srcport=1701,dstport=1702,rx_session=1,tx_session=2"


def run(*arguments: str) -> Result:
    """Runs the command in this process, on a wide terminal."""
    return CliRunner().invoke(application(), ["spec", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_explains_every_option() -> None:
    """The canonical text comes first, then every option of the transport with value, default and meaning."""
    result = run("vec0:" + L2TPV3 + ",depth=0x80")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"transport={L2TPV3},depth=128"
    rows = {line.split()[0]: line.split() for line in lines[1:] if line}
    for option in SPEC_CLASSES["l2tpv3"].options():
        assert option.meaning.split() == rows[option.name][3:][: len(option.meaning.split())]
    assert rows["depth"][1:3] == ["128", "64"]
    assert rows["src"][1:3] == ["10.0.0.1", "required"]
    assert rows["rx_cookie"][1:3] == ["-", "-"]


def test_tells_overhead_and_inner_mtu() -> None:
    """The overhead is told header by header, the inner MTU for the path MTU that was given."""
    lines = [" ".join(line.split()) for line in run(L2TPV3, "--path-mtu", "9000").stdout.splitlines()]
    assert "overhead 50 octets in front of the inner packet: IPv4 20, UDP 8, L2TPv3 8, Ethernet 14" in lines
    assert "inner MTU 8950 octets, for an MTU of 9000 below" in lines
    assert not any(line.startswith("note") for line in lines)


def test_notes_an_mtu_that_does_not_fit() -> None:
    """An mtu above what fits is pointed out, with the one that does, unless an option cannot have it."""
    assert "mtu=1450 keeps them whole" in run(L2TPV3).stdout
    assert "note" not in run(L2TPV3 + ",mtu=1450").stdout
    small = run(L2TPV3, "--path-mtu", "576").stdout
    assert "packets above 526 octets" in small
    assert "keeps them whole" not in small


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("raw,ifname=eth0", "CAP_NET_RAW"),
        ("tap,ifname=tap0", "/dev/net/tun"),
        ("bess,dst=/tmp/a", "nothing that an ordinary user may not do"),
    ],
)
def test_tells_what_the_host_must_allow(text: str, needed: str) -> None:
    """What opening would need is said, also where it is nothing."""
    assert needed in run(text).stdout


def test_json_is_one_object_on_one_line() -> None:
    """With --json the whole explanation is one object on one line."""
    result = run("--json", L2TPV3)
    assert result.stdout.endswith("\n")
    assert result.stdout.count("\n") == 1
    told = json.loads(result.stdout)
    assert told["spec"] == str(parse(L2TPV3))
    assert told["transport"] == "l2tpv3"
    assert (told["overhead"], told["encapsulation_octets"], told["path_mtu"], told["inner_mtu"]) == (
        50,
        8,
        1500,
        1450,
    )
    assert told["headers"] == {"IPv4": 20, "UDP": 8, "L2TPv3": 8, "Ethernet": 14}
    assert told["options"]["udp"] == {
        "value": True,
        "default": False,
        "required": False,
        "unit": None,
        "meaning": "Use UDP; 0 uses IP protocol 115.",
    }
    assert told["options"]["depth"]["unit"] == "frames"
    assert told["requirements"] == []
    assert len(told["notes"]) == 1


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_wrong_spec_is_shown_on_standard_error(flags: list[str]) -> None:
    """A wrong spec ends with code 2 and leaves standard output empty; standard error shows the place."""
    result = run("tap,ifname=tap0,dpeth=1", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "vecwire: tap has no option 'dpeth'; did you mean depth?",
        "  tap,ifname=tap0,dpeth=1",
        "                  ^^^^^",
    ]


@pytest.mark.parametrize(
    "arguments", [[], ["tap,ifname=a", "raw,ifname=a"], ["tap,ifname=a", "--path-mtu", "575"]]
)
def test_a_wrong_command_line_ends_with_code_2(arguments: list[str]) -> None:
    """A missing or superfluous argument, or an option out of range, is a usage error."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: " in result.stderr


def test_brackets_are_no_markup() -> None:
    """A value is printed as it is, whatever the printing library makes of such text."""
    assert run("bess,dst=/a[red]:smile:b").stdout.splitlines()[0] == "transport=bess,dst=/a[red]:smile:b"
    assert run("bess,dst=/a[red]:smile:b").stdout.count("/a[red]:smile:b") == 2


def test_help_keeps_its_examples() -> None:
    """The help page shows each example on a line of its own, and each is a spec that parses."""
    lines = [line.strip() for line in run("--help").stdout.splitlines()]
    examples = [line for line in lines if line.startswith("vecwire spec ")]
    assert len(examples) >= 3
    for line in examples:
        words = [word for word in shlex.split(line) if "," in word]
        assert words
        assert parse(words[-1])


def test_a_path_that_is_no_utf8_is_explained() -> None:
    """An octet of a path that is no UTF-8 reaches JSON as Python's stand-in for it."""
    path = os.fsdecode(b"/\xff")
    assert json.loads(run("--json", f"bess,dst={path}").stdout)["options"]["dst"]["value"] == path


def test_shows_the_program_of_a_filter() -> None:
    """An expression is shown as the program that it becomes, a line an instruction."""
    text = 'tap,ifname=tap0,filter="ether[12:2] = 0x806"'
    lines = run(text).stdout.splitlines()
    start = next(
        number for number, line in enumerate(lines) if line.startswith("filter  ") and "(000)" in line
    )
    assert [" ".join(line.split()) for line in lines[start : start + 2]] == [
        "filter (000) ldh [12]",
        "(001) jeq #0x806 jt 2 jf 3",
    ]
    assert len(json.loads(run("--json", text).stdout)["filter"]) == 4
    assert json.loads(run("--json", "tap,ifname=tap0").stdout)["filter"] == []


def test_shows_the_place_of_a_wrong_expression() -> None:
    """An expression that libpcap does not take is an error with carets below it, in the text as given."""
    result = run("tap,filter=ip and,ifname=tap0")
    assert result.exit_code == 2
    assert "syntax error" in result.stderr
    assert result.stderr.splitlines()[-1].strip(" |") == "^" * 6


def test_an_expression_waits_for_libpcap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this host has no libpcap, the rest is explained, with a note of what is missing."""

    def missing(expression: str) -> bpf.Program:
        raise UnsupportedError(f"no libpcap for {expression}", remedy="install it")

    monkeypatch.setattr(bpf, "compile_expression", missing)
    result = run("tap,ifname=tap0,filter=ip")
    assert result.exit_code == 0
    assert "the filter is not checked: no libpcap for ip; install it" in result.stdout
