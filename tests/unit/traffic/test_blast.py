"""A blast through ports of Python."""

from __future__ import annotations

from vecwire import Impairment
from vecwire.testing import pair
from vecwire.traffic import Blast, Rate, Traffic
from vecwire.wrappers import Impaired

MARKS = 3


def test_a_blast_ends_once_all_has_left() -> None:
    """Where a wrapper delays frames, those of the blast and its last marks have left when it is over."""
    left, right = pair()
    with Impaired(left, Impairment(delay=0.05)) as port, right:
        blast = Blast(port, Traffic(), Rate(), count=5)
        blast.run()
        assert port.due is None
        assert port.stats.tx_frames == MARKS + 5 + MARKS
