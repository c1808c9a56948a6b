"""`vecwire blast` and `vecwire sink` in real runs: what they print, how they end, and what limits do."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from peers.command import vecwire_command
from peers.net import Namespace, namespaces, veth
from vecwire.path.tally import MEANINGS
from vecwire.traffic.sink import LATENCIES

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from peers.background import Background


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace with both ends of a veth pair, silent."""
    with namespaces("host", ipv6=False) as (host,):
        veth((host, "left0"), (host, "right0"))
        yield host


def sink(host: Namespace, *arguments: str) -> Background:
    """A sink that runs."""
    running = host.popen(vecwire_command("sink", "raw,ifname=right0", *arguments), name="sink")
    running.wait_for_text("ready")
    return running


def blast(host: Namespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A blast that has ended."""
    return host.run(vecwire_command("blast", "raw,ifname=left0", *arguments), check=False)


def events(text: str) -> list[dict[str, Any]]:
    """The events of a run with --json, warnings left out."""
    found = [json.loads(line) for line in text.splitlines()]
    return [event for event in found if event["event"] != "warning"]


def test_one_hears_all_that_the_other_sends(host: Namespace) -> None:
    """Events of both agree, and have what is promised."""
    with sink(host, "--json", "--once", "--max-loss", "0", "--max-latency", "30s") as running:
        sent = blast(
            host,
            "--json",
            "--rate",
            "2000",
            "--count",
            "500",
            "--flows",
            "4",
            "--size",
            "imix",
            "--vlan",
            "9",
        )
        assert running.wait() == 0
        heard = events(running.output)
    told = events(sent.stdout)
    assert [event["event"] for event in told] == [event["event"] for event in heard] == ["ready", "end"]
    assert (told[-1]["frames"], told[-1]["flows"], told[-1]["dropped"]) == (500, 4, 0)
    assert set(MEANINGS) < set(heard[-1])
    assert heard[-1]["received"] == heard[-1]["expected"] == 500
    assert heard[-1]["octets"] == told[-1]["octets"]
    assert set(heard[-1]["latency"]) == set(LATENCIES)
    assert heard[-1]["broken"] == []


def test_a_broken_limit_is_a_failure(host: Namespace) -> None:
    """The exit code is 1 and standard error says which limit, and by how much."""
    with sink(host, "--count", "20", "--max-latency", "p50=1ns", "--max-loss", "0") as running:
        blast(host, "--count", "20")
        assert running.wait() == 1
        assert running.errors.startswith("vecwire: latency: p50 is ")
        assert running.errors.rstrip().endswith("more than --max-latency p50=1ns")
        assert "\nlost " in running.output


def test_silence_breaks_any_limit(host: Namespace) -> None:
    """A test of a link that carries nothing fails; without a limit it is a result like another."""
    with sink(host, "--duration", "0.1", "--max-loss", "50%") as running:
        assert running.wait() == 1
        assert running.errors == "vecwire: no frame of a blast came\n"
    with sink(host, "--duration", "0.1") as running:
        assert running.wait() == 0


@pytest.mark.parametrize("name", ["blast", "sink"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_result(host: Namespace, name: str, number: signal.Signals) -> None:
    """After `ready` a signal ends it with exit code 0 and the table."""
    with host.popen(vecwire_command(name, "raw,ifname=left0"), name=name) as running:
        running.wait_for_text("ready\n")
        running.process.send_signal(number)
        assert running.wait() == 0
        lines = running.output.splitlines()
    assert lines[0] == "ready"
    assert lines[1].split()[0] == {"blast": "sent", "sink": "received"}[name]


def test_in_a_pipe_each_reading_is_a_line(host: Namespace) -> None:
    """Without a terminal, both say how far they are in a line as often as wanted."""
    with sink(host, "--stats", "0.1", "--once") as running:
        sent = blast(host, "--stats", "0.1", "--duration", "0.5")
        assert running.wait() == 0
        heard = running.output.splitlines()
    assert [line for line in sent.stdout.splitlines() if " sent " in line and "frames/s" in line]
    assert [line for line in heard if " received " in line and "reordered" in line]


@pytest.mark.parametrize("name", ["blast", "sink"])
def test_on_a_terminal_it_is_a_table_in_place(host: Namespace, name: str) -> None:
    """On a terminal the table is drawn over and over at one place, and gone at the end."""
    command = vecwire_command(name, "raw,ifname=left0", "--stats", "0.1", "--duration", "0.6")
    script = f"import pty, sys; sys.exit(pty.spawn({command!r}) >> 8)"
    done = host.run([sys.executable, "-c", script])
    assert done.stdout.count("\x1b[?25l") == done.stdout.count("\x1b[?25h") == 1
    assert done.stdout.count("rate") >= 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blast", "raw,ifname=left0", "--rate", "fast"], "'fast' is no rate"),
        (["blast", "raw,ifname=left0", "--size", "59"], "sizes are 60 to"),
        (["blast", "raw,ifname=left0", "--size", "1515"], "takes frames of 1514 octets"),
        (["blast", "raw,ifname=left0", "--frames", "tcp"], "frames are udp4"),
        (["blast", "raw,ifname=left0", "--source", "10.0.0.1"], "both --source and"),
        (["sink", "raw,ifname=left0", "--max-loss", "few"], "--max-loss is a share"),
        (["sink", "raw,ifname=left0", "--max-latency", "5"], "--max-latency is a time"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_told(host: Namespace, arguments: list[str], said: str) -> None:
    """A wrong option is a wrong command line: exit code 2, and what would be right."""
    done = host.run(vecwire_command(*arguments), check=False)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "sent" not in done.stdout


def test_other_addresses_are_used(host: Namespace) -> None:
    """What is given for addresses and port is in the frames, and a sink reads them all the same."""
    with sink(host, "--once", "--json", "--max-loss", "0") as running:
        addresses = ["--source", "10.1.0.1", "--destination", "10.2.0.1", "--port", "4000"]
        macs = ["--source-mac", "02:00:00:00:00:01", "--destination-mac", "ff:ff:ff:ff:ff:ff"]
        assert blast(host, "--count", "5", *addresses, *macs).returncode == 0
        assert running.wait() == 0
