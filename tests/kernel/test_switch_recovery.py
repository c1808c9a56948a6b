"""Ports of a switch that lose what they are attached to: they come back by themselves, the rest goes on."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

import vecwire
from peers.frames import fill, frame
from peers.lan import BROADCAST, PATIENCE, Lan, Stream, address, lan
from peers.net import PREFIX, Namespace, keepers_rest, open_descriptors, veth, wait_until
from vecwire import Engine, keeper
from vecwire.spec import RawSpec
from vecwire.transports import OPENERS, open_port
from vecwire.transports._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire import Port
    from vecwire.transports import TransportPort
    from vecwire.transports._opened import Opened

#: Seconds within which a port is to be back.
HEALED = 3.0
TUNNEL = "l2tpv3,udp=1,srcport=1701,dstport=1701,rx_session={},tx_session={},src={},dst={}"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("heal", ipv6=False) as made, made.enter():
        yield made


@pytest.fixture
def net(namespace: Namespace) -> Iterator[Lan]:
    """A switch of two ports that stay."""
    assert namespace.path.exists()
    with lan(2) as made:
        made.say(1, BROADCAST, as_=address(0xBB))
        yield made


@contextlib.contextmanager
def added(net: Lan, spec: str) -> Iterator[TransportPort]:
    """One more port, which may have to wait for what it is attached to."""
    with open_port(spec, patient=True) as port:
        net.ports.append(port)
        net.switch.add(port)
        try:
            yield port
        finally:
            net.switch.remove(port)


def hears(net: Lan, station: Port) -> bool:
    """Whether a station behind one more port hears what another says to all."""
    batch = net.stations[1].batch()
    fill(batch, [frame(7, source=address(1), destination=BROADCAST)])
    net.stations[1].send(batch)
    heard = station.batch()
    if not station.wait(0.05):
        return False
    station.recv(heard)
    return any(bytes(each) == frame(7, source=address(1), destination=BROADCAST) for each in heard)


def heals(condition: Callable[[], object]) -> None:
    """Waits until what was lost is back."""
    wait_until(condition, timeout=HEALED, what="it is back by itself")


def test_an_interface_that_is_deleted_and_made_again(namespace: Namespace, net: Lan) -> None:
    """The port says what is missing, and is used again once the interface is there."""
    veth((namespace, "a0"), (namespace, "a1"))
    with added(net, "raw,ifname=a0") as port, Stream(net.stations[0], net.stations[1]) as stream:
        assert port.why is None
        for _ in range(3):
            namespace.ip("link del a0")
            wait_until(lambda: not port.info.up, timeout=PATIENCE, what="the loss is seen")
            wait_until(lambda: "a0" in str(port.why), timeout=PATIENCE, what="it says what is missing")
            stream.wait_for(100)
            veth((namespace, "a0"), (namespace, "a1"))
            with vecwire.open("raw,ifname=a1") as station:
                heals(lambda: hears(net, station))
            assert port.why is None
        wait_until(keepers_rest, timeout=PATIENCE, what="the keeper rests")


def test_clients_that_come_and_go(net: Lan) -> None:
    """A client that ends is waited for; the next one is served."""
    with added(net, "bess,listen=@late") as port, Stream(net.stations[0], net.stations[1]):
        for _ in range(5):
            wait_until(lambda: not port.info.up, timeout=PATIENCE, what="nobody is there")
            wait_until(lambda: "no client" in str(port.why), timeout=PATIENCE, what="it says so")
            with vecwire.open("bess,dst=@late") as station:
                heals(lambda: hears(net, station))
                assert (port.info.up, port.why) == (True, None)


def test_a_server_that_comes_and_goes(net: Lan) -> None:
    """A port whose server is not there yet, or ends, connects once there is one."""
    with added(net, "bess,dst=@server") as port, Stream(net.stations[0], net.stations[1]):
        assert "@server" in str(port.why)
        for _ in range(2):
            with vecwire.open("bess,listen=@server") as station:
                wait_until(
                    lambda: station.recv(station.batch(1)) or station.info.up, timeout=PATIENCE, what="c"
                )
                heals(lambda: hears(net, station))
            wait_until(lambda: not port.info.up, timeout=PATIENCE, what="the loss is seen")


def test_a_namespace_that_comes_later(net: Lan) -> None:
    """A port in a namespace that is not there yet is opened in it as soon as it is."""
    name = f"{PREFIX}-{os.getpid()}-later"
    try:
        with (
            added(net, f"tap,ifname=tap0,netns={name}") as port,
            Stream(net.stations[0], net.stations[1]) as stream,
        ):
            assert name in str(port.why)
            stream.wait_for(200)
            subprocess.run(["ip", "netns", "add", name], check=True)
            heals(lambda: port.info.up)
            assert (port.why, port.stats.recovered) == (None, 1)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_route_that_is_removed_and_restored(namespace: Namespace, net: Lan) -> None:
    """A tunnel without a route drops and counts its frames, and carries them once it has one again."""
    with Namespace("far", ipv6=False) as far:
        veth(
            (namespace, "wan0"), (far, "wan0"), addresses_a=["192.168.7.1/24"], addresses_b=["192.168.7.2/24"]
        )
        far.ip("addr add 10.5.0.2/32 dev lo")
        namespace.ip("route add 10.5.0.2/32 via 192.168.7.2")
        near = TUNNEL.format(1, 2, "192.168.7.1", "10.5.0.2")
        with (
            added(net, near) as port,
            vecwire.open(TUNNEL.format(2, 1, "10.5.0.2", "192.168.7.1") + f",netns={far.name}") as station,
            Stream(net.stations[0], net.stations[1]),
        ):
            heals(lambda: hears(net, station))
            for _ in range(2):
                namespace.ip("route del 10.5.0.2/32")
                before = port.stats.tx_unreachable
                wait_until(
                    lambda: hears(net, station) or port.stats.tx_unreachable > before,  # noqa: B023
                    timeout=PATIENCE,
                    what="frames are dropped and counted",
                )
                namespace.ip("route add 10.5.0.2/32 via 192.168.7.2")
                heals(lambda: hears(net, station))
            assert port.stats.lost == 0


def test_lost_ports_do_not_wake_an_idle_switch(namespace: Namespace, net: Lan) -> None:
    """With ports that wait for a client, an interface and a namespace the worker sleeps."""
    specs = ("bess,listen=@never", "raw,ifname=never0", "tap,ifname=tap0,netns=vecwire-never", "bess,dst=@no")
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(added(net, spec)) for spec in specs]
        assert not any(port.info.up for port in waiting)
        assert all(port.why for port in waiting)
        with socket.socket() as quiet:
            quiet.settimeout(0.5)
            quiet.bind(("127.0.0.1", 0))
            quiet.listen()
            before = net.switch.wakeups
            with pytest.raises(TimeoutError):
                quiet.accept()
        assert net.switch.wakeups - before <= 1
        assert not keepers_rest()
    wait_until(keepers_rest, timeout=PATIENCE, what="the keeper rests")
    assert namespace.path.exists()


def test_a_port_may_leave_while_it_is_being_opened(
    namespace: Namespace, net: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking it out waits for that, and it is its owner's afterwards, open or not."""
    real, begun, go_on = OPENERS[RawSpec], threading.Event(), threading.Event()

    def slow(spec: RawSpec) -> Opened:
        begun.set()
        assert go_on.wait(PATIENCE)
        return real(spec)

    with open_port("raw,ifname=a0", patient=True) as port:
        veth((namespace, "a0"), (namespace, "a1"))
        openers: Any = OPENERS
        monkeypatch.setitem(openers, RawSpec, slow)
        net.switch.add(port)
        net.ports.append(port)
        assert begun.wait(PATIENCE)
        leaving = threading.Thread(target=net.switch.remove, args=(port,))
        leaving.start()
        net.say(0, BROADCAST)
        assert leaving.is_alive()
        go_on.set()
        leaving.join(PATIENCE)
        assert not leaving.is_alive()
        assert port.channel.user is None
        assert port.info.up
        assert net.switch.engine.ports == tuple(net.ports[:2])
        wait_until(keepers_rest, timeout=PATIENCE, what="the keeper rests")


def test_ports_that_leave_while_lost_leave_nothing(net: Lan) -> None:
    """Lost ports that are taken out and closed at any moment leave no thread and no descriptor."""
    wait_until(keepers_rest, timeout=PATIENCE, what="no keeper yet")
    gc.collect()
    before = open_descriptors()
    for number in range(40):
        with added(net, f"bess,listen=@leaving{number % 3}") as port:
            assert not port.info.up
        with added(net, "raw,ifname=nothere"):
            pass
    wait_until(
        lambda: keepers_rest() and open_descriptors() == before, timeout=PATIENCE, what="all is closed"
    )


def test_what_was_lost_when_an_engine_stopped_comes_back_after_its_start(namespace: Namespace) -> None:
    """An engine that is started again looks after the ports that it had lost before."""
    with Engine() as engine, lan(2, engine=engine) as net, added(net, "raw,ifname=a0") as port:
        net.introduce()
        engine.stop()
        assert keepers_rest()
        veth((namespace, "a0"), (namespace, "a1"))
        engine.start()
        heals(lambda: port.info.up)


def test_ports_of_several_engines_share_a_keeper(namespace: Namespace) -> None:
    """One keeper brings back the ports of several engines, and goes on when one of them stops."""
    shared = keeper.Keeper()
    with (
        Engine(keeper=shared) as first,
        Engine(keeper=shared) as second,
        vecwire.Switch(engine=first) as one,
        open_port("raw,ifname=a0", patient=True) as a,
        vecwire.Switch(engine=second) as other,
        open_port("raw,ifname=b0", patient=True) as b,
    ):
        one.add(a)
        other.add(b)
        veth((namespace, "a0"), (namespace, "a1"))
        heals(lambda: a.info.up)
        first.stop()
        veth((namespace, "b0"), (namespace, "b1"))
        heals(lambda: b.info.up)
        one.stop()
        other.stop()
    shared.close()
    assert keepers_rest()


def test_a_keeper_that_lacks_descriptors_tries_again(
    namespace: Namespace, net: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel gives it none, it waits and begins anew: no port stays lost for that."""
    refusals = 0

    def short() -> Watch:
        nonlocal refusals
        refusals += 1
        if refusals < 4:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return Watch()

    monkeypatch.setattr(keeper, "Watch", short)
    monkeypatch.setattr(keeper, "LAST_DELAY", 0.02)
    with added(net, "raw,ifname=a0") as port:
        veth((namespace, "a0"), (namespace, "a1"))
        heals(lambda: port.info.up)
        assert refusals == 4
