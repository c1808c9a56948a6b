"""The columns of a batch that may be written: lengths, mask and headers, and what send makes of them."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vecwire.path.batch import LONGEST_FRAME, Batch
from vecwire.path.channel import Channel
from vecwire.testing import pair
from vecwire.wire.vnet import Vnet

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAMES = [bytes([number]) * (60 + number) for number in range(1, 6)]
FIELDS = ("flags", "gso_type", "hdr_len", "gso_size", "csum_start", "csum_offset", "num_buffers")


def filled(depth: int = 8, size: int = 1514) -> Batch:
    """A batch with frames in it."""
    batch = Batch(depth, size)
    batch.extend(FRAMES)
    return batch


def octets(batch: Batch) -> list[bytes]:
    """The frames of a batch, copied out."""
    return [bytes(frame) for frame in batch]


class Wire:
    """A channel, and the far end of the socket that it sends to."""

    def __init__(self, here: socket.socket, there: socket.socket) -> None:
        self.there = there
        self.channel = Channel(8)
        self.channel.attach(here.fileno(), here.fileno())

    def arrived(self) -> list[bytes]:
        """What has come since."""
        found = []
        while True:
            try:
                found.append(self.there.recv(70000))
            except BlockingIOError:
                return found


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A channel into a socket pair."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        for end in (here, there):
            end.setblocking(False)
        yield Wire(here, there)


# Lengths.


def test_a_frame_is_made_shorter_and_longer(wire: Wire) -> None:
    """A length that is written is the frame's, in the batch and on the wire; its octets are the memory's."""
    batch = filled()
    batch.lengths[1] = 20
    batch.lengths[2] = 100
    wanted = [FRAMES[0], FRAMES[1][:20], FRAMES[2] + bytes(100 - len(FRAMES[2])), *FRAMES[3:]]
    assert octets(batch) == wanted
    assert wire.channel.send(batch) == 5
    assert wire.arrived() == wanted


@pytest.mark.parametrize("length", [1600, 1700, 65536, 2**32 - 1])
def test_a_length_that_leaves_its_slot(wire: Wire, length: int) -> None:
    """It is refused by a look at the frame, by gather and by send, and nothing is sent; then it is mended."""
    batch = filled(size=1450)
    batch.lengths[3] = length
    with pytest.raises(ValueError, match=f"frame 3 was given a length of {length} octets; there is room"):
        batch[3]
    with pytest.raises(ValueError, match="frame 3"):
        batch.gather(0, 14)
    with pytest.raises(ValueError, match="frame 3"):
        wire.channel.send(batch)
    assert wire.arrived() == []
    assert batch[2] == FRAMES[2]
    batch.lengths[3] = 60
    assert wire.channel.send(batch) == 5
    assert len(wire.arrived()) == 5


def test_a_frame_fills_its_slot_and_no_more(wire: Wire) -> None:
    """The last frame may be as long as its slot, and the next octet is one too many."""
    batch = Batch(2, 1450)
    batch.extend([b"x" * 60, b"y" * 60])
    batch.lengths[1] = batch.size
    assert len(batch[1]) == batch.size
    assert wire.channel.send(batch) == 2
    assert [len(frame) for frame in wire.arrived()] == [60, batch.size]
    batch.lengths[1] = batch.size + 1
    with pytest.raises(ValueError, match=f"room for {batch.size}"):
        wire.channel.send(batch)


def test_numpy_cuts_all_frames(wire: Wire) -> None:
    """One expression shortens a whole batch."""
    batch = filled()
    lengths = np.asarray(batch.lengths)
    lengths[:] = np.minimum(lengths, 62)
    assert wire.channel.send(batch) == 5
    assert wire.arrived() == [frame[:62] for frame in FRAMES]


def test_a_frame_is_replaced() -> None:
    """Assigning to a frame gives it other octets, as many as its slot takes, and keeps the others."""
    batch = filled()
    lengths = batch.lengths
    batch[1] = b"y" * 500
    batch[-1] = b"z" * 14
    assert octets(batch) == [FRAMES[0], b"y" * 500, *FRAMES[2:4], b"z" * 14]
    assert lengths.tolist() == [61, 500, 63, 64, 14]
    with pytest.raises(ValueError, match="does not fit"):
        batch[0] = bytes(batch.size + 1)
    with pytest.raises(IndexError):
        batch[5] = b"x" * 60
    with pytest.raises(TypeError):
        batch[0:2] = [b"x" * 60]  # type: ignore[index, assignment]


# The mask.


def test_all_frames_are_sent_at_first() -> None:
    """The mask is an octet a frame, all 1, and shares memory with itself."""
    batch = filled()
    mask = np.asarray(batch.mask)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [1] * 5
    assert np.shares_memory(mask, np.asarray(batch.mask))


@pytest.mark.parametrize("mask", [[1, 0, 1, 0, 1], [0, 0, 0, 1, 1], [1, 0, 0, 0, 0], [0, 1, 2, 255, 0]])
@pytest.mark.parametrize("first", range(6))
def test_masked_frames_are_passed_over(wire: Wire, mask: list[int], first: int) -> None:
    """What the mask does not accept is done with and not sent, from whatever frame on, and not counted."""
    batch = filled()
    np.asarray(batch.mask)[:] = mask
    wanted = [frame for frame, accepted in zip(FRAMES, mask, strict=True) if accepted][
        sum(map(bool, mask[:first])) :
    ]
    assert wire.channel.send(batch, first) == 5 - first
    assert wire.arrived() == wanted
    counters = wire.channel.counters()
    assert counters["tx_frames"] == len(wanted)
    assert octets(batch) == FRAMES


def test_a_batch_that_is_masked_out_makes_no_call(wire: Wire) -> None:
    """Where nothing is accepted all is done with, and the kernel is not asked."""
    batch = filled()
    np.asarray(batch.mask)[:] = 0
    assert wire.channel.send(batch) == 5
    assert wire.arrived() == []
    assert wire.channel.counters()["tx_calls"] == 0


def test_a_masked_batch_goes_on_where_it_stopped(wire: Wire) -> None:
    """Where the kernel takes no more, the count is of frames of the batch, and the rest follows in order."""
    batch = Batch(1000, 2000)
    frames = [number.to_bytes(4, "big") * 400 for number in range(1000)]
    batch.extend(frames)
    np.asarray(batch.mask)[::3] = 0
    got: list[bytes] = []
    done = 0
    rounds = 0
    while done < len(batch):
        done += wire.channel.send(batch, done)
        got += wire.arrived()
        rounds += 1
    assert rounds > 1
    assert got == [frame for number, frame in enumerate(frames) if number % 3]


def test_what_is_new_is_accepted() -> None:
    """A mask does not stay for the frames that come after: received, appended or sent again."""
    left, right = pair()
    with left, right:
        batch = right.batch()
        mask = batch.mask
        out = left.batch()
        for _ in range(2):
            out.clear()
            out.extend(FRAMES)
            assert left.send(out) == 5
            assert right.recv(batch) == 5
            assert batch.mask.tolist() == [1] * 5
            np.asarray(batch.mask)[:] = 0
        assert mask.tolist() == []
        batch.append(FRAMES[0])
        assert batch.mask.tolist() == [0] * 5 + [1]


def test_a_view_shows_what_came_into_its_place(wire: Wire) -> None:
    """A view of a frame that outlives the next ``recv`` shows the same place: what has come there since."""
    batch = Batch(8, 1514)
    wire.there.send(FRAMES[4])
    assert wire.channel.recv(batch) == 1
    view = batch[0]
    wire.there.send(FRAMES[0])
    assert wire.channel.recv(batch) == 1
    assert bytes(view) == FRAMES[0] + FRAMES[4][len(FRAMES[0]) :]
    view[:] = bytes(len(view))
    assert bytes(batch[0]) == bytes(len(FRAMES[0]))


def test_received_frames_are_shown(wire: Wire) -> None:
    """Columns that were taken once show, when they are taken again, what has been received since."""
    batch = Batch(8, 1514)
    assert batch.lengths.tolist() == batch.mask.tolist() == []
    for frame in FRAMES:
        wire.there.send(frame)
    assert wire.channel.recv(batch) == 5
    assert batch.lengths.tolist() == [len(frame) for frame in FRAMES]
    np.asarray(batch.mask)[:] = 0
    for frame in FRAMES[:3]:
        wire.there.send(frame)
    assert wire.channel.recv(batch) == 3
    assert batch.mask.tolist() == [1] * 3
    assert batch.lengths.tolist() == [len(frame) for frame in FRAMES[:3]]


def test_the_memory_port_honours_the_mask() -> None:
    """The fake passes over the same frames as a port of the host."""
    left, right = pair()
    with left, right:
        out, into = left.batch(), right.batch()
        out.extend(FRAMES)
        np.asarray(out.mask)[:] = [0, 1, 0, 0, 1]
        assert left.send(out) == 5
        assert right.recv(into) == 2
        assert octets(into) == [FRAMES[1], FRAMES[4]]


# Headers.


def test_headers_are_records() -> None:
    """Through the buffer protocol the headers are records with the fields of a header."""
    batch = Batch(3, 9000)
    headers = [Vnet(1, 4, 74, 1428, 54, 16, 3), Vnet(), Vnet(flags=2)]
    for number, header in enumerate(headers):
        batch.append(bytes([number]) * 3000, header)
    records: Any = np.asarray(batch.vnet)
    assert records.dtype.names == FIELDS
    assert records.itemsize == 12
    assert [Vnet(*map(int, record)) for record in records] == headers
    records["flags"][1] = 2
    assert batch.vnet[1] == Vnet(flags=2)
    assert list(batch.vnet) == [headers[0], Vnet(flags=2), headers[2]]


def test_headers_are_a_sequence() -> None:
    """A header is read and written by its frame's number, and there is none for no frame."""
    batch = filled()
    batch.vnet[-1] = Vnet(flags=1, csum_start=14, csum_offset=6)
    assert batch.vnet[4] == batch.vnet(4) == Vnet(flags=1, csum_start=14, csum_offset=6)
    assert len(batch.vnet) == 5
    with pytest.raises(IndexError, match="holds 5 frames"):
        batch.vnet[5] = Vnet()
    with pytest.raises(ValueError, match="does not fit"):
        batch.vnet[0] = Vnet(gso_size=65536)


def test_a_checksum_that_is_asked_for_is_made(wire: Wire) -> None:
    """A header that is written into the column is obeyed, and the column shows that it is done."""
    batch = Batch(2, 1514)
    batch.extend([bytes(60), bytes(60)])
    np.asarray(batch.vnet)[["flags", "csum_start", "csum_offset"]][1] = (1, 14, 16)
    assert wire.channel.send(batch) == 2
    assert [frame[30:32] for frame in wire.arrived()] == [b"\0\0", b"\xff\xff"]
    assert batch.vnet[1] == Vnet()


def test_a_header_that_contradicts_its_frame(wire: Wire) -> None:
    """A header that lies is a counted drop, as that of any frame; those beside it are sent."""
    batch = filled()
    batch.vnet[2] = Vnet(flags=1, csum_start=9000)
    assert wire.channel.send(batch) == 5
    assert wire.arrived() == [*FRAMES[:2], *FRAMES[3:]]
    assert wire.channel.counters()["tx_bad_offload"] == 1


# Fields of all frames.


def test_gather_and_scatter() -> None:
    """The same octets of all frames are had as rows, and put back, without a loop."""
    batch = Batch(4, 1514)
    batch.extend(bytes(range(number, number + 60)) for number in range(4))
    ends = np.asarray(batch.gather(0, 12))
    assert ends.shape == (4, 12)
    assert ends[2].tolist() == list(range(2, 14))
    batch.scatter(0, np.hstack([ends[:, 6:], ends[:, :6]]))
    assert bytes(batch[2]) == bytes([*range(8, 14), *range(2, 8), *range(14, 62)])


def test_gather_beyond_the_end() -> None:
    """Octets that a frame does not have are 0, and those written there go nowhere."""
    batch = Batch(3, 1514)
    batch.extend([b"a" * 60, b"b" * 20, b"c" * 16])
    memory = bytes(batch.data)
    assert [bytes(row) for row in np.asarray(batch.gather(14, 8))] == [
        b"a" * 8,
        b"b" * 6 + b"\0\0",
        b"c" * 2 + bytes(6),
    ]
    batch.scatter(14, b"z" * 24)
    assert octets(batch) == [b"a" * 14 + b"z" * 8 + b"a" * 38, b"b" * 14 + b"z" * 6, b"c" * 14 + b"z" * 2]
    batch.scatter(14, b"a" * 8 + b"b" * 8 + b"c" * 8)
    assert bytes(batch.data) == memory


def test_gather_of_nothing() -> None:
    """An empty batch has no rows, and takes none."""
    batch = Batch(3)
    assert np.asarray(batch.gather(0, 6)).shape == (0, 6)
    batch.scatter(0, b"")


@pytest.mark.parametrize(
    ("offset", "width"), [(-1, 4), (0, 0), (0, -1), (LONGEST_FRAME + 1, 1), (0, 2**32 + 1)]
)
def test_gather_what_cannot_be(offset: int, width: int) -> None:
    """A place that no frame has is a ValueError."""
    with pytest.raises(ValueError, match="no frame has"):
        filled().gather(offset, width)


@pytest.mark.parametrize(("offset", "count"), [(-1, 5), (0, 4), (LONGEST_FRAME + 1, 5)])
def test_scatter_what_cannot_be(offset: int, count: int) -> None:
    """As many octets for each frame, or a ValueError."""
    with pytest.raises(ValueError, match="as many for each"):
        filled().scatter(offset, bytes(count))


# Lifetimes.


def test_columns_outlive_their_batch() -> None:
    """A view of any column keeps its memory for as long as it lives, and can be written to no effect."""
    batch = filled()
    columns = [
        np.asarray(batch.lengths),
        np.asarray(batch.mask),
        np.asarray(batch.timestamps),
        np.asarray(batch.starts),
    ]
    records: Any = np.asarray(batch.vnet)
    headers = batch.vnet
    del batch
    gc.collect()
    others = [filled() for _ in range(20)]
    columns[0][:] = 2**32 - 1
    columns[1][:] = 0
    records["flags"] = 1
    assert headers[4] == Vnet(flags=1)
    assert columns[3].tolist() == others[0].starts.tolist()
    assert all(octets(other) == FRAMES for other in others)


def test_a_thread_that_scribbles_does_no_harm(wire: Wire) -> None:
    """Lengths, masks and headers that change under a sender are refused or obeyed, and lead nowhere else."""
    batch = filled(depth=8)
    lengths, mask, records = np.asarray(batch.lengths), np.asarray(batch.mask), np.asarray(batch.vnet)
    over = threading.Event()

    def scribble() -> None:
        values = np.random.default_rng(1)
        while not over.is_set():
            lengths[:] = values.integers(0, 2**32, 5)
            mask[:] = values.integers(0, 2, 5)
            records["gso_type"] = values.integers(0, 6, 5)
            lengths[:] = 60

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for _ in range(2000):
            with contextlib.suppress(ValueError):
                assert wire.channel.send(batch) <= 5
            assert all(len(frame) <= batch.size for frame in wire.arrived())
    finally:
        over.set()
        thread.join()
