"""Record sockets among liars: what a client or a server of `bess` can do wrong, and who notices."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.accounting import cable
from peers.frames import frame, ours
from peers.lan import Stream, address, balanced, links, send_all
from peers.liars import Hearing, hearing, honest, lying, repeated, told
from peers.net import Namespace, open_descriptors, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire.transports import TransportPort

TIMES = 5
PATIENCE = 10.0
NAME = f"vecwire-liar-{os.getpid()}"


def record_socket() -> socket.socket:
    """A socket of a peer's own, which does not wait for ever."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.settimeout(PATIENCE)
    return made


def join(peer: socket.socket, port: TransportPort) -> None:
    """Connects a client to a port that serves, and waits until it is served."""
    peer.connect(f"\0{NAME}")
    wait_until(lambda: port.info.up, timeout=PATIENCE, what="the client is served")


@contextlib.contextmanager
def client(options: str = "") -> Iterator[tuple[Hearing, socket.socket]]:
    """A port that serves, and the client who lies to it."""
    with record_socket() as peer, hearing(f"bess,listen=@{NAME}{options}", peer.send) as ears:
        join(peer, ears.port)
        yield ears, peer


@contextlib.contextmanager
def server(options: str = "") -> Iterator[tuple[Hearing, socket.socket]]:
    """A port that is a client, and the server that lies to it."""
    with record_socket() as door:
        door.bind(f"\0{NAME}")
        door.listen(1)
        with hearing(f"bess,dst=@{NAME}{options}", door.send) as ears, door.accept()[0] as peer:
            ears.say = peer.send
            yield ears, peer


EITHER = pytest.mark.parametrize("end", [client, server])


@EITHER
@pytest.mark.parametrize("length", range(1, 14))
def test_a_record_shorter_than_a_header_is_a_runt(end: type, length: int) -> None:
    """Records of fewer octets than an Ethernet header are dropped and counted, one by one."""
    with end() as (ears, peer):
        lie = lying()[:length]
        assert ears.among(*repeated([lambda: peer.send(lie)], TIMES)) == {"rx_runt": TIMES}


@EITHER
@pytest.mark.parametrize("options", ["", ",vec=0", ",depth=1"])
def test_an_empty_record_is_a_runt_and_not_the_end(end: type, options: str) -> None:
    """A peer that sends empty records and stays is still heard: nothing is lost, nobody is reconnected."""
    with end(options) as (ears, peer):
        assert ears.among(*repeated([lambda: peer.send(b"")], TIMES)) == {"rx_runt": TIMES}
        # Many at once, and nothing behind them.
        before = ears.port.stats
        for _ in range(200):
            peer.send(b"")
        wait_until(
            lambda: (ears.port.stats - before).rx_runt == 200, timeout=PATIENCE, what="all are counted"
        )
        assert told(before, ears.port.stats) == {"rx_runt": 200}
        assert ears.among() == {}


def test_empty_records_before_the_end_do_not_hide_it() -> None:
    """A client that leaves behind empty records has left, and what it sent before them has arrived."""
    with client() as (ears, peer):
        before = ears.port.stats
        for octets in (honest(1), b"", honest(2), b"", b""):
            peer.send(octets)
        peer.close()
        assert [ears.sink.recv(2048) for _ in range(2)] == [honest(1), honest(2)]
        wait_until(lambda: ears.port.stats.lost == 1, timeout=PATIENCE, what="the client is gone")
        counted = told(before, ears.port.stats)
        assert counted.pop("rx_runt", 0) <= 3
        assert counted == {"lost": 1}
        with record_socket() as following:
            following.connect(f"\0{NAME}")
            following.send(honest(3))
            assert ears.sink.recv(2048) == honest(3)


@EITHER
def test_a_record_of_64_kilobytes_is_too_long(end: type) -> None:
    """With `gro=0` a record far longer than the MTU allows is dropped whole."""
    with end(",gro=0") as (ears, peer):
        lie = lying() + bytes(65_000)
        assert ears.among(*repeated([lambda: peer.send(lie)], TIMES)) == {"rx_truncated": TIMES}


@EITHER
def test_a_record_longer_than_any_frame_is_too_long(end: type) -> None:
    """Without it a record of more than 64 KB, which no slot holds, is dropped whole where it comes in."""
    with end() as (ears, peer):
        lie = lying() + bytes(200_000)
        assert ears.among(*repeated([lambda: peer.send(lie)], TIMES)) == {"rx_truncated": TIMES}


def test_a_frame_too_long_for_the_way_out_is_dropped_there() -> None:
    """Without it a shorter frame is received, and dropped by the port whose link cannot carry it."""
    with (
        Namespace("narrow", ipv6=False) as narrow,
        narrow.enter(),
        contextlib.ExitStack() as stack,
        record_socket() as peer,
    ):
        veth((narrow, "left0"), (narrow, "right0"))
        port, out, far = (
            stack.enter_context(vecwire.open(spec))
            for spec in (f"bess,listen=@{NAME}", "raw,ifname=left0", "raw,ifname=right0")
        )
        stack.enter_context(cable(port, out))
        join(peer, port)
        before = port.stats, out.stats
        came: list[bytes] = []
        batch = far.batch()
        for number in range(TIMES):
            peer.send(lying() + bytes(20_000))
            peer.send(honest(number))

        def arrived() -> bool:
            far.recv(batch)
            came.extend(bytes(each) for each in batch if ours(each))
            return len(came) >= TIMES

        wait_until(arrived, timeout=PATIENCE, what="honest frames arrive")
        assert came == [honest(number) for number in range(TIMES)]
        assert told(before[0], port.stats) == {}
        assert told(before[1], out.stats) == {"tx_too_big": TIMES}


@EITHER
@pytest.mark.parametrize("options", ["", ",timestamps=1"])
def test_descriptors_sent_along_are_not_taken(end: type, options: str) -> None:
    """A peer cannot leave descriptors in the process, and the records that bring them are frames."""
    with end(options) as (ears, peer), record_socket() as bait:
        before, descriptors = ears.port.stats, set(open_descriptors())
        for number in range(50):
            socket.send_fds(peer, [honest(number)], [bait.fileno()] * 10)
            assert ears.sink.recv(2048) == honest(number)
        assert set(open_descriptors()) <= descriptors
        assert told(before, ears.port.stats) == {}


def test_clients_that_come_and_go_are_counted_and_forgotten() -> None:
    """Whoever connects and leaves at once costs one `lost`, no descriptor, and keeps nobody out for good."""
    with client() as (ears, peer):
        descriptors = len(open_descriptors())
        peer.close()
        for number in range(TIMES):
            wait_until(lambda: ears.port.stats.lost > number, timeout=PATIENCE, what="it is gone")  # noqa: B023
            with record_socket() as passing:
                passing.connect(f"\0{NAME}")
                passing.send(honest(number))
            assert ears.sink.recv(2048) == honest(number)
        wait_until(lambda: ears.port.stats.lost > TIMES, timeout=PATIENCE, what="the last is gone")
        with record_socket() as following:
            join(following, ears.port)
            ears.say = following.send
            assert ears.among() == {}
            assert (ears.port.stats.lost, ears.port.stats.recovered) == (TIMES + 1, TIMES + 2)
            wait_until(
                lambda: len(open_descriptors()) <= descriptors, timeout=PATIENCE, what="nothing is left"
            )


def test_a_second_client_is_not_heard_while_there_is_a_first() -> None:
    """Who connects while another is served waits: neither is taken for the other."""
    with client() as (ears, peer), record_socket() as second:
        second.connect(f"\0{NAME}")
        second.send(lying())
        for number in range(TIMES):
            peer.send(honest(number))
            assert ears.sink.recv(2048) == honest(number)
        assert ears.more() == []
        peer.close()
        assert ears.sink.recv(2048) == lying(), "its turn has come"


@pytest.mark.parametrize("depth", [1, 64])
def test_a_client_that_never_reads_costs_others_nothing(depth: int) -> None:
    """Frames for a client that does not read are held up to `depth` and then dropped, and no others."""
    with links(4, f",depth={depth}") as (ports, stations), vecwire.Switch() as switch, balanced(ports):
        for port in ports:
            switch.add(port)
        deaf, (source, sink, silent, talker) = ports[2], stations
        send_all(silent, [frame(0, source=address(2), destination=address(2))])
        wait_until(lambda: switch.known == 1, timeout=PATIENCE, what="the switch knows where it is")
        before = [port.stats for port in ports]
        with Stream(source, sink) as stream:
            shout = [frame(number, 1400, source=address(3), destination=address(2)) for number in range(64)]

            def refused() -> bool:
                send_all(talker, shout)
                return deaf.stats.tx_full > 1000

            wait_until(refused, timeout=PATIENCE, what="frames for the deaf are dropped", interval=0)
            stream.wait_for(1000)
        for port, earlier in zip(ports, before, strict=True):
            assert set(told(earlier, port.stats)) == ({"tx_full"} if port is deaf else set())
        assert deaf.stats.tx_held_most <= depth
        assert deaf.info.up
