"""Which drops of a service are captured: what reasons stand for, and all engines or none."""

from __future__ import annotations

import os

import pytest

from vecwire import Engine, PortError
from vecwire.errors import ConfigError
from vecwire.service._drops import begin, wanted
from vecwire.wire.counters import DROPS, SWITCH_DROPS


def test_reasons_stand_for_counters() -> None:
    """A name is its counter, a beginning all that begin so, and nothing is everything."""
    assert wanted(["tx_full"]) == {"tx_full"}
    assert wanted(["switch", "rx_runt"]) == {*SWITCH_DROPS, "rx_runt"}
    assert wanted(["rx"]) == {name for name in DROPS if name.startswith("rx_")} - {"rx_missed"}
    assert wanted([]) == set(DROPS) - {"rx_missed"}


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("tx_ful", "did you mean tx_full?"),
        ("rx_frames", "reasons are rx, switch, tx"),
        (7, "reasons are rx, switch, tx"),
        ("rx_missed", "read the counter rx_missed: vecwire ctl ports"),
    ],
)
def test_what_is_no_reason_is_refused(reason: object, remedy: str) -> None:
    """Counters of other things, and what is no name, are errors that say what there is."""
    with pytest.raises(ConfigError) as refused:
        wanted(["tx", reason])
    assert remedy in refused.value.explain()


def test_all_engines_or_none() -> None:
    """Where one engine refuses, none is captured, and the next try succeeds once that one is free."""
    engines = [Engine(), Engine()]
    reader = engines[1].capture_drops()
    with pytest.raises(PortError, match="captured already"):
        begin(engines, wanted([]), lambda _: None)
    os.close(reader)
    os.close(begin(engines, wanted([]), lambda _: None))
    for engine in engines:
        engine.end_drops()
