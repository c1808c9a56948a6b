"""A learning switch: which frames leave through which ports, by what was heard before."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import EXPERIMENTAL, frame, mac
from peers.lan import BROADCAST, MULTICAST, NOBODY, PATIENCE, address, lan, send_all
from peers.net import Namespace, wait_until
from vecwire import ClosedError, Membership, PortError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("switch", ipv6=False) as made, made.enter():
        yield made


@pytest.mark.parametrize("destination", [BROADCAST, MULTICAST, "33:33:00:00:00:01", NOBODY])
def test_what_is_for_all_or_for_nobody_known_goes_to_all_others(destination: str) -> None:
    """Broadcast, multicast and unknown unicast leave through every port but the one they came from."""
    with lan(4) as net:
        assert net.say(1, destination) == {0, 2, 3}
        stats = net.ports[1].stats
        assert (stats.switch_flooded, stats.switch_copies) == (1, 3)


def test_what_is_for_somebody_known_goes_there_alone() -> None:
    """A station that was heard once gets its frames, and nobody else does."""
    with lan(4) as net:
        net.introduce(2)
        assert net.say(0, address(2)) == {2}
        assert net.say(2, address(0)) == {0}
        assert net.say(3, address(0)) == {0}
        assert net.where() == {(address(number), 0): number for number in (0, 2, 3)}


def test_a_batch_for_many_arrives_in_order_at_each() -> None:
    """Frames for several known stations, for all and for nobody, sent at once, keep their order at each."""
    with lan(4) as net:
        net.introduce()
        targets = [address(1), address(2), BROADCAST, address(3), address(0), NOBODY, address(1)]
        frames = [
            frame(number, source=address(0), destination=targets[number % len(targets)])
            for number in range(60)
        ]
        heard = net.exchange(0, *frames)
        assert set(heard) == {1, 2, 3}
        for number, found in heard.items():
            for target in (address(number), BROADCAST, NOBODY):
                wanted = [each for each in frames if each[:6] == mac(target)]
                assert [each for each in found if each[:6] == mac(target)] == wanted
            assert len(found) == sum(
                each[:6] in {mac(address(number)), mac(BROADCAST), mac(NOBODY)} for each in frames
            )
        assert net.ports[0].stats.switch_local > 0


def test_a_station_that_moves_is_found_at_once() -> None:
    """The first frame from its new place is enough: the next one for it goes there."""
    with lan(3) as net:
        net.introduce(1)
        assert net.say(0, address(1)) == {1}
        net.say(2, BROADCAST, as_=address(1))
        assert net.say(0, address(1)) == {2}
        assert net.ports[2].stats.switch_moved == 1
        assert net.where()[address(1), 0] == 2


def test_what_is_for_a_station_on_the_same_port_stays_there() -> None:
    """A frame for a station behind the port that it came from goes nowhere, and is counted."""
    with lan(3) as net:
        net.say(0, BROADCAST, as_=NOBODY)
        assert net.say(0, NOBODY) == set()
        assert net.ports[0].stats.switch_local == 1


@pytest.mark.parametrize("last", range(16))
def test_reserved_addresses_stay_on_their_link(last: int) -> None:
    """01:80:c2:00:00:00 to 0f are not passed on; the addresses beside them are."""
    with lan(3) as net:
        assert net.say(0, f"01:80:c2:00:00:{last:02x}") == set()
        assert net.ports[0].stats.switch_reserved == 1
        assert net.say(0, f"01:80:c2:00:00:{last + 16:02x}") == {1, 2}
        assert net.say(0, f"01:80:c2:00:01:{last:02x}") == {1, 2}


@pytest.mark.parametrize("source", [BROADCAST, MULTICAST, "00:00:00:00:00:00"])
def test_no_station_is_a_group(source: str) -> None:
    """A group address, or none, as source is not learned: what is for it still goes to all."""
    with lan(3) as net:
        net.say(1, NOBODY, as_=source)
        assert net.where() == {}
        assert net.say(0, source) == {1, 2}


def test_what_was_not_heard_for_long_is_forgotten() -> None:
    """After its age an address is unknown again; one that keeps sending is not forgotten."""
    with lan(3, age=0.3) as net:
        net.introduce(1)
        wait_until(lambda: net.say(0, address(1)) == {1, 2}, timeout=PATIENCE, what="it is forgotten")
        net.switch.age = 300.0
        net.introduce(1)
        assert net.say(0, address(1)) == {1}
        assert net.switch.age == 300.0


def test_the_table_is_told_and_flushed() -> None:
    """Who is where, and since when silent, can be asked; it can be forgotten, of one port or of all."""
    with lan(3) as net:
        net.introduce()
        found = {station.mac: station for station in net.switch.fdb()}
        assert set(found) == {address(number) for number in range(3)}
        assert all(0 <= station.idle < PATIENCE * 10 and station.vlan == 0 for station in found.values())
        assert net.switch.flush(net.ports[1]) == 1
        assert set(net.where()) == {(address(0), 0), (address(2), 0)}
        assert net.switch.flush() == 2
        assert net.switch.fdb() == []
        assert net.say(0, address(2)) == {1, 2}


def test_ports_of_a_horizon_never_talk() -> None:
    """Ports of one group exchange nothing, known or for all; with every other port they do."""
    groups = [Membership(horizon=1), Membership(horizon=1), Membership(horizon=2), Membership()]
    with lan(groups) as net:
        net.introduce()
        assert net.say(0, BROADCAST) == {2, 3}
        assert net.say(0, NOBODY) == {2, 3}
        assert net.say(0, address(1)) == set()
        assert net.say(0, address(2)) == {2}
        assert net.say(2, BROADCAST) == {0, 1, 3}
        assert net.say(3, address(1)) == {1}
        assert net.ports[0].stats.switch_horizon == 1


def test_a_group_of_all_ports_passes_nothing_on() -> None:
    """Where no other port may take a frame for all, it is counted as such."""
    with lan([Membership(horizon=7)] * 2) as net:
        assert net.say(0, BROADCAST) == set()
        assert net.ports[0].stats.switch_nowhere == 1


def test_a_flood_is_limited_and_nothing_else_is() -> None:
    """Beyond its rate a port's frames for all are dropped and counted; those for somebody known pass."""
    with lan([Membership(flood_rate=1), Membership(), Membership()]) as net:
        net.introduce()
        known = [frame(number, source=address(0), destination=address(1)) for number in range(500)]
        unknown = [frame(number, source=address(0), destination=BROADCAST) for number in range(500)]
        mixed = [each for both in zip(known, unknown, strict=True) for each in both]
        heard = net.exchange(0, *mixed)
        assert [each for each in heard[1] if each[:6] == mac(address(1))] == known
        stats = net.ports[0].stats
        passed = len(heard[2])
        assert stats.switch_limited == 500 - passed
        assert heard[2] == unknown[:64] + heard[2][64:]
        assert passed < 100
        # The others have no limit.
        floods = [frame(number, source=address(1), destination=BROADCAST) for number in range(500)]
        assert net.exchange(1, *floods)[2] == floods


@pytest.mark.parametrize("addresses", [0, 10])
def test_a_host_that_makes_up_addresses_costs_itself_alone(addresses: int) -> None:
    """A hundred thousand sources from one port leave the others' unicast as it was, and learnable."""
    with lan([Membership(addresses=addresses), Membership(), Membership()], addresses=1000) as net:
        net.introduce(1)
        made_up = [
            mac(NOBODY)
            + (0x0A0000000000 + number).to_bytes(6)
            + struct.pack("!HI", EXPERIMENTAL, number)
            + bytes(46)
            for number in range(100_000)
        ]
        before = net.ports[0].stats
        for start in range(0, len(made_up), 64):
            send_all(net.stations[0], made_up[start : start + 64])
            for number in (1, 2):
                batch = net.stations[number].batch()
                while net.stations[number].recv(batch):
                    pass
        wait_until(
            lambda: (net.ports[0].stats - before).rx_frames == len(made_up), timeout=60, what="all came in"
        )
        net.barrier()
        for station in net.stations[1:]:
            batch = station.batch()
            while station.recv(batch) or station.wait(0.01):
                pass
        stats = net.ports[0].stats - before
        bound = addresses or 250
        assert (stats.switch_learned, stats.switch_unlearned) == (bound, len(made_up) - bound)
        assert len(net.switch.fdb()) == bound + 1
        net.introduce(2)
        assert net.say(1, address(2)) == {2}
        assert net.say(2, address(1)) == {1}
        # What it has learned of the flooder it still knows.
        assert net.say(1, "0a:00:00:00:00:00") == {0}


# Who may do what.


def test_a_port_in_a_switch_is_its_own() -> None:
    """Nobody else may move frames on it, join it or close it; afterwards anybody may."""
    with lan(2) as net:
        port = net.ports[0]
        batch = port.batch()
        for call in (
            lambda: port.recv(batch),
            port.close,
            vecwire.Cable(*net.ports).start,
            lambda: vecwire.Switch().add(port),
            lambda: net.switch.add(port),
        ):
            with pytest.raises(PortError, match=r"(?i)switch"):
                call()
        net.switch.remove(port)
        assert port.recv(batch) == 0
        for late in (
            lambda: net.switch.remove(port),
            lambda: net.switch.change(port, Membership()),
            lambda: net.switch.membership(port),
            lambda: net.switch.flush(port),
        ):
            with pytest.raises(PortError, match="not in this switch"):
                late()
        port.close()
        with pytest.raises(ClosedError):
            net.switch.add(port)
        assert net.switch.ports == (net.ports[1],)


def test_what_is_refused_changes_nothing() -> None:
    """A bound above the switch's is refused before anything is touched, in a running switch or before."""
    with lan([Membership(vlan=5)] * 2, addresses=100) as net:
        with pytest.raises(ValueError, match="100 addresses"):
            net.switch.change(net.ports[0], Membership(addresses=101))
        assert net.switch.membership(net.ports[0]) == Membership(vlan=5)
        assert net.say(0, BROADCAST) == {1}
        net.switch.remove(net.ports[0])
        with pytest.raises(ValueError, match="100 addresses"):
            net.switch.add(net.ports[0], Membership(addresses=101))
        net.switch.add(net.ports[0], Membership(vlan=5, addresses=100))
        assert net.say(0, BROADCAST) == {1}
