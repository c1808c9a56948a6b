"""Properties of segmentation: nothing lost, nothing added, nothing read outside, whatever is asked."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from oracle import internet
from oracle.anything import FRAMES, VNETS, stream_segments
from oracle.cliff import Cliff
from oracle.internet import CWR, FIN, PSH, Segment
from oracle.shapes import asking
from vecwire.wire.ethernet import headers
from vecwire.wire.segment import segments
from vecwire.wire.vnet import Vnet

CLIFF = Cliff()


@given(FRAMES, VNETS)
def test_any_frame_and_any_header(frame: bytes, header: Vnet) -> None:
    """Any octets with any header are refused, or cut into frames that hold all the payload."""
    made = segments(CLIFF.before_the_end(frame), header)
    assert segments(CLIFF.after_the_start(frame), header) == made
    if made is not None:
        place = headers(frame)
        assert place is not None
        assert made
        assert b"".join(piece[place.payload :] for piece in made) == frame[place.payload : place.end]
        assert all(len(piece) - place.payload == header.gso_size for piece in made[:-1])
        assert len(made[-1]) - place.payload <= header.gso_size


@given(stream_segments(), st.integers(8, 3000), st.booleans(), st.binary(max_size=30))
def test_the_payload_comes_through(segment: Segment, size: int, partial: bool, padding: bytes) -> None:
    """The payloads of the segments, joined, are the stream, and every segment is a frame without fault."""
    made = segments(internet.build(segment, partial=partial) + padding, asking(segment, size))
    assert made is not None
    pieces = [internet.read(frame) for frame in made]
    assert b"".join(piece.payload for piece in pieces) == segment.payload
    assert all(len(piece.payload) == size for piece in pieces[:-1])
    assert len(pieces[-1].payload) <= size


@given(stream_segments(), st.integers(8, 3000))
def test_the_headers_line_up(segment: Segment, size: int) -> None:
    """Each segment begins where the one before it ended, and in all else has the super-frame's headers."""
    made = segments(internet.build(segment, partial=True), asking(segment, size))
    assert made is not None
    pieces = [internet.read(frame) for frame in made]
    for before, after in pairwise(pieces):
        if segment.protocol == internet.TCP_PROTOCOL:
            assert after.sequence == (before.sequence + len(before.payload)) % 2**32
        if segment.version == 4:
            assert after.identification == (before.identification + 1) % 2**16
    first, last = pieces[0], pieces[-1]
    assert first.sequence == segment.sequence
    assert first.identification == segment.identification
    assert first.flags | last.flags == segment.flags
    assert all(not piece.flags & (FIN | PSH) for piece in pieces[:-1])
    assert all(not piece.flags & CWR for piece in pieces[1:])
    for piece in pieces:
        flags = piece.flags | segment.flags & (FIN | PSH | CWR)
        same = replace(
            piece,
            payload=segment.payload,
            sequence=segment.sequence,
            identification=segment.identification,
            flags=flags,
        )
        assert same == segment


@given(stream_segments(longest=600), st.integers(8, 700))
def test_cutting_twice_is_cutting_once(segment: Segment, size: int) -> None:
    """Segments that are cut again at the same size stay as they are."""
    made = segments(internet.build(segment, partial=True), asking(segment, size))
    assert made is not None
    for frame in made:
        assert segments(frame, asking(internet.read(frame), size)) == [frame]


@given(stream_segments(longest=200), st.integers(8, 60), st.data())
def test_cut_frames_are_refused(segment: Segment, size: int, data: st.DataObject) -> None:
    """A super-frame that ends before its packet makes no segment."""
    frame = internet.build(segment, partial=True)
    length = data.draw(st.integers(0, len(frame) - 1))
    assert segments(CLIFF.before_the_end(frame[:length]), asking(segment, size)) is None
