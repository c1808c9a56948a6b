"""A real service, asked and changed by `vecwire ctl` and watched by `vecwire top` while frames move."""

from __future__ import annotations

import json
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP
from scapy.utils import rdpcap

from peers.command import vecwire_command
from peers.net import Namespace, namespaces, veth, wait_until
from vecwire import open as open_port
from vecwire.capture import CaptureReader
from vecwire.client import Client
from vecwire.errors import PortError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background

FILE = """
[service]
control = "{control}"
workers = 2
[ports]
left = {{ spec = "raw,ifname=left0", vlan = 10 }}
right = {{ spec = "raw,ifname=right0", vlan = 10 }}
spare = "tap,ifname=spare0"
other = "tap,ifname=other0"
[cables]
backhaul = ["spare", "other"]
[switches.lan]
ports = ["left", "right"]
"""


@dataclass
class Site:
    """A host with a service, and two others that its switch joins."""

    host: Namespace
    one: Namespace
    two: Namespace
    folder: Path
    service: Background

    @property
    def control(self) -> str:
        """The control socket."""
        return str(self.folder / "control.sock")

    @property
    def file(self) -> Path:
        """The service's file."""
        return self.folder / "vecwire.toml"

    def command(self, *arguments: str) -> list[str]:
        """The command of `vecwire ctl`."""
        return vecwire_command("ctl", "--socket", self.control, *arguments)

    def ctl(self, *arguments: str) -> list[dict[str, Any]]:
        """What `vecwire ctl --json` prints."""
        done = self.host.run([*self.command(*arguments), "--json"])
        return [json.loads(line) for line in done.stdout.splitlines()]

    def fails(self, *arguments: str) -> tuple[int, str]:
        """The exit code and standard error of a `vecwire ctl` that fails."""
        done = self.host.run(self.command(*arguments), check=False)
        return done.returncode, done.stderr

    def port(self, name: str) -> dict[str, Any]:
        """A port."""
        (port,) = self.ctl("ports", name)
        return port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running service between two hosts that reach each other through it."""
    file = tmp_path / "vecwire.toml"
    file.write_text(FILE.format(control=tmp_path / "control.sock"), encoding="utf-8")
    with namespaces("host", "one", "two", ipv6=False) as (host, one, two):
        veth((host, "left0"), (one, "eth0"), addresses_b=["10.0.0.1/24"])
        veth((host, "right0"), (two, "eth0"), addresses_b=["10.0.0.2/24"])
        with host.popen(vecwire_command("run", str(file)), name="service") as service:
            service.wait_for_text("ready\n")
            one.wait_reachable("10.0.0.2")
            yield Site(host, one, two, tmp_path, service)


def test_what_runs_is_told(site: Site) -> None:
    """Status, ports, switches, cables and the FDB are those of the file and of the frames that moved."""
    (status,) = site.ctl("status")
    assert status["pid"] == site.service.process.pid
    assert (status["config"], status["workers"], status["ports"]) == (str(site.file), 2, 4)
    ports = {port["name"]: port for port in site.ctl("ports")}
    assert list(ports) == ["left", "right", "spare", "other"]
    assert ports["left"]["joined"] == "switch lan"
    assert ports["left"]["counters"]["rx_frames"] > 0
    assert ports["spare"]["joined"] == "cable backhaul"
    (switch,) = site.ctl("switches")
    assert (switch["name"], switch["ports"]) == ("lan", ["left", "right"])
    (cable,) = site.ctl("cables")
    assert cable["ports"] == ["spare", "other"]
    macs = {port: where.link("eth0")["address"] for port, where in (("left", site.one), ("right", site.two))}
    learned = {(row["port"], row["mac"], row["vlan"]) for row in site.ctl("fdb", "lan")}
    assert {(port, mac, 10) for port, mac in macs.items()} <= learned
    assert {row["port"] for row in site.ctl("fdb", "lan", "--port", "left")} == {"left"}
    # People get tables of the same.
    assert "switch lan" in site.host.run(site.command("ports")).stdout
    assert macs["left"] in site.host.run(site.command("fdb", "lan")).stdout


def test_it_is_changed_while_it_runs(site: Site) -> None:
    """Ports are added, changed and removed; a reload brings back what the file says."""
    site.ctl("add", "third", "tap,ifname=third0", "--switch", "lan", "--vlan", "20")
    assert site.host.link("third0")["ifname"] == "third0"
    assert site.ctl("switches")[0]["ports"] == ["left", "right", "third"]
    assert site.port("third")["vlan"] == 20
    site.ctl("set", "third", "vlan=", "tagged=10,20", "horizon=mesh")
    changed = site.port("third")
    assert (changed["vlan"], changed["tagged"], changed["horizon"]) == (None, [10, 20], "mesh")
    site.ctl("set", "right", "vlan=30")
    assert site.one.ping("10.0.0.2", count=1).lost == 1  # another VLAN by now
    (summary,) = site.ctl("reload")
    assert (summary["removed"], summary["changed"]) == (["third"], ["right"])
    assert site.port("right")["vlan"] == 10
    site.one.wait_reachable("10.0.0.2")
    site.ctl("remove", "spare")
    assert site.ctl("cables") == []
    assert [port["name"] for port in site.ctl("ports")] == ["left", "right", "other"]


def test_addresses_are_forgotten_and_counters_start_anew(site: Site) -> None:
    """After a flush the FDB is empty, after a reset the counters are."""
    site.one.ip("link set eth0 down")  # nothing moves from here on
    site.two.ip("link set eth0 down")
    (flushed,) = site.ctl("flush", "lan")
    assert flushed["addresses"] >= 2
    assert site.ctl("fdb", "lan") == []
    site.ctl("reset", "left")
    assert site.port("left")["counters"]["rx_frames"] == 0
    assert site.port("right")["counters"]["rx_frames"] > 0


def test_what_is_wrong_is_told_and_changes_nothing(site: Site) -> None:
    """Faults of an option and of the file reach whoever asked, each with its place and what to do."""
    code, text = site.fails("ports", "lft")
    assert (code, "did you mean left?" in text) == (1, True)
    code, text = site.fails("add", "third", "tap,ifname=third0", "--switch", "lna", "--vlan", "10")
    assert (code, "lan" in text) == (2, True)
    code, text = site.fails("set", "left", "vlan=9999")
    assert (code, "ports.left.vlan" in text) == (2, True)
    site.file.write_text("[ports]\nleft = 7\n[switches.lan]\nage = 0\n", encoding="utf-8")
    code, text = site.fails("reload")
    assert code == 2
    assert f"{site.file}:2" in text
    assert f"{site.file}:4" in text
    assert len(site.ctl("ports")) == 4
    assert site.one.ping("10.0.0.2", count=1).lost == 0


def test_a_capture_has_the_frames_of_both_ways(site: Site, tmp_path: Path) -> None:
    """What crosses the port is in the file, in its order; it ends with the reader's descriptor."""
    file = tmp_path / "left.pcap"
    with site.host.popen(site.command("capture", "left", "-w", str(file)), name="capture") as capture:
        wait_until(lambda: file.exists() and file.stat().st_size >= 24, timeout=30, what="it captures")
        code, text = site.fails("capture", "left", "-c", "1")
        assert (code, "is captured already" in text) == (1, True)
        assert site.one.ping("10.0.0.2", count=3).lost == 0
        # Each ping is 98 octets, with 16 in front of it.
        wait_until(lambda: file.stat().st_size >= 24 + 6 * (98 + 16), timeout=30, what="it is written")
        with Client(site.control) as client:
            had = client.captured("left")
            assert (had.port, had.frames >= 6, had.missed) == ("left", True, 0)
        capture.process.send_signal(signal.SIGINT)
        assert capture.wait() == 0
    pings = [packet for packet in rdpcap(str(file)) if packet.haslayer(ICMP)]
    assert [packet[ICMP].type for packet in pings] == [8, 0] * 3
    assert [packet.time for packet in pings] == sorted(packet.time for packet in pings)
    with Client(site.control) as client:

        def again() -> bool:
            try:
                client.capture("left").close()
            except PortError:
                return False
            return True

        wait_until(again, timeout=30, what="the port can be captured again")


def test_drops_are_captured_with_their_reason(site: Site, tmp_path: Path) -> None:
    """What a port of any worker drops is in the file; wrong names are refused with the right one."""
    reserved = bytes.fromhex("0180c2000003 0200000000aa 88b5") + bytes(46)
    code, text = site.fails("capture", "--reason", "tx_ful")
    assert (code, "did you mean tx_full?" in text) == (2, True)
    code, text = site.fails("capture", "lft", "--drops")
    assert (code, "did you mean left?" in text) == (1, True)
    file = tmp_path / "drops.pcapng"
    argv = site.command("capture", "--reason", "switch_reserved", "-w", str(file), "-c", "1")
    with site.host.popen(argv, name="drops") as capture:
        wait_until(lambda: file.exists() and file.stat().st_size, timeout=30, what="it captures")
        code, text = site.fails("capture", "left", "--drops", "-c", "1")
        assert (code, "are captured already" in text) == (1, True)
        with site.one.enter(), open_port("raw,ifname=eth0") as port:
            batch = port.batch()
            batch.append(reserved)
            assert port.send(batch) == 1
        assert capture.wait(30) == 0
        assert capture.errors == "1 drops captured\n"
    assert b"dropped: switch_reserved: " in file.read_bytes()
    with file.open("rb") as written:
        assert [each.frame for each in CaptureReader(written)] == [reserved]


def test_top_shows_what_moves(site: Site) -> None:
    """The reading has the frames that were sent in its time."""
    argv = vecwire_command("top", "--socket", site.control, "--json", "-n", "1", "--interval", "2")
    with site.host.popen(argv, name="top") as watching:

        def seen() -> bool:
            site.one.ping("10.0.0.2", count=1)
            return watching.returncode is not None

        wait_until(seen, timeout=60, what="a reading")
        assert watching.wait() == 0
        (reading,) = map(json.loads, watching.output.splitlines())
    left = next(port for port in reading["ports"] if port["name"] == "left")
    assert left["per_second"]["rx_frames"] > 0
    assert left["per_second"]["tx_bits"] > 0
    assert left["batch"]["rx"] >= 1
    assert reading["service"]["pid"] == site.service.process.pid
    lines = site.host.run(
        vecwire_command("top", "--socket", site.control, "-n", "1", "--interval", "0.1")
    ).stdout.splitlines()
    assert len(lines) == 4


@pytest.mark.needs("socat", "setpriv")
def test_the_user_whom_it_becomes_may_ask(site: Site) -> None:
    """A service that gives up its privileges can be asked by its new user, and removes its path."""
    request = '{"jsonrpc": "2.0", "id": 1, "method": "status"}\n'
    nobody = ["setpriv", "--reuid=nobody", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file, control = Path(folder, "other.toml"), Path(folder, "run", "control.sock")
        file.write_text("", encoding="utf-8")
        argv = vecwire_command("run", "--user", "nobody", "--control", str(control), str(file))
        with site.host.popen(argv, name="other") as other:
            other.wait_for_text("ready\n")
            asking = [*nobody, "socat", "-t", "30", "-", f"UNIX-CONNECT:{control}"]
            told = json.loads(site.host.run(asking, stdin=request).stdout)
            assert told["result"]["pid"] == other.process.pid
            assert control.exists()
            assert other.stop() == 0
            assert not control.exists()


def test_it_ends_when_it_is_told_to(site: Site) -> None:
    """The service ends with 0 and its last counters, and its socket is gone."""
    site.ctl("stop")
    assert site.service.wait() == 0
    assert "left" in site.service.output.partition("ready\n")[2]
    code, text = site.fails("status")
    assert (code, "no service listens" in text) == (1, True)
