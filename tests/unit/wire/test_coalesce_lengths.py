"""Frames whose lengths do not tell their own end are never joined: joining would make them look right."""

import struct
from dataclasses import replace

import pytest

from oracle import internet
from oracle.internet import Segment
from vecwire.wire.coalesce import coalesced


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("version", [4, 6])
def test_a_length_of_zero_joins_nothing(version: int, which: int) -> None:
    """A short packet that tells a length of zero is given back as it is, and joins no other."""
    first = internet.located(Segment(version=version, payload=b"x" * 100))
    second = replace(first, sequence=first.sequence + 100, identification=first.identification + 1)
    frames = [internet.build(first), internet.build(second)]
    assert coalesced(frames)[0] == 2, "the frames would join if they told their lengths"
    lying = bytearray(frames[which])
    struct.pack_into("!H", lying, first.network_at + (2 if version == 4 else 4), 0)
    if version == 4:
        header = bytearray(lying[14:34])
        header[10:12] = bytes(2)
        struct.pack_into("!H", lying, 24, ~internet.total(bytes(header)) & 0xFFFF)
    frames[which] = bytes(lying)
    assert coalesced(frames)[:2] == (1, frames[0])
