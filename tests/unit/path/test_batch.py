"""The batch: memory with headroom, the frames in it, and views of both that copy nothing."""

import gc
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oracle import internet
from oracle.internet import Segment
from vecwire.path.batch import LEAST_HEADROOM, LONGEST_FRAME, MOST_DEPTH, MOST_FRAMES_PER_SLOT, Batch
from vecwire.path.channel import Channel
from vecwire.wire.vnet import Vnet

FRAMES = [bytes([number]) * (60 + number) for number in range(1, 6)]


def filled(depth: int = 8, frames: list[bytes] | None = None) -> Batch:
    """A batch with frames in it."""
    batch = Batch(depth, 1514)
    batch.extend(FRAMES if frames is None else frames)
    return batch


def octets(batch: Batch) -> list[bytes]:
    """The frames of a batch, copied out."""
    return [bytes(frame) for frame in batch]


# Making one.


def test_defaults() -> None:
    """A batch of no arguments holds 64 frames of any length that there is, and none yet."""
    batch = Batch()
    assert (batch.depth, len(batch)) == (64, 0)
    assert batch.size >= LONGEST_FRAME
    assert batch.headroom == LEAST_HEADROOM


@pytest.mark.parametrize("depth", [1, 2, 64, MOST_DEPTH])
def test_depths(depth: int) -> None:
    """A batch holds as many frames as it was asked to, one to 1024, and each has a place of its own."""
    batch = Batch(depth, 60)
    frames = [struct.pack("!I", number) * 15 for number in range(depth)]
    batch.extend(frames)
    assert batch.depth == len(batch) == depth
    assert octets(batch) == frames


@pytest.mark.parametrize("size", [14, 15, 60, 1514, 1518, 9018, LONGEST_FRAME])
@pytest.mark.parametrize("headroom", [0, 64, 65, 4096])
def test_slots_take_the_longest_frame(size: int, headroom: int) -> None:
    """Slots are at least as long as asked for, whatever the headroom, and the last as the first."""
    batch = Batch(3, size, headroom)
    assert batch.size >= size
    longest = [bytes([number]) * batch.size for number in (1, 2, 3)]
    batch.extend(longest)
    assert octets(batch) == longest


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(0, 64), (2, 64), (63, 64), (64, 64), (65, 80), (80, 80), (81, 96), (4095, 4096), (4096, 4096)],
)
def test_headroom_is_rounded_up(asked: int, kept: int) -> None:
    """Headroom is at least 64 octets and a multiple of 16, and so much is free in front of each frame."""
    batch = Batch(4, 1514, asked)
    batch.extend(FRAMES[:4])
    row = np.asarray(batch.data).shape[1]
    assert batch.headroom == kept
    assert [start % row for start in batch.starts] == [kept] * 4


@pytest.mark.parametrize("frames_per_slot", [1, 2, MOST_FRAMES_PER_SLOT])
def test_slots_of_several_frames_are_filled_one_by_one(frames_per_slot: int) -> None:
    """Slots that may receive several frames in one piece take one appended frame each, as any others."""
    batch = Batch(5, 1514, frames_per_slot=frames_per_slot)
    batch.extend(FRAMES)
    assert batch.depth == 5
    assert octets(batch) == FRAMES
    assert list(batch.lengths) == [len(frame) for frame in FRAMES]
    with pytest.raises(ValueError, match="full"):
        batch.append(FRAMES[0])


def test_frames_do_not_compete_for_the_cache() -> None:
    """Slots are an odd number of cache lines, so that first octets of frames fall on different ones."""
    for size in (14, 50, 1514, 2048, 9000, LONGEST_FRAME):
        row = np.asarray(Batch(2, size).data).shape[1]
        assert row % 128 == 64


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"depth": 0}, "depth is 1 to 1024, not 0"),
        ({"depth": -1}, "depth is 1 to 1024, not -1"),
        ({"depth": 1025}, "depth is 1 to 1024, not 1025"),
        ({"size": 13}, "size is 14 to 65557 octets, not 13"),
        ({"size": LONGEST_FRAME + 1}, "not 65558"),
        ({"frames_per_slot": 0}, "frames_per_slot is 1 to 128, not 0"),
        ({"frames_per_slot": 129}, "not 129"),
        ({"headroom": -1}, "headroom is 0 to 4096 octets, not -1"),
        ({"headroom": 4097}, "not 4097"),
    ],
)
def test_numbers_out_of_range(arguments: dict[str, int], match: str) -> None:
    """A number out of range is a ValueError that says the range."""
    with pytest.raises(ValueError, match=match):
        Batch(**arguments)


def test_a_batch_is_made_once() -> None:
    """Initializing a batch again, from under the views of its memory, is refused, and nothing is lost."""
    batch: Any = filled()
    with pytest.raises(ValueError, match="made once"):
        batch.__init__(4)
    assert octets(batch) == FRAMES


def test_a_batch_that_was_not_made_holds_nothing() -> None:
    """A batch whose initialization never ran has no frames and no room, and its end does no harm."""
    batch = Batch.__new__(Batch)
    assert (len(batch), batch.depth, list(batch)) == (0, 0, [])
    with pytest.raises(ValueError, match="full"):
        batch.append(b"x" * 60)


# Frames in and out.


def test_append_and_iterate() -> None:
    """Frames come out in the order and with the octets that they went in with."""
    batch = filled()
    assert len(batch) == len(FRAMES)
    assert octets(batch) == FRAMES
    assert all(isinstance(frame, memoryview) for frame in batch)


def as_array(octets: bytes) -> Any:
    """The octets as numpy has them."""
    return np.frombuffer(octets, np.uint8)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, as_array])
def test_append_takes_octets_of_any_kind(kind: Callable[..., Any]) -> None:
    """A frame may come as bytes, a bytearray, a memoryview or an array of octets."""
    batch = Batch(1, 1514)
    batch.append(kind(FRAMES[0]))
    assert octets(batch) == FRAMES[:1]


@pytest.mark.parametrize("frame", ["text", 60, None])
def test_append_takes_nothing_else(frame: Any) -> None:
    """What has no octets is a TypeError, and the batch stays as it is."""
    batch = filled()
    with pytest.raises(TypeError):
        batch.append(frame)
    assert octets(batch) == FRAMES


def test_append_copies() -> None:
    """A frame that was appended does not change with the octets that it came from."""
    source = bytearray(FRAMES[0])
    batch = Batch(1, 1514)
    batch.append(source)
    source[:] = bytes(len(source))
    assert octets(batch) == FRAMES[:1]


def test_append_from_itself() -> None:
    """A frame of the batch may be appended to it again."""
    batch = filled()
    batch.append(batch[1])
    assert octets(batch) == [*FRAMES, FRAMES[1]]


def test_an_empty_frame() -> None:
    """A frame of no octets is held as one; that it cannot be sent is the port's to say."""
    batch = Batch(2, 60)
    batch.extend([b"", b"x" * 60])
    assert octets(batch) == [b"", b"x" * 60]


def test_a_full_batch() -> None:
    """One frame more than a batch holds is a ValueError, and those in it stay."""
    batch = filled(depth=len(FRAMES))
    with pytest.raises(ValueError, match=f"full: its {len(FRAMES)} slots are in use"):
        batch.append(b"x" * 60)
    assert octets(batch) == FRAMES


def test_a_frame_too_long() -> None:
    """A frame longer than a slot is a ValueError that says both lengths, and nothing is written."""
    batch = filled()
    memory = bytes(batch.data)
    with pytest.raises(ValueError, match=f"{batch.size + 1} octets does not fit a slot of {batch.size}"):
        batch.append(bytes(batch.size + 1))
    assert octets(batch) == FRAMES
    assert bytes(batch.data) == memory


def test_extend_keeps_what_went_in() -> None:
    """Where extend meets a frame that does not fit, the frames before it stay."""
    batch = Batch(8, 1514)
    with pytest.raises(ValueError, match="does not fit"):
        batch.extend([FRAMES[0], FRAMES[1], bytes(70000), FRAMES[2]])
    assert octets(batch) == FRAMES[:2]


def test_extend_takes_another_batch() -> None:
    """A batch is an iterable of frames: another one is filled from it."""
    other = Batch(8, 9000)
    other.extend(filled())
    assert octets(other) == FRAMES


def test_clear_and_fill_again() -> None:
    """A cleared batch holds nothing, and all of its room is there again."""
    batch = filled(depth=len(FRAMES))
    batch.clear()
    assert (len(batch), octets(batch), list(batch.lengths), list(batch.starts)) == (0, [], [], [])
    batch.extend(FRAMES[::-1])
    assert octets(batch) == FRAMES[::-1]


def test_a_shorter_frame_over_a_longer_one() -> None:
    """A frame in a slot that held a longer one has its own length, and nothing of the other."""
    batch = Batch(1, 1514)
    batch.append(b"\xa5" * 1514)
    batch.clear()
    batch.append(b"x" * 60)
    assert octets(batch) == [b"x" * 60]


# Indices.


def test_indices() -> None:
    """A frame is had by its number from the front or from the back, of any kind of integer."""
    batch: Any = filled()
    for index in range(-len(FRAMES), len(FRAMES)):
        assert batch[index] == FRAMES[index]
        assert batch[np.int64(index)] == FRAMES[index]


@pytest.mark.parametrize("index", [5, 6, 8, -6, -7, 2**31, 2**32, -(2**32), 2**70])
def test_no_such_frame(index: int) -> None:
    """A number beyond the frames, even one of an empty slot, is an IndexError for a frame and its header."""
    batch = filled(depth=8)
    with pytest.raises(IndexError, match="holds 5 frames"):
        batch[index]
    with pytest.raises(IndexError, match="holds 5 frames"):
        batch.vnet(index)


def test_an_empty_batch_has_no_last_frame() -> None:
    """Not even -1 is a frame of an empty batch."""
    with pytest.raises(IndexError, match="holds 0 frames"):
        Batch(1)[-1]


@pytest.mark.parametrize(
    "part",
    [
        slice(None),
        slice(1, 3),
        slice(-2, None),
        slice(None, None, -1),
        slice(0, 99),
        slice(4, 1),
        slice(None, None, 2),
    ],
)
def test_slices(part: slice) -> None:
    """A slice is a list of the frames that the same slice of a list would have."""
    assert [bytes(frame) for frame in filled()[part]] == FRAMES[part]


@pytest.mark.parametrize("index", ["0", None, (0, 1)])
def test_other_indices(index: Any) -> None:
    """What is neither an integer nor a slice is a TypeError."""
    with pytest.raises(TypeError):
        filled()[index]


# Memory.


def test_frames_are_written_in_place() -> None:
    """Writing into a frame changes the frame in the batch, and no other."""
    batch = filled()
    batch[1][:4] = b"\xff\xfe\xfd\xfc"
    assert octets(batch) == [FRAMES[0], b"\xff\xfe\xfd\xfc" + FRAMES[1][4:], *FRAMES[2:]]


def test_lengths_are_numbers_of_32_bits() -> None:
    """The lengths are an array of unsigned 32-bit numbers, one a frame, that copies nothing."""
    batch = filled()
    lengths = np.asarray(batch.lengths)
    assert lengths.dtype == np.uint32
    assert lengths.tolist() == [len(frame) for frame in FRAMES]
    batch[2]
    assert np.shares_memory(lengths, np.asarray(batch.lengths))


def test_lengths_follow_the_frames() -> None:
    """An array of lengths shows what the batch holds now."""
    batch = filled()
    lengths = np.asarray(batch.lengths)
    batch.clear()
    batch.append(FRAMES[4])
    assert lengths[0] == len(FRAMES[4])
    assert octets(batch) == [FRAMES[4]]


def test_starts_cannot_be_written() -> None:
    """Where frames begin is told and not taken: the path believes it."""
    batch = filled()
    assert not np.asarray(batch.starts).flags.writeable
    with pytest.raises(TypeError, match="read-only"):
        batch.starts[0] = 2**32 - 1


def test_data_is_the_memory() -> None:
    """The data is a table of octets, one row a slot, in which each frame begins where starts says."""
    batch = filled()
    table = np.asarray(batch.data)
    assert table.dtype == np.uint8
    assert table.shape == (batch.depth, batch.headroom + batch.size + 1)
    assert np.shares_memory(table, np.asarray(batch.data))
    flat = table.reshape(-1)
    for start, length, frame in zip(batch.starts, batch.lengths, FRAMES, strict=True):
        assert flat[start : start + length].tobytes() == frame


def test_writing_through_numpy_shows_in_the_frames() -> None:
    """What numpy writes is in the frame at once, and what is written into the frame numpy sees."""
    batch = filled()
    table = np.asarray(batch.data)
    table[:, batch.headroom] = 0x77
    assert [frame[0] for frame in batch] == [0x77] * len(FRAMES)
    batch[3][0] = 0x11
    assert table[3, batch.headroom] == 0x11


def test_frames_line_up_for_numpy() -> None:
    """Appended frames all begin at one column, so that one expression reads a field of all of them."""
    batch = filled()
    column = np.asarray(batch.data)[: len(batch), batch.headroom + 12]
    assert column.tolist() == [frame[12] for frame in FRAMES]


def test_a_frame_outlives_its_batch() -> None:
    """A view of a frame, of the data or of the lengths keeps its memory for as long as it lives."""
    batch = filled()
    frame, table, lengths = batch[2], np.asarray(batch.data), np.asarray(batch.lengths)
    headroom = batch.headroom
    del batch
    gc.collect()
    others = [filled(frames=[b"\xa5" * 1514] * 8) for _ in range(20)]
    assert bytes(frame) == FRAMES[2]
    assert table[2, headroom : headroom + 3].tobytes() == FRAMES[2][:3]
    assert lengths.tolist() == [len(frame) for frame in FRAMES]
    assert len(others) == 20


def test_many_batches_leave_no_memory() -> None:
    """A batch gives its memory back when it and its views are gone."""

    def mappings() -> int:
        return len(Path("/proc/self/maps").read_bytes().splitlines())

    before = mappings()
    for _ in range(200):
        filled()[0][0] = 1
    gc.collect()
    assert mappings() < before + 50


# Virtio-net headers.

HEADER = Vnet(flags=1, gso_type=4, hdr_len=74, gso_size=1428, csum_start=54, csum_offset=16, num_buffers=3)


def test_a_frame_has_its_own_header() -> None:
    """Each frame keeps the header that it was appended with; one without has a header that asks nothing."""
    batch = Batch(3, 9000)
    batch.append(b"x" * 3000, HEADER)
    batch.append(b"y" * 60)
    batch.append(b"z" * 60, Vnet(flags=2))
    assert [batch.vnet(index) for index in range(3)] == [HEADER, Vnet(), Vnet(flags=2)]
    assert batch.vnet(-3) == HEADER


def test_headers_do_not_stay_behind() -> None:
    """A frame in the slot of a cleared one does not inherit its header."""
    batch = Batch(1, 9000)
    batch.append(b"x" * 3000, HEADER)
    batch.clear()
    batch.append(b"y" * 60)
    assert batch.vnet(0) == Vnet()


def test_a_header_is_obeyed_among_frames_that_came_without() -> None:
    """A super-frame appended to a batch that was received without headers is not joined as a plain frame."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        for end in (here, there):
            end.setblocking(False)
        batch, receiver, sender = Batch(8, 9000), Channel(8), Channel(8)
        receiver.attach(here.fileno(), here.fileno())
        sender.attach(here.fileno(), here.fileno(), tx_vnet=10, gso=1 << 1)
        there.send(b"x" * 60)
        assert receiver.recv(batch) == 1
        first = Segment(payload=b"y" * 3000)
        after = replace(first, sequence=first.sequence + 3000, identification=first.identification + 1)
        batch.append(internet.build(first), Vnet(gso_type=1, gso_size=1000))
        batch.append(internet.build(after))
        assert sender.send(batch) == 3
        sizes = [Vnet.unpack(there.recv(9000)).gso_size for _ in range(3)]
    assert sizes == [0, 1000, 0]


def test_a_header_that_cannot_be() -> None:
    """A header with a field that fits no octets is a ValueError, and the frame is not taken."""
    batch = Batch(1, 9000)
    with pytest.raises(ValueError, match="does not fit"):
        batch.append(b"x" * 60, Vnet(gso_size=65536))
    assert len(batch) == 0
