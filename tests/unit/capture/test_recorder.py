"""The recorder: rotation, files kept, snap length, super-frames, a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import re
import resource
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame, super_frame
from peers.net import open_descriptors
from vecwire import host
from vecwire.capture import CaptureReader, Form, Recorder, Rotation
from vecwire.capture.files import Statistics
from vecwire.confine import Seccomp
from vecwire.errors import PortError
from vecwire.path.batch import Batch
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def batch_of(*frames: bytes) -> Batch:
    """A batch with the frames."""
    batch = Batch(max(len(frames), 1))
    batch.extend(frames)
    return batch


def read(path: Path) -> list[bytes]:
    """The frames of a file."""
    with path.open("rb") as file:
        return [record.frame for record in CaptureReader(file)]


@pytest.mark.parametrize("form", Form)
def test_batches_are_written_in_order(tmp_path: Path, form: Form) -> None:
    """Every frame is in the file, at the time of its batch or at its own."""
    path = tmp_path / "x"
    recorder = Recorder(path, form=form)
    frames = [frame(number, 60 + number) for number in range(200)]
    for start in range(0, 200, 40):
        assert recorder.take(batch_of(*frames[start : start + 40]), 1_000 + start) == 40
    own = Batch(1)
    own.append(frames[0], timestamp=77)
    recorder.take(own, 5)
    recorder.close()
    recorder.close()
    with path.open("rb") as file:
        records = list(CaptureReader(file))
    assert [record.frame for record in records] == [*frames, frames[0]]
    assert [record.time for record in records] == [1_000 + 40 * (n // 40) for n in range(200)] + [77]
    assert recorder.written == path.stat().st_size


def test_a_new_file_is_begun_before_one_gets_too_long(tmp_path: Path) -> None:
    """No file is longer than its bound, none is without a frame, and the last ones are kept."""
    path = tmp_path / "x.pcap"
    recorder = Recorder(path, form=Form.PCAP, rotation=Rotation(size=24 + 3 * 76, keep=2))
    frames = [frame(number) for number in range(10)]
    recorder.take(batch_of(*frames), 0)
    recorder.close()
    assert recorder.files == 4
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x-00003.pcap", "x-00004.pcap"]
    assert read(tmp_path / "x-00003.pcap") == frames[6:9]
    assert read(tmp_path / "x-00004.pcap") == frames[9:]


def test_a_frame_longer_than_a_file_gets_its_own(tmp_path: Path) -> None:
    """Even a bound that no frame fits loses none."""
    recorder = Recorder(tmp_path / "x.pcap", form=Form.PCAP, rotation=Rotation(size=30))
    recorder.take(batch_of(frame(1), frame(2)), 0)
    recorder.close()
    assert [read(tmp_path / f"x-0000{number}.pcap") for number in (1, 2)] == [[frame(1)], [frame(2)]]


def test_a_new_file_is_begun_in_time(tmp_path: Path) -> None:
    """After its time a file that holds frames is followed by the next; one without goes on."""
    recorder = Recorder(tmp_path / "x", rotation=Rotation(seconds=0.0))
    recorder.flush()
    assert recorder.files == 1
    recorder.take(batch_of(frame(1)), 0)
    recorder.flush()
    assert recorder.files == 2
    recorder.close()


def test_a_new_file_is_begun_in_time_while_frames_keep_coming(tmp_path: Path) -> None:
    """Nobody needs to find time for ``flush``: a batch that comes when it is time goes to the next file."""
    recorder = Recorder(tmp_path / "x", rotation=Rotation(seconds=0.0))
    for number in range(3):
        recorder.take(batch_of(frame(number)), 0)
    recorder.close()
    assert [read(tmp_path / f"x-0000{number + 1}") for number in range(3)] == [
        [frame(number)] for number in range(3)
    ]


def test_the_statistics_are_asked_for_each_file(tmp_path: Path) -> None:
    """Each file tells of the capture up to its own end: since when, and how many frames."""
    told: list[tuple[int, int]] = []

    def statistics(begun: int, records: int) -> Statistics:
        told.append((begun, records))
        return Statistics(begun, begun, records, 0, records)

    recorder = Recorder(tmp_path / "x", rotation=Rotation(size=400), statistics=statistics)
    recorder.take(batch_of(*[frame(number) for number in range(5)]), 0)
    recorder.close()
    assert len(told) == recorder.files
    held = [len(read(path)) for path in sorted(tmp_path.iterdir())]
    assert [records for _, records in told] == list(itertools.accumulate(held))
    assert len({begun for begun, _ in told}) == 1
    assert told[-1][1] == 5


@pytest.mark.parametrize("size", [450, 3000, 20_000])
def test_a_file_is_no_longer_than_it_may_be_with_all_that_it_says(tmp_path: Path, size: int) -> None:
    """There is room for what stands at the end, of which the reasons are as many lines as fit."""
    reasons = [f"{number} frames for the reason {number}" for number in range(200)]
    recorder = Recorder(
        tmp_path / "x",
        rotation=Rotation(size=size),
        statistics=lambda begun, records: Statistics(begun, begun, records, 0, records, "\n".join(reasons)),
    )
    for _ in range(20):
        recorder.take(batch_of(*[frame(number, 90 + number) for number in range(50)]), 0)
    recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == recorder.files > 2
    assert sum(len(read(path)) for path in files) == 1000
    for path in files:
        assert path.stat().st_size <= size
        found = re.findall(rb"\d+ frames for the reason \d+", path.read_bytes())
        assert found == [reason.encode() for reason in reasons[: len(found)]]
        assert found or size == 450


def test_no_more_records_than_wanted(tmp_path: Path) -> None:
    """The count is kept to within a batch, and within a super-frame."""
    recorder = Recorder(tmp_path / "x", segment=True)
    assert recorder.take(batch_of(frame(1), frame(2), frame(3)), 0, 2) == 2
    octets, vnet, _ = super_frame(5 * 1000, size=1000)
    batch = Batch(1)
    batch.append(octets, vnet)
    assert recorder.take(batch, 0, 3) == 3
    recorder.close()
    whole = segments(octets, vnet)
    assert whole is not None
    assert read(tmp_path / "x") == [frame(1), frame(2), *whole[:3]]


def test_no_more_records_than_wanted_where_no_frame_fits_a_file(tmp_path: Path) -> None:
    """The count is kept where a super-frame gets a file of its own, behind a frame that had one."""
    octets, vnet, _ = super_frame(5 * 1000, size=1000)
    batch = Batch(2)
    batch.append(frame(1))
    batch.append(octets, vnet)
    recorder = Recorder(tmp_path / "x", segment=True, rotation=Rotation(size=30))
    assert recorder.take(batch, 0, 3) == 3
    recorder.close()
    assert recorder.records == 3


@pytest.mark.parametrize("segment", [False, True])
def test_super_frames(tmp_path: Path, segment: bool) -> None:
    """A super-frame is written as it is, or as the frames that it stands for."""
    octets, vnet, _ = super_frame(5 * 1000 + 10, size=1000)
    batch = Batch(2)
    batch.append(octets, vnet)
    batch.append(frame(1))
    recorder = Recorder(tmp_path / "x", segment=segment, snaplen=500)
    recorder.take(batch, 0)
    recorder.close()
    whole = (segments(octets, vnet) if segment else [octets]) or []
    assert read(tmp_path / "x") == [each[:500] for each in (*whole, frame(1))]
    assert recorder.cut == sum(len(each) > 500 for each in whole)


@pytest.fixture
def little_room() -> Iterator[int]:
    """Files of this process may have 100,000 octets."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("form", Form)
def test_a_file_that_cannot_grow_ends_with_a_whole_frame(
    tmp_path: Path, form: Form, little_room: int
) -> None:
    """The error is the system's, with the file's name; what is in the file can be read."""
    path = tmp_path / "x.cap"
    recorder = Recorder(path, form=form)
    frames = [frame(number, 999) for number in range(1000)]

    def fill() -> None:
        for start in range(0, 1000, 100):
            recorder.take(batch_of(*frames[start : start + 100]), 0)
            recorder.flush()
        recorder.close()

    with pytest.raises(PortError, match=r"x\.cap cannot be written further") as caught:
        fill()
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(PortError):
        recorder.close()
    found = read(path)
    assert found == frames[: len(found)]
    assert little_room - 2000 < path.stat().st_size <= little_room


def test_numbers_go_on_after_earlier_files(tmp_path: Path) -> None:
    """Nothing is written over but a last file without frames; earlier files count among those kept."""
    (tmp_path / "x-00002.pcap.old").write_bytes(b"another's")

    def record(*frames: bytes) -> None:
        recorder = Recorder(
            tmp_path / "x.pcap",
            form=Form.PCAP,
            rotation=Rotation(size=24 + 2 * 76, keep=3),
            continued=True,
            statistics=lambda begun, records: Statistics(begun, begun, records, 0, records),
        )
        recorder.take(batch_of(*frames), 0)
        recorder.close()

    def there() -> dict[str, list[bytes]]:
        return {each.name: read(each) for each in sorted(tmp_path.glob("*.pcap"))}

    record(frame(1), frame(2), frame(3))
    record()
    record()
    assert there() == {"x-00001.pcap": [frame(1), frame(2)], "x-00002.pcap": [frame(3)], "x-00003.pcap": []}
    record(frame(4))
    record(frame(5))
    assert there() == {"x-00002.pcap": [frame(3)], "x-00003.pcap": [frame(4)], "x-00004.pcap": [frame(5)]}
    assert (tmp_path / "x-00002.pcap.old").read_bytes() == b"another's"


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A pipe with a name, and the end that reads, which nobody reads from."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    with contextlib.suppress(OSError):
        os.close(reader)


LONG = [frame(number, 1500) for number in range(100)]


def test_a_pipe_that_nobody_reads_is_waited_for_with_patience(pipe: tuple[Path, int]) -> None:
    """Once patience is over, no frame more is taken, and the error says how many are not written."""
    asked: list[int] = []

    def patient(taken: int) -> bool:
        asked.append(taken)
        return len(asked) < 3

    recorder = Recorder(pipe[0], patient=patient)

    def fill() -> None:
        for _ in range(100):
            recorder.take(batch_of(*LONG), 0)
            recorder.flush()

    with pytest.raises(PortError, match="takes nothing more") as caught:
        fill()
    assert len(asked) == 3
    # Fewer than all: some are in the pipe.
    assert 0 < recorder.unwritten <= recorder.records < 100 * len(LONG)
    assert f": {recorder.unwritten:,} frames are not written" in str(caught.value)
    recorder.close()


def test_closing_waits_with_patience(pipe: tuple[Path, int]) -> None:
    """What the pipe has no room for at the end is waited for no longer than that."""
    recorder = Recorder(pipe[0], patient=lambda _: False)
    recorder.take(batch_of(*LONG), 0)
    with pytest.raises(PortError, match=r"pipe takes nothing more: 100 frames are not written"):
        recorder.close()
    recorder.close()
    assert recorder.unwritten == 100


def test_closing_waits_for_a_slow_reader(pipe: tuple[Path, int]) -> None:
    """While there is patience all that was taken gets to the reader, who takes its time."""
    found: list[bytes] = []
    taken_then: list[int] = []

    def read_some(taken: int) -> bool:
        taken_then.append(taken)
        with contextlib.suppress(BlockingIOError):
            found.append(os.read(pipe[1], 50_000))
        return True

    recorder = Recorder(pipe[0], form=Form.PCAP, patient=read_some)
    for _ in range(3):
        recorder.take(batch_of(*LONG), 0)
    recorder.close()
    assert recorder.unwritten == 0
    found.append(os.read(pipe[1], 1 << 20))
    octets = io.BytesIO(b"".join(found))
    # That the reader reads is seen in between.
    assert len(set(taken_then)) > 2
    assert [record.frame for record in CaptureReader(octets)] == LONG * 3


def test_what_a_full_disk_did_not_take_is_counted(tmp_path: Path, little_room: int) -> None:
    """Of the frames that were taken those that are not in the file are known by their number."""
    path = tmp_path / "x.pcap"
    recorder = Recorder(path, form=Form.PCAP)
    recorder.take(batch_of(*LONG), 0)
    with pytest.raises(PortError, match="cannot be written further"):
        recorder.close()
    assert path.stat().st_size <= little_room
    assert recorder.unwritten == len(LONG) - len(read(path)) > 0


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    """The error names it at once."""
    with pytest.raises(PortError, match="nowhere"):
        Recorder(tmp_path / "nowhere" / "x")


def test_a_file_is_closed_where_its_thread_never_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory for the thread to begin with there is an error, and no descriptor is left."""
    monkeypatch.setattr(threading, "_start_new_thread", lambda *_, **__: 1)
    monkeypatch.setattr(host, "PATIENCE", 0.1)
    before = open_descriptors()
    with pytest.raises(MemoryError, match="vecwire-disk"):
        Recorder(tmp_path / "x", confine=Seccomp.OFF)
    assert open_descriptors() == before
