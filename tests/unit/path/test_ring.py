"""The user's side of a packet socket's ring, over memory that the test fills as the kernel does."""

from __future__ import annotations

import struct

import pytest

from peers.frames import frame
from vecwire import bpf
from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.path.ring import Ring

BLOCK = 4096
USER, VLAN_VALID, TPID_VALID = 1, 1 << 4, 1 << 6
FIRST = 48


def block(*frames: tuple[bytes, int, int]) -> bytes:
    """A block of frames, each with its status and how much longer it was."""
    body = b""
    for number, (octets, status, more) in enumerate(frames):
        size = (68 + len(octets) + 15) // 16 * 16
        header = struct.pack(
            "=IIIIIIHHIIH", size, 5, number, len(octets), len(octets) + more, status, 68, 82, 0, 10, 0x88A8
        )
        body += (header.ljust(68, b"\0") + octets).ljust(size, b"\0")
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


def test_memory_that_is_no_ring() -> None:
    """The memory is a whole number of blocks."""
    with pytest.raises(ValueError, match="blocks"):
        Ring(bytearray(10_000), 3)
