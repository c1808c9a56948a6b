"""Virtio-net headers that lie, with no kernel to stop them: what a tap or a packet socket may give."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oracle import internet
from oracle.shapes import SHAPES, asking
from peers.frames import frame
from peers.guests import EVERY_LIE, OF_THE_HEADER, SIZE, Lie, shaped
from peers.passage import Passage
from peers.unfinished import FORGERIES, HONEST, Forgery, Unfinished
from vecwire import bpf
from vecwire.path.batch import Batch
from vecwire.wire.vnet import Vnet

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 3


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


@pytest.mark.parametrize("asked", HONEST, ids=str)
def test_the_checksum_of_a_packet_inside_is_right(passage: Passage, asked: Unfinished) -> None:
    """Without a filter, the checksum of a packet inside, or of SCTP, is completed once the frame leaves."""
    passage.write(asked.octets, asked.header)
    assert passage.pass_on() == [asked.finished]
    assert passage.received == [(asked.octets, asked.header)]
    assert passage.way_in.counters()["rx_checksums"] == 0
    assert passage.way_out.counters()["tx_checksums"] == 1


@pytest.mark.parametrize("asked", [*HONEST, *FORGERIES], ids=str)
def test_another_checksum_is_completed_before_a_filter_judges(passage: Passage, asked: Unfinished) -> None:
    """With a filter, a checksum that is not that of the frame's own TCP or UDP is completed on receipt."""
    passage.way_in.filter(bpf.matcher(bpf.accept_all()))
    passage.write(asked.octets, asked.header)
    left = passage.pass_on()
    header = Vnet(
        gso_type=asked.header.gso_type, hdr_len=asked.header.hdr_len, gso_size=asked.header.gso_size
    )
    assert passage.received == [(asked.finished, header)]
    if not header.gso_type:
        assert left == [asked.finished]
    assert passage.way_in.counters()["rx_checksums"] == 1
    assert passage.dropped() == {}


@pytest.mark.parametrize("name", SHAPES)
def test_the_checksum_of_its_own_waits_until_a_frame_leaves(passage: Passage, name: str) -> None:
    """What Linux asks for of every TCP and UDP frame is not touched on receipt, and right when it leaves."""
    passage.way_in.filter(bpf.matcher(bpf.accept_all()))
    octets, header, segment = shaped(name, 500)
    header = replace(header, gso_type=0, gso_size=0)
    passage.write(octets, header)
    assert passage.pass_on() == [internet.build(segment)]
    assert passage.received == [(octets, header)]
    assert passage.way_in.counters()["rx_checksums"] == 0


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_a_filter_sees_what_would_leave(passage: Passage, forgery: Forgery) -> None:
    """What a filter accepts only while a checksum is unfinished does not pass, and what it wants does."""
    passage.way_in.filter(bpf.matcher(f"ether proto 0x88b5 or ({forgery.wanted})"))
    for number in range(TIMES):
        passage.write(frame(number))
        passage.write(forgery.octets, forgery.header)
    passage.write(forgery.octets)
    assert passage.pass_on() == [*(frame(number) for number in range(TIMES)), forgery.octets]
    assert passage.way_in.counters()["rx_filtered"] == TIMES


@pytest.mark.parametrize("name", ["udp4", "udp4-tag-option", "udp6", "udp6-extension"])
@pytest.mark.parametrize("place", [0, 1, 7, 8, None])
def test_every_datagram_of_a_super_frame_is_judged(passage: Passage, name: str, place: int | None) -> None:
    """A datagram that the filter does not want hides nowhere in a super-frame."""
    payloads = [b"good" + bytes(6)] * 8 + [b"good"]
    if place is not None:
        payloads[place] = b"evil" + payloads[place][4:]
    segment = internet.located(replace(SHAPES[name], payload=b"".join(payloads)))
    passage.way_in.filter(bpf.matcher(f"ether[{segment.payload_at}:4] = {int.from_bytes(b'good')}"))
    octets = internet.build(segment, partial=True)
    passage.write(octets, asking(segment, 10))
    left = passage.pass_on()
    if place is None:
        assert [internet.read(each).payload for each in left] == payloads
        assert [each for each, _ in passage.received] == [octets]
    else:
        assert left == []
        assert passage.way_in.counters()["rx_filtered"] == 1


@pytest.mark.parametrize("name", ["tcp4", "udp4"])
def test_what_a_filter_looks_at_in_a_datagram_is_what_leaves(passage: Passage, name: str) -> None:
    """A datagram is judged with the lengths that it leaves with, TCP with those that it came with."""
    octets, header, segment = shaped(name, 80, 10)
    at, size = segment.network_at, segment.payload_at - segment.network_at
    lengths = [len(octets)] if name == "tcp4" else [len(octets), segment.payload_at + 10]
    told = " or ".join(f"(len = {each} and ether[{at + 2}:2] = {each - at})" for each in lengths)
    passage.way_in.filter(bpf.matcher(told))
    passage.write(octets, header)
    left = passage.pass_on()
    assert [len(each) for each in left] == [at + size + 10] * 8
    assert b"".join(internet.read(each).payload for each in left) == segment.payload


def test_a_hint_of_65535_octets_of_headers_changes_nothing(passage: Passage) -> None:
    """How long the headers are is read from them, whatever `hdr_len` says."""
    octets, header, segment = shaped("udp6")
    passage.write(octets, Vnet(header.flags, header.gso_type, 65535, SIZE, header.csum_start, 6))
    pieces = [internet.read(each).payload for each in passage.pass_on()]
    assert b"".join(pieces) == segment.payload
    assert passage.dropped() == {}
