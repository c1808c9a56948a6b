"""A blast through ports of Python."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vecwire import Impairment
from vecwire.testing import pair
from vecwire.traffic import Blast, Rate, Traffic
from vecwire.wrappers import Impaired, Wrapper

if TYPE_CHECKING:
    from vecwire import Batch

MARKS = 3


class Pausing(Wrapper):
    """A port of a machine that stands still for a while after the first frames of a blast."""

    calls = 0

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends frames; how many are done with."""
        done = super().send(batch, first)
        self.calls += 1
        if self.calls == MARKS + 1:
            time.sleep(0.2)
        return done


def test_a_pause_is_not_made_up_for() -> None:
    """What a pause of 200 ms has cost beyond 10 ms is not sent, but told, on ports of Python too."""
    left, right = pair()
    with Pausing(left) as port, right:
        blast = Blast(port, Traffic(), Rate(frames=1000), count=20)
        blast.run()
        assert blast.frames == 20
        assert blast.skipped >= 180


def test_a_blast_ends_once_all_has_left() -> None:
    """Where a wrapper delays frames, those of the blast and its last marks have left when it is over."""
    left, right = pair()
    with Impaired(left, Impairment(delay=0.05)) as port, right:
        blast = Blast(port, Traffic(), Rate(), count=5)
        blast.run()
        assert port.due is None
        assert port.stats.tx_frames == MARKS + 5 + MARKS
