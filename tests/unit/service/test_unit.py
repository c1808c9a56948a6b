"""The unit for systemd: its directives are known, and what it leaves open is what transports take."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from peers.unitfile import sections, system_calls, words
from vecwire.cli import application
from vecwire.cli._common import ExitCode
from vecwire.confine.capabilities import NAMES
from vecwire.service.privileges import needed
from vecwire.service.unit import CONFIG, PROGRAM, own_program, unit_text
from vecwire.spec import SPEC_CLASSES, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

UNIT = unit_text(PROGRAM)
SERVICE = sections(UNIT)["Service"]
#: Out of 10; systemd calls what is below 5 OK. What is open, and why, is in OPEN: the sum of its weights is
#: 2.6. Anything that is opened beside it lifts the exposure above this.
MOST_EXPOSURE = 2.7
#: What systemd-analyze finds open, by its own names, and what it is open for.
OPEN = {
    "AmbientCapabilities": "an ordinary user has the capabilities by these",
    "CapabilityBoundingSet_CAP_NET_ADMIN": "tap and hybrid; large buffers",
    "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)": "raw, gre, l2tpv3; low ports",
    "CapabilityBoundingSet_CAP_SYS_ADMIN": "netns=",
    "DeviceAllow": "/dev/net/tun",
    "IPAddressDeny": "the other ends of tunnels are anywhere",
    "PrivateDevices": "it would hide /dev/net/tun; DevicePolicy=closed in its place",
    "PrivateNetwork": "the host's network is what it is for",
    "PrivateUsers": "capabilities would not be those over the host's network",
    "ProcSubset": "/proc/sys/net tells of limits",
    "RestrictAddressFamilies_AF_INET_INET6": "gre, l2tpv3, metrics",
    "RestrictAddressFamilies_AF_NETLINK": "links that come and go",
    "RestrictAddressFamilies_AF_PACKET": "raw, hybrid",
    "RestrictAddressFamilies_AF_UNIX": "bess, the control socket, readiness",
    "RestrictNamespaces_net": "netns=",
    "RootDirectoryOrRootImage": "it runs what is installed",
    "SystemCallFilter_privileged": "capset gives up capabilities",
    "SystemCallFilter_resources": "sched_setaffinity pins workers",
}
TUNNEL = "src=192.0.2.1,dst=192.0.2.2"
SPECS = (
    "raw,ifname=eth1",
    "tap,ifname=tap0",
    "hybrid,ifname=tap0",
    f"gre,{TUNNEL}",
    f"l2tpv3,{TUNNEL},rx_session=1,tx_session=2",
    f"l2tpv3,udp=1,{TUNNEL},srcport=l2tp,dstport=1701,rx_session=1,tx_session=2",
    "bess,listen=/run/vecwire/guest,netns=blue",
)
FAMILIES = {
    "raw": {"AF_PACKET"},
    "tap": {"AF_INET"},
    "hybrid": {"AF_PACKET", "AF_INET"},
    "gre": {"AF_INET", "AF_INET6"},
    "l2tpv3": {"AF_INET", "AF_INET6"},
    "bess": {"AF_UNIX"},
}


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs systemd-analyze."""
    argv = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def written(directory: Path, text: str) -> Path:
    """A unit's text in a file."""
    path = directory / "vecwire.service"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(output: str) -> Iterable[str]:
    """What systemd says against a unit, but for the one line that older ones are meant to ignore."""
    lines = [line for line in output.splitlines() if "vecwire" in line]
    return [line for line in lines if not line.endswith("service type, ignoring: notify-reload")]


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """Every directive and every value is known, and the program is found."""
    program = tmp_path / "a 100% c"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for text in (unit_text("/bin/true"), unit_text(str(program), '/etc/a b$c%d"e.toml')):
        assert complaints(analyze("verify", "--man=no", written(tmp_path, text)).stderr) == []


@pytest.mark.needs("systemd-analyze")
def test_systemd_complains_of_what_it_does_not_know(tmp_path: Path) -> None:
    """The test above would see a directive with a wrong name."""
    text = unit_text("/bin/true").replace("ProtectClock=", "ProtectClocks=")
    assert complaints(analyze("verify", "--man=no", written(tmp_path, text)).stderr)


@pytest.mark.needs("systemd-analyze")
def test_its_exposure_is_low(tmp_path: Path) -> None:
    """Systemd's own judgement: no more is open than what has its reason above."""
    path = written(tmp_path, UNIT)
    judged = analyze(
        "security", "--offline=yes", f"--threshold={MOST_EXPOSURE * 10:.0f}", "--json=short", path
    )
    found = {each["json_field"] for each in json.loads(judged.stdout) if each["set"] is False}
    assert found <= set(OPEN)
    assert judged.returncode == 0


def test_capabilities_are_those_that_transports_take() -> None:
    """What the unit gives is what all transports together need, and it cannot gain more."""
    assert {parse(spec).transport for spec in SPECS} == set(SPEC_CLASSES)
    allowed = set(words(SERVICE, "CapabilityBoundingSet"))
    assert allowed == needed(map(parse, SPECS)) == set(words(SERVICE, "AmbientCapabilities"))
    assert allowed <= set(NAMES)
    assert SERVICE["NoNewPrivileges"] == ["yes"]


def test_address_families_are_those_that_transports_take() -> None:
    """And netlink, by which the service learns of links."""
    assert set(FAMILIES) == set(SPEC_CLASSES)
    assert set(words(SERVICE, "RestrictAddressFamilies")) == set[str]().union(*FAMILIES.values()) | {
        "AF_NETLINK"
    }


def test_the_tun_device_is_there() -> None:
    """It alone, beside those that every process may have."""
    assert SERVICE["DevicePolicy"] == ["closed"]
    assert SERVICE["DeviceAllow"] == ["/dev/net/tun rw"]
    assert "PrivateDevices" not in SERVICE


@pytest.mark.needs("systemd-analyze")
def test_system_calls() -> None:
    """Those of motion and of giving up privileges are allowed; what would change the host is not."""
    allowed = system_calls(SERVICE)
    assert {"recvmmsg", "sendmmsg", "epoll_wait", "readv", "writev", "setns", "capset", "prctl"} <= allowed
    assert "sched_setaffinity" in allowed
    assert not {"mount", "ptrace", "bpf", "init_module", "reboot", "setuid", "chown", "kexec_load"} & allowed


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectProc", "invisible"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictNamespaces", "net"),
        ("SystemCallArchitectures", "native"),
    ],
)
def test_it_is_hardened(directive: str, value: str) -> None:
    """Each directive is there, once."""
    assert SERVICE[directive] == [value]


def test_it_is_started_and_watched() -> None:
    """Readiness, reload and the watchdog by sd_notify; a failure restarts it, unless that is of no use."""
    assert SERVICE["Type"] == ["notify", "notify-reload"]
    assert SERVICE["NotifyAccess"] == ["main"]
    assert SERVICE["Restart"] == ["on-failure"]
    codes = {int(word) for word in words(SERVICE, "RestartPreventExitStatus")}
    assert codes == {ExitCode.USAGE, ExitCode.UNSUPPORTED}
    assert re.fullmatch(r"\d+s", SERVICE["WatchdogSec"][0])
    assert sections(UNIT)["Install"]["WantedBy"] == ["multi-user.target"]


def test_what_it_executes_is_the_command() -> None:
    """ExecStart is a command line that vecwire takes."""
    program, name, *arguments = SERVICE["ExecStart"][0].split()
    assert (program, name, arguments) == (PROGRAM, "run", [CONFIG])
    group = typer.main.get_command(application())
    assert "run" in group.list_commands(group.make_context("vecwire", ["run"], resilient_parsing=True))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/etc/vecwire/a-b_c.toml", "/etc/vecwire/a-b_c.toml"),
        ("/etc/a b.toml", '"/etc/a b.toml"'),
        ("/etc/100%.toml", '"/etc/100%%.toml"'),
        ("/etc/$x.toml", '"/etc/$$x.toml"'),
        ('/etc/a"b\\c.toml', '"/etc/a\\"b\\\\c.toml"'),
    ],
)
def test_paths_are_one_word(path: str, word: str) -> None:
    """Whatever systemd would read into a path is written so that it does not."""
    assert f"ExecStart={PROGRAM} run {word}\n" in unit_text(PROGRAM, path)


@pytest.mark.parametrize("path", ["vecwire.toml", "", "/etc/a\nExecStart=/bin/sh"])
def test_other_paths_are_refused(path: str) -> None:
    """A path that is not absolute, or that would begin another line."""
    with pytest.raises(ValueError, match=r"path|line"):
        unit_text(PROGRAM, path)


@pytest.mark.parametrize("program", ["vecwire", '/opt/a"b', "/opt/it's", "/opt/a\\b"])
def test_other_programs_are_refused(program: str) -> None:
    """What systemd would refuse, when it is too late."""
    with pytest.raises(ValueError, match=r"path|program"):
        unit_text(program)


def test_the_command_prints_it(tmp_path: Path) -> None:
    """--unit prints it for this installation: its program, and the file whose path is made absolute."""
    result = CliRunner().invoke(application(), ["run", "--unit"])
    assert (result.exit_code, result.stdout) == (0, unit_text())
    assert sections(result.stdout)["Service"]["ExecStart"] == [f"{own_program()} run {CONFIG}"]
    file = tmp_path / "vecwire.toml"
    result = CliRunner().invoke(application(), ["run", "--unit", str(file)])
    assert result.stdout == unit_text(config=str(file))
    relative = CliRunner().invoke(application(), ["run", "--unit", "lab.toml"])
    assert f" run {Path.cwd() / 'lab.toml'}\n" in relative.stdout


def test_the_program_is_the_one_beside_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a virtual environment it is that one's; elsewhere where distributions have it."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert own_program() == PROGRAM
    (tmp_path / "vecwire").touch()
    assert own_program() == str(tmp_path / "vecwire")
