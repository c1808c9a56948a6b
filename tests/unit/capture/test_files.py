"""Capture files, written and read: judged by scapy, and by what Wireshark's tools write."""

from __future__ import annotations

import io
import struct
from decimal import Decimal
from typing import Any

import pytest
from scapy.utils import PcapNgReader, PcapReader

from vecwire.capture import CaptureError, CaptureReader, CaptureWriter, Form
from vecwire.capture.files import Interface, Statistics, footer, header

FRAMES = [
    bytes(12) + b"\x08\x06" + bytes(28),
    bytes(12) + b"\x88\xb5" + bytes(1500),
    bytes(12) + b"\x88\xb5x",
]
MOMENT = 1_700_000_000_123_456_789


def written(form: Form, *, snaplen: int = 262144) -> io.BytesIO:
    """A file with the frames, a nanosecond apart."""
    file = io.BytesIO()
    writer = CaptureWriter(file, form, snaplen=snaplen, interface=Interface("port", "spec", "tcp"))
    for index, frame in enumerate(FRAMES):
        writer.write(frame, MOMENT + index)
    file.write(footer(form, Statistics(MOMENT, MOMENT + 9, 3, 0, 3, "nothing")))
    file.seek(0)
    return file


@pytest.mark.parametrize(("form", "reader"), [(Form.PCAP, PcapReader), (Form.PCAPNG, PcapNgReader)])
def test_scapy_reads_what_is_written(form: Form, reader: Any) -> None:
    """An independent reader sees the same frames at the same nanoseconds."""
    with reader(written(form)) as packets:
        found = list(packets)
    assert [bytes(packet) for packet in found] == FRAMES
    if form is Form.PCAP:
        assert [packet.time for packet in found] == [
            Decimal("1700000000.123456789") + Decimal(index) / 10**9 for index in range(3)
        ]


@pytest.mark.parametrize("form", Form)
def test_what_is_written_is_read(form: Form) -> None:
    """Frames, times and lengths come back."""
    records = list(CaptureReader(written(form)))
    assert [(record.time, record.frame, record.length) for record in records] == [
        (MOMENT + index, frame, len(frame)) for index, frame in enumerate(FRAMES)
    ]


@pytest.mark.parametrize("form", Form)
def test_a_long_frame_is_cut_and_its_length_kept(form: Form) -> None:
    """No more than the snap length is kept; the record says how long the frame was."""
    reader = CaptureReader(written(form, snaplen=20))
    assert [(len(record.frame), record.length) for record in reader] == [(20, 42), (20, 1514), (15, 15)]
    assert reader.cut == 2


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_of_every_order_and_unit(order: str, magic: int, unit: int) -> None:
    """Both byte orders are read, microseconds and nanoseconds."""
    octets = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    octets += struct.pack(f"{order}IIII", 1_700_000_000, 123_456, 15, 60) + FRAMES[2]
    (record,) = CaptureReader(io.BytesIO(octets))
    assert record == (1_700_000_000_000_000_000 + 123_456 * unit, FRAMES[2], 60)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of pcapng."""
    padded = body + bytes(-len(body) % 4)
    total = struct.pack(f"{order}I", len(padded) + 12)
    return struct.pack(f"{order}I", kind) + total + padded + total


def section(order: str, *options: tuple[int, bytes], link: int = 1, snaplen: int = 0) -> bytes:
    """A section of one interface."""
    told = b"".join(
        struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in options
    )
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(
        order, 1, struct.pack(f"{order}HHI", link, 0, snaplen) + told
    )


def packet(order: str, ticks: int, frame: bytes, interface: int = 0) -> bytes:
    """A frame's block."""
    fields = (interface, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(order, 6, struct.pack(f"{order}5I", *fields) + frame)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("options", "ticks", "time"),
    [
        ([], 5_000_001, 5_000_001_000),
        ([(9, b"\x09")], 5_000_001, 5_000_001),
        ([(9, b"\x00")], 5, 5_000_000_000),
        ([(9, b"\x0c")], 5_000_001, 5_000),
        ([(9, b"\x8a")], 1024 + 512, 1_500_000_000),
        ([(9, b"\xbf")], (1 << 63) + (1 << 62), 1_500_000_000),
        ([(9, b"\x03"), (14, None)], 5, 7_005_000_000),
    ],
)
def test_pcapng_of_every_order_and_unit(
    order: str, options: list[tuple[int, bytes | None]], ticks: int, time: int
) -> None:
    """Both byte orders are read, times in decimal and binary units, with an offset in seconds."""
    told = [(code, struct.pack(f"{order}q", 7) if value is None else value) for code, value in options]
    octets = section(order, *told) + packet(order, ticks, FRAMES[0])
    (record,) = CaptureReader(io.BytesIO(octets))
    assert record == (time, FRAMES[0], len(FRAMES[0]))


def test_sections_of_other_orders_and_other_blocks() -> None:
    """A file may go on with a section of another byte order; blocks that are no frames are passed over."""
    octets = section("<", (9, b"\x09")) + packet("<", 1, FRAMES[0]) + block("<", 0xBAD, b"what it is")
    octets += section(">", (9, b"\x09")) + block(">", 5, bytes(12)) + packet(">", 2, FRAMES[1])
    octets += block(">", 3, struct.pack(">I", len(FRAMES[2])) + FRAMES[2])
    octets += block(">", 2, struct.pack(">HHIIII", 0, 7, 0, 3, 15, 15) + FRAMES[2])
    records = list(CaptureReader(io.BytesIO(octets)))
    assert [record.frame for record in records] == [*FRAMES, FRAMES[2]]
    assert [record.time for record in records] == [1, 2, 2, 3]


SECTION = section("<")


@pytest.mark.parametrize(
    ("octets", "offset", "what"),
    [
        (b"", 0, "the file is empty"),
        (b"\xd4\xc3", 0, "no capture file is as short"),
        (b"GIF89a..", 0, "neither pcap nor pcapng begins with 47 49 46 38"),
        (b"\x1f\x8b\x08\0", 0, "compressed by gzip"),
        (header(Form.PCAP)[:20], 0, "ends in the middle"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 2, 0, 0, 0, 1), 4, "version 2.2 of pcap"),
        (header(Form.PCAP) + struct.pack("=IIII", 0, 0, 60, 60) + bytes(59), 24, "in the middle of a record"),
        (header(Form.PCAP) + struct.pack("=IIII", 0, 0, 262145, 60), 24, "longer than its record"),
        (SECTION[:-4] + b"\x18\0\0\0", 28, "another length than it begins with"),
        (SECTION[:8] + bytes(4) + SECTION[12:], 8, "no section has the byte order 00 00 00 00"),
        (SECTION + packet("<", 0, b"frame", interface=1), 48, "an interface that was not described"),
        (section("<", link=113) + packet("<", 0, b"frame"), 48, "a link that is not Ethernet"),
        (
            SECTION + block("<", 1, struct.pack("<HHIHH", 1, 0, 0, 9, 200)),
            64,
            "an option goes on behind its block",
        ),
        (SECTION + struct.pack("<III", 6, 14, 0), 48, "a length that no block has"),
        (SECTION + struct.pack("<III", 9, 1 << 30, 0), 48, "a length that no block has"),
    ],
)
def test_a_file_that_is_wrong_says_where(octets: bytes, offset: int, what: str) -> None:
    """The error names the octet at which it begins, and what is wrong."""
    with pytest.raises(CaptureError, match=what) as caught:
        list(CaptureReader(io.BytesIO(octets), "x.pcap"))
    assert caught.value.offset == offset
    assert str(caught.value).startswith(f"x.pcap, octet {offset}: ")


def test_frames_before_the_fault_are_given() -> None:
    """What comes before the place that is wrong is read as if the file were good."""
    octets = written(Form.PCAPNG).getvalue() + b"what is that"
    reader = iter(CaptureReader(io.BytesIO(octets)))
    assert [next(reader).frame for _ in FRAMES] == FRAMES


@pytest.mark.parametrize("form", Form)
def test_a_file_is_read_again(form: Form) -> None:
    """After ``rewind`` the first frame comes again, wherever the reader was; another form is refused."""
    file = written(form)
    reader = CaptureReader(file)
    assert len(list(reader)) == 3
    reader.rewind()
    assert next(iter(reader)).frame == FRAMES[0]
    reader.rewind()
    assert [record.frame for record in reader] == FRAMES
    assert reader.offset == len(file.getvalue())
    file.seek(0)
    file.write(written(Form.PCAP if form is Form.PCAPNG else Form.PCAPNG).getvalue()[:4])
    with pytest.raises(CaptureError, match="another form"):
        reader.rewind()
