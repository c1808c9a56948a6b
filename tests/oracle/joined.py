"""What holds of frames that coalescing has passed: all leave, in order, and nothing wrong was joined."""

from __future__ import annotations

from oracle import internet
from oracle.internet import ACK, PSH
from vecwire.wire.coalesce import coalesced
from vecwire.wire.ethernet import headers
from vecwire.wire.segment import segments
from vecwire.wire.vnet import Vnet


def passed(frames: list[bytes]) -> list[tuple[list[bytes], bytes, Vnet]]:
    """All frames, joined as far as may be: for each that leaves, those that it is made of, and its header."""
    made = []
    while frames:
        count, whole, header = coalesced(frames)
        made.append((frames[:count], whole, header))
        frames = frames[count:]
    return made


def constant(frames: list[bytes]) -> bool:
    """Whether frames of one flow all have the same IPv4 identification, which segmentation counts on."""
    place = headers(frames[0])
    assert place is not None
    at = place.network + 4
    return place.version == 4 and frames[0][at : at + 2] == frames[1][at : at + 2]


def hold_all(frames: list[bytes]) -> None:
    """Asserts that each leaves as it is, or in a super-frame that is cut to the same frames again."""
    for taken, whole, header in passed(frames):
        if len(taken) == 1:
            assert (whole, header) == (taken[0], Vnet())
            continue
        cut = segments(whole, header)
        assert cut is not None
        for piece in cut:
            internet.read(piece)
        if constant(taken):
            assert [len(piece) for piece in cut] == [len(frame) for frame in taken]
            place = headers(whole)
            assert place is not None
            assert whole[place.payload :] == b"".join(frame[place.payload :] for frame in taken)
        else:
            assert cut == taken


def hold_right(frames: list[bytes]) -> None:
    """Asserts that only frames without any fault of their own are joined."""
    for taken, _, _ in passed(frames):
        if len(taken) > 1:
            parts = [internet.read(frame) for frame in taken]
            assert all(part.payload and part.flags & ~PSH == ACK for part in parts)
            assert not any(part.options or part.extensions for part in parts)
