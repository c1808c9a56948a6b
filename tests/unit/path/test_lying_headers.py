"""Virtio-net headers that lie, with no kernel to stop them: what a tap or a packet socket may give."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from oracle import internet
from peers.frames import frame
from peers.guests import EVERY_LIE, OF_THE_HEADER, SIZE, Lie, shaped
from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.wire.counters import DROPS
from vecwire.wire.vnet import SHORT, Vnet

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 3


class Passage:
    """A channel that receives with virtio-net headers, and one that sends without."""

    def __init__(self) -> None:
        kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
        self._ends = [*socket.socketpair(*kind), *socket.socketpair(*kind)]
        self.guest, near, far, self.sink = self._ends
        for each in self._ends:
            each.setblocking(False)
        self.way_in, self.way_out = Channel(), Channel()
        self.way_in.attach(near.fileno(), near.fileno(), rx_vnet=SHORT, tx_vnet=SHORT)
        self.way_out.attach(far.fileno(), far.fileno())
        self._batch = Batch()

    def write(self, octets: bytes, header: Vnet | None = None) -> None:
        """Writes a frame as a guest does."""
        self.guest.send((header or Vnet()).pack() + octets)

    def pass_on(self) -> list[bytes]:
        """Moves what was written; what comes out."""
        while self.way_in.recv(self._batch):
            assert self.way_out.send(self._batch) == len(self._batch)
        found = []
        try:
            while True:
                found.append(self.sink.recv(1 << 17))
        except BlockingIOError:
            return found

    def dropped(self) -> dict[str, int]:
        """The drops of both channels."""
        counters = [self.way_in.counters(), self.way_out.counters()]
        return {name: each[name] for each in counters for name in DROPS if each[name]}

    def close(self) -> None:
        """Gives the sockets back."""
        for each in self._ends:
            each.close()


@pytest.fixture
def passage() -> Iterator[Passage]:
    """The way of a frame from a guest to a port that takes no offloads."""
    made = Passage()
    yield made
    made.close()


@pytest.mark.parametrize("lie", EVERY_LIE, ids=str)
def test_a_header_that_lies_is_a_drop_for_its_reason(passage: Passage, lie: Lie) -> None:
    """A lie is dropped and counted under its reason, each time, and the frames around it pass unharmed."""
    good, header, segment = shaped("tcp4")
    for number in range(TIMES):
        passage.write(frame(number, 100))
        passage.write(lie.octets, lie.header)
    passage.write(good, header)
    came = passage.pass_on()
    assert came[:TIMES] == [frame(number, 100) for number in range(TIMES)]
    pieces = [internet.read(each).payload for each in came[TIMES:]]
    assert pieces == [segment.payload[at : at + SIZE] for at in range(0, len(segment.payload), SIZE)]
    assert passage.dropped() == {lie.reason: TIMES}


@pytest.mark.parametrize("lie", OF_THE_HEADER, ids=str)
def test_a_user_who_sends_such_a_header_is_told_by_a_counter(passage: Passage, lie: Lie) -> None:
    """In a batch that a program has filled, a lie is dropped when it is sent, and the next frame leaves."""
    batch = Batch()
    batch.append(lie.octets, lie.header)
    batch.append(frame(1))
    assert passage.way_out.send(batch) == 2
    assert passage.pass_on() == [frame(1)]
    assert passage.dropped() == {"tx_bad_offload": 1}


@pytest.mark.parametrize("length", range(24))
def test_a_frame_shorter_than_its_headers_is_a_runt(passage: Passage, length: int) -> None:
    """What ends before the virtio-net and the Ethernet header do is a runt, and nothing behind it is read."""
    passage.guest.send((b"\xff" * 24)[:length])
    passage.write(frame(1))
    assert passage.pass_on() == [frame(1)]
    assert passage.dropped() == {"rx_runt": 1}


def test_a_hint_of_65535_octets_of_headers_changes_nothing(passage: Passage) -> None:
    """How long the headers are is read from them, whatever `hdr_len` says."""
    octets, header, segment = shaped("udp6")
    passage.write(octets, Vnet(header.flags, header.gso_type, 65535, SIZE, header.csum_start, 6))
    pieces = [internet.read(each).payload for each in passage.pass_on()]
    assert b"".join(pieces) == segment.payload
    assert passage.dropped() == {}
