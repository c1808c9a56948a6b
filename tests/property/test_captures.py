"""Capture files, whatever octets they hold; frames, whatever they are."""

from __future__ import annotations

import contextlib
import io
import struct
from fractions import Fraction
from math import floor

from hypothesis import example, given
from hypothesis import strategies as st

from vecwire.capture import CaptureError, CaptureReader, CaptureWriter, Form, Record
from vecwire.capture.describe import as_object, line
from vecwire.path.batch import Batch
from vecwire.path.tape import LARGEST_FRAME, Packer

FRAMES = st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=200)), max_size=20)


def file_of(form: Form, frames: list[tuple[int, bytes]]) -> bytes:
    """A file with the frames."""
    file = io.BytesIO()
    writer = CaptureWriter(file, form)
    for time, frame in frames:
        writer.write(frame, time)
    return file.getvalue()


def numbers(words: list[int], order: str) -> bytes:
    """Numbers of 32 bits, one after the other."""
    return b"".join(struct.pack(f"{order}I", word & 0xFFFFFFFF) for word in words)


ORDERS = st.sampled_from("<>")
WORDS = st.lists(
    st.integers(0, 40) | st.sampled_from([0x0A0D0D0A, 0x1A2B3C4D, 2**31, 2**32 - 1]), max_size=40
)
BEGUN = st.builds(
    lambda order, words: numbers([0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, 0, 28, 1, 20, 1, 0, 20, *words], order),
    ORDERS,
    WORDS,
)
DAMAGED = st.builds(
    lambda octets, at, change: (
        octets[: at % (len(octets) + 1)] + change + octets[at % (len(octets) + 1) + len(change) :]
    ),
    st.builds(file_of, st.sampled_from(Form), FRAMES),
    st.integers(0, 5000),
    st.binary(max_size=8),
)


def read(octets: bytes) -> list[Record]:
    """What is read of a file, up to where it is wrong."""
    found: list[Record] = []
    with contextlib.suppress(CaptureError):
        found.extend(CaptureReader(io.BytesIO(octets)))
    return found


@given(st.binary(max_size=400) | BEGUN | DAMAGED)
def test_any_octets_are_a_capture_or_an_error(octets: bytes) -> None:
    """Whatever a file holds, it is read to its end or to an error that says where; nothing else happens."""
    for record in read(octets):
        assert len(record.frame) <= len(octets)
        assert record.length >= len(record.frame)


@given(st.sampled_from(Form), FRAMES, st.integers(1, 8))
def test_what_is_written_is_read(form: Form, frames: list[tuple[int, bytes]], depth: int) -> None:
    """Frame by frame and into batches, as far as a form's times go."""
    octets = file_of(form, frames)
    wanted = [(time if form is Form.PCAPNG else time % (2**32 * 10**9), frame) for time, frame in frames]
    assert [(record.time, record.frame) for record in CaptureReader(io.BytesIO(octets))] == wanted
    reader = CaptureReader(io.BytesIO(octets))
    batch = Batch(depth)
    found = []
    while reader.fill(batch):
        found += [(stamp, bytes(frame)) for stamp, frame in zip(batch.timestamps, batch, strict=True)]
    assert found == wanted


@given(st.sampled_from(Form), FRAMES, st.data())
def test_a_file_cut_anywhere_gives_the_frames_before(
    form: Form, frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    """Of a file that was cut short every whole frame is read."""
    octets = file_of(form, frames)
    at = data.draw(st.integers(0, len(octets)))
    found = [record.frame for record in read(octets[:at])]
    assert found == [frame for _, frame in frames][: len(found)]
    if at == len(octets):
        assert len(found) == len(frames)


@given(st.sampled_from(Form), FRAMES, st.integers(14, 300), st.integers(0, 1000))
def test_a_batch_is_packed_as_frames_are_written(
    form: Form, frames: list[tuple[int, bytes]], snaplen: int, room: int
) -> None:
    """The compiled writer makes, a batch at a time and with little room, the octets of the other one."""
    batch = Batch(max(len(frames), 1))
    for time, frame in frames:
        batch.append(frame, timestamp=time)
    file = io.BytesIO()
    writer = CaptureWriter(file, form, snaplen=snaplen)
    start = file.tell()
    for time, frame in frames:
        writer.write(frame, time)
    packer = Packer(form.number, snaplen=snaplen, segment=False)
    out = bytearray(LARGEST_FRAME)
    first = at = 0
    while first < len(batch):
        index, reached = packer.pack(batch, out, at, first=first, room=room)
        assert reached - at <= room
        if index == first:
            index, reached = packer.pack(batch, out, at, first=first, last=first + 1)
        first, at = index, reached
    assert out[:at] == file.getvalue()[start:]
    assert packer.cut == sum(len(frame) > snaplen for _, frame in frames)


@given(st.binary(max_size=120) | st.binary(max_size=100).map(lambda rest: bytes(12) + b"\x08\x00\x45" + rest))
def test_any_frame_is_told_in_a_line(frame: bytes) -> None:
    """Whatever a frame holds, and wherever it ends, there is a line for it and an object."""
    assert "\n" not in line(frame, 0)
    assert as_object(frame, 0)["octets"] == len(frame)


@given(st.integers(0, 255), st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9))
@example(0x8A, 0x10010002_00000010, -1)
@example(0xBF, 5, 3)
@example(0xFF, 5, 3)
@example(29, 5, 3)
@example(0, 5, -(2**63))
def test_any_unit_and_offset(resolution: int, ticks: int, offset: int) -> None:
    """A time is what its unit and offset make of it, to the nanosecond, or the nearest that 63 bits hold."""
    unit = Fraction(1, 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution)
    exact = floor((ticks * unit + offset) * 10**9)
    interface = numbers([1, 40, 1, 0], "<") + struct.pack("<HHB3xHHq", 9, 1, resolution, 14, 8, offset)
    packet = numbers([6, 32, 0, ticks >> 32, ticks, 0, 0, 32], "<")
    section = numbers([0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, 0, 28], "<")
    (record,) = CaptureReader(io.BytesIO(section + interface + numbers([40], "<") + packet))
    # Of a fraction in powers of two 32 bits are kept, a quarter of a nanosecond.
    assert record.time in {max(0, min(exact - cut, 2**63 - 1)) for cut in range(1 + (resolution > 0xA0))}
