"""VLANs in a learning switch: tags put in and taken out, and no frame where its VLAN is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import frame, ours
from peers.lan import BROADCAST, NOBODY, PATIENCE, Lan, address, balanced, lan, wired
from peers.net import Namespace, wait_until
from vecwire import Membership
from vecwire.wire.ethernet import tagged

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS = Membership(vlan=10)
OTHER = Membership(vlan=20)
TRUNK = Membership(tagged=frozenset({10, 20}))
NATIVE = Membership(vlan=30, tagged=frozenset({10, 20}))
#: Priority 5, drop eligible.
PRIORITY = 5 << 13 | 1 << 12


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("vlans", ipv6=False) as made, made.enter():
        yield made


def plain(source: int, destination: str = BROADCAST, number: int = 0) -> bytes:
    """A frame without a tag from a station."""
    return frame(number, source=address(source), destination=destination)


def test_an_access_port_gives_and_takes_frames_of_its_vlan() -> None:
    """Without a tag to other ports of the VLAN, with one to a trunk, not at all to other VLANs."""
    with lan([ACCESS, ACCESS, OTHER, TRUNK]) as net:
        octets = plain(0)
        assert net.exchange(0, octets) == {1: [octets], 3: [tagged(octets, 10)]}
        assert net.where() == {(address(0), 10): 0}


def test_a_trunk_carries_its_vlans_with_tags() -> None:
    """A tagged frame goes to its VLAN's ports, the tag taken out where the port is in it without one."""
    with lan([ACCESS, OTHER, TRUNK, TRUNK]) as net:
        octets = plain(2)
        assert net.exchange(2, tagged(octets, PRIORITY | 10)) == {
            0: [octets],
            3: [tagged(octets, PRIORITY | 10)],
        }
        assert net.exchange(2, tagged(octets, 20)) == {1: [octets], 3: [tagged(octets, 20)]}


def test_what_is_in_no_vlan_of_the_port_is_dropped_and_counted() -> None:
    """On a trunk a frame without a tag, or of a VLAN that it lacks, is neither passed nor learned."""
    with lan([TRUNK, ACCESS, ACCESS]) as net:
        octets = plain(0)
        assert net.exchange(0, octets, tagged(octets, 11), tagged(octets, 0), tagged(octets, 0xFFF)) == {}
        assert net.exchange(1, tagged(plain(1), 20)) == {}
        assert (net.ports[0].stats.switch_vlan, net.ports[1].stats.switch_vlan) == (4, 1)
        assert net.where() == {}


def test_a_trunk_with_a_native_vlan_takes_both() -> None:
    """Frames without a tag are of its native VLAN, and those of that VLAN leave it without one."""
    with lan([NATIVE, Membership(vlan=30), TRUNK, ACCESS]) as net:
        octets = plain(0)
        assert net.exchange(0, octets) == {1: [octets]}
        assert net.exchange(0, tagged(octets, 10)) == {2: [tagged(octets, 10)], 3: [octets]}
        back = plain(1)
        assert net.exchange(1, back) == {0: [back]}
        assert net.exchange(3, back) == {0: [tagged(back, 10)], 2: [tagged(back, 10)]}


def test_a_priority_tag_is_of_the_ports_own_vlan() -> None:
    """A tag that names no VLAN is given the port's, and its priority is kept."""
    with lan([ACCESS, ACCESS, TRUNK]) as net:
        octets = plain(0)
        assert net.exchange(0, tagged(octets, PRIORITY)) == {
            1: [octets],
            2: [tagged(octets, PRIORITY | 10)],
        }
        assert net.where() == {(address(0), 10): 0}


def test_a_frame_tagged_with_an_access_ports_own_vlan_is_taken() -> None:
    """It is of that VLAN with its tag as without."""
    with lan([ACCESS, ACCESS, TRUNK]) as net:
        octets = plain(0)
        assert net.exchange(0, tagged(octets, 10)) == {1: [octets], 2: [tagged(octets, 10)]}


def test_transparent_ports_pass_frames_as_they_are() -> None:
    """With or without a tag, of any VLAN, and learn them apart."""
    with lan(3) as net:
        for octets in (plain(0), tagged(plain(0), 7), tagged(plain(0), PRIORITY), tagged(plain(0), 4094)):
            assert net.exchange(0, octets) == {1: [octets], 2: [octets]}
        assert set(net.where()) == {(address(0), vlan) for vlan in (0, 7, 4094)}


def test_a_transparent_port_is_in_every_vlan_with_a_tag() -> None:
    """Beside others, it carries their VLANs with tags; its frames without one stay among its like."""
    with lan([Membership(), Membership(), ACCESS, TRUNK]) as net:
        octets = plain(0)
        assert net.exchange(0, octets) == {1: [octets]}
        assert net.exchange(0, tagged(octets, 10)) == {
            1: [tagged(octets, 10)],
            2: [octets],
            3: [tagged(octets, 10)],
        }
        back = plain(2)
        assert net.exchange(2, back) == {
            0: [tagged(back, 10)],
            1: [tagged(back, 10)],
            3: [tagged(back, 10)],
        }


def test_one_address_in_two_vlans_is_two_stations() -> None:
    """The same address may be behind different ports in different VLANs."""
    with lan([ACCESS, OTHER, TRUNK, ACCESS, OTHER]) as net:
        net.exchange(0, plain(9))
        net.exchange(1, plain(9))
        assert net.where() == {(address(9), 10): 0, (address(9), 20): 1}
        wanted = plain(2, address(9))
        assert net.exchange(2, tagged(wanted, 10)) == {0: [wanted]}
        assert net.exchange(2, tagged(wanted, 20)) == {1: [wanted]}
        assert net.exchange(3, wanted) == {0: [wanted]}
        assert net.exchange(4, wanted) == {1: [wanted]}


def test_unicast_gets_and_loses_its_tag() -> None:
    """A known station gets its frames as its port takes them, in a batch with others and in order."""
    with lan([ACCESS, ACCESS, TRUNK]) as net:
        for number in (1, 2):
            net.exchange(number, plain(number) if number == 1 else tagged(plain(number), 10))
        frames = [plain(0, address(1 + number % 2), number) for number in range(50)]
        heard = net.exchange(0, *frames)
        assert heard == {1: frames[::2], 2: [tagged(each, 10) for each in frames[1::2]]}
        back = [tagged(plain(2, address(1), number), 10) for number in range(50)]
        assert net.exchange(2, *back) == {1: [plain(2, address(1), number) for number in range(50)]}


def test_a_flow_keeps_its_order_however_it_is_tagged() -> None:
    """Frames of one flow for all, some with a tag and some without, leave every port in their order."""
    with lan([ACCESS, ACCESS, TRUNK, Membership()]) as net:
        sent = [plain(0, NOBODY, number) for number in range(60)]
        frames = [tagged(each, 10) if number % 3 else each for number, each in enumerate(sent)]
        heard = net.exchange(0, *frames)
        assert heard[1] == sent
        assert heard[2] == heard[3] == [tagged(each, 10) for each in sent]


def test_other_tags_are_no_vlans() -> None:
    """A provider's tag, and what is behind a first tag, is payload."""
    with lan([ACCESS, ACCESS, TRUNK]) as net:
        provider = tagged(plain(0), 20, 0x88A8)
        double = tagged(tagged(plain(2), 20), 10)
        station = net.stations
        assert station
        assert net.exchange(2, double) == {0: [tagged(plain(2), 20)], 1: [tagged(plain(2), 20)]}
        assert net.ports[0].stats.tx_frames == 1
        _sent_as_payload(net, provider)


def _sent_as_payload(net: Lan, octets: bytes) -> None:
    batch = net.stations[0].batch()
    batch.append(octets)
    net.stations[0].send(batch)
    for number, expected in ((1, octets), (2, tagged(octets, 10))):
        found = net.stations[number].batch()

        def came() -> bool:
            net.stations[number].recv(found)  # noqa: B023
            return [bytes(each) for each in found] == [expected]  # noqa: B023

        wait_until(came, timeout=PATIENCE, what="it came")


def test_a_change_of_vlan_moves_a_port_and_forgets_what_was_behind_it() -> None:
    """After it the port is in the new VLAN alone, and no old address leads there."""
    with lan([ACCESS, ACCESS, OTHER]) as net:
        net.exchange(1, plain(1))
        assert set(net.exchange(0, plain(0, address(1)))) == {1}
        net.switch.change(net.ports[1], OTHER)
        assert (address(1), 10) not in net.where()
        assert net.exchange(0, plain(0, address(1))) == {}
        assert set(net.exchange(1, plain(1))) == {2}


def test_tags_that_the_kernel_takes_out_count(namespace: Namespace) -> None:
    """On packet sockets, whose tags come beside the frames, VLANs are the same."""
    with wired(namespace, "a", "b", "c") as (ports, stations), vecwire.Switch() as switch:
        for port, membership in zip(ports, (ACCESS, OTHER, TRUNK), strict=True):
            switch.add(port, membership)
        with balanced(ports):
            net = Lan(switch, ports, stations)
            octets = plain(2)
            assert net.exchange(2, tagged(octets, PRIORITY | 10)) == {0: [octets]}
            assert net.exchange(0, octets) == {2: [tagged(octets, 10)]}
            assert net.exchange(1, octets) == {2: [tagged(octets, 20)]}
            assert ports[2].stats.rx_vlan == 1
    assert ours(octets)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"vlan": 0}, "1 to 4094"),
        ({"vlan": 4095}, "1 to 4094"),
        ({"tagged": frozenset({0})}, "1 to 4094"),
        ({"tagged": frozenset({4095, 3})}, "1 to 4094"),
        ({"vlan": 3, "tagged": frozenset({3})}, "not both"),
        ({"horizon": -1}, "horizon"),
        ({"flood_rate": 1 << 32}, "flood_rate"),
        ({"addresses": -1}, "addresses"),
    ],
)
def test_a_membership_that_cannot_be_is_refused(options: dict[str, object], text: str) -> None:
    """A VLAN that no tag can name, one that is both, and numbers out of range."""
    with pytest.raises(ValueError, match=text):
        Membership(**options)  # type: ignore[arg-type]
