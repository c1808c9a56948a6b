"""Impairment against a model of it, whatever is sent when: each frame is accounted for, at its time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oracle.link import Link
from peers.frames import frame
from vecwire import Batch
from vecwire.path.impairer import Impairer

SHARE = st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])
SETTINGS = st.fixed_dictionaries(
    {
        "delay": st.sampled_from([0, 1, 50, 10**6]),
        "jitter": st.sampled_from([0, 1, 30, 2 * 10**6]),
        "loss": SHARE,
        "duplicate": SHARE,
        "reorder": SHARE,
        "rate": st.sampled_from([0, 0, 1000, 10**9, 10**13]),
        "limit": st.sampled_from([1, 2, 5, 1000]),
        "seed": st.integers(0, 2**64 - 1),
    }
)
#: How long after the one before a frame is sent, how long it is, and whether somebody looks for what is due.
SENT = st.lists(st.tuples(st.integers(0, 200), st.integers(60, 1514), st.booleans()), max_size=60)


def number(octets: memoryview) -> int:
    """Which frame it is."""
    return int.from_bytes(octets[14:18])


@given(SETTINGS, SENT)
def test_does_what_the_model_does(settings: dict[str, Any], sent: list[tuple[int, int, bool]]) -> None:
    """The same frames leave at the same times in one order, the same are counted, and none is missing."""
    impairer, link = Impairer(), Link(**settings)
    impairer.configure(**settings)
    one, due = Batch(1), Batch(7)
    moment = passed = 0
    for which, (pause, length, looks) in enumerate(sent):
        moment += pause
        one.clear()
        one.append(frame(which, length))
        at_once = [which] if impairer.put(one, 0, moment) else []
        assert at_once == link.put(which, length, moment)
        assert impairer.late == len(link.waiting) <= settings["limit"]
        passed += len(at_once)
        if looks:
            found: list[int] = []
            while impairer.take(due, moment):
                found += [number(each) for each in due]
            assert found == link.take(moment)
            passed += len(found)
        counters = impairer.counters()
        drops = counters.get("tx_lost", 0) + counters.get("tx_limit", 0)
        assert which + 1 + counters.get("tx_duplicated", 0) == passed + drops + impairer.late
    assert impairer.counters() == link.counters
    assert impairer.due == (link.waiting[0][0] if link.waiting else None)
    assert impairer.forget() == len(link.waiting)
