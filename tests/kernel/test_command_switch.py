"""`vecwire switch` in real runs: what it prints, what it passes, how it ends."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from peers.command import ordinary, vecwire_command
from peers.net import Namespace, namespaces, wait_until
from vecwire.wire.counters import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background

TAPS = ["tap,ifname=tap0", "tap,ifname=tap1", "bess,listen=@guest"]


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace to run it in."""
    with Namespace("host") as made:
        yield made


def switch(host: Namespace, *arguments: str) -> Background:
    """A switch of two taps and a client to come, running."""
    return host.popen(vecwire_command("switch", *TAPS, *arguments), name="switch")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_final_counters(host: Namespace, number: signal.Signals) -> None:
    """After `ready` a signal ends it with exit code 0, the last lines being the counters of all ports."""
    with switch(host) as running:
        running.wait_for_text("ready\n")
        running.process.send_signal(number)
        assert running.wait() == 0
        lines = running.output.splitlines()
    assert lines[0] == "ready"
    names = [line.split("  ")[0] for line in lines[2:5]]
    assert names == ["tap tap0", "tap tap1", "bess @guest (waiting)"]


def test_with_json_every_line_is_an_event(host: Namespace) -> None:
    """`ready` tells what was opened, `stats` comes as often as wanted, `end` has all counters."""
    with switch(host, "--json", "--stats", "0.1", "--duration", "0.35") as running:
        assert running.wait() == 0
        events: list[dict[str, Any]] = [json.loads(line) for line in running.output.splitlines()]
    told = [event for event in events if event["event"] != "warning"]
    assert [event["event"] for event in told] == ["ready", *["stats"] * 3, "end"]
    assert [(port["transport"], port["up"]) for port in told[0]["ports"]] == [
        ("tap", True),
        ("tap", True),
        ("bess", False),
    ]
    for port in told[-1]["ports"]:
        assert set(port["counters"]) == set(NAMES)


def test_hosts_reach_each_other_through_it(host: Namespace) -> None:
    """Pings between three hosts pass, and what one says to another the third does not hear."""
    with namespaces("h1", "h2", "h3", ipv6=False) as hosts:
        specs = [f"tap,ifname=tap0,netns={each.name}" for each in hosts]
        command = vecwire_command("switch", "--json", "--age", "60", "--addresses", "100", *specs)
        with host.popen(command, name="switch") as running:
            running.wait_for_event("ready")
            for number, each in enumerate(hosts, 1):
                each.up("tap0", f"10.0.0.{number}/24")
            for each in hosts:
                for number in range(1, 4):
                    each.wait_reachable(f"10.0.0.{number}")
            assert hosts[0].ping("10.0.0.2", count=200, interval=0.002).lost == 0
            assert running.stop() == 0
            counters = [port["counters"] for port in running.events()[-1]["ports"]]
    assert counters[0]["tx_frames"] >= 200
    assert counters[1]["rx_frames"] >= 200
    assert counters[2]["tx_frames"] < 50
    assert all(each["switch_learned"] >= 1 for each in counters)


def test_a_port_that_is_lost_comes_back(host: Namespace) -> None:
    """A client that goes and comes again is served, which the events tell."""
    with switch(host, "--json", "--stats", "0.1") as running:
        running.wait_for_event("ready")
        client = vecwire_command("cable", "bess,dst=@guest", "tap,ifname=client0", "--json")

        def up() -> bool:
            ports = running.events()[-1]["ports"]
            return bool(ports[2]["up"])

        for _ in range(2):
            with host.popen(client, name="client") as guest:
                guest.wait_for_event("ready")
                wait_until(up, timeout=10, what="the client is served")
                guest.stop()
            wait_until(lambda: not up(), timeout=10, what="the client has gone")
        assert running.stop() == 0
        assert running.events()[-1]["ports"][2]["counters"]["recovered"] == 2


def test_errors_are_told_before_anything_is_opened(host: Namespace) -> None:
    """Less than two specs, a wrong one or a bad number end it with 2; what is missing with 1."""
    for code, arguments, text in (
        (2, ["tap,ifname=tap0"], "two ports"),
        (2, [], "SPEC"),
        (2, ["tap,ifname=tap0", "tap,ifname=tap1", "raw,ifnam=x"], "^^^^^"),
        (2, ["tap,ifname=tap0", "tap,ifname=tap1", "--age", "0"], "--age"),
        (2, ["tap,ifname=tap0", "tap,ifname=tap1", "--addresses", "0"], "--addresses"),
        (1, ["tap,ifname=tap0", "raw,ifname=nothere"], "nothere"),
    ):
        done = host.run(vecwire_command("switch", *arguments), check=False)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ordinary_user_can_have_a_switch(host: Namespace) -> None:
    """What needs no privilege works without; what does is told with a remedy."""
    specs = ["bess,listen=@one", "bess,listen=@two"]
    with host.popen(ordinary(vecwire_command("switch", *specs, "--json")), name="switch") as running:
        running.wait_for_event("ready")
        assert running.stop() == 0
    done = host.run(ordinary(vecwire_command("switch", *specs, "raw,ifname=lo")), check=False)
    assert done.returncode == 77
    assert "remedy: " in done.stderr
