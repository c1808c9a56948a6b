"""Frames that wait when a peer goes, when nobody receives, or a port is closed: none is lost uncounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.accounting import accounted
from peers.frames import fill, frame, ours
from peers.lan import links, send_all
from peers.net import wait_until
from peers.ports import joined

if TYPE_CHECKING:
    from vecwire import Port

COUNT = 100
MOST = 1_000_000


def received(port: Port, count: int) -> list[bytes]:
    """What a port has to give, at most so many frames."""
    batch = port.batch()
    found: list[bytes] = []
    while len(found) < count and port.recv(batch):
        found += [bytes(each) for each in batch]
    return found


@pytest.mark.parametrize("notice", ["receiving", "sending"])
def test_what_a_peer_sent_before_it_left_is_received(notice: str) -> None:
    """A client that leaves with frames unread does not take back those that it has sent."""
    sent = [frame(number) for number in range(COUNT)]
    with joined("bess") as pair:
        client, server = pair.left, pair.right
        send_all(server, [frame(0)])
        send_all(client, sent)
        client.close()
        if notice == "sending":
            batch = server.batch()
            fill(batch, [frame(1)])
            server.send(batch)
        assert received(server, COUNT) == sent
        assert server.recv(server.batch()) == 0
        assert (server.stats.rx_frames, server.stats.lost, server.info.up) == (COUNT, 1, False)


def test_what_a_peer_sent_before_it_left_goes_on_through_a_cable() -> None:
    """A worker that finds a client gone by sending to it still moves what the client has sent."""
    sent = [frame(number) for number in range(COUNT)]
    with links(2) as (ports, stations):
        leaver, other = stations
        send_all(other, [frame(0)] * COUNT)
        send_all(leaver, sent)
        leaver.close()
        # The one by which the loss is noticed comes first.
        with vecwire.Cable(ports[1], ports[0]):
            wait_until(
                lambda: ports[0].stats.lost, timeout=10, what="the worker sees that the client is gone"
            )
            wait_until(lambda: ports[1].stats.tx_frames >= COUNT, timeout=10, what="its frames have gone on")
        assert received(other, COUNT) == sent


@pytest.mark.parametrize("kind", ["raw", "gre", "l2tpv3-udp", "l2tpv3-ip-cookies"])
def test_frames_that_the_kernel_drops_in_front_of_a_port_are_counted(kind: str) -> None:
    """What was sent while nobody received is received later, or counted as missed: every frame of it."""
    with joined(kind, ",gro=0") as pair:
        sent = 0
        while not pair.right.stats.rx_missed:
            assert sent < MOST, "the kernel keeps all"
            send_all(pair.left, [frame(sent + number, 1400) for number in range(64)])
            sent += 64
        batch, came = pair.right.batch(), 0
        while pair.right.wait(0.2):
            pair.right.recv(batch)
            came += sum(ours(each) for each in batch)
        stats = pair.right.stats
        assert came + stats.rx_missed == sent
        assert stats.rx_dropped == stats.rx_missed
        assert stats.dropped == stats.rx_missed
    assert pair.right.stats.rx_missed == stats.rx_missed


def test_frames_that_are_held_when_a_port_is_closed_are_counted() -> None:
    """Frames that a closed port had not sent yet are dropped and counted, like all others."""
    with links(2) as (ports, stations):
        with vecwire.Cable(*ports):
            while not ports[1].stats.tx_held:
                send_all(stations[0], [frame(number) for number in range(64)])
        ports[1].close()
        assert ports[1].stats.tx_down
        assert accounted(ports[1].stats) == ports[0].stats.rx_frames
