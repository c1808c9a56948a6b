"""`vecwire cable` in real runs: what it prints, how it ends."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from peers.command import ordinary, vecwire_command
from peers.net import Namespace, namespaces, veth, wait_until
from vecwire.wire.counters import NAMES

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from peers.background import Background


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace with both ends of a veth pair."""
    with namespaces("host") as (host,):
        veth((host, "left0"), (host, "right0"))
        yield host


def cable(host: Namespace, *arguments: str) -> Background:
    """A cable from a tap to one end of the pair, running."""
    argv = vecwire_command("cable", "tap,ifname=tap0", "raw,ifname=left0", *arguments)
    return host.popen(argv, name="cable")


def finished(host: Namespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of vecwire that has ended."""
    return host.run(vecwire_command(*arguments), check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_final_counters(host: Namespace, number: signal.Signals) -> None:
    """After `ready` a signal ends it with exit code 0, the last lines being the counters of both ports."""
    with cable(host) as running:
        running.wait_for_text("ready\n")
        running.process.send_signal(number)
        assert running.wait() == 0
        lines = running.output.splitlines()
    assert lines[0] == "ready"
    assert lines[1].split("  ")[0] == "port"
    assert [line.split("  ")[0] for line in lines[2:4]] == ["tap tap0", "raw left0"]


def test_with_json_every_line_is_an_event(host: Namespace) -> None:
    """`ready` tells what was opened, `stats` comes as often as wanted, `end` has all counters."""
    with cable(host, "--json", "--stats", "0.1", "--duration", "0.35") as running:
        assert running.wait() == 0
        events: list[dict[str, Any]] = [json.loads(line) for line in running.output.splitlines()]
    assert [event["event"] for event in events if event["event"] != "warning"] == [
        "ready",
        *["stats"] * 3,
        "end",
    ]
    ready = next(event for event in events if event["event"] == "ready")
    assert [port["transport"] for port in ready["ports"]] == ["tap", "raw"]
    assert [port["ifname"] for port in ready["ports"]] == ["tap0", "left0"]
    assert all(port["up"] for port in ready["ports"])
    for port in events[-1]["ports"]:
        assert set(port["counters"]) == set(NAMES)


def test_frames_flow_and_are_counted(host: Namespace) -> None:
    """What is sent into one port's interface leaves through the other's, and the final counters say so."""
    with namespaces("far") as (far,):
        veth((host, "near1"), (far, "far1"), addresses_b=["10.0.0.2/24"])
        specs = ["tap,ifname=tap1", "raw,ifname=near1"]
        with host.popen(vecwire_command("cable", "--json", *specs), name="cable") as running:
            running.wait_for_event("ready")
            host.up("tap1", "10.0.0.1/24")
            host.wait_reachable("10.0.0.2")
            assert host.ping("10.0.0.2", count=5).lost == 0
            assert running.stop() == 0
            tap, raw = running.events()[-1]["ports"]
        assert tap["counters"]["rx_frames"] >= 5
        assert raw["counters"]["tx_frames"] >= 5
        assert raw["counters"]["rx_frames"] >= 5


def test_statistics_in_a_pipe_are_lines_of_a_log(host: Namespace) -> None:
    """Without a terminal each reading is a line for each port."""
    with cable(host, "--stats", "0.1", "--duration", "0.15") as running:
        assert running.wait() == 0
        lines = running.output.splitlines()
    assert [line.partition("  ")[2].partition(":")[0] for line in lines[1:3]] == ["tap tap0", "raw left0"]


def test_statistics_on_a_terminal_are_a_table_in_place(host: Namespace) -> None:
    """On a terminal the table is drawn over and over at one place, and gone at the end."""
    command = vecwire_command(
        "cable", "tap,ifname=tap0", "raw,ifname=left0", "--stats", "0.1", "--duration", "0.25"
    )
    script = f"import pty, sys; sys.exit(pty.spawn({command!r}) >> 8)"
    done = host.run([sys.executable, "-c", script])
    assert (
        done.stdout.count("\x1b[?25l") == done.stdout.count("\x1b[?25h") == 1
    )  # the cursor hidden, and back
    assert done.stdout.count("rx rate") >= 2
    assert done.stdout.count("rx average") == 1


def test_a_wrong_spec_is_shown_with_a_caret(host: Namespace) -> None:
    """The exit code is 2, the place is marked, and nothing was opened."""
    done = finished(host, "cable", "tap,ifname=tap0", "raw,ifnam=left0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[1:] == ["  raw,ifnam=left0", "      ^^^^^"]


def test_both_specs_are_checked_before_one_is_opened(host: Namespace) -> None:
    """The error is the second spec's, although the first names an interface that is not there."""
    done = finished(host, "cable", "raw,ifname=nothere", "tap")
    assert (done.returncode, "ifname" in done.stderr) == (2, True)


def test_a_missing_interface_is_a_failure(host: Namespace) -> None:
    """The exit code is 1, with the interface's name and what to do."""
    done = finished(host, "cable", "tap,ifname=tap0", "raw,ifname=nothere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothere" in done.stderr
    assert "remedy: " in done.stderr


@pytest.mark.parametrize("spec", ["raw,ifname=lo", "tap,ifname=tap0", "gre,src=127.0.0.1,dst=127.0.0.2"])
def test_what_is_not_permitted_is_told_with_a_remedy(host: Namespace, spec: str) -> None:
    """An ordinary user gets 77 and what to do, whatever it is that is not allowed."""
    done = host.run(ordinary(vecwire_command("cable", spec, "bess,listen=@vecwire-test")), check=False)
    assert (done.returncode, done.stdout) == (77, "")
    assert "remedy: " in done.stderr


def test_an_ordinary_user_can_have_a_cable(host: Namespace) -> None:
    """What needs no privilege works without: a tunnel over UDP and a Unix socket."""
    tunnel = "l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.2,srcport=1701,dstport=1702,rx_session=1,tx_session=2"
    argv = ordinary(vecwire_command("cable", tunnel, "bess,listen=@vecwire-test", "--json"))
    with host.popen(argv, name="cable") as running:
        ready = running.wait_for_event("ready")
        assert [port["up"] for port in ready["ports"]] == [True, False]  # a client is waited for
        assert running.stop() == 0


def test_a_signal_while_opening_ends_it_too(host: Namespace) -> None:
    """A cable that is still opening ends cleanly, having closed what it had opened."""
    with namespaces("gone") as (gone,):
        # The second port is opened in a thread of its own; the signal comes before, in between or after.
        specs = ["tap,ifname=tap2", f"tap,ifname=tap3,netns={gone.name}"]
        with host.popen(vecwire_command("cable", *specs), name="cable") as running:
            wait_until(lambda: _has(host, "tap2"), timeout=10, what="the first port is open", interval=0.001)
            running.process.send_signal(signal.SIGTERM)
            assert running.wait() == 0, running.describe()
        assert not _has(host, "tap2")


def _has(host: Namespace, link: str) -> bool:
    return host.run(["ip", "link", "show", "dev", link], check=False).returncode == 0
