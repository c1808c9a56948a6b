"""The headers of a frame are found exactly where the RFCs put them; a tag goes in and out without a trace."""

from __future__ import annotations

from oracle import internet
from oracle.dissected import dissected
from oracle.exact import Exact
from oracle.shapes import SHAPES
from vecwire.wire.ethernet import headers, tagged, untagged


def target(octets: bytes) -> None:
    """Looks for the headers of a frame, and of the same behind a tag."""
    place = Exact(octets)
    assert headers(place.view) == dissected(octets)
    if len(octets) >= 14:
        more = tagged(place.view, 0x2005, 0x88A8)
        assert more == octets[:12] + bytes.fromhex("88a82005") + octets[12:]
        assert untagged(Exact(more).view) == octets
        assert headers(Exact(more).view) == dissected(more)


def seeds() -> list[bytes]:
    """Every shape."""
    return [internet.build(shape) for shape in SHAPES.values()]
