"""TCP streams cut into frames by their fields, for the tests of coalescing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oracle import internet
from oracle.shapes import SHAPES

if TYPE_CHECKING:
    from oracle.internet import Segment

STREAM = bytes((7 * at + (at >> 8)) & 0xFF for at in range(70_000))

#: The shapes that may be joined: TCP with any options and tags, straight behind a plain IP header.
JOINABLE = [
    name
    for name, shape in SHAPES.items()
    if shape.protocol == internet.TCP_PROTOCOL and not shape.options and not shape.extensions
]


def stream(shape: Segment, *lengths: int) -> list[Segment]:
    """Consecutive segments with payloads of the given lengths, as a host sends them."""
    at, made = 0, []
    for index, length in enumerate(lengths):
        made.append(
            replace(
                shape,
                payload=STREAM[at : at + length],
                sequence=(shape.sequence + at) % 2**32,
                identification=(shape.identification + index) % 2**16,
            )
        )
        at += length
    return made
