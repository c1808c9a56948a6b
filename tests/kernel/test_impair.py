"""Ports that impair what they send: with real pings through a switch, and by their own calls."""

from __future__ import annotations

import contextlib
import re
import select
import statistics
import time
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import fill, frame, ours, super_frame
from peers.lan import PATIENCE, address, lan, links, send_all
from peers.net import Namespace, namespaces, ping_command, veth, wait_until
from peers.ports import joined
from vecwire import Impairment
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Port
    from vecwire.transports import TransportPort

DELAY = 0.05
PINGS = 20


@pytest.fixture
def hosts() -> Iterator[list[Namespace]]:
    """Three hosts on a switch; what it sends to the second is delayed."""
    with contextlib.ExitStack() as stack:
        middle, *outer = stack.enter_context(namespaces("middle", "one", "two", "three", ipv6=False))
        switch = vecwire.Switch()
        for number, host in enumerate(outer):
            veth((middle, f"to{number}"), (host, "eth0"), addresses_b=[f"10.3.0.{number + 1}/24"])
            options = f",delay={DELAY * 1000:g}ms" if number == 1 else ""
            with middle.enter():
                port = vecwire.open(f"raw,ifname=to{number}{options}")
            switch.add(stack.enter_context(port))
        stack.enter_context(switch)
        yield outer


def round_trips(output: str) -> list[float]:
    """What ping tells of each answer, in seconds."""
    return [float(found) / 1000 for found in re.findall(r"time=([0-9.]+) ms", output)]


def test_a_delay_of_one_port_is_no_other_ports(hosts: list[Namespace]) -> None:
    """While pings to one host take the delay and more, those to another take what they took before."""
    hosts[0].wait_reachable("10.3.0.2")
    hosts[0].wait_reachable("10.3.0.3")

    def pinged(*ends: int) -> list[list[float]]:
        """The round trips to hosts that are pinged at the same time."""
        pings = [
            hosts[0].popen(
                [word for word in ping_command(f"10.3.0.{end}", count=PINGS, interval=0.02) if word != "-q"]
            )
            for end in ends
        ]
        for ping in pings:
            assert ping.wait(PATIENCE) == 0, ping.describe()
        found = [round_trips(ping.output) for ping in pings]
        assert [len(each) for each in found] == [PINGS] * len(ends)
        return found

    (before,) = pinged(3)
    late, prompt = pinged(2, 3)
    assert min(late) >= DELAY
    # A tenth of the delay: far more than a machine's noise, far less than any share of it.
    assert statistics.median(prompt) < statistics.median(before) + DELAY / 10


def test_a_switch_sends_late_and_in_order() -> None:
    """Frames through an impaired port of a switch all arrive, in order, after the delay."""
    with lan(3) as net:
        net.introduce()
        net.ports[1].impair(Impairment(delay=0.01))
        begun = time.monotonic()
        frames = [frame(number, source=address(0), destination=address(1)) for number in range(300)]
        send_all(net.stations[0], frames)
        assert net.hear(1, 300) == frames
        assert time.monotonic() - begun >= 0.01
        assert net.ports[1].stats.tx_delayed == 300


def test_what_is_lost_and_doubled_is_accounted_for() -> None:
    """Of what a switch sends through an impaired port each frame is sent, lost, doubled, or waits."""
    with lan(2) as net:
        net.introduce()
        net.ports[1].impair(Impairment(loss=0.2, duplicate=0.2, delay=0.001, jitter=0.001, seed=4))
        frames = [frame(number, source=address(0), destination=address(1)) for number in range(500)]
        send_all(net.stations[0], frames)

        def settled() -> bool:
            stats = net.ports[1].stats
            gone = stats.tx_frames + stats.tx_lost - stats.tx_duplicated
            return stats.tx_lost > 0 and stats.tx_duplicated > 0 and gone >= 500

        wait_until(settled, timeout=PATIENCE, what="all frames are lost or sent")
        stats = net.ports[1].stats
        net.hear(1, stats.tx_frames - 1)
        assert stats.tx_limit == 0


def test_an_impairment_is_changed_while_frames_move() -> None:
    """Frames that wait when it ends leave at once, and what comes after them is not delayed."""
    with lan(2) as net:
        net.introduce()
        port = net.ports[1]
        port.impair(Impairment(delay=1000.0))
        assert port.info.spec.endswith(",delay=1000s")
        frames = [frame(number, source=address(0), destination=address(1)) for number in range(20)]
        send_all(net.stations[0], frames[:10])
        wait_until(lambda: port.channel.late == 10, timeout=PATIENCE, what="they wait")
        port.impair(Impairment())
        assert not port.impairment
        send_all(net.stations[0], frames[10:])
        assert net.hear(1, 20) == frames


def test_a_limit_is_kept() -> None:
    """What finds as many frames waiting as may is dropped, and counted."""
    with lan(2) as net:
        net.introduce()
        port = net.ports[1]
        port.impair(Impairment(delay=1000.0, limit=5))
        frames = [frame(number, source=address(0), destination=address(1)) for number in range(12)]
        send_all(net.stations[0], frames)
        wait_until(lambda: port.stats.tx_limit == 7, timeout=PATIENCE, what="the rest is dropped")
        assert port.channel.late == 5


@contextlib.contextmanager
def late_pair() -> Iterator[tuple[TransportPort, TransportPort]]:
    """A port that sends late, and the other end."""
    with links(1, ",delay=30ms") as ((port,), (station,)):
        yield port, station


def received(port: Port) -> list[bytes]:
    """What a port receives now."""
    batch = port.batch()
    port.recv(batch)
    return [bytes(each) for each in batch if ours(each)]


def test_a_ports_own_calls_send_what_is_due() -> None:
    """``send`` takes a frame that waits; ``wait`` sends it when it is due, and goes on waiting."""
    with late_pair() as (port, station):
        batch = port.batch()
        fill(batch, [frame(1), frame(2)])
        begun = time.monotonic()
        assert port.send(batch) == 2
        assert port.stats.tx_frames == 0
        assert not port.wait(0.06)
        assert station.wait(PATIENCE)
        assert time.monotonic() - begun >= 0.03
        assert received(station) == [frame(1), frame(2)]


def test_the_descriptor_tells_of_frames_that_are_due() -> None:
    """Who waits for a port by its descriptor alone is woken when a frame is due, and ``recv`` sends it."""
    with late_pair() as (port, station):
        descriptor = port.fileno()
        batch = port.batch()
        fill(batch, [frame(1)])
        port.send(batch)
        begun = time.monotonic()
        while not station.wait(0):
            assert time.monotonic() - begun < PATIENCE
            select.select([descriptor], [], [], PATIENCE)
            assert received(port) == []
        assert received(station) == [frame(1)]
        assert select.select([descriptor], [], [], 0)[0] == []


def test_closing_counts_what_waits() -> None:
    """Frames that are delayed when a port is closed are counted as dropped."""
    with late_pair() as (port, _):
        batch = port.batch()
        fill(batch, [frame(1)])
        port.send(batch)
        port.close()
        assert (port.stats.tx_down, port.channel.late) == (1, 0)


def test_a_lost_segment_is_not_its_super_frame() -> None:
    """A super-frame loses segments, not all of it, and those that arrive are right."""
    octets, header, _ = super_frame()
    made = segments(octets, header)
    assert made is not None
    with joined("tap") as ends:
        ends.left.impair(Impairment(loss=0.3, seed=3))  # type: ignore[attr-defined]
        batch = ends.left.batch()
        batch.append(octets, header)
        assert ends.left.send(batch) == 1
        stats = ends.left.stats
        assert stats.tx_segments == len(made)
        assert stats.tx_frames + stats.tx_lost == len(made)
        assert 0 < stats.tx_lost < len(made)
        found: list[bytes] = []

        def all_came() -> bool:
            into = ends.right.batch()
            ends.right.recv(into)
            found.extend(bytes(each) for each in into if bytes(each) in made)
            return len(found) == stats.tx_frames

        wait_until(all_came, timeout=PATIENCE, what="the other segments arrive")
        assert [each for each in made if each in found] == found
