"""Captures: what passes a port, copied to a socket, at nobody's cost."""

from __future__ import annotations

import contextlib
import gc
import socket
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import frame, super_frame
from peers.lan import BROADCAST, NOBODY, PATIENCE, Stream, address, lan, wired
from peers.net import Namespace, open_descriptors, wait_until
from vecwire import PortError, _engine_captures
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Engine
    from vecwire.transports import TransportPort


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("capture", ipv6=False) as made, made.enter():
        yield made


@contextlib.contextmanager
def captured(engine: Engine, port: TransportPort) -> Iterator[socket.socket]:
    """The reader of a port's capture."""
    with socket.socket(fileno=engine.capture(port)) as reader:
        reader.settimeout(PATIENCE)
        yield reader


def test_what_is_received_and_sent_appears_once() -> None:
    """Frames of both directions are records of their own, in order; those of other ports are not there."""
    with lan(3) as net, captured(net.switch.engine, net.ports[0]) as reader:
        received = [frame(number, source=address(0), destination=BROADCAST) for number in range(40)]
        sent = [frame(number, source=address(1), destination=address(0)) for number in range(40)]
        net.exchange(0, *received)
        net.exchange(1, *sent)
        net.say(2, address(1))
        net.say(1, address(2))
        last = frame(99, source=address(2), destination=address(0))
        net.exchange(2, last)
        assert [reader.recv(1 << 16) for _ in range(81)] == [*received, *sent, last]


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_super_frames_appear_as_segments(namespace: Namespace, ipv6: bool) -> None:
    """A super-frame that passes whole is captured in segments with right checksums, coming and going."""
    octets, header, _ = super_frame(ipv6=ipv6)
    expected = segments(octets, header)
    assert expected
    with wired(namespace, "a", "b") as (ports, stations), vecwire.Cable(*ports) as cable:
        engine = cable._engine
        with captured(engine, ports[0]) as coming, captured(engine, ports[1]) as going:
            batch = stations[0].batch()
            batch.append(octets, header)
            assert stations[0].send(batch) == 1
            for reader in (coming, going):
                assert [reader.recv(1 << 16) for _ in expected] == expected
            # A capture is given a frame before the kernel is.
            wait_until(lambda: ports[1].stats.tx_super == 1, timeout=PATIENCE, what="it left whole")


def test_a_reader_that_never_reads_slows_nobody() -> None:
    """What it is too slow for is not captured; the port loses nothing."""
    with lan(2) as net, captured(net.switch.engine, net.ports[0]) as reader:
        net.say(1, BROADCAST, as_=address(0xBB))
        with Stream(net.stations[0], net.stations[1]) as stream:
            for _ in range(40):
                stream.wait_for(500)
        counts = net.switch.engine.counting(net.ports[0])
        net.switch.engine.end_capture(net.ports[0])
        had, missed = counts()
        assert missed > 0
        with pytest.raises(PortError, match="is not captured"):
            net.switch.engine.counting(net.ports[0])
        taken = 0
        while reader.recv(1 << 16):
            taken += 1
        assert 0 < had == taken < stream.sent + 1


def test_a_capture_ends_with_its_reader() -> None:
    """Once the reader has closed its end, it is as if there had been none, and another may begin."""
    with lan(2) as net:
        engine, port = net.switch.engine, net.ports[0]

        def begun() -> socket.socket | None:
            with contextlib.suppress(PortError):
                return socket.socket(fileno=engine.capture(port))
            return None

        # The last ones end where frames for them are on their way.
        for number in range(20):
            with (
                wait_until(begun, timeout=PATIENCE, what="another may begin"),
                pytest.raises(PortError, match="captured already"),
            ):
                engine.capture(port)
            if number > 3:
                assert net.say(0, NOBODY, number) == {1}


@pytest.mark.parametrize("how", ["end_capture", "remove", "stop"])
def test_a_capture_ends_with_its_port(how: str) -> None:
    """Its reader sees the end when it is ended, when the port leaves, and when the engine stops."""
    with lan(2) as net, captured(net.switch.engine, net.ports[0]) as reader:
        net.say(0, BROADCAST)
        if how == "end_capture":
            net.switch.engine.end_capture(net.ports[0])
            net.switch.engine.end_capture(net.ports[0])
        elif how == "remove":
            net.switch.remove(net.ports[0])
        else:
            net.switch.engine.stop()
        assert len(reader.recv(1 << 16)) == 60
        assert reader.recv(1 << 16) == b""


def test_captures_leave_nothing() -> None:
    """However they end, no descriptor stays, and frames pass as before."""
    with lan(3) as net:
        engine = net.switch.engine
        net.introduce()
        gc.collect()
        before = open_descriptors()
        for number in range(150):
            with captured(engine, net.ports[number % 3]) as reader:
                net.say(0, address(1 + number % 2))
                if number % 2:
                    engine.end_capture(net.ports[number % 3])
            assert reader.fileno() == -1
        wait_until(lambda: open_descriptors() == before, timeout=PATIENCE, what="all are closed")


def test_what_a_reader_sends_goes_nowhere() -> None:
    """A capture is to be read; what is written into it is thrown away."""
    with lan(2) as net, captured(net.switch.engine, net.ports[0]) as reader:
        for number in range(10):
            reader.send(frame(number))
        net.say(0, BROADCAST)
        assert reader.recv(1 << 16)
        assert [port.stats.tx_frames for port in net.ports] == [0, 1]


def test_without_memory_nothing_of_a_capture_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that finds no memory leaves no descriptor, however long somebody keeps the error."""

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError("no memory")

    with lan(2) as net:
        before = open_descriptors()
        monkeypatch.setattr(_engine_captures, "Channel", refuse)
        with pytest.raises(MemoryError) as kept:
            net.switch.engine.capture(net.ports[0])
        assert kept.value.__traceback__ is not None
        assert open_descriptors() == before
