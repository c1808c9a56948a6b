"""Properties of the virtio-net header: no header makes anything read or written outside its frame."""

import contextlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from oracle import internet
from oracle.anything import VNETS, stream_segments
from oracle.cliff import Cliff
from oracle.internet import Segment
from oracle.settled import believed, completed, hold_as_judged, settled
from oracle.shapes import asking
from peers.passage import Passage
from vecwire import bpf
from vecwire.wire.segment import segments
from vecwire.wire.vnet import LONG, SHORT, Vnet, complete

CLIFF = Cliff()


@given(VNETS)
def test_octets_and_back(header: Vnet) -> None:
    """Any header is read back from its octets, the short form without num_buffers."""
    assert Vnet.unpack(header.pack(LONG)) == header
    assert Vnet.unpack(header.pack(SHORT)) == replace(header, num_buffers=0)


@given(st.binary(min_size=LONG, max_size=LONG))
def test_any_octets_are_a_header(octets: bytes) -> None:
    """Any twelve octets are read as a header that is written as the same octets."""
    assert Vnet.unpack(octets).pack(LONG) == octets


@given(st.binary(max_size=200), VNETS)
def test_completing_stays_in_the_frame(octets: bytes, header: Vnet) -> None:
    """Completing writes the checksum that the header names, or nothing; never outside, whatever it says."""
    for place in (CLIFF.before_the_end, CLIFF.after_the_start):
        frame = place(octets)
        done = complete(frame, header)
        assert done == (bool(header.flags & 1) and believed(octets, header))
        if not done:
            assert frame == octets
            continue
        assert frame == completed(octets, header)


@given(VNETS, st.integers(0, 70000))
def test_what_fits_names_octets_of_the_frame(header: Vnet, length: int) -> None:
    """A header that is believed keeps its checksum's place inside the frame, and its type is one we know."""
    if header.fits(length):
        assert not header.flags & 1 or 14 <= header.csum_start <= length - header.csum_offset - 2
        assert header.gso_type & 0x7F in {0, 1, 4, 5}
        assert header.gso_type == 0 or (header.gso_size and header.gso_type != 0x80)


@given(stream_segments(longest=300))
def test_unfinished_frames_become_whole(segment: Segment) -> None:
    """Any TCP or UDP frame whose checksum was left open becomes the frame with its checksum."""
    frame = bytearray(internet.build(segment, partial=True))
    assert complete(frame, replace(asking(segment, 0), gso_type=0))
    assert frame == internet.build(segment)


@st.composite
def unfinished(draw: st.DrawFn) -> tuple[bytes, Vnet]:
    """A TCP or UDP frame whose header asks for a checksum anywhere, and perhaps for segments."""
    segment = draw(stream_segments(longest=300))
    asked = asking(segment, draw(st.integers(8, 400)))
    if draw(st.booleans()):
        asked = replace(asked, gso_type=0, gso_size=0)
    if draw(st.booleans()):
        asked = replace(asked, csum_start=draw(st.integers(0, 120)), csum_offset=draw(st.integers(0, 20)))
    return internet.build(segment, partial=True), asked


@given(unfinished())
def test_what_is_judged_is_what_leaves(sent: tuple[bytes, Vnet]) -> None:
    """Whatever a guest asks for, only the checksum of its TCP or UDP changes after a frame was judged."""
    frame, header = sent
    with contextlib.closing(Passage()) as passage:
        passage.way_in.filter(bpf.matcher(bpf.accept_all()))
        passage.write(frame, header)
        left = passage.pass_on()
        if not believed(frame, header):
            assert not left
            assert passage.dropped() == {"rx_bad_vnet": 1}
            return
        judged = settled(frame, header)
        # Datagrams that cannot be cut cannot be judged.
        refused = header.gso_type == 5 and segments(*judged) is None
        assert passage.received == ([] if refused else [judged])
        hold_as_judged(*judged, left)


@given(unfinished(), st.integers(0, 160))
def test_a_filter_wants_all_that_leaves(sent: tuple[bytes, Vnet], place: int) -> None:
    """A frame passes where the filter wants it with its checksum, and all its datagrams, and only there."""
    frame, header = sent
    wants = bpf.matcher(f"ether[{place}] & 1 = 0")
    with contextlib.closing(Passage()) as passage:
        passage.way_in.filter(wants)
        passage.write(frame, header)
        passage.pass_on()
        received = [octets for octets, _ in passage.received]
    if not believed(frame, header):
        assert received == []
        return
    judged, left = settled(frame, header)
    parts = [judged]
    if left.gso_type == 5:
        parts += segments(judged, left) or [b""]
    assert received == ([judged] if all(map(wants.accepts, parts)) else [])
