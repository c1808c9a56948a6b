"""The tally counts what a plain model counts, in whatever order frames come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oracle.arrivals import WINDOW, Arrivals
from vecwire.path.tally import Tally

NAMES = ("expected", "received", "lost", "reordered", "duplicates", "late", "frames")
#: Steps from the number before: near ones mostly, and some beyond the window.
STEPS = st.one_of(
    st.just(1),
    st.integers(-5, 5),
    st.integers(-WINDOW - 3, WINDOW + 3),
    st.integers(-5 * WINDOW, 5 * WINDOW),
)
STARTS = st.one_of(st.integers(0, 3000), st.integers(2**32 - 3000, 2**32 + 3000))


def counted(tally: Tally) -> dict[str, int]:
    """What the model counts as well."""
    return {name: tally.counts()[name] for name in NAMES}


def summed(flows: list[Arrivals]) -> dict[str, int]:
    """The same of the model."""
    return {name: sum(getattr(flow, name) for flow in flows) for name in NAMES}


@given(begun=st.booleans(), start=STARTS, steps=st.lists(STEPS, max_size=200), more=st.integers(0, 3000))
def test_any_arrival_order_is_counted_as_by_the_model(
    begun: bool, start: int, steps: list[int], more: int
) -> None:
    """Losses, reordering, duplicates and late frames, from the begin or the middle, and the end."""
    tally, model = Tally(), Arrivals(0 if begun else None)
    if begun:
        tally.take(1, 0, 0, kind="begin")
        start %= 2**31  # what is further from the begin than half of the numbers is not told from before it
    numbers = [start]
    for step in steps:
        numbers.append(max(0, numbers[-1] + step))
    if not begun and min(numbers) < 2**32 <= start:
        numbers = [number + 2**32 for number in numbers]
    for number in numbers:
        tally.take(1, 0, number)
        model.take(number)
    assert counted(tally) == summed([model])
    total = max(numbers) + 1 + more
    tally.take(1, 0, total, kind="end")
    model.end(total)
    assert counted(tally) == summed([model])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 60)), max_size=300))
def test_flows_and_runs_do_not_disturb_each_other(arrivals: list[tuple[int, int, int]]) -> None:
    """Frames of many flows in many runs, mixed: the sums are those of one model for each."""
    tally = Tally()
    models: dict[tuple[int, int], Arrivals] = {}
    for run, flow, number in arrivals:
        tally.take(run, flow, number)
        models.setdefault((run, flow), Arrivals(None)).take(number)
    assert counted(tally) == summed(list(models.values()))
    assert tally.flows == len(models)


@given(st.permutations(range(40)), st.sets(st.integers(0, 39)), st.lists(st.integers(0, 39), max_size=20))
def test_what_is_lost_and_doubled_is_counted(order: list[int], lost: set[int], again: list[int]) -> None:
    """Forty frames in any order, some lost and some sent again: exactly those are told."""
    tally = Tally()
    tally.take(9, 0, 0, kind="begin")
    came = [number for number in order if number not in lost]
    twice = [number for number in again if number not in lost]
    for number in came + twice:
        tally.take(9, 0, number)
    tally.take(9, 0, 40, kind="end")
    assert (tally.lost, tally.received, tally.duplicates) == (len(lost), len(came), len(twice))
    highest = -1
    reordered = 0
    for number in came:
        reordered += number < highest
        highest = max(highest, number)
    assert tally.reordered == reordered
