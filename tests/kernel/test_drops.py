"""What ports and switches drop, captured with the reason: in real runs of every kind of drop."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import frame, super_frame
from peers.lan import BROADCAST, NOBODY, PATIENCE, Stream, address, lan, send_all, wired
from peers.net import Namespace, open_descriptors, wait_until
from peers.ports import LOOPBACK, RIGHT4
from vecwire import Impairment, Membership, PortError
from vecwire.capture.drops import Drop, Gaps, read
from vecwire.wire.counters import DROPS
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vecwire import Engine
    from vecwire.transports import TransportPort

LOCAL = "01:80:c2:00:00:03"


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("drops", ipv6=False) as made, made.enter():
        yield made


@contextlib.contextmanager
def dropped(
    engine: Engine, ports: Sequence[TransportPort], reasons: Sequence[str] = DROPS
) -> Iterator[Callable[[int], list[Drop]]]:
    """What gives the next drops of an engine; ports are called by their places in the list."""

    def name(port: TransportPort) -> str | None:
        return str(ports.index(port)) if port in ports else None

    with socket.socket(fileno=engine.capture_drops(reasons, name=name)) as reader:
        reader.settimeout(PATIENCE)
        yield lambda count: [read(reader.recv(1 << 18)) for _ in range(count)]


def told(drops: Sequence[Drop]) -> list[tuple[str, str, bytes]]:
    """The port, the reason and the octets of each drop."""
    return [(each.port, each.reason, each.octets) for each in drops]


def counted(ports: Sequence[TransportPort]) -> dict[tuple[str, str], int]:
    """The drops that ports have counted, by port and reason."""
    return {
        (str(place), name): port.stats.counters[name]
        for place, port in enumerate(ports)
        for name in DROPS
        if port.stats.counters[name]
    }


def test_what_a_switch_drops() -> None:
    """Each reason of a switch is told with the frame that was dropped, in the order of the drops."""
    members = [
        Membership(horizon=1),
        Membership(horizon=1, flood_rate=1),
        Membership(vlan=10),
        Membership(vlan=20),
    ]
    with lan(members) as net, dropped(net.switch.engine, net.ports) as drops:
        net.introduce(0, 1)
        drops(2)  # nobody else is there for them
        wanted = [
            (0, "switch_local", frame(1, source=address(9), destination=address(0))),
            (0, "switch_horizon", frame(2, source=address(0), destination=address(1))),
            (0, "switch_reserved", frame(3, source=address(0), destination=LOCAL)),
            (0, "switch_nowhere", frame(4, source=address(0), destination=BROADCAST)),
            (0, "switch_source", frame(5, source="01:00:5e:00:00:01", destination=BROADCAST)),
            (3, "switch_vlan", tagged(frame(5, source=address(3), destination=BROADCAST), 10)),
        ]
        for source, reason, octets in wanted:
            net.exchange(source, octets)
            assert told(drops(1)) == [(str(source), reason, octets)]
        many = [frame(number, source=address(1), destination=BROADCAST) for number in range(100)]
        before = counted(net.ports)
        net.exchange(1, *many)
        since = {
            key: count - before.get(key, 0) for key, count in counted(net.ports).items() if key[0] == "1"
        }
        found = drops(sum(since.values()))
        assert since["1", "switch_limited"] > 0
        assert {(each.port, each.reason) for each in found} == {key for key, count in since.items() if count}
        assert [each.octets for each in found if each.reason == "switch_limited"] == many[
            -since["1", "switch_limited"] :
        ]


def tagged(octets: bytes, vlan: int) -> bytes:
    """A frame with a tag."""
    return octets[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + octets[12:]


def test_what_an_egress_drops(namespace: Namespace) -> None:
    """A frame that is too long for its link, and one that is lost on purpose, are told as they were."""
    with wired(namespace, "x") as ((narrow,), (beyond,)), lan(2) as net:
        net.switch.add(narrow)
        net.ports.append(narrow)
        net.stations.append(beyond)
        with dropped(net.switch.engine, net.ports) as drops:
            long = frame(1, 1600, source=address(0), destination=BROADCAST)
            assert net.exchange(0, long) == {1: [long]}
            (drop,) = drops(1)
            assert (drop.port, drop.reason, drop.octets) == ("2", "tx_too_big", long)
            assert (drop.length, drop.kind, drop.outgoing) == (1600, "frame", True)
            net.switch.remove(narrow)
            net.ports[1].impair(Impairment(loss=1.0))
            lost = frame(2, source=address(0), destination=BROADCAST)
            net.exchange(0, lost)
            assert told(drops(1)) == [("1", "tx_lost", lost)]
            net.ports[1].impair(Impairment())


def test_segments_that_are_lost_are_told_one_by_one(namespace: Namespace) -> None:
    """Of a super-frame whose segments have each their fate, those that are lost are told as frames."""
    octets, header, _ = super_frame()
    expected = segments(octets, header)
    with wired(namespace, "a", "b") as (ports, stations), vecwire.Cable(*ports) as cable:
        ports[1].impair(Impairment(loss=1.0))
        with dropped(cable._engine, ports) as drops:
            batch = stations[0].batch()
            batch.append(octets, header)
            assert stations[0].send(batch) == 1
            assert expected
            found = drops(len(expected))
    assert told(found) == [("1", "tx_lost", each) for each in expected]


def test_a_super_frame_is_told_as_it_was(namespace: Namespace) -> None:
    """A whole super-frame that finds nobody is one drop, with the header that says how it is to be cut."""
    octets, header, _ = super_frame()
    with wired(namespace, "a") as (ports, stations), vecwire.Switch() as switch:
        switch.add(ports[0])
        with dropped(switch.engine, ports, ["switch_nowhere"]) as drops:
            batch = stations[0].batch()
            batch.append(octets, header)
            assert stations[0].send(batch) == 1
            (drop,) = drops(1)
        switch.remove(ports[0])
    assert (drop.port, drop.reason, drop.octets) == ("0", "switch_nowhere", octets)
    assert (drop.vnet.gso_type, drop.vnet.gso_size) == (header.gso_type, header.gso_size)


@pytest.mark.parametrize(
    ("kind", "change", "reason", "what"),
    [
        ("gre-key-sequence", ("rx_key=0xffffffff", "rx_key=1"), "rx_bad_key", "ipv4"),
        ("l2tpv3-ip-cookies", ("rx_cookie=0xdeadbeef", "rx_cookie=1"), "rx_bad_cookie", "ipv4"),
        ("l2tpv3-udp", ("rx_session=1", "rx_session=9"), "rx_bad_session", "l2tp-udp"),
        (
            "l2tpv3-udp-ipv6-cookies64-counter",
            ("rx_cookie=0xdeadbeef", "rx_cookie=1"),
            "rx_bad_cookie",
            "l2tp-udp",
        ),
        ("gre-ipv6", ("v6=1", "v6=1,rx_key=7,tx_key=7"), "rx_bad_key", "gre"),
    ],
)
def test_what_a_tunnel_does_not_take(kind: str, change: tuple[str, str], reason: str, what: str) -> None:
    """A packet that is not the port's own is told as it came, encapsulation and all."""
    left, right = LOOPBACK[kind]
    with Namespace("drops", ipv6="ipv6" in kind) as inside, inside.enter():
        inside.ip(f"addr add {RIGHT4}/8 dev lo")
        if "ipv6" in kind:
            inside.up("lo", "fd00::1/128", "fd00::2/128")
        switch = vecwire.Switch()
        with vecwire.open(left.replace(*change)) as port, vecwire.open(right) as sender:
            switch.add(port)
            with switch, dropped(switch.engine, [port]) as drops:
                batch = sender.batch()
                batch.append(frame(7))
                assert sender.send(batch) == 1
                (drop,) = drops(1)
    assert (drop.port, drop.reason, drop.kind, drop.outgoing) == ("0", reason, what, False)
    assert drop.octets.endswith(frame(7))
    assert len(drop.octets) > 60


def test_only_what_is_wanted_is_told() -> None:
    """Other reasons, and ports without a name, are left out; a port that comes later is told too."""
    with lan(3) as net:
        later = net.ports[2]
        net.switch.remove(later)
        with dropped(net.switch.engine, net.ports[1:], ["switch_reserved"]) as drops:
            net.introduce(0, 1)
            ignored = frame(1, source=address(0), destination=LOCAL)
            net.exchange(0, ignored)
            net.say(1, address(1))  # switch_local
            net.switch.add(later)
            wanted = frame(2, source=address(2), destination=LOCAL)
            net.exchange(2, wanted)
            assert told(drops(1)) == [("1", "switch_reserved", wanted)]


def test_a_reader_that_never_reads_slows_nobody() -> None:
    """Drops that come faster than they are read are counted as missing, by their numbers; frames go on."""
    with lan(2) as net, dropped(net.switch.engine, net.ports) as drops:
        net.say(1, BROADCAST, as_=address(0xBB))
        with Stream(net.stations[0], net.stations[1]) as stream:
            for _ in range(60):
                send_all(
                    net.stations[1],
                    [frame(each, source=address(0xBB), destination=LOCAL) for each in range(500)],
                )
            stream.wait_for(500)
        net.barrier()
        gaps, taken = Gaps(), 0
        for (drop,) in iter(lambda: drops(1), None):
            gaps.before(drop)
            taken += 1
            if taken == 1000:
                # There is room again, so that the next one is told, and how many were not.
                net.exchange(1, frame(1, source=address(0xBB), destination=LOCAL))
            if drop.number == 30_000:
                break
        assert net.ports[1].stats.switch_reserved == 30_001 == taken + gaps.missed
        assert gaps.missed > 0


def test_a_capture_of_drops_ends_with_its_reader_and_leaves_nothing() -> None:
    """One at a time; once the reader has gone another may begin, frames pass, and no descriptor stays."""
    with lan(2) as net:
        engine = net.switch.engine
        net.introduce()
        before = open_descriptors()
        for number in range(50):
            with dropped(engine, net.ports) as drops:
                with pytest.raises(PortError, match="captured already"):
                    engine.capture_drops()
                octets = frame(number, source=address(0), destination=LOCAL)
                net.exchange(0, octets)
                assert told(drops(1)) == [("0", "switch_reserved", octets)]
                # The last of them is on its way when the reader goes.
                net.exchange(0, octets)
            assert net.say(0, NOBODY, number) == {1}
        engine.end_drops()
        engine.end_drops()
        wait_until(lambda: open_descriptors() == before, timeout=PATIENCE, what="all are closed")
        with pytest.raises(ValueError, match="by the reason rx_frames"):
            engine.capture_drops(["rx_frames"])


@pytest.mark.parametrize("how", ["end_drops", "stop"])
def test_a_reader_sees_the_end(how: str) -> None:
    """When the capture is ended, or the engine, the reader has what was dropped before, and then the end."""
    with lan(2) as net, socket.socket(fileno=net.switch.engine.capture_drops()) as reader:
        reader.settimeout(PATIENCE)
        net.exchange(0, frame(1, source=address(0), destination=LOCAL))
        net.switch.engine.end_drops() if how == "end_drops" else net.switch.engine.stop()
        assert read(reader.recv(1 << 16)).reason == "switch_reserved"
        assert reader.recv(1 << 16) == b""


def test_frames_that_waited_too_long_are_told(namespace: Namespace) -> None:
    """More than a book holds are given up at once, for want of a carrier: all are told, in order."""
    with (
        wired(namespace, "a", "b") as (ports, stations),
        vecwire.open("raw,ifname=b0,depth=256") as deep,
        vecwire.Cable(ports[0], deep) as cable,
    ):
        namespace.ip("link set b1 down")
        with dropped(cable._engine, [deep]) as drops:
            many = [frame(number) for number in range(200)]
            send_all(stations[0], many)
            found = [each for each in drops(200) if each.octets[12:14] == b"\x88\xb5"]
            while len(found) < 200:
                found += [each for each in drops(1) if each.octets[12:14] == b"\x88\xb5"]
        assert {each.reason for each in found} == {"tx_down"}
        assert [each.octets for each in found] == many
        namespace.ip("link set b1 up")
        namespace.wait_carrier("b0")

        def passes() -> bool:
            send_all(stations[0], [frame(7)])
            return deep.stats.tx_frames > 0

        wait_until(passes, timeout=PATIENCE, what="frames leave again")


def wait_for_frames(port: TransportPort, count: int) -> None:
    """Returns once a port has received so many frames in all."""
    wait_until(lambda: port.stats.rx_frames >= count, timeout=PATIENCE, what=f"{count} frames came")


def test_held_frames_that_are_given_up_are_told() -> None:
    """Frames that wait for a peer who goes away are told as they are dropped, one record for each."""
    name = f"@vecwire-drops-{os.getpid()}"
    with (
        vecwire.open(f"bess,listen={name}") as listener,
        vecwire.open(f"bess,dst={name}") as port,
        lan(1) as net,
    ):
        listener.recv(listener.batch(1))
        net.switch.add(port)
        net.ports.append(port)
        net.stations.append(listener)
        with dropped(net.switch.engine, [port]) as drops:
            many = [frame(number, 1000, source=address(0), destination=BROADCAST) for number in range(64)]
            sent = 0
            while not port.stats.tx_full:
                send_all(net.stations[0], many)
                sent += len(many)
                wait_for_frames(net.ports[0], sent)
                net.barrier()
            full = drops(port.stats.tx_full)
            assert {each.reason for each in full} == {"tx_full"}
            assert all(each.octets in many for each in full)
            held = port.channel.held
            listener.close()
            given_up = drops(held)
            assert {(each.reason, len(each.octets)) for each in given_up} == {("tx_down", 1000)}
        net.switch.remove(port)
