"""What the wrappers of a port do with what passes; that they keep the contract is shown by its suite."""

from __future__ import annotations

import logging
import select
import time
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame, super_frame
from peers.net import wait_until
from vecwire import Batch, Impairment, Port, Vnet
from vecwire.capture import CaptureReader, Recorder, Rotation
from vecwire.testing import pair
from vecwire.wire.segment import segments
from vecwire.wrappers import Captured, Impaired, Mirrored, Traced, Wrapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 5.0
FRAMES = [frame(number, 60 + number) for number in range(100)]


@pytest.fixture
def ends() -> Iterator[tuple[Port, Port]]:
    """Two joined ports that are no transport."""
    left, right = pair()
    with left, right:
        yield left, right


def filled(frames: list[bytes]) -> Batch:
    """A batch of frames."""
    batch = Batch(max(len(frames), 1))
    batch.extend(frames)
    return batch


def received(port: Port, count: int) -> list[bytes]:
    """The next frames, so many of them."""
    batch = port.batch()
    found: list[bytes] = []

    def came() -> bool:
        port.recv(batch)
        found.extend(bytes(each) for each in batch)
        return len(found) >= count

    wait_until(came, timeout=PATIENCE, what=f"{count} frames came", interval=0.001)
    return found


def test_a_wrapper_is_a_port_whatever_it_is_around(ends: tuple[Port, Port]) -> None:
    """Wrappers go around each other, and closing the outermost closes all."""
    port = Wrapper(Traced(Impaired(ends[0], Impairment())))
    assert isinstance(port, Port)
    with port:
        assert port.send(filled(FRAMES[:2])) == 2
        assert received(ends[1], 2) == FRAMES[:2]
    assert port.closed
    assert ends[0].closed


def test_what_passes_is_told_in_the_log(ends: tuple[Port, Port], caplog: pytest.LogCaptureFixture) -> None:
    """Both ways, without what the mask passes over; what is too much is counted, at the end at the latest."""
    caplog.set_level(logging.DEBUG, "vecwire.trace")
    port = Traced(ends[0], name="guest", rate=2)
    batch = filled(FRAMES[:2])
    batch.mask[0] = 0
    assert port.send(batch) == 2
    ends[1].send(filled(FRAMES[2:6]))
    received(port, 4)
    port.close()
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split("  ")[-1] for line in lines[:2]] == ["61 octets", "62 octets"]
    assert lines[2:] == ["guest: 3 frames more, too many to tell"]


def test_what_passes_is_captured(ends: tuple[Port, Port], tmp_path: Path) -> None:
    """Both ways are in the file, in order; a checksum is completed there, and the batch is as it was."""
    path = tmp_path / "x.pcapng"
    recorder = Recorder(path, segment=True)
    port = Captured(ends[0], recorder)
    octets, vnet, _ = super_frame(2000)
    batch = filled(FRAMES[:70])
    batch.mask[3] = 0
    assert port.send(batch) == 70
    received(ends[1], 69)
    batch.clear()
    lacking = Vnet(vnet.flags, 0, 0, 0, vnet.csum_start, vnet.csum_offset)
    batch.append(octets, lacking)
    assert port.send(batch) == 1
    assert (bytes(batch[0]), batch.vnet(0)) == (octets, lacking)
    batch.clear()
    batch.append(octets, vnet)
    ends[1].send(batch)
    assert received(port, 1) == [octets]
    recorder.close()
    with path.open("rb") as file:
        found = [record.frame for record in CaptureReader(file)]
    assert found[:69] == FRAMES[:3] + FRAMES[4:70]
    assert found[69] == octets[:50] + found[69][50:52] + octets[52:]
    assert found[69] != octets
    assert found[70:] == segments(octets, vnet)


def test_files_of_a_capture_follow_each_other_in_time(ends: tuple[Port, Port], tmp_path: Path) -> None:
    """A rotation by time is kept by what passes alone."""
    recorder = Recorder(tmp_path / "x", rotation=Rotation(seconds=0.0))
    port = Captured(ends[0], recorder)
    for octets in FRAMES[:3]:
        assert port.send(filled([octets])) == 1
    recorder.close()
    assert recorder.files == 3


def test_what_passes_is_mirrored(ends: tuple[Port, Port]) -> None:
    """The sink gets a copy of both ways; what it has no room for is counted; a closed one ends it."""
    sink, watcher = pair(capacity=5)
    port = Mirrored(ends[0], sink)
    with watcher:
        port.send(filled(FRAMES[:2]))
        ends[1].send(filled(FRAMES[2:4]))
        received(port, 2)
        assert received(watcher, 4) == FRAMES[:4]
        assert port.send(filled(FRAMES[:8])) == 8
        assert port.missed == 3
        assert received(watcher, 5) == FRAMES[:5]
        sink.close()
        assert port.send(filled(FRAMES[:8])) == 8
        assert port.missed == 11


def test_only_what_was_taken_is_mirrored() -> None:
    """Of a batch that the port takes in two goes, each frame is copied once."""
    left, right = pair(capacity=3)
    sink, watcher = pair()
    with Mirrored(left, sink) as port, right, sink, watcher:
        batch = filled(FRAMES[:5])
        assert port.send(batch) == 3
        received(right, 3)
        assert port.send(batch, 3) == 2
        assert received(watcher, 5) == FRAMES[:5]


def test_a_delayed_frame_leaves_within_the_calls_of_the_port(ends: tuple[Port, Port]) -> None:
    """Not before it is due; ``wait`` sleeps no longer than that, and ``fileno`` tells of it."""
    with Impaired(ends[0], Impairment(delay=0.03)) as port:
        descriptor = port.fileno()
        began = time.monotonic()
        assert port.send(filled(FRAMES[:3])) == 3
        assert port.stats.tx_frames == 0
        assert select.select([descriptor], [], [], PATIENCE)[0]
        assert time.monotonic() - began >= 0.03
        assert not port.wait(0)
        assert received(ends[1], 3) == FRAMES[:3]
        assert (port.stats.tx_delayed, port.stats.tx_frames) == (3, 3)
        assert not select.select([descriptor], [], [], 0)[0]
        port.send(filled(FRAMES[3:4]))
        assert not port.wait(0.2)
        assert received(ends[1], 1) == FRAMES[3:4]


def test_frames_have_the_fate_that_the_judge_gives_them(ends: tuple[Port, Port]) -> None:
    """Loss and doubles are counted, what arrives is what is left, and the mask stays as it was."""
    with Impaired(ends[0], Impairment(loss=0.3, duplicate=0.3, seed=1)) as port:
        batch = filled(FRAMES)
        batch.mask[7] = 0
        assert port.send(batch) == 100
        stats = port.stats
        assert stats.tx_lost > 10
        assert stats.tx_duplicated > 10
        found = received(ends[1], 99 - stats.tx_lost + stats.tx_duplicated)
        assert FRAMES[7] not in found
        assert len(set(found)) == 99 - stats.tx_lost
        assert bytes(batch.mask) == b"\1" * 7 + b"\0" + b"\1" * 92


def test_a_full_port_holds_few_and_loses_none() -> None:
    """What the port has no room for is the caller's, but for what was judged; all arrive in order."""
    left, right = pair(capacity=10)
    with Impaired(left, Impairment(loss=1e-9)) as port, right:
        batch, first = filled(FRAMES), 0
        first += port.send(batch)
        assert first == 16
        assert port.send(batch, first) == 0
        assert not port.wait(0, write=True)
        found: list[bytes] = []
        while len(found) < 100:
            found += received(right, 1)
            first += port.send(batch, first)
        assert first == 100
        assert found == FRAMES


def test_what_is_impaired_is_changed(ends: tuple[Port, Port]) -> None:
    """Frames that wait leave at once when nothing is to be done any more; on closing they are dropped."""
    port = Impaired(ends[0], Impairment(delay=900))
    port.send(filled(FRAMES[:3]))
    port.impair(Impairment())
    assert received(ends[1], 3) == FRAMES[:3]
    port.impair(Impairment(delay=900, limit=5))
    port.send(filled(FRAMES[:8]))
    assert port.stats.tx_limit == 3
    port.close()
    port.close()
    assert port.stats.tx_down == 5
