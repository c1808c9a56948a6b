"""Properties of coalescing: it is segmentation backwards, keeps the order, and reads nothing outside."""

from __future__ import annotations

import ctypes
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from oracle import compiled, internet
from oracle.anything import FRAMES, UINT8, stream_segments
from oracle.cliff import Cliff
from oracle.internet import ACK, PSH, Segment
from oracle.joined import hold_all, hold_right
from oracle.shapes import asking
from oracle.streams import stream
from vecwire.wire import coalesce as compiled_coalesce
from vecwire.wire.coalesce import coalesced
from vecwire.wire.segment import segments
from vecwire.wire.vnet import Vnet

CLIFFS = (Cliff(), Cliff())
TRAIN = ctypes.POINTER(compiled.Train)
BEGIN, JOIN = (
    compiled.function(compiled_coalesce, name, ctypes.c_int, TRAIN, ctypes.c_void_p, ctypes.c_uint32)
    for name in ("begin", "join")
)


def joinable(segment: Segment) -> Segment:
    """The same TCP frame of a flow under way, without what is never joined."""
    plain = replace(
        segment, protocol=internet.TCP_PROTOCOL, flags=ACK | segment.flags & PSH, options=b"", extensions=()
    )
    return internet.located(plain)


FLOWS = stream_segments().map(joinable).filter(lambda segment: segment.payload)


@st.composite
def spoiled_streams(draw: st.DrawFn) -> list[bytes]:
    """Frames of one TCP flow, most of them joinable, with some lost, doubled, swapped or spoiled."""
    shape = draw(FLOWS)
    size = draw(st.integers(6, 60))
    lengths = draw(st.lists(st.just(size) | st.integers(0, 70), min_size=2, max_size=12))
    flow = [replace(each, flags=ACK) for each in stream(shape, *lengths)]
    for place in draw(st.lists(st.integers(0, len(flow) - 1), max_size=2)):
        flow[place] = replace(flow[place], flags=draw(st.just(ACK | PSH) | UINT8))
    frames = [bytearray(internet.build(each)) for each in flow]
    for place in draw(st.lists(st.integers(0, len(frames) - 1), max_size=2)):
        at = draw(st.integers(0, len(frames[place]) - 1))
        frames[place][at] ^= draw(UINT8)
    for place in draw(st.lists(st.integers(0, len(frames) - 1), max_size=2)):
        frames.insert(place, frames[draw(st.integers(0, len(frames) - 1))])
    for place in draw(st.lists(st.integers(0, len(frames) - 1), max_size=1)):
        frames.append(frames.pop(place))
    return [bytes(each) for each in frames]


STREAMS = spoiled_streams() | st.lists(FRAMES, min_size=1, max_size=6)


@given(STREAMS)
def test_what_leaves_is_what_came_in_order(frames: list[bytes]) -> None:
    """Whatever comes, a frame leaves as it is, or in a super-frame that is cut to the same frames again."""
    hold_all(frames)


@given(STREAMS)
def test_nothing_wrong_is_joined(frames: list[bytes]) -> None:
    """Only frames without any fault of their own are joined."""
    hold_right(frames)


@given(FLOWS, st.integers(8, 3000))
def test_a_super_frame_comes_back(segment: Segment, size: int) -> None:
    """The segments of a super-frame are joined to it again, its header and PSH included."""
    frame, asked = internet.build(segment, partial=True), asking(segment, size)
    cut = segments(frame, asked)
    assert cut is not None
    if len(cut) == 1:
        assert coalesced(cut) == (1, cut[0], Vnet())
    else:
        assert coalesced(cut) == (len(cut), frame, asked)


@given(FLOWS, st.integers(8, 100), st.integers(1, 20), st.data())
def test_frames_come_back(shape: Segment, size: int, count: int, data: st.DataObject) -> None:
    """Frames that are joined are cut to the same frames, octet for octet."""
    last = data.draw(st.integers(1, size))
    flow = [replace(each, flags=ACK) for each in stream(shape, *[size] * count, last)]
    flow[-1] = replace(flow[-1], flags=shape.flags)
    frames = [internet.build(each) for each in flow]
    joined, whole, header = coalesced(frames)
    assert joined == count + 1
    assert segments(whole, header) == frames


@given(STREAMS)
def test_no_octet_outside_is_read(frames: list[bytes]) -> None:
    """Frames that lie at the very end or start of memory are judged as anywhere else, without a fault."""
    for at_the_end in (True, False):
        places = [
            (cliff.before_the_end if at_the_end else cliff.after_the_start)(frame)
            for cliff, frame in zip(CLIFFS, (frames[0], b""), strict=True)
        ]
        train = compiled.Train()
        joined = BEGIN(ctypes.byref(train), start_of(places[0]), len(frames[0]))
        if joined:
            for frame in frames[1:]:
                cliff = CLIFFS[1]
                place = (cliff.before_the_end if at_the_end else cliff.after_the_start)(frame)
                if not JOIN(ctypes.byref(train), start_of(place), len(frame)):
                    break
                joined += 1
        assert max(joined, 1) == coalesced(frames)[0]


def start_of(view: memoryview) -> int:
    """Where a view begins, an empty one too."""
    return compiled.address(view) if len(view) else 0
