"""Sending a batch through a socket that takes little at a time: nothing is lost, doubled or reordered."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import pytest

from oracle import internet
from oracle.internet import PSH, Segment
from oracle.shapes import SHAPES, asking
from oracle.streams import STREAM, stream
from peers.accounting import accounted
from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.port import PortStats
from vecwire.wire import encap
from vecwire.wire.segment import segments
from vecwire.wire.vnet import SHORT, Vnet

if TYPE_CHECKING:
    from types import TracebackType

    from vecwire.wire.encap import Encapsulation

#: Bits of ``gso`` for TCP over IPv4 and over IPv6.
BOTH = 1 << 1 | 1 << 4
LONGEST = 1 << 17


@dataclass
class Link:
    """A channel that sends to a record socket, and the other end of that.

    Attributes:
        room: octets of the send buffer; None leaves what the kernel gives.
        encapsulation: what the channel puts in front of frames.
        gso: the super-frames that it takes; any but none means virtio-net headers.
    """

    room: int | None = None
    encapsulation: Encapsulation | None = None
    gso: int = 0
    depth: int = 64
    taken: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Self:
        near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.near = near
        for end in (near, self.far):
            end.setblocking(False)
        if self.room is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.room)
        self.channel = Channel(self.depth)
        self.channel.attach(
            near.fileno(),
            near.fileno(),
            encapsulation=self.encapsulation,
            tx_vnet=SHORT if self.gso else 0,
            gso=self.gso,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.near.close()
        self.far.close()

    def read(self, most: int = LONGEST) -> int:
        """Takes up to ``most`` records; how many there were."""
        before = len(self.taken)
        with contextlib.suppress(BlockingIOError):
            while len(self.taken) - before < most:
                self.taken.append(self.far.recv(LONGEST))
        return len(self.taken) - before

    def send(self, batch: Batch, *, reads: int = LONGEST) -> None:
        """Sends a batch to its end, ``reads`` records being taken whenever there is no more room."""
        first = 0
        while first < len(batch) or self.channel.held:
            done = self.channel.send(batch, first)
            first += done
            if first < len(batch) or self.channel.held:
                assert self.channel.blocked == errno.EAGAIN
                assert self.read(reads), "there is no room, and nothing to be read"
        self.read()

    @property
    def counters(self) -> dict[str, int]:
        """The channel's counters."""
        return self.channel.counters()


def super_frames(count: int, octets: int, size: int) -> list[tuple[bytes, Vnet]]:
    """Different super-frames with their headers, of all the shapes in turn."""
    shapes = [internet.located(each) for each in SHAPES.values()]
    made = []
    for number in range(count):
        shape = shapes[number % len(shapes)]
        segment = replace(shape, payload=STREAM[number : number + octets], sequence=number * 100_000)
        made.append((internet.build(segment, partial=True), asking(segment, size)))
    return made


def cut(frames: list[tuple[bytes, Vnet]]) -> list[bytes]:
    """The frames that super-frames leave as; others as they are."""
    made: list[bytes] = []
    for octets, header in frames:
        made += (segments(octets, header) or []) if header.gso_type else [octets]
    return made


def filled(frames: list[tuple[bytes, Vnet]]) -> Batch:
    """A batch of these frames."""
    batch = Batch(max(len(frames), 1))
    for octets, header in frames:
        batch.append(octets, header)
    return batch


def test_a_batch_may_be_sent_again() -> None:
    """A batch of more segments than one call takes is sent whole each time that it is sent."""
    frames = super_frames(11, 384, 8)
    batch = filled(frames)
    with Link(room=1 << 24) as link:
        for _ in range(3):
            link.taken.clear()
            link.send(batch)
            assert link.taken == cut(frames)
        assert (link.counters["tx_stalls"], link.counters["tx_segments"]) == (0, 3 * 11 * 48)


def test_a_batch_that_was_held_up_may_be_sent_again() -> None:
    """A batch that had to wait for room in the middle of its super-frames is sent whole the next time."""
    frames = super_frames(4, 20_000, 700)
    batch = filled(frames)
    with Link(room=1) as link:
        for _ in range(3):
            link.taken.clear()
            link.send(batch, reads=2)
            assert link.taken == cut(frames)
        assert link.counters["tx_stalls"] > 3


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_doubled_or_reordered(seed: int) -> None:
    """Whatever is mixed and however little room there is, each frame or segment leaves once, in order."""
    choice = random.Random(seed)  # noqa: S311 a repeatable choice, not a secret
    with Link(room=choice.choice([1, 10_000, 60_000]), depth=choice.choice([1, 4, 64])) as link:
        offered, expected = 0, []
        for _ in range(6):
            frames: list[tuple[bytes, Vnet]] = []
            for big in super_frames(choice.randint(1, 20), choice.choice([10, 3000, 30_000]), 1000):
                frames.append(big)
                frames += [(bytes([each]) * choice.randint(14, 1500), Vnet()) for each in range(3)]
            batch = filled(frames)
            link.send(batch, reads=choice.randint(1, 20))
            expected += cut(frames)
            offered += len(frames)
        assert link.taken == expected
        assert accounted(PortStats(link.counters)) == offered


def test_a_counter_counts_what_leaves() -> None:
    """Over stalls in the middle of super-frames the counter of each packet is one more than the last."""
    layout = encap.l2tpv3(rx_session=1, tx_session=2, counter=True)
    frames = super_frames(6, 20_000, 700)
    with Link(room=1, encapsulation=layout) as link:
        link.send(filled(frames), reads=1)
        assert [packet[:4] for packet in link.taken] == [struct.pack("!I", 2)] * len(link.taken)
        numbers = [struct.unpack_from("!I", packet, 4)[0] for packet in link.taken]
        assert numbers == list(range(1, len(numbers) + 1))
        assert [packet[8:] for packet in link.taken] == cut(frames)
        assert layout.counter == len(numbers) + 1
        assert link.counters["tx_stalls"] > 5


def test_a_pinned_counter_stays() -> None:
    """A counter that does not count is 0 in every packet, and does not run backwards where they wait."""
    layout = encap.l2tpv3(rx_session=1, tx_session=2, counter=True, pin_counter=True)
    before = layout.counter
    with Link(room=1, encapsulation=layout) as link:
        link.send(filled(super_frames(2, 20_000, 700)), reads=1)
        assert {packet[4:8] for packet in link.taken} == {bytes(4)}
    assert layout.counter == before


@pytest.mark.parametrize("room", [1, 1 << 20])
def test_bad_frames_are_counted_once(room: int) -> None:
    """Frames that cannot be sent are counted once each, wherever they stand, and the others leave."""
    good = super_frames(4, 20_000, 700)
    bad = [
        (b"x" * 13, Vnet()),
        (b"x" * 60, Vnet(gso_type=1, gso_size=8)),
        (b"x" * 60, Vnet(1, csum_start=60)),
    ]
    frames = [bad[1], good[0], bad[0], bad[0], good[1], bad[2], (b"y" * 60, Vnet()), good[2], good[3], bad[1]]
    with Link(room=room) as link:
        link.send(filled(frames), reads=1)
        assert link.taken == cut([each for each in frames if each not in bad])
        assert (link.counters["tx_runt"], link.counters["tx_bad_offload"]) == (2, 3)
        assert accounted(PortStats(link.counters)) == len(frames)


@pytest.mark.parametrize("room", [1, 1 << 20])
def test_checksums_are_finished_once(room: int) -> None:
    """A frame that lacks its checksum and must wait is finished once, and leaves right."""
    shapes = [internet.located(replace(each, payload=STREAM[:1000])) for each in SHAPES.values()]
    frames = [
        (internet.build(shape, partial=True), replace(asking(shape, 0), gso_type=0)) for shape in shapes
    ]
    with Link(room=room) as link:
        link.send(filled(frames), reads=1)
        assert link.taken == [internet.build(shape) for shape in shapes]
        assert link.counters["tx_checksums"] == len(shapes)


def received(frames: list[bytes], depth: int = 1024) -> Batch:
    """A batch with frames that came without virtio-net headers."""
    batch = Batch(depth)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.setblocking(False)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
        for octets in frames:
            there.send(octets)
        channel = Channel(depth)
        channel.attach(here.fileno(), here.fileno())
        assert channel.recv(batch) == len(frames)
    return batch


@pytest.mark.parametrize("gso", [BOTH, 1 << 1, 1 << 4], ids=["both", "ipv4", "ipv6"])
@pytest.mark.parametrize("version", [4, 6])
def test_frames_of_a_flow_leave_as_one_where_that_is_taken(version: int, gso: int) -> None:
    """A plain stream leaves as super-frames through a port that takes that kind, else frame by frame."""
    flow = stream(Segment(version=version), *[1000] * 60)
    flow[29] = replace(flow[29], flags=flow[29].flags | PSH)
    frames = [internet.build(each) for each in flow]
    taken = gso >> (1 if version == 4 else 4) & 1
    with Link(room=1 << 24, gso=gso) as link:
        link.send(received(frames))
        came = [(packet[SHORT:], Vnet.unpack(packet[:SHORT])) for packet in link.taken]
        assert cut(came) == frames
        counters = link.counters
        assert (counters["tx_joined"], counters["tx_merged"]) == ((2, 60) if taken else (0, 0))
        assert counters["tx_frames"] == len(came) == (2 if taken else 60)
        assert accounted(PortStats(counters)) == 60


def test_joined_frames_wait_and_leave_once() -> None:
    """Super-frames made here that must wait for room leave once, in order, among frames of other kinds."""
    frames: list[bytes] = []
    for number in range(40):
        shape = Segment(version=4 if number % 3 else 6, source_port=number, sequence=number * 70_000)
        frames += [internet.build(each) for each in stream(shape, *[500] * (number % 7), 13)]
        frames.append(bytes([number]) * 60)
    with Link(room=1, gso=BOTH) as link:
        link.send(received(frames), reads=1)
        assert cut([(packet[SHORT:], Vnet.unpack(packet[:SHORT])) for packet in link.taken]) == frames
        counters = link.counters
        assert counters["tx_stalls"] > 10
        assert counters["tx_joined"] > 10
        assert accounted(PortStats(counters)) == len(frames)


def test_a_super_frame_is_made_of_at_most_512_frames() -> None:
    """A long run of small frames leaves as super-frames of no more frames than a call has vectors for."""
    frames = [internet.build(each) for each in stream(Segment(), *[20] * 1024)]
    with Link(room=1 << 24, gso=BOTH, depth=1) as link:
        link.send(received(frames))
        assert cut([(packet[SHORT:], Vnet.unpack(packet[:SHORT])) for packet in link.taken]) == frames
        assert (link.counters["tx_joined"], link.counters["tx_merged"]) == (2, 1024)


def test_what_is_too_long_is_counted_by_frames() -> None:
    """Segments, and frames joined here, that the socket refuses are dropped, and every frame is told of."""
    big = super_frames(3, 20_000, 6000)
    frames = [big[0], (b"y" * 60, Vnet()), big[1], (b"z" * 9000, Vnet()), big[2]]
    with Link(room=1) as link:
        link.send(filled(frames), reads=1)
        fits = [octets for octets in cut(frames) if len(octets) < 4000]
        assert link.taken == fits
        assert link.counters["tx_too_big"] == len(cut(frames)) - len(fits) == 10
        assert accounted(PortStats(link.counters)) == len(frames)
    flow = [internet.build(each) for each in stream(Segment(), *[1000] * 6)]
    with Link(room=1, gso=BOTH) as link:
        link.send(received([*flow, b"x" * 60]))
        assert [packet[SHORT:] for packet in link.taken] == [b"x" * 60]
        counters = link.counters
        assert (counters["tx_too_big"], counters["tx_joined"], counters["tx_merged"]) == (1, 1, 6)
        assert accounted(PortStats(counters)) == 7


def test_what_is_held_when_the_peer_goes_is_counted_down() -> None:
    """A super-frame of which some segments have left counts as one frame when its peer goes away."""
    with Link(room=1) as link:
        batch = filled(super_frames(1, 60_000, 1000))
        assert link.channel.send(batch) == 1
        assert link.channel.held == 1
        link.far.close()
        batch.clear()
        link.channel.send(batch)
        counters = link.counters
        assert (counters["lost"], counters["tx_down"], link.channel.held) == (1, 1, 0)
        assert accounted(PortStats(counters)) == 1


def test_slots_in_use_are_not_written_to() -> None:
    """A frame appended to what was received goes to a slot that nothing was received into."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.setblocking(False)
        for octets in (b"a" * 60, b"runt", b"c" * 60):
            there.send(octets)
        channel, batch = Channel(8), Batch(8)
        channel.attach(here.fileno(), here.fileno())
        assert channel.recv(batch) == 2
    for number in range(5):
        batch.append(bytes([number]) * 60)
    with pytest.raises(ValueError, match="slots"):
        batch.append(b"x" * 60)
    assert [bytes(each) for each in batch] == [
        b"a" * 60,
        b"c" * 60,
        *(bytes([number]) * 60 for number in range(5)),
    ]
    assert len(set(batch.starts)) == 7
