"""Records of drops: read, told apart from what is none, and written as pcapng."""

from __future__ import annotations

import io
import struct

import pytest

from peers.dropping import record
from peers.frames import frame, good_checksum, super_frame
from vecwire import Vnet
from vecwire.capture import CaptureReader
from vecwire.capture.drops import DropWriter, Gaps, read

FRAME = frame(1)


def test_a_record_is_read() -> None:
    """All that a record says is in the drop."""
    drop = read(record(FRAME[:20], port="guest", reason="switch_horizon", number=7, time=99, length=60))
    assert (drop.time, drop.port, drop.reason, drop.octets) == (99, "guest", "switch_horizon", FRAME[:20])
    assert (drop.length, drop.kind, drop.number, drop.outgoing) == (60, "frame", 7, False)
    assert drop.meaning == "the destination is behind a port of the same horizon group"


@pytest.mark.parametrize(
    "octets",
    [b"", bytes(31), record(b"")[:-1], record(FRAME, kind=99)],
    ids=["empty", "short", "cut in a name", "of an unknown kind"],
)
def test_what_is_no_record_is_refused(octets: bytes) -> None:
    """A record that ends early or contradicts itself is a ``ValueError``."""
    with pytest.raises(ValueError, match="drop"):
        read(octets)


def test_a_checksum_is_completed() -> None:
    """A frame that lacked its checksum has it; a super-frame stays as it was, with its header."""
    octets, header, _ = super_frame(1000)
    plain = Vnet(header.flags, 0, 0, 0, header.csum_start, header.csum_offset)
    drop = read(record(octets, vnet=plain))
    assert drop.octets[50:52] == struct.pack("!H", good_checksum(octets, 14, False))
    assert drop.vnet == Vnet()
    assert read(record(octets, vnet=header)).vnet.gso_size == header.gso_size
    assert read(record(octets, vnet=header)).octets == octets


def test_gaps_are_counted_for_each_port() -> None:
    """What is missing between the numbers of one port was left out; others do not matter to it."""
    gaps = Gaps()
    seen = [("a", 0), ("b", 2), ("a", 1), ("a", 5), ("b", 3)]
    found = [gaps.before(read(record(FRAME, port=port, number=number))) for port, number in seen]
    assert found == [0, 2, 0, 3, 0]
    assert gaps.missed == 5


def test_frames_can_be_read_back() -> None:
    """A file of drops is a capture like any other: frames, times and lengths are in it."""
    file = io.BytesIO()
    writer = DropWriter(file)
    for number in range(3):
        writer.write(read(record(frame(number), port=f"p{number % 2}", number=number, time=number + 1)))
    file.seek(0)
    assert [(each.time, each.frame, each.length) for each in CaptureReader(file)] == [
        (number + 1, frame(number), 60) for number in range(3)
    ]
