"""Whatever is done with a batch, in whatever order: it holds, shows and sends what a list of frames would."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from vecwire import Batch, Vnet
from vecwire.path.channel import Channel
from vecwire.testing import pair

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTH = 12
SIZE = 1514
FRAME = st.binary(min_size=14, max_size=200)


class OverMemory:
    """A pair of the package's own."""

    def __init__(self) -> None:
        self.left, self.right = pair(depth=DEPTH, capacity=1000)
        self.send = self.left.send
        self.recv = self.right.recv

    def far_send(self, frames: list[bytes]) -> None:
        """Sends from the far end."""
        out = Batch(DEPTH)
        out.extend(frames)
        assert self.right.send(out) == len(frames)

    def near_recv(self, batch: Batch) -> int:
        """Receives at the near end."""
        return self.left.recv(batch)

    def close(self) -> None:
        """Gives both ends back."""
        self.left.close()
        self.right.close()


class OverSockets:
    """Two channels over a pair of sockets."""

    def __init__(self) -> None:
        self.ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.left, self.right = Channel(DEPTH), Channel(DEPTH)
        for end, channel in zip(self.ends, (self.left, self.right), strict=True):
            end.setblocking(False)
            channel.attach(end.fileno(), end.fileno())
        self.send = self.left.send
        self.recv = self.right.recv

    def far_send(self, frames: list[bytes]) -> None:
        """Sends from the far end."""
        out = Batch(DEPTH)
        out.extend(frames)
        assert self.right.send(out) == len(frames)

    def near_recv(self, batch: Batch) -> int:
        """Receives at the near end."""
        return self.left.recv(batch)

    def close(self) -> None:
        """Gives both ends back."""
        for end in self.ends:
            end.close()


class Model(RuleBasedStateMachine):
    """A batch beside a list of what it should hold: octets, whether they are accepted, and their time."""

    link: Callable[[], OverMemory | OverSockets]

    @initialize()
    def begin(self) -> None:
        """An empty batch and a link."""
        self.wire = type(self).link()
        self.batch = Batch(DEPTH, SIZE)
        self.frames: list[bytearray] = []
        self.mask: list[int] = []
        self.times: list[int] = []
        # Views that outlive what they were views of.
        self.old: list[Any] = []

    def teardown(self) -> None:
        """Old views are written once more, and do no harm."""
        for view in self.old:
            if not view.readonly and view.nbytes:
                view.cast("B")[0] = 1
        self.wire.close()

    @rule(frame=FRAME, moment=st.integers(0, 2**64 - 1))
    def append(self, frame: bytes, moment: int) -> None:
        """One more frame, or the word that there is no room."""
        if len(self.frames) == DEPTH:
            with pytest.raises(ValueError, match="full"):
                self.batch.append(frame)
            return
        self.batch.append(frame, timestamp=moment)
        self.frames.append(bytearray(frame))
        self.mask.append(1)
        self.times.append(moment)

    @rule()
    def clear(self) -> None:
        """All out."""
        self.old += [self.batch.lengths, self.batch.mask, self.batch.data, *self.batch]
        self.batch.clear()
        self.frames, self.mask, self.times = [], [], []

    @rule(data=st.data())
    @precondition(lambda self: self.frames)
    def edit(self, data: st.DataObject) -> None:
        """Octets of a frame are written in place, through the frame or through the memory."""
        place = data.draw(st.integers(0, len(self.frames) - 1))
        at = data.draw(st.integers(0, len(self.frames[place]) - 1))
        value = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            self.batch[place][at] = value
        else:
            np.asarray(self.batch.data).reshape(-1)[self.batch.starts[place] + at] = value
        self.frames[place][at] = value

    @rule(data=st.data(), length=st.integers(1, SIZE))
    @precondition(lambda self: self.frames)
    def cut(self, data: st.DataObject, length: int) -> None:
        """A frame is made shorter, or longer by octets that are then written."""
        place = data.draw(st.integers(0, len(self.frames) - 1))
        frame = self.frames[place]
        self.batch.lengths[place] = length
        if length > len(frame):
            self.batch[place][len(frame) :] = bytes(length - len(frame))
        self.frames[place] = frame[:length] + bytes(max(0, length - len(frame)))

    @rule(data=st.data(), excess=st.integers(1, 2**31))
    @precondition(lambda self: self.frames)
    def overrun(self, data: st.DataObject, excess: int) -> None:
        """A length that leaves its slot is refused wherever it is looked at, and nothing is sent."""
        place = data.draw(st.integers(0, len(self.frames) - 1))
        self.batch.lengths[place] = self.batch.size + excess
        with pytest.raises(ValueError, match=f"frame {place} was given"):
            self.batch[place]
        with pytest.raises(ValueError, match=f"frame {place} was given"):
            self.wire.send(self.batch)
        self.batch.lengths[place] = len(self.frames[place])

    @rule(data=st.data(), frame=FRAME)
    @precondition(lambda self: self.frames)
    def replace(self, data: st.DataObject, frame: bytes) -> None:
        """A frame is another one."""
        place = data.draw(st.integers(-len(self.frames), len(self.frames) - 1))
        self.batch[place] = frame
        self.frames[place] = bytearray(frame)

    @rule(data=st.data())
    @precondition(lambda self: self.frames)
    def choose(self, data: st.DataObject) -> None:
        """Some are accepted, others not."""
        size = len(self.frames)
        self.mask = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
        np.asarray(self.batch.mask)[:] = self.mask

    @rule(offset=st.integers(0, 300), width=st.integers(1, 40))
    def rewrite(self, offset: int, width: int) -> None:
        """The same octets of all frames are taken out, changed and put back."""
        rows = np.asarray(self.batch.gather(offset, width))
        assert [bytes(row) for row in rows] == [
            bytes(frame[offset : offset + width]).ljust(width, b"\0") for frame in self.frames
        ]
        self.batch.scatter(offset, np.ascontiguousarray(rows ^ 0xFF))
        for frame in self.frames:
            frame[offset : offset + width] = bytes(each ^ 0xFF for each in frame[offset : offset + width])

    @rule(first=st.integers(0, DEPTH))
    def send(self, first: int) -> None:
        """What is accepted arrives, as it is now; all of it is done with, runts too."""
        first = min(first, len(self.frames))
        assert self.wire.send(self.batch, first) == len(self.frames) - first
        wanted = [
            bytes(frame)
            for frame, accepted in zip(self.frames[first:], self.mask[first:], strict=True)
            if accepted and len(frame) >= 14
        ]
        into = Batch(DEPTH)
        assert self.wire.recv(into) == len(wanted)
        assert [bytes(frame) for frame in into] == wanted

    @rule(frames=st.lists(FRAME, min_size=1, max_size=DEPTH))
    def receive(self, frames: list[bytes]) -> None:
        """Others come in their place, all accepted, and old views lead nowhere else."""
        self.old += [self.batch.lengths, self.batch.timestamps, self.batch.data, *self.batch]
        self.wire.far_send(frames)
        assert self.wire.near_recv(self.batch) == len(frames)
        self.frames = [bytearray(frame) for frame in frames]
        self.mask = [1] * len(frames)
        self.times = self.batch.timestamps.tolist()

    @rule(part=st.slices(DEPTH))
    def look(self, part: slice) -> None:
        """Everything that can be looked at agrees with the list."""
        batch = self.batch
        assert len(batch) == len(self.frames)
        assert [bytes(frame) for frame in batch[part]] == [bytes(frame) for frame in self.frames[part]]
        assert batch.lengths.tolist() == [len(frame) for frame in self.frames]
        assert batch.mask.tolist() == self.mask
        assert batch.timestamps.tolist() == self.times
        assert list(batch.vnet) == [Vnet()] * len(self.frames)
        memory = np.asarray(batch.data).reshape(-1)
        for start, frame in zip(batch.starts, self.frames, strict=True):
            assert memory[start : start + len(frame)].tobytes() == frame


@pytest.mark.parametrize("link", [OverMemory, OverSockets])
def test_a_batch_is_a_list_of_frames(link: type[OverMemory | OverSockets]) -> None:
    """Arbitrary sequences of what can be done with a batch agree with a list of frames."""
    run_state_machine_as_test(type("Linked", (Model,), {"link": link}))
