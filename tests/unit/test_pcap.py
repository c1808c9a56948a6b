"""The writer of captures."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from scapy.utils import PcapReader

from vecwire.pcap import PcapWriter

if TYPE_CHECKING:
    from pathlib import Path


def test_scapy_reads_what_is_written(tmp_path: Path) -> None:
    """An independent reader sees the same frames at the same nanoseconds."""
    path = tmp_path / "a.pcap"
    frames = [bytes(12) + b"\x08\x06" + bytes(28), bytes(12) + b"\x88\xb5" + bytes(1500)]
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for index, frame in enumerate(frames):
            writer.write(frame, 1_700_000_000_123_456_789 + index)
    with PcapReader(str(path)) as reader:
        packets = list(reader)
        assert reader.linktype == 1
    assert [bytes(packet) for packet in packets] == frames
    assert [packet.time for packet in packets] == [
        Decimal("1700000000.123456789"),
        Decimal("1700000000.123456790"),
    ]


def test_a_long_frame_is_cut_and_its_length_kept(tmp_path: Path) -> None:
    """No more than the snap length is kept; the record says how long the frame was."""
    path = tmp_path / "a.pcap"
    with path.open("wb") as file:
        PcapWriter(file, snaplen=20).write(memoryview(bytes(100)), 0)
    with PcapReader(str(path)) as reader:
        (packet,) = reader
    assert (len(packet), packet.wirelen) == (20, 100)
