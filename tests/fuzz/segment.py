"""A super-frame is refused, or cut into right frames that hold its payload in order and join to it again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from fuzzing.feed import Feed
from oracle import internet
from oracle.dissected import dissected
from oracle.exact import Exact
from oracle.internet import ACK, CWR, FIN, PSH
from oracle.settled import blank
from oracle.shapes import SHAPES, asking
from vecwire.wire.coalesce import coalesced
from vecwire.wire.segment import segments
from vecwire.wire.vnet import SHORT, Vnet

if TYPE_CHECKING:
    from vecwire.wire.ethernet import Headers

PAYLOAD = bytes(range(97))


def may_be_cut(frame: bytes, header: Vnet) -> Headers | None:
    """The headers of a super-frame, where what is asked can be done; None where it cannot."""
    place, size = dissected(frame), header.gso_size
    if place is None or size == 0 or place.payload > 384:
        return None
    carried = place.end - place.payload
    fixed = place.payload - place.network - (40 if place.version == 6 else 0)
    if fixed + min(carried, size) > 65535:
        return None
    if place.protocol == internet.TCP_PROTOCOL:
        right = header.gso_type & 0x7F == (1 if place.version == 4 else 4)
        return place if right and size >= 8 else None
    told = int.from_bytes(frame[place.transport + 4 : place.transport + 6])
    if header.gso_type & 0x7F != 5 or told not in {0, place.end - place.transport}:
        return None
    return place if size >= 8 or carried <= 128 * size else None


def hold(frame: bytes, place: Headers, size: int, made: list[bytes]) -> None:
    """Asserts that the segments are those of the super-frame."""
    payload = frame[place.payload : place.end]
    assert [piece[place.payload :] for piece in made] == [
        payload[at : at + size] for at in range(0, max(len(payload), 1), size)
    ]
    parts = [internet.read(piece) for piece in made]
    for piece in made:
        assert blank(piece, place) == blank(frame, place)
    for before, after in pairwise(parts):
        assert after.identification == (before.identification + (place.version == 4)) % 2**16
        if place.protocol == internet.TCP_PROTOCOL:
            assert after.sequence == (before.sequence + len(before.payload)) % 2**32
    if place.protocol == internet.TCP_PROTOCOL:
        flags = frame[place.transport + 13]
        last = len(parts) - 1
        for index, part in enumerate(parts):
            kept = (0 if index else CWR) | (FIN | PSH if index == last else 0)
            assert part.flags == flags & (kept | ~(FIN | PSH | CWR))
    joined(frame, place, made, parts)


def joined(frame: bytes, place: Headers, made: list[bytes], parts: list[internet.Segment]) -> None:
    """Asserts that segments of plain TCP data are joined to the super-frame that they were cut from."""
    plain = place.protocol == internet.TCP_PROTOCOL and frame[place.transport + 13] & ~PSH == ACK
    if (
        not plain
        or parts[0].options
        or parts[0].extensions
        or len(made) < 2
        or place.end - place.network > 65535
    ):
        return
    count, whole, header = coalesced(made)
    assert count == len(made)
    assert whole[place.payload :] == frame[place.payload : place.end]
    assert segments(whole, header) == made


def target(octets: bytes) -> None:
    """Takes ten octets as a virtio-net header, and the rest as the super-frame."""
    feed = Feed(octets)
    header = Vnet.unpack(feed.take(SHORT).ljust(SHORT, b"\0"))
    frame = feed.rest()
    made = segments(Exact(frame).view, header)
    place = may_be_cut(frame, header)
    assert (made is None) == (place is None)
    if made is not None and place is not None:
        hold(frame, place, header.gso_size, made)


def seeds() -> list[bytes]:
    """A super-frame of every shape; and one that tells no length, as those above 64 KiB do."""
    made = []
    for shape in SHAPES.values():
        segment = internet.located(replace(shape, payload=PAYLOAD))
        frame = internet.build(segment, partial=True)
        made += [asking(segment, size).pack() + frame for size in (8, 40, 97)]
        at = segment.network_at + (2 if segment.version == 4 else 4)
        made.append(asking(segment, 33).pack() + frame[:at] + b"\0\0" + frame[at + 2 :])
    return made
