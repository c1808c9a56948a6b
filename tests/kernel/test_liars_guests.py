"""Guests that lie to a port through the kernel: what they write with virtio-net headers, on a veth or a tap.

The kernel looks at such a header before it hands the frame on, and refuses much. What it lets pass is dropped
by the port and counted; which of the two it is differs between kernels, so a lie must be one or the other.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import vecwire
from oracle import internet
from oracle.shapes import SHAPES, asking
from peers.guests import EVERY_LIE, SIZE, Lie, shaped
from peers.lan import PATIENCE, Stream, links
from peers.liars import Hearing, Tunnel, hearing, lying, told
from peers.net import Namespace, veth, wait_until
from peers.ports import LINKS
from peers.unfinished import FORGERIES, HONEST, Forgery, Unfinished
from vecwire import Vnet, bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 5
SOL_PACKET = 263
PACKET_VNET_HDR = 15


class Guest:
    """Whoever writes frames with virtio-net headers into a link at whose other end is the port.

    Args:
        namespace: where the link is, and the caller.
        ifname: the interface.
    """

    def __init__(self, namespace: Namespace, ifname: str) -> None:
        self._namespace, self._ifname = namespace, ifname
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self._socket.bind((ifname, 0))
        #: How many frames the kernel refused.
        self.refused = 0

    def write(self, octets: bytes, header: Vnet | None = None) -> None:
        """Writes a frame; what the kernel refuses is counted."""
        try:
            self._socket.send((header or Vnet()).pack() + octets)
        except OSError:
            self.refused += 1

    def dropped(self) -> int:
        """How many frames the kernel took and then dropped on their way out."""
        found: int = self._namespace.link(self._ifname)["stats64"]["tx"]["dropped"]
        return found

    def close(self) -> None:
        """Ends it."""
        self._socket.close()


def linked(namespace: Namespace) -> Guest:
    """A guest on a new link of a namespace, at whose other end, ``left0``, a port may be."""
    veth((namespace, "left0"), (namespace, "right0"))
    return Guest(namespace, "right0")


@pytest.fixture(scope="module", params=LINKS)
def told_by(request: pytest.FixtureRequest) -> Iterator[tuple[Guest, Hearing]]:
    """A guest on the link of a transport whose frames have virtio-net headers, and who hears it.

    What passes leaves through a port that takes no super-frames.
    """
    with Namespace("guests", ipv6=False) as namespace, namespace.enter():
        if request.param == "raw":
            veth((namespace, "left0"), (namespace, "right0"))
        else:
            namespace.tap("tap0")
        with (
            contextlib.closing(Guest(namespace, "right0" if request.param == "raw" else "tap0")) as guest,
            hearing(f"{LINKS[request.param]},bpfflash=1", guest.write) as ears,
        ):
            yield guest, ears


@pytest.fixture
def guest(told_by: tuple[Guest, Hearing]) -> Guest:
    """The guest."""
    return told_by[0]


@pytest.fixture
def ears(told_by: tuple[Guest, Hearing]) -> Hearing:
    """Who hears it."""
    return told_by[1]


#: What the kernel sets right on the way: flags it does not know, and a super-frame that is a plain frame.
MENDED = {"flags-nobody-knows", "tcp-header-past-the-packet"}
LIES = [lie for lie in EVERY_LIE if lie.name not in MENDED]


def test_what_the_kernel_sets_right_is_in_the_table() -> None:
    """The names of lies that cannot be told through a kernel are names of lies."""
    assert {lie.name for lie in EVERY_LIE} > MENDED


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_each_lie_is_refused_or_dropped_for_its_reason(guest: Guest, ears: Hearing, lie: Lie) -> None:
    """What cannot be gets no further than the port: the kernel refuses or drops it, or the port does."""
    refused, dropped = guest.refused, guest.dropped()
    counted = ears.among(*[lambda: guest.write(lie.octets, lie.header)] * TIMES)
    if guest.refused - refused != TIMES and guest.dropped() - dropped < TIMES:
        assert counted == {lie.reason: TIMES}
    else:
        # Behind a hybrid's packet socket the kernel also drops what nobody reads from the tap.
        assert counted in ({}, {lie.reason: TIMES})


def came(ears: Hearing, count: int = 1) -> list[bytes]:
    """The frames that have passed, of which there are at least so many, once they are counted too."""
    found = [ears.sink.recv(1 << 17) for _ in range(count)]
    ears.engine.do(lambda: None)
    return found + ears.more()


@pytest.mark.parametrize("asked", HONEST, ids=str)
def test_the_checksum_of_a_packet_inside_is_completed(guest: Guest, ears: Hearing, asked: Unfinished) -> None:
    """What a tunnel that ends in a guest lacked is there when it leaves, with a filter and without one."""
    before = ears.port.stats.rx_checksums
    for program in (bpf.accept_all(), None):
        ears.port.attach_filter(program)
        guest.write(asked.octets, asked.header)
        assert came(ears) == [asked.finished]
        assert ears.port.stats.rx_checksums == before + 1


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_no_unfinished_checksum_gets_round_a_filter(guest: Guest, ears: Hearing, forgery: Forgery) -> None:
    """A frame that would no longer be what the filter wants once its checksum is completed does not pass."""
    refused = guest.refused
    ears.port.attach_filter(f"ether proto 0x88b5 or ({forgery.wanted})")
    try:
        counted = ears.among(*[lambda: guest.write(forgery.octets, forgery.header)] * TIMES)
        guest.write(forgery.octets)
        assert came(ears) == [forgery.octets]
    finally:
        ears.port.attach_filter(None)
    assert counted == {"rx_filtered": TIMES}
    assert guest.refused == refused


def test_no_datagram_gets_round_a_filter_in_a_super_frame(guest: Guest, ears: Hearing) -> None:
    """A UDP super-frame with a datagram among others that the filter does not want does not pass."""
    good, evil = (
        internet.located(replace(SHAPES["udp4"], payload=b"good" * 3 + each)) for each in (b"good", b"evil")
    )
    octets = internet.build(good, partial=True)
    ears.port.attach_filter(f"ether proto 0x88b5 or udp[8:4] = {int.from_bytes(b'good')}")
    try:
        lie = internet.build(evil, partial=True), asking(evil, 4)
        assert ears.among(*[lambda: guest.write(*lie)] * TIMES) == {"rx_filtered": TIMES}
        guest.write(octets, asking(good, 4))
        assert [internet.read(each).payload for each in came(ears, 4)] == [b"good"] * 4
    finally:
        ears.port.attach_filter(None)


def test_a_super_frame_is_cut_among_liars_as_it_should_be(guest: Guest, ears: Hearing) -> None:
    """After all those lies an honest super-frame leaves as its segments, none missing."""
    octets, header, segment = shaped("tcp4")
    guest.write(octets, header)
    pieces = [internet.read(ears.sink.recv(1 << 16)).payload for _ in range(-(-len(segment.payload) // SIZE))]
    assert b"".join(pieces) == segment.payload
    assert ears.more() == []


@pytest.mark.parametrize("length", range(14))
def test_no_runt_comes_from_a_link(guest: Guest, ears: Hearing, length: int) -> None:
    """The kernel sends no frame shorter than its header, so a port hears of none."""
    refused = guest.refused
    assert ears.among(*[lambda: guest.write(lying()[:length])] * TIMES) == {}
    assert guest.refused - refused == TIMES


def test_a_guest_that_asks_for_as_much_as_it_may_stops_nobody() -> None:
    """While super-frames of 64-octet segments are cut, a stream between two others goes on, none missing."""
    octets, header, segment = shaped("tcp4", 60_000, 64)
    with (
        Tunnel("gre") as tunnel,
        contextlib.closing(linked(tunnel.namespace)) as liar,
        vecwire.open("raw,ifname=left0") as heard,
        vecwire.open(tunnel.spec) as way_out,
        links(2) as (ports, stations),
        vecwire.Engine() as engine,
        vecwire.Cable(heard, way_out, engine=engine),
        vecwire.Cable(*ports, engine=engine),
        Stream(stations[0], stations[1]) as stream,
    ):
        before = heard.stats
        for _ in range(10):
            liar.write(octets, header)
            stream.wait_for(100)
        wait_until(lambda: way_out.stats.tx_split == 10, timeout=PATIENCE, what="all are cut")
        assert liar.refused == 0
        assert told(before, heard.stats) == {}
    assert way_out.stats.tx_segments == 10 * -(-len(segment.payload) // 64)


def test_a_super_frame_for_all_is_as_many_frames_as_it_asks_for() -> None:
    """Of a guest that may flood 100 frames a second, no two super-frames of 938 segments pass at once."""
    octets, header, _ = shaped("tcp4", 60_000, 64)
    with (
        Tunnel("gre") as tunnel,
        contextlib.closing(linked(tunnel.namespace)) as liar,
        vecwire.open("raw,ifname=left0") as heard,
        vecwire.open(tunnel.spec) as way_out,
        vecwire.Switch() as switch,
    ):
        switch.add(heard, vecwire.Membership(flood_rate=100))
        switch.add(way_out)
        before = heard.stats
        for _ in range(3):
            liar.write(octets, header)
        wait_until(
            lambda: (heard.stats - before).switch_limited == 2, timeout=PATIENCE, what="all are judged"
        )
        assert told(before, heard.stats) == {"switch_limited": 2}
    assert way_out.stats.tx_split == 1


def test_a_super_frame_for_many_ports_is_cut_between_the_turns_of_others() -> None:
    """While super-frames are cut for eight tunnels, no frame of others is lost, and none of the guest."""
    octets, header, segment = shaped("tcp4", 60_000, 64)
    asked, count, tunnels = -(-len(segment.payload) // 64), 5, 8
    with (
        Namespace("many", ipv6=False) as namespace,
        namespace.enter(),
        contextlib.closing(linked(namespace)) as liar,
        contextlib.ExitStack() as opened,
        links(2) as (ports, stations),
        vecwire.Switch() as switch,
    ):
        heard = opened.enter_context(vecwire.open("raw,ifname=left0"))
        ways_out = [
            opened.enter_context(vecwire.open(f"gre,src=127.0.0.1,dst=127.0.1.{number}"))
            for number in range(1, tunnels + 1)
        ]
        for port in (heard, *ways_out):
            switch.add(port)
        for port in ports:
            switch.add(port, vecwire.Membership(vlan=2))
        with Stream(stations[0], stations[1]) as stream:
            for _ in range(count):
                liar.write(octets, header)
                stream.wait_for(100)
            wait_until(
                lambda: all(port.stats.tx_split == count for port in ways_out),
                timeout=PATIENCE,
                what="all are cut",
            )
    for port in ways_out:
        assert port.stats.tx_segments == count * asked
        assert port.stats.tx_full == 0
