"""When a sink has heard enough."""

from __future__ import annotations

import pytest

from vecwire.testing import pair
from vecwire.traffic import Sink, sink

FLOWS = 500


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves on."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_a_sink_hears_the_marks_of_all_flows(clock: list[float]) -> None:
    """It goes on while flows end one after the other, and ends soon after the last of them."""
    port, other = pair()
    with port, other:
        judge = Sink(port, once=True)
        for flow in range(FLOWS):
            judge._tally.take(1, flow, 0)
        for flow in range(FLOWS):
            assert not judge._enough()
            judge._tally.take(1, flow, 2, kind="end")
            assert not judge._enough()
            clock[0] += sink.QUIET_SECONDS / 2
        assert not judge._enough()
        clock[0] += sink.QUIET_SECONDS
        assert judge._enough()
        assert judge.report().counts["lost"] == FLOWS


def test_a_sink_does_not_wait_for_ever_for_a_flow_that_has_not_ended(clock: list[float]) -> None:
    """Where all marks of a flow were lost, it ends a while after the last that came."""
    port, other = pair()
    with port, other:
        judge = Sink(port, once=True)
        for flow in range(2):
            judge._tally.take(1, flow, 0)
        judge._tally.take(1, 0, 1, kind="end")
        assert not judge._enough()
        clock[0] += sink.QUIET_SECONDS * 2
        assert not judge._enough()
        clock[0] += sink.PATIENT_SECONDS
        assert judge._enough()
