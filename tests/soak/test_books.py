"""The books themselves: an equation fails by one frame, and growth is seen."""

from __future__ import annotations

import dataclasses

import pytest

from soak.kernel import Process
from soak.ledger import Equation, cabled, came, switched
from soak.series import Sample, growth
from vecwire.port import PortStats
from vecwire.wire.counters import NAMES, RX_DROPS, SWITCH_DROPS, TX_DROPS


def stats(**counters: int) -> PortStats:
    """Counters, of which all others are zero."""
    return PortStats(dict.fromkeys(NAMES, 0) | counters)


@pytest.mark.parametrize(
    ("left", "more", "least", "holds"),
    [
        (10, 0, 0, True),
        (9, 0, 0, False),
        (11, 0, 0, False),
        (11, 64, 1, True),
        (10, 64, 1, False),
        (75, 64, 1, False),
    ],
)
def test_an_equation_holds_to_the_frame(left: int, more: int, least: int, holds: bool) -> None:
    """One frame too few or too many is a fault; where messages were dropped, outside of their bounds."""
    equation = Equation("hop", ("sent", left), ("came", 10), more=more, least=least)
    assert equation.holds == holds
    assert "hop: sent" in str(equation)


@pytest.mark.parametrize("name", ["rx_frames", *RX_DROPS, "rx_errors", "rx_filtered"])
def test_whatever_the_kernel_gave_has_come(name: str) -> None:
    """Frames that were received, dropped, missed or filtered have come to the port, each once."""
    assert came(stats(**{name: 3})) == 3


@pytest.mark.parametrize("name", ["tx_frames", *TX_DROPS])
def test_a_switch_is_right_where_each_frame_left_or_was_dropped(name: str) -> None:
    """A frame that one port received is accounted for by another that sent it, or dropped it."""
    assert switched("lan", [stats(rx_frames=5), stats(**{name: 5})]).holds
    assert not switched("lan", [stats(rx_frames=5), stats(**{name: 4})]).holds
    assert cabled("line", stats(rx_frames=5), stats(**{name: 5})).holds


@pytest.mark.parametrize("name", SWITCH_DROPS)
def test_a_switch_may_drop(name: str) -> None:
    """A frame that the switch dropped is offered to nobody; one for all is offered to each."""
    assert switched("lan", [stats(rx_frames=5, **{name: 5}), stats()]).holds
    flood = stats(rx_frames=1, switch_flooded=1, switch_copies=2)
    assert switched("lan", [flood, stats(tx_frames=1), stats(tx_down=1)]).holds


def test_growth_is_seen() -> None:
    """Memory that grows by 60 kB a second is told so, and memory that stays is told to stay."""
    process = Process(resident=1000, proportional=0, peak=0, descriptors=0, threads=0, busy=0.0)
    for each_second in (0, 60):
        samples = [
            Sample(float(at), dataclasses.replace(process, resident=1000 + each_second * at), 0, 0, 0, 0)
            for at in range(100)
        ]
        slope, grown = growth(samples)
        assert slope == pytest.approx(60 * each_second)
        assert grown == pytest.approx(90 * each_second)
