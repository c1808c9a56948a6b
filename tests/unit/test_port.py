"""The counters of a port as a value: sums, differences, maxima."""

from __future__ import annotations

import copy

import pytest

from vecwire import PortStats
from vecwire.wire.counters import DROPS, MAXIMA, MEANINGS, NAMES, RX_DROPS, SWITCH_DROPS, TX_DROPS


def numbered(first: int = 1) -> PortStats:
    """Counters that are all different: powers of two, from this one on."""
    return PortStats({name: first << place for place, name in enumerate(NAMES)})


@pytest.mark.parametrize(
    ("name", "parts"),
    [("rx_dropped", RX_DROPS), ("tx_dropped", TX_DROPS), ("dropped", RX_DROPS + SWITCH_DROPS + TX_DROPS)],
)
def test_drops_are_the_sum_of_their_reasons(name: str, parts: tuple[str, ...]) -> None:
    """Each reason is in the sum once, and nothing else is."""
    stats = numbered()
    assert getattr(stats, name) == sum(stats.counters[part] for part in parts)


def test_every_drop_is_of_one_kind() -> None:
    """What a port received badly, what a switch did not pass on, what was not sent: no drop is missing."""
    told = [name for name in NAMES if MEANINGS[name].startswith("dropped")]
    assert sorted(DROPS) == sorted(told)
    assert len({*RX_DROPS, *SWITCH_DROPS, *TX_DROPS}) == len(RX_DROPS + SWITCH_DROPS + TX_DROPS) == len(told)
    assert RX_DROPS
    assert SWITCH_DROPS
    assert TX_DROPS


def test_a_difference_is_of_sums_alone() -> None:
    """Of what is counted it has what came in between; the highest that was seen stays as it is."""
    later, earlier = numbered(3), numbered()
    difference = later - earlier
    for name in NAMES:
        expected = later.counters[name] - (0 if name in MAXIMA else earlier.counters[name])
        assert difference.counters[name] == expected, name
    assert set(MAXIMA) == {"rx_most", "tx_most", "tx_held_most"}


def test_counters_are_attributes() -> None:
    """Each counter can be had by its name; what is none is told, also of a copy."""
    stats = copy.deepcopy(numbered())
    assert stats.rx_octets == stats.counters["rx_octets"]
    with pytest.raises(AttributeError, match="no counter named rx_nothing"):
        _ = stats.rx_nothing
