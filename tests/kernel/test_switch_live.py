"""A switch that is changed while frames move: what is not changed loses none, and nothing is left behind."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

import vecwire
from peers.frames import frame
from peers.lan import BROADCAST, PATIENCE, Stream, address, lan, links, send_all
from peers.net import Namespace, open_descriptors, wait_until
from vecwire import Engine, Membership, PortError, Switch
from vecwire.confine import Seccomp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire.transports import TransportPort


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("live", ipv6=False) as made, made.enter():
        yield made


def resident() -> int:
    """The octets of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def test_others_notice_nothing_of_a_change() -> None:
    """Ports that come, go and change their VLANs lose and reorder nothing between two others."""
    with lan(5) as net:
        net.say(1, BROADCAST, as_=address(0xBB))
        with Stream(net.stations[0], net.stations[1]) as stream:
            for number in range(60):
                moved = net.ports[2 + number % 3]
                net.switch.change(moved, Membership(vlan=1 + number, horizon=number % 3))
                net.switch.remove(moved)
                net.switch.add(moved, Membership(tagged=frozenset({7, 8}), addresses=5))
                net.switch.change(moved, Membership())
                if number % 10 == 0:
                    stream.wait_for(100)
        assert net.switch.running


@pytest.mark.parametrize("aware", [False, True])
def test_a_port_may_leave_in_the_middle_of_a_flood(aware: bool) -> None:
    """While a station floods all ports, those that leave are gone, and the others get each frame."""
    with lan([Membership(vlan=9 if aware else None)] * 6) as net:
        with Stream(net.stations[0], net.stations[1], BROADCAST) as stream:
            for port in net.ports[2:]:
                stream.wait_for(200)
                net.switch.remove(port)
                frames = port.stats.tx_frames
                stream.wait_for(200)
                assert port.stats.tx_frames == frames
            for port in net.ports[2:]:
                net.switch.add(port)
        assert net.switch.ports == tuple(net.ports)


@pytest.mark.unsanitized("a sanitizer keeps what was freed for a while")
def test_coming_and_going_leaves_nothing() -> None:
    """Hundreds of ports that come and go leave no descriptor, no thread and no memory."""
    with lan(3) as net:
        last = net.ports[2]

        def cycles() -> None:
            for _ in range(250):
                net.switch.remove(last)
                net.switch.add(last, Membership(vlan=5, horizon=1, addresses=3))
                net.switch.change(last, Membership())

        cycles()
        gc.collect()
        before = open_descriptors(), threading.active_count(), resident()
        cycles()
        gc.collect()
        descriptors, threads, memory = open_descriptors(), threading.active_count(), resident()
        assert (descriptors, threads) == before[:2]
        assert memory - before[2] < 250 * resource.getpagesize(), "not even a page for each time"
        net.introduce()
        assert net.say(0, address(2)) == {2}


def test_many_threads_may_change_it_at_once() -> None:
    """Changes, questions and removals from several threads at once are each done, one after the other."""
    faults: list[BaseException] = []
    with lan(7) as net:
        net.say(1, BROADCAST, as_=address(0xBB))

        def work(port: TransportPort, number: int) -> None:
            try:
                for each in range(40):
                    net.switch.change(port, Membership(vlan=number + 1))
                    assert net.switch.membership(port).vlan == number + 1
                    assert isinstance(net.switch.fdb(), list)
                    net.switch.flush(port)
                    os.close(net.switch.engine.capture(port))
                    net.switch.remove(port)
                    net.switch.add(port, Membership(horizon=each))
            except BaseException as error:  # noqa: BLE001 # it is looked at in the test's own thread
                faults.append(error)

        with Stream(net.stations[0], net.stations[1]):
            threads = [
                threading.Thread(target=work, args=(port, number))
                for number, port in enumerate(net.ports[2:])
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert not faults
        assert len(net.switch.ports) == 7


# Engines.


def test_what_a_message_raises_is_raised_where_it_was_sent() -> None:
    """An exception reaches its caller, and the engine goes on."""
    with Engine() as engine:
        with pytest.raises(ZeroDivisionError):
            engine.do(lambda: 1 // 0)
        with pytest.raises(KeyboardInterrupt):
            engine.do(lambda: signal.raise_signal(signal.SIGINT))
        assert engine.do(threading.current_thread) is threading.current_thread()
        assert engine.do(lambda: engine.do(lambda: 5)) == 5
        assert engine.running
    assert engine.do(threading.current_thread) is threading.current_thread()


def test_a_message_that_fails_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong in the worker's own thread is in the log, and frames go on moving."""
    with lan(2) as net:
        net.introduce()
        net.switch.engine.worker.post(lambda: 1 // 0)
        net.barrier()
        assert "a message to the worker failed" in caplog.text
        net.switch.engine.answer()
        assert net.say(0, address(1)) == {1}


def test_a_worker_that_has_ended_by_itself_does_not_answer() -> None:
    """Whoever asks is told, at once, instead of being answered by nobody or waiting for ever."""
    with Engine() as engine:
        engine.answer()
        engine.worker.stop()
        wait_until(lambda: not engine.running, timeout=PATIENCE, what="the worker has ended")
        with pytest.raises(PortError, match="ended by itself"):
            engine.answer()


def test_an_engine_goes_on_where_it_was_stopped() -> None:
    """Stopped, its ports keep their seats; started again, frames flow as before, as often as you like."""
    with Engine() as engine, lan(3, engine=engine) as net:
        net.introduce()
        for _ in range(20):
            engine.stop()
            assert not net.switch.running
            send_all(net.stations[0], [frame(1, source=address(0), destination=address(2))])
            net.switch.change(net.ports[1], Membership(horizon=1))
            engine.start()
            wait_until(lambda: net.switch.running, timeout=PATIENCE, what="it runs")
            assert net.hear(2, 1) == [frame(1, source=address(0), destination=address(2))]


def test_starting_and_stopping_fast_never_hangs() -> None:
    """However soon it is stopped after its start, it ends."""
    engine = Engine()
    for _ in range(200):
        engine.start()
        engine.stop()
    assert not engine.running


def test_what_keeps_a_worker_from_starting_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel refuses what is done at its start, no processor is blamed that nobody has named."""

    def full(_: object) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("vecwire.engine.confine", full)
    engine = Engine(confine=Seccomp.ON)
    with pytest.raises(PortError, match=f"^cannot start a worker: {os.strerror(errno.EMFILE)}") as told:
        engine.start()
    assert "ulimit -n" in str(told.value.remedy)
    assert not engine.running


def test_a_processor_that_is_not_there_is_told() -> None:
    """An engine bound to one that this host lacks does not start, and says so."""
    missing = max(os.sched_getaffinity(0)) + 1
    engine = Engine(cpu=missing if missing < 1024 else 1023)
    with pytest.raises(OSError, match=r"^cannot keep a worker on processor \d+: Invalid argument"):
        engine.start()
    assert not engine.running
    engine.stop()
    with Engine(cpu=min(os.sched_getaffinity(0))) as fine:
        assert fine.thread is not None
        assert os.sched_getaffinity(fine.thread.native_id or 0) == {min(os.sched_getaffinity(0))}


def test_one_engine_serves_switches_and_a_cable() -> None:
    """Two switches and a cable in one engine do not hear each other."""
    with links(6) as (ports, stations), Engine() as engine:
        first, second = Switch(engine=engine), Switch(engine=engine)
        for switch, members in ((first, ports[:2]), (second, ports[2:4])):
            for port in members:
                switch.add(port)
        with first, second, vecwire.Cable(*ports[4:], engine=engine) as cable:
            assert (engine.ports, cable.running) == (tuple(ports), True)
            for number in range(6):
                octets = frame(number, source=address(number), destination=BROADCAST)
                send_all(stations[number], [octets])
                batch = stations[number ^ 1].batch()
                wait_until(
                    lambda: stations[number ^ 1].recv(batch),  # noqa: B023
                    timeout=PATIENCE,
                    what="the neighbour hears it",
                )
                assert [bytes(each) for each in batch] == [octets]
            assert sum(port.stats.tx_frames for port in ports) == 6
            # A stop of one leaves the others as they are.
            first.stop()
            send_all(stations[4], [octets])
            assert stations[5].wait(PATIENCE)
        assert engine.running
        assert engine.ports == ()
    for port in ports:
        assert port.channel.user is None


def test_what_is_not_in_an_engine_has_no_seat() -> None:
    """A port that is somewhere else is refused by name."""
    with links(1) as (ports, _), Engine() as engine:
        with pytest.raises(PortError, match="not in this engine"):
            engine.seat_of(ports[0])
        with pytest.raises(PortError, match="not in this engine"):
            engine.capture(ports[0])
