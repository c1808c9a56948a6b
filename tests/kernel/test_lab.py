"""A switch of 64 ports of every transport: what a lab or a fleet of guests would ask of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from peers.hosts import ATTACHED_BY
from peers.lab import Lab, Pinger, lab
from peers.net import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = 64
ROUNDS = 500


@pytest.fixture(scope="module")
def many() -> Iterator[Lab]:
    """Hosts attached by every transport in turn."""
    kinds = list(itertools.islice(itertools.cycle(ATTACHED_BY), HOSTS))
    with lab(kinds) as made:
        yield made


def addresses(lab: Lab, *, without: int) -> list[str]:
    """The addresses of all hosts but one."""
    return [f"10.9.0.{number}" for number in lab.hosts if number != without]


@pytest.mark.timeout(300)
def test_everybody_reaches_everybody(many: Lab) -> None:
    """Each of 64 hosts asks all others once, by whatever transport, and every question is answered."""
    for number, host in many.hosts.items():
        if number % 5 == 0:
            many.forget_neighbours()
        with Pinger(host) as pinger:
            others = addresses(many, without=number)
            pinger.ask(others)
            assert pinger.answers(len(others)) == set(others), f"asked by host {number}"
    drops = {
        state.name: {name: count for name, count in state.counters.items() if count and "full" in name}
        for state in many.service.port_states()
    }
    assert not any(drops.values()), drops


def test_after_learning_a_flow_reaches_no_third_port(many: Lab) -> None:
    """Of a flow between two hosts at most one frame in a hundred leaves through any other port."""
    with Pinger(many.hosts[1]) as pinger:
        pinger.ask(["10.9.0.2"])
        assert pinger.answers(1)
        before = many.sent()
        for number in range(2, ROUNDS + 2):
            pinger.ask(["10.9.0.2"], number)
            assert pinger.answers(1, number)
        after = many.sent()
    grown = {name: after[name] - before[name] for name in after}
    assert grown.pop("port1") >= ROUNDS
    assert grown.pop("port2") >= ROUNDS
    assert sum(grown.values()) <= 2 * ROUNDS // 100, grown


def test_an_idle_lab_sleeps(many: Lab) -> None:
    """With 64 ports and nothing to do, the worker is woken only by what hosts say of themselves."""
    engine = many.service._engines[0]

    def quiet() -> bool:
        before = engine.wakeups
        with Pinger(many.hosts[1]) as pinger:
            pinger.ask(["10.9.0.2"])
            assert pinger.answers(1)
        return engine.wakeups - before <= 8

    wait_until(quiet, timeout=20, what="a question and its answer wake the worker a few times")


@pytest.mark.timeout(300)
def test_a_host_that_makes_up_addresses_spoils_nothing_for_others(many: Lab) -> None:
    """While one host sends from a million addresses, frames between others still go to one port each."""
    with Pinger(many.hosts[1]) as pinger, Pinger(many.hosts[2]) as back:
        pinger.ask(["10.9.0.2"])
        assert pinger.answers(1)
        back.ask(["10.9.0.1"])
        assert back.answers(1)
        flood(many, 1_000_000)
        state = many.service.switch_states()[0]
        assert state.addresses < state.capacity
        before = many.sent()
        for number in range(2, ROUNDS + 2):
            pinger.ask(["10.9.0.2"], number)
            assert pinger.answers(1, number)
        grown = {name: count - before[name] for name, count in many.sent().items()}
        others = sum(count for name, count in grown.items() if name not in {"port1", "port2"})
    assert others <= 2 * ROUNDS // 100, grown
    assert many.service.port_states("port8")[0].counters["switch_unlearned"] > 0


def flood(lab: Lab, count: int) -> None:
    """Has host 8, which is attached by raw, send frames from so many addresses to one that is known."""
    import vecwire  # noqa: PLC0415 # the port is of this test alone

    host = lab.hosts[8]
    assert "raw" in host.spec
    with vecwire.open(f"raw,ifname={host.link},netns={host.namespace.name}") as port:
        batch = port.batch()
        mine = bytes.fromhex(host.namespace.link(host.link)["address"].replace(":", ""))
        done = 0
        while done < count:
            batch.clear()
            for number in range(done, min(done + batch.depth, count)):
                # To an address behind the very port: the switch learns, and passes nothing on.
                batch.append(mine + b"\x06\x00" + number.to_bytes(4) + b"\x88\xb5" + bytes(46))
            first = 0
            while first < len(batch):
                first += port.send(batch, first) or (port.wait(1, write=True) and 0)
            done += len(batch)

    def arrived() -> bool:
        counters = lab.service.port_states("port8")[0].counters
        return counters["switch_learned"] + counters["switch_unlearned"] >= count // 2

    wait_until(arrived, timeout=60, what="the switch has seen the addresses")
