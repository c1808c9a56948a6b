"""A capture is read to its end or to an error with a place, and each frame is the one that libpcap reads."""

from __future__ import annotations

import io
import struct

from oracle import libpcap
from vecwire.capture import CaptureError, CaptureReader, CaptureWriter, Form, Record
from vecwire.path.batch import Batch

BATCH = Batch(4, size=2048)
SECOND, LATEST = 10**9, 2**63 - 1
FRAMES = [bytes(12) + b"\x08\x06" + bytes(28), bytes(12) + b"\x88\xb5" + bytes(range(50)), b"short"]


def read(octets: bytes) -> tuple[list[Record], CaptureError | None]:
    """The frames of a file, and what ends it before its end."""
    found: list[Record] = []
    try:
        found.extend(CaptureReader(io.BytesIO(octets)))
    except CaptureError as error:
        return found, error
    return found, None


def in_batches(octets: bytes) -> list[tuple[int, bytes]]:
    """Times and frames of a file, read into a batch."""
    found = []
    try:
        reader = CaptureReader(io.BytesIO(octets))
        while reader.fill(BATCH):
            found += [(stamp, bytes(frame)) for stamp, frame in zip(BATCH.timestamps, BATCH, strict=True)]
    except CaptureError:
        pass
    return found


def same_time(ours: int, theirs: int, *, form: bytes) -> bool:
    """Whether two readers tell the same time of a frame, as far as they mean to.

    Both numbers of a time of pcap are unsigned by its specification, and signed to libpcap. A simple packet
    of pcapng has no time: libpcap gives it second 0, we that of the packet before. Of parts of a second in
    powers of two not all bits are kept, neither here nor there. What 63 bits do not hold is told as the
    nearest time that they do.
    """
    if form != b"\n\r\r\n":
        return (ours - theirs) % (2**32 * SECOND) in {0, 2**32, 2**32 * 1000}
    return ours // SECOND == theirs // SECOND or theirs % SECOND == 0 or ours in {0, LATEST}


def target(octets: bytes) -> None:
    """Reads the input as a file, thrice."""
    found, error = read(octets)
    for record in found:
        assert len(record.frame) <= len(octets)
        assert record.length >= len(record.frame)
        assert 0 <= record.time < 2**63
    if error is not None:
        assert 0 <= error.offset <= len(octets)
        assert str(error).isprintable()
    assert in_batches(octets) == [
        (record.time, record.frame) for record in found if len(record.frame) <= BATCH.size
    ]
    # libpcap stops where interfaces differ, cuts at the snap length, and swaps the lengths of version 2.3.
    if octets[4:8] not in {b"\2\0\3\0", b"\0\2\0\3"}:
        for ours, theirs in zip(found, libpcap.read(octets), strict=False):
            assert ours.frame.startswith(theirs.frame)
            assert same_time(ours.time, theirs.time, form=octets[:4])


def _block(order: str, kind: int, body: bytes) -> bytes:
    """A block of pcapng."""
    body += bytes(-len(body) % 4)
    total = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + total + body + total


def seeds() -> list[bytes]:
    """Files of both forms and both byte orders, with frames in every kind of block."""
    made = []
    for form in Form:
        file = io.BytesIO()
        writer = CaptureWriter(file, form)
        for moment, frame in enumerate(FRAMES):
            writer.write(frame, 1_700_000_000_123_456_789 + moment)
        made.append(file.getvalue())
    for order in "<>":
        for magic in (0xA1B2C3D4, 0xA1B23C4D):
            head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
            made.append(head + struct.pack(f"{order}IIII", 7, 8, 15, 60) + bytes(15))
        section = _block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
        options = struct.pack(f"{order}HHB3xHHq", 9, 1, 0x8A, 14, 8, -1)
        interface = _block(order, 1, struct.pack(f"{order}HHI", 1, 0, 40) + options)
        packet = _block(order, 6, struct.pack(f"{order}5I", 0, 1, 2, 15, 60) + bytes(15))
        old = _block(order, 2, struct.pack(f"{order}HH4I", 0, 3, 1, 2, 15, 60) + bytes(15))
        simple = _block(order, 3, struct.pack(f"{order}I", 60) + bytes(40))
        statistics = _block(order, 5, struct.pack(f"{order}3I", 0, 1, 2))
        made.append(section + interface + packet + old + simple + statistics)
    return made
