"""The writer of captures."""

from __future__ import annotations

import io
from decimal import Decimal

from scapy.utils import PcapReader

from vecwire.pcap import PcapWriter


def test_scapy_reads_what_is_written() -> None:
    """An independent reader sees the same frames at the same nanoseconds."""
    file = io.BytesIO()
    writer = PcapWriter(file)
    frames = [bytes(12) + b"\x08\x06" + bytes(28), bytes(12) + b"\x88\xb5" + bytes(1500)]
    for index, frame in enumerate(frames):
        writer.write(frame, 1_700_000_000_123_456_789 + index)
    file.seek(0)
    with PcapReader(file) as reader:  # type: ignore[arg-type]  # scapy takes files too
        packets = list(reader)
        assert reader.linktype == 1
    assert [bytes(packet) for packet in packets] == frames
    assert [packet.time for packet in packets] == [
        Decimal("1700000000.123456789"),
        Decimal("1700000000.123456790"),
    ]


def test_a_long_frame_is_cut_and_its_length_kept() -> None:
    """No more than the snap length is kept; the record says how long the frame was."""
    file = io.BytesIO()
    PcapWriter(file, snaplen=20).write(memoryview(bytes(100)), 0)
    file.seek(0)
    with PcapReader(file) as reader:  # type: ignore[arg-type]  # scapy takes files too
        (packet,) = reader
    assert (len(packet), packet.wirelen) == (20, 100)
