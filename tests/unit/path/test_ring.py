"""The user's side of a packet socket's ring, over memory that the test fills as the kernel does."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest

from oracle import internet
from oracle.shapes import SHAPES, asking
from peers.frames import frame
from peers.guests import OF_THE_HEADER, Lie
from peers.unfinished import FORGERIES, Forgery
from vecwire import bpf
from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.path.ring import Ring
from vecwire.wire.vnet import SHORT, Vnet

BLOCK = 4096
USER, VLAN_VALID, TPID_VALID = 1, 1 << 4, 1 << 6
FIRST = 48


def block(*frames: tuple[bytes, int, int], vnet: Vnet | None = None) -> bytes:
    """A block of frames, each with its status and how much longer it was, behind a virtio-net header."""
    front = (vnet or Vnet()).pack()
    body = b""
    for number, (octets, status, more) in enumerate(frames):
        size = (68 + len(octets) + 15) // 16 * 16
        header = struct.pack(
            "=IIIIIIHHIIH", size, 5, number, len(octets), len(octets) + more, status, 68, 82, 0, 10, 0x88A8
        )
        body += (header.ljust(68 - len(front), b"\0") + front + octets).ljust(size, b"\0")
    return (struct.pack("=IIIII", 1, 0, USER, len(frames), FIRST).ljust(FIRST, b"\0") + body).ljust(
        BLOCK, b"\0"
    )


def status(memory: bytearray, number: int) -> int:
    """Whose a block is: 0 the kernel's."""
    return int(struct.unpack_from("=I", memory, number * BLOCK + 8)[0])


def test_blocks_are_taken_in_order_and_given_back() -> None:
    """Frames come with their times; a block is the kernel's again once all its frames were taken."""
    frames = [frame(number) for number in range(5)]
    memory = bytearray(
        block(*[(each, USER, 0) for each in frames[:3]]) + block(*[(each, USER, 0) for each in frames[3:]])
    )
    ring, channel, batch = Ring(memory, 2), Channel(), Batch(2)
    found = []
    assert ring.recv(channel, batch) == 2
    found += [bytes(each) for each in batch]
    assert list(batch.timestamps) == [5_000_000_000, 5_000_000_001]
    assert (status(memory, 0), status(memory, 1)) == (USER, USER)
    assert ring.recv(channel, batch) == 2
    found += [bytes(each) for each in batch]
    assert (status(memory, 0), status(memory, 1)) == (0, USER)
    assert ring.recv(channel, batch) == 1
    found += [bytes(each) for each in batch]
    assert found == frames
    assert (status(memory, 0), status(memory, 1)) == (0, 0)
    assert ring.recv(channel, batch) == 0
    # The kernel goes round.
    memory[:BLOCK] = block((frames[0], USER, 0))
    assert ring.recv(channel, batch) == 1
    assert channel.counters()["rx_frames"] == 6


def test_tags_are_put_back() -> None:
    """A tag that the kernel gives beside the frame is in it again, with its own type or the customer's."""
    octets = frame(1)
    memory = bytearray(block((octets, USER | VLAN_VALID | TPID_VALID, 0), (octets, USER | VLAN_VALID, 0)))
    batch = Batch(4)
    channel = Channel()
    assert Ring(memory, 1).recv(channel, batch) == 2
    assert bytes(batch[0]) == octets[:12] + bytes.fromhex("88a8000a") + octets[12:]
    assert bytes(batch[1]) == octets[:12] + bytes.fromhex("8100000a") + octets[12:]
    assert channel.counters()["rx_vlan"] == 2


def test_bad_frames_are_counted() -> None:
    """What was cut, or is too short, or is not wanted, is no frame."""
    memory = bytearray(block((frame(1), USER, 1), (bytes(13), USER, 0), (frame(2), USER, 0)))
    channel, batch = Channel(), Batch(4)
    channel.filter(bpf.matcher(bpf.drop_all()))
    assert Ring(memory, 1).recv(channel, batch) == 0
    counters = channel.counters()
    assert (counters["rx_truncated"], counters["rx_runt"], counters["rx_filtered"]) == (1, 1, 1)


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_the_filter_sees_what_would_leave(forgery: Forgery) -> None:
    """A checksum that is not that of the frame's own TCP or UDP is completed before the filter judges."""
    memory = bytearray(block((forgery.octets, USER, 0), vnet=forgery.header))
    channel, batch = Channel(), Batch(4)
    end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with end, other:
        channel.attach(end.fileno(), end.fileno(), rx_vnet=SHORT)
        channel.filter(bpf.matcher(forgery.wanted))
        assert Ring(memory, 1).recv(channel, batch) == 0
    counters = channel.counters()
    assert (counters["rx_filtered"], counters["rx_checksums"]) == (1, 1)


def test_every_datagram_of_a_super_frame_is_judged() -> None:
    """A UDP super-frame is received if the filter wants all of its datagrams, and not otherwise."""
    found = []
    for last in (b"good", b"evil"):
        segment = internet.located(replace(SHAPES["udp4"], payload=b"good____" * 5 + last))
        octets = internet.build(segment, partial=True)
        memory = bytearray(block((octets, USER, 0), vnet=asking(segment, 8)))
        channel, batch = Channel(), Batch(4)
        end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with end, other:
            channel.attach(end.fileno(), end.fileno(), rx_vnet=SHORT)
            channel.filter(bpf.matcher(f"udp[8:4] = {int.from_bytes(b'good')}"))
            Ring(memory, 1).recv(channel, batch)
        found.append(([bytes(each) for each in batch] == [octets], channel.counters()["rx_filtered"]))
    assert found == [(True, 0), (False, 1)]


@pytest.mark.parametrize("lie", OF_THE_HEADER, ids=str)
def test_a_header_that_lies_is_counted(lie: Lie) -> None:
    """A virtio-net header that contradicts its frame is no frame, and the next one is received."""
    memory = bytearray(block((lie.octets[:1000], USER, 0), vnet=lie.header) + block((frame(1), USER, 0)))
    channel, batch = Channel(), Batch(4)
    end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with end, other:
        channel.attach(end.fileno(), end.fileno(), rx_vnet=SHORT)
        assert Ring(memory, 2).recv(channel, batch) == 1
    assert bytes(batch[0]) == frame(1)
    assert channel.counters()["rx_bad_vnet"] == 1


def test_memory_that_is_no_ring() -> None:
    """The memory is a whole number of blocks."""
    with pytest.raises(ValueError, match="blocks"):
        Ring(bytearray(10_000), 3)
