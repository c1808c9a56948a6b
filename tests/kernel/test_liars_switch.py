"""A switch among liars: addresses, tags and floods that no honest station sends, and what others notice."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame, mac
from peers.lan import BROADCAST, Stream, address, lan, send_all
from peers.liars import told
from peers.net import Namespace, wait_until
from vecwire import Membership

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peers.lan import Lan

TIMES = 5
PATIENCE = 10.0
LIAR, VICTIM, OTHER = 0, 1, 2


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("liars", ipv6=False) as made, made.enter():
        yield made


def among(net: Lan, *lies: bytes) -> dict[str, int]:
    """Has the liar send lies among honest frames to the victim; what is counted of them at the liar's port.

    The victim hears the honest frames and nothing else, and the others nothing at all.
    """
    net.introduce(VICTIM)
    before = net.ports[LIAR].stats
    sent: list[bytes] = []
    for number, lie in enumerate(lies):
        sent += [lie, frame(number, source=address(LIAR), destination=address(VICTIM))]
    assert net.exchange(LIAR, *sent) == {VICTIM: sent[1::2]}
    return told(before, net.ports[LIAR].stats)


@pytest.mark.parametrize(
    "source", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01", "00:00:00:00:00:00"]
)
def test_a_source_that_is_no_stations_address_is_dropped(source: str) -> None:
    """Frames from group addresses and from zeros go nowhere, as in Linux's bridge, and teach nothing."""
    with lan(3) as net:
        lies = [frame(number, source=source, destination=address(VICTIM)) for number in range(TIMES)]
        assert among(net, *lies) == {"switch_source": TIMES}
        assert {mac for mac, _ in net.where()} == {address(LIAR), address(VICTIM)}


@pytest.mark.parametrize("last", range(16))
def test_what_must_stay_on_its_link_stays_there(last: int) -> None:
    """A guest cannot speak to bridges behind the switch: spanning trees, link aggregation, LLDP, pause."""
    with lan(3) as net:
        lie = frame(0, source=address(LIAR), destination=f"01:80:c2:00:00:{last:02x}")
        assert among(net, *[lie] * TIMES) == {"switch_reserved": TIMES}


def tagged(*tags: tuple[int, int]) -> bytes:
    """A frame from the liar to the victim with a stack of tags, by type and VLAN."""
    plain = frame(0, source=address(LIAR), destination=address(VICTIM))
    return plain[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + plain[12:]


#: Access ports of two VLANs.
VLANS = [Membership(vlan=10), Membership(vlan=10), Membership(vlan=20)]


@pytest.mark.parametrize(
    "tags",
    [
        [(0x8100, 20)],
        [(0x8100, 4095)],
        [(0x8100, 20), (0x8100, 10)],
        [(0x8100, 20)] * 200,
        [(0x8100, 4095)] * 370,
    ],
    ids=["another", "4095", "two", "200", "370"],
)
def test_tags_of_another_vlan_are_dropped(tags: Sequence[tuple[int, int]]) -> None:
    """A guest's tag does not take it into a VLAN that its port is not in, however many there are."""
    with lan(VLANS) as net:
        assert among(net, *[tagged(*tags)] * TIMES) == {"switch_vlan": TIMES}


@pytest.mark.parametrize("inner", [[(0x8100, 20)], [(0x8100, 20)] * 200, [(0x88A8, 20), (0x8100, 20)]])
def test_what_stands_behind_the_first_tag_is_payload(inner: Sequence[tuple[int, int]]) -> None:
    """On a trunk without a native VLAN a stack of tags stays in the VLAN of the port that it came from."""
    trunk = Membership(tagged=frozenset({10, 20}))
    with lan([Membership(vlan=10), trunk, Membership(vlan=20)]) as net:
        for outer in ([], [(0x8100, 10)]):
            stack = tagged(*outer, *inner)
            if not outer and inner[0][0] == 0x8100:
                assert net.exchange(LIAR, stack) == {}, "its port is not in that VLAN"
                continue
            assert net.exchange(LIAR, stack) == {VICTIM: [tagged((0x8100, 10), *inner)]}


def test_a_flood_of_addresses_fills_the_liars_share_alone() -> None:
    """A station that makes up addresses is told by a counter; others' frames still go to one port each."""
    share, count = 8, 2000
    with lan([Membership(addresses=share), Membership(), Membership()]) as net:
        net.introduce(VICTIM, OTHER)
        before = net.ports[LIAR].stats
        with Stream(net.stations[OTHER], net.stations[VICTIM], address(VICTIM)) as stream:
            heard = net.ports[LIAR].stats.tx_frames
            for start in range(0, count, 100):
                # To an address behind the very port, once that is known: what is learned is all that matters.
                made_up = [
                    frame(number, source=f"02:66:00:00:{number >> 8:02x}:{number & 255:02x}")
                    for number in range(start, start + 100)
                ]
                send_all(net.stations[LIAR], [mac("01:80:c2:00:00:01") + each[6:] for each in made_up])
            wait_until(
                lambda: (net.ports[LIAR].stats - before).rx_frames == count,
                timeout=PATIENCE,
                what="the switch has heard them",
            )
            stream.wait_for(500)
            assert net.ports[LIAR].stats.tx_frames == heard, "others' frames are not for all"
        counted = net.ports[LIAR].stats - before
        assert (counted.switch_learned, counted.switch_unlearned) == (share, count - share)
        assert told(before, net.ports[LIAR].stats) == {"switch_reserved": count}


def test_a_flood_for_all_is_cut_at_its_rate() -> None:
    """Frames for all beyond `flood_rate` are dropped and counted at the liar's port; others' frames pass."""
    count = 500
    with lan([Membership(flood_rate=1), Membership(), Membership()]) as net:
        net.introduce(LIAR, VICTIM, OTHER)
        before, heard = net.ports[LIAR].stats, net.ports[OTHER].stats.tx_frames
        with Stream(net.stations[OTHER], net.stations[VICTIM], address(VICTIM)) as stream:
            send_all(
                net.stations[LIAR],
                [frame(number, source=address(LIAR), destination=BROADCAST) for number in range(count)],
            )
            wait_until(
                lambda: (net.ports[LIAR].stats - before).rx_frames == count,
                timeout=PATIENCE,
                what="the switch has heard them",
            )
            stream.wait_for(500)
        net.barrier()
        # What the other hears is the flood alone: the stream is its own, and for the victim.
        passed = net.ports[OTHER].stats.tx_frames - heard
        assert 0 < passed < count // 5
        assert told(before, net.ports[LIAR].stats) == {"switch_limited": count - passed}


def test_who_claims_anothers_address_is_told_by_a_counter() -> None:
    """Nothing vouches for a source: the address moves to the liar, that is counted, and moves back."""
    with lan(3) as net:
        net.introduce(VICTIM)
        for _ in range(TIMES):
            assert net.say(LIAR, address(LIAR), as_=address(VICTIM)) == {VICTIM, OTHER}
            assert net.where()[address(VICTIM), 0] == LIAR
            assert net.say(VICTIM, address(VICTIM)) == set()
            assert net.where()[address(VICTIM), 0] == VICTIM
        assert net.ports[LIAR].stats.switch_moved == net.ports[VICTIM].stats.switch_moved == TIMES
