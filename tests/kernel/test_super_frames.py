"""Super-frames between ports: joined, cut and passed through for the kernels of two hosts, under pressure."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import vecwire
from oracle import internet
from oracle.shapes import SHAPES, asking
from oracle.streams import STREAM, stream
from peers.accounting import accounted, cable
from peers.frames import frame
from peers.hosts import WHOLE, assert_healthy, cabled, send_datagrams, transfer
from peers.net import Namespace, veth, wait_until
from peers.wan import PATIENCE, TO_FAR, datagrams, send_train, shrink, wan
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import PortStats, Vnet

OCTETS = 2 * 1024 * 1024


def stats(joined: vecwire.Cable) -> tuple[PortStats, PortStats]:
    """The counters of a cable's ends."""
    first, second = joined.ports
    return first.stats, second.stats


# TCP of two kernels, whatever the MTU inside.


@pytest.mark.parametrize("mtu", [1400, 1500, 9000])
@pytest.mark.parametrize(("a", "b"), [("tap", "l2tpv3"), ("raw", "raw"), ("tap", "gre"), ("raw", "l2tpv3")])
def test_tcp_passes_with_every_mtu(a: str, b: str, mtu: int) -> None:
    """TCP over IPv4 and IPv6 passes both ways, also where the outer link of 1500 must fragment packets."""
    with cabled(a, b, mtu=mtu) as (left, right, _):
        left.namespace.wait_reachable("fd09::2")
        for addresses in (("10.9.0.2", "10.9.0.1"), ("fd09::2", "fd09::1")):
            transfer(left, right, addresses[0], OCTETS)
            transfer(right, left, addresses[1], OCTETS)
        assert_healthy(left, right)


@pytest.mark.parametrize("to", ["tap", "raw", "hybrid"])
@pytest.mark.parametrize("via", ["l2tpv3", "l2tpv3-ip", "gre", "bess"])
def test_a_stream_out_of_a_tunnel_is_joined(via: str, to: str) -> None:
    """What comes out of a tunnel frame by frame reaches a host's kernel in super-frames."""
    with cabled(via, to) as (left, right, joined):
        transfer(left, right, "10.9.0.2", OCTETS)
        assert_healthy(left, right)
        _, sent = stats(joined)
        assert sent.tx_joined > 0
        assert sent.tx_merged >= 2 * sent.tx_joined
        assert sent.tx_segments == 0


@pytest.mark.parametrize("to", ["tap", "raw"])
def test_gro_0_joins_nothing(to: str) -> None:
    """With `gro=0` a stream out of a tunnel leaves frame by frame."""
    with cabled("l2tpv3", to, options=",gro=0") as (left, right, joined):
        transfer(left, right, "10.9.0.2", OCTETS // 4)
        assert_healthy(left, right)
        first, second = stats(joined)
        assert (first.tx_trains, second.tx_joined, second.tx_super) == (0, 0, 0)


# UDP super-frames (USO).


@pytest.mark.parametrize("b", ["raw", "tap", "hybrid", "gre", "l2tpv3", "l2tpv3-ip", "bess"])
@pytest.mark.parametrize("a", ["tap", "raw"])
@pytest.mark.parametrize("address", ["10.9.0.2", "fd09::2"])
def test_datagrams_sent_as_one_arrive_as_they_are(a: str, b: str, address: str) -> None:
    """A UDP super-frame passes whole to a port that takes it, is cut for any other, and arrives as it was."""
    with cabled(a, b) as (left, right, joined):
        left.namespace.wait_reachable(address)
        before, after = stats(joined)
        assert send_datagrams(left, right, address, STREAM[:19_500], 1000) == [
            STREAM[at : min(at + 1000, 19_500)] for at in range(0, 19_500, 1000)
        ]
        assert left.namespace.checksum_errors() == right.namespace.checksum_errors() == {}
        joined.stop()
        first, second = stats(joined)
        assert (first - before).rx_super == 1
        passed = second - after
        if b in WHOLE:
            assert (passed.tx_super, passed.tx_segments) == (1, 0)
        else:
            assert (passed.tx_super, passed.tx_split, passed.tx_segments) == (0, 1, 20)
        assert passed.tx_trains == (b == "l2tpv3")


# Back-pressure.


@pytest.fixture
def veths() -> Iterator[Namespace]:
    """A namespace that the test is in, with the veth pairs left0-left1 and right0-right1."""
    with Namespace("pressure", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "left1"))
        veth((made, "right0"), (made, "right1"))
        yield made


def mixed(count: int) -> list[tuple[bytes, Vnet | None]]:
    """Super-frames of several kinds, each with a plain frame behind it, all told apart by their octets."""
    made: list[tuple[bytes, Vnet | None]] = []
    for number in range(count):
        shape = SHAPES[("tcp4", "tcp6", "udp4")[number % 3]]
        payload = struct.pack("!I", number) + STREAM[:20_000]
        segment = internet.located(replace(shape, payload=payload, source_port=number + 1))
        made.append((internet.build(segment, partial=True), asking(segment, 1000)))
        made.append((frame(number, 100), None))
    return made


def pieces(octets: bytes, header: Vnet | None) -> tuple[bytes, ...]:
    """The frames that a frame leaves as where super-frames are not taken."""
    return tuple(segments(octets, header) or ()) if header is not None else (octets,)


@pytest.mark.usefixtures("veths")
def test_a_slow_reader_gets_each_frame_once() -> None:
    """Super-frames for a client that reads slowly arrive whole, once and in order, or are counted."""
    frames = mixed(60)
    with (
        vecwire.open("bess,listen=@slow,depth=8") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=right1") as far,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as reader,
        cable(a, b),
    ):
        reader.connect("\0slow")
        reader.settimeout(PATIENCE)
        wait_until(lambda: a.info.up, timeout=PATIENCE, what="the client is served")
        shrink(a)
        came: list[bytes] = []
        for start in range(0, len(frames), 6):
            batch = far.batch()
            for octets, header in frames[start : start + 6]:
                batch.append(octets, header)
            assert far.send(batch) == 6
            came.append(reader.recv(1 << 16))
        wait_until(lambda: b.stats.rx_frames == len(frames), timeout=PATIENCE, what="all are on their way")
        while accounted(a.stats) < len(frames) or len(came) < a.stats.tx_frames:
            came.append(reader.recv(1 << 16))
        expected: list[bytes] = []
        passed = 0
        for octets, header in frames:
            parts = pieces(octets, header)
            if came[len(expected) : len(expected) + len(parts)] == list(parts):
                expected += parts
                passed += 1
        assert came == expected, "each frame came whole, in its place, or not at all"
        assert passed == len(frames) - a.stats.tx_full
        assert a.stats.tx_held > 0
        assert a.stats.tx_full > 0
        assert a.stats.tx_stalls > 10


def test_a_slow_link_gets_each_packet_once() -> None:
    """Trains for a link slower than their source arrive once, in order and counted on, under a cable."""
    with wan() as link:
        veth((link.near, "left0"), (link.near, "left1"))
        rate = ("rate", "300mbit", "burst", "16kb", "limit", "50mb")
        link.near.run(["tc", "qdisc", "add", "dev", "wan0", "root", "tbf", *rate])
        far, port = link.far_socket(), link.near_port(",counter=1,depth=256")
        shrink(port)
        frames = mixed(40)
        with (
            vecwire.open(f"raw,ifname=left0,netns={link.near.name}") as inner,
            vecwire.open(f"raw,ifname=left1,netns={link.near.name},depth=80") as source,
            cable(inner, port),
        ):
            batch = source.batch()
            for octets, header in frames:
                batch.append(octets, header)
            assert source.send(batch) == len(frames)
            expected = [part for octets, header in frames for part in pieces(octets, header)]
            came = datagrams(far, len(expected))
            assert [packet[12:] for packet in came] == expected
            numbers = [struct.unpack_from("!I", packet, 8)[0] for packet in came]
            assert numbers == list(range(1, len(expected) + 1))
        assert (port.stats.tx_full, port.stats.tx_dropped) == (0, 0)
        assert port.stats.tx_held > 0
        assert port.stats.tx_trains == 40


@pytest.mark.parametrize("kind", ["raw", "tap"])
def test_more_frames_than_a_call_has_vectors_for_are_joined(kind: str) -> None:
    """Thousands of small frames of several flows, received at once, leave joined, in order, none lost."""
    flows = []
    for number in range(5):
        shape = replace(SHAPES["tcp4"], source_port=number + 1)
        flows.append([internet.build(each) for each in stream(shape, *[20] * 512)])
    frames = [octets for flow in flows for octets in flow]
    with wan() as link:
        spec = f"{kind},ifname=right0,netns={link.far.name}"
        if kind == "raw":
            veth((link.far, "right0"), (link.far, "right1"))
        near, port = link.near_socket(), link.far_port()
        with vecwire.open(spec) as inner:
            if kind == "tap":
                link.far.up("right0")
            end = "right1" if kind == "raw" else "right0"
            sink = link.stack.enter_context(vecwire.open(f"raw,ifname={end},netns={link.far.name}"))
            for start in range(0, len(frames), 64):
                send_train(near, (TO_FAR + each for each in frames[start : start + 64]), len(frames[0]) + 8)
            with cable(port, inner):
                found: list[bytes] = []
                batch = sink.batch()

                def arrived() -> bool:
                    sink.recv(batch)
                    for place, octets in enumerate(batch):
                        header = batch.vnet(place)
                        found.extend(pieces(bytes(octets), header if header.gso_type else None))
                    return len(found) >= len(frames)

                wait_until(arrived, timeout=PATIENCE, what="all came")
            assert found == frames
            assert (inner.stats.tx_joined, inner.stats.tx_merged) == (5, len(frames))
