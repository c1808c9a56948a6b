"""Properties of dissection: what is found lies in the frame, whatever the frame holds."""

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from oracle import internet
from oracle.anything import FRAMES, UINT16, stream_segments
from oracle.cliff import Cliff
from oracle.internet import Segment
from vecwire.wire.ethernet import headers, tagged, untagged

CLIFF = Cliff()


@given(FRAMES)
@example(internet.build(Segment(version=6, extensions=((0, bytes(6)),) * 3)))
def test_what_is_found_lies_in_the_frame(frame: bytes) -> None:
    """Any octets have no headers, or headers in order that end in the frame, and nothing else is read."""
    found = headers(CLIFF.before_the_end(frame))
    assert headers(CLIFF.after_the_start(frame)) == found
    if found is not None:
        assert found.version in {4, 6}
        assert found.protocol in {6, 17}
        least = found.network + (20 if found.version == 4 else 40)
        assert 14 <= found.network < least <= found.transport < found.payload <= found.end <= len(frame)
        assert found.payload - found.transport in ({8} if found.protocol == 17 else range(20, 64, 4))
        assert frame[found.network] >> 4 == found.version


@given(stream_segments(longest=50), st.binary(max_size=50))
def test_good_frames_are_understood(segment: Segment, padding: bytes) -> None:
    """The headers of any TCP or UDP frame are found where they are, padded or not."""
    found = headers(internet.build(segment) + padding)
    assert found is not None
    assert (found.network, found.transport, found.payload) == (
        segment.network_at,
        segment.transport_at,
        segment.payload_at,
    )
    assert found.end == segment.payload_at + len(segment.payload)
    assert (found.version, found.protocol) == (segment.version, segment.protocol)


@given(stream_segments(longest=50), st.sampled_from([0x8100, 0x88A8]), UINT16)
def test_a_tag_is_the_first_of_the_tags(segment: Segment, tpid: int, tci: int) -> None:
    """A frame with a tag put back is the frame that had it from the start."""
    with_tag = replace(segment, tags=((tpid, tci), *segment.tags))
    assert tagged(internet.build(segment), tci, tpid) == internet.build(with_tag)


@given(st.binary(min_size=14, max_size=100), UINT16, UINT16)
def test_a_tag_changes_nothing_else(frame: bytes, tci: int, tpid: int) -> None:
    """Of any octets, all that were there are there after a tag is put in, in order."""
    made = tagged(frame, tci, tpid)
    assert made == frame[:12] + tpid.to_bytes(2) + tci.to_bytes(2) + frame[12:]


@given(st.binary(min_size=14, max_size=100), UINT16, UINT16)
def test_a_tag_leaves_no_trace(frame: bytes, tci: int, tpid: int) -> None:
    """Of any octets, what a tag was put into and taken out of is what it was."""
    assert untagged(tagged(frame, tci, tpid)) == frame
