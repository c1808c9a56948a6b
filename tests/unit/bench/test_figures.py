"""From samples to tables, the verdict, the page and the plots; no figure is measured here."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from vecwire.bench import figures, plots, report, runner, session
from vecwire.bench.catalogue import catalogue
from vecwire.bench.samples import Results, Sample, Summary
from vecwire.bench.tables import Settings
from vecwire.errors import SpecError


def filled(values: dict[tuple[str, str], float]) -> Results:
    """A sample for everybody in every table; ``values`` says what is not 1, by contender and value."""
    made = Results({"kernel": "Linux", "versions": {"x": "1"}, "virtual": True}, {"rounds": 1, "quick": True})
    every = ("forward_gbit", "reverse_gbit", "ns", "p50_us", "frames", "gbit", "load_ns")
    for step in runner.steps(catalogue(), 1):
        table, case, name, turn = step.key
        sample = {value: values.get((name, value), 1.0) for value in every}
        sample |= {"peak_mb": 90.0, "processes": 2.0, "checksum_errors": 0.0}
        made.add(Sample(table, case, name, turn, sample))
    return made


def verdict_of(results: Results, words: str) -> figures.Verdict:
    """The one verdict whose figure and target have the words."""
    (found,) = [each for each in figures.verdicts(results) if words in f"{each.figure}: {each.target}"]
    return found


def test_the_slower_direction_counts() -> None:
    """A promise of both directions is kept only if the slower one keeps it."""
    met = {("vecwire l2tpv3 udp", "forward_gbit"): 9.0, ("vecwire l2tpv3 udp", "reverse_gbit"): 5.0}
    words = "vecwire l2tpv3 udp: at least 5 of QEMU"
    assert verdict_of(filled(met), words).met is True
    assert verdict_of(filled(met | {("vecwire l2tpv3 udp", "reverse_gbit"): 4.9}), words).met is False


@pytest.mark.parametrize(("ns", "met"), [(1.15, True), (1.16, False)])
def test_the_cost_of_a_frame_is_held_against_the_loop_in_c(ns: float, *, met: bool) -> None:
    """At most 1.15 times as much processor time."""
    assert verdict_of(filled({("vecwire raw", "ns"): ns}), "C loop").met is met


@pytest.mark.parametrize(("dearest", "met"), [(1.3, True), (1.4, False)])
def test_the_dearest_number_of_tunnels_counts(dearest: float, *, met: bool) -> None:
    """It need not be the greatest: what 16 of them cost counts, where that is more than what 64 do."""
    made = Results({}, {})
    for case, ns in (("2", 100.0), ("16", 100.0 * dearest), ("64", 110.0)):
        made.add(Sample("tunnels", case, "vecwire l2tpv3 udp", 0, {"ns": ns}))
    found = verdict_of(made, "of 2 tunnels")
    assert (found.measured, found.met) == (f"{dearest:.2f}", met)
    made.add(Sample("tunnels", "32", "vecwire l2tpv3 udp", 0, error="it broke"))
    assert verdict_of(made, "of 2 tunnels").met is None


@pytest.mark.parametrize(
    ("table", "case", "contender"),
    [("tunnel", "", "vecwire gre"), ("tunnel", "", "UML gre"), ("flows", "16", "vecwire l2tpv3 udp")],
)
def test_a_wrong_checksum_in_any_run_with_vecwire_tells(table: str, case: str, contender: str) -> None:
    """One packet is enough, in a guest or with several flows; a run that was not looked at is told."""
    made = filled({})
    clean = verdict_of(made, "wrong checksum")
    assert clean.met is True
    (sample,) = [each for each in made.of(table) if (each.case, each.contender) == (case, contender)]
    made.add(replace(sample, values=sample.values | {"checksum_errors": 1.0}))
    found = verdict_of(made, "wrong checksum")
    assert (found.measured, found.met) == (clean.measured.replace("0", "1", 1), False)
    made.add(replace(sample, values={"gbit": 1.0}))
    found = verdict_of(made, "wrong checksum")
    assert "1 more not looked at" in found.measured
    assert found.met is None


def test_what_was_not_measured_is_neither_met_nor_not() -> None:
    """A verdict without figures says so, for every promise."""
    found = figures.verdicts(Results({}, {}))
    assert len(found) > 10
    assert all(each.met is None and not each.measured for each in found)


def test_a_goal_is_told_apart_from_a_promise() -> None:
    """At half of VXLAN the promise is kept; at 0.8 the goal is reached too."""
    words = "kernel VXLAN, goal"
    half = {("vecwire l2tpv3 udp", way): 0.5 for way in ("forward_gbit", "reverse_gbit")}
    found = verdict_of(filled(half), words)
    assert (found.met, found.goal) == (True, False)
    found = verdict_of(filled(dict.fromkeys(half, 0.8)), words)
    assert (found.met, found.goal) == (True, True)


def test_a_verdict_compares_within_rounds() -> None:
    """What slows both in a round changes no ratio; a round that one of them missed does not count."""
    made = Results({}, {})
    for turn, (ours, theirs) in enumerate([(110.0, 100.0), (330.0, 300.0), (222.0, 200.0), (900.0, None)]):
        made.add(Sample("frames", "60 octets, flat out", "vecwire raw", turn, {"ns": ours}))
        values = {} if theirs is None else {"ns": theirs}
        made.add(Sample("frames", "60 octets, flat out", "C loop", turn, values))
    found = next(each for each in figures.verdicts(made) if each.target == "at most 1.15 of the C loop")
    assert (found.measured, found.met) == ("1.10", True)


def test_the_bridge_costs_what_the_load_costs_more() -> None:
    """It has no process: its cost is the load's, beside that of nothing, and only flat out."""
    made = Results({}, {})
    for case in ("60 octets, flat out", "60 octets, 50,000/s"):
        made.add(Sample("frames", case, "kernel bridge", 0, {"load_ns": 900.0}))
        made.add(Sample("frames", case, "nothing", 0, {"load_ns": 500.0}))
    cost = figures.figure(made, "frames", "60 octets, flat out", "kernel bridge", "ns")
    assert cost == Summary(400.0, 400.0, 400.0, 1)
    assert figures.figure(made, "frames", "60 octets, 50,000/s", "kernel bridge", "ns") is None


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, ""),
        (Summary(4.305, 4.305, 4.305, 1), "4.30"),
        (Summary(4.31, 4.0, 4.55, 3), "4.31 (4.00..4.55)"),
    ],
)
def test_a_cell_is_a_median_with_its_range(found: Summary | None, text: str) -> None:
    """The range is told where there is more than one round."""
    assert figures.text_of(found, 2) == text


def test_who_is_missing_stands_in_the_table() -> None:
    """A contender that is not there keeps its row, which says why."""
    made = Results({}, {})
    made.add(Sample("flows", "1", "QEMU l2tpv3", 0, missing="not installed: qemu"))
    (table,) = session.choose(["flows"])
    (row,) = figures.rows(made, table)
    assert row.cells == ("not installed: qemu",)


def test_everybody_has_a_turn_before_anybody_has_another() -> None:
    """The rounds of a table are interleaved: A B C, A B C."""
    for name, group in itertools.groupby(runner.steps(catalogue(), 3), lambda step: step.table.name):
        turns = [step.turn for step in group]
        assert turns == sorted(turns), name
        assert set(turns) == {0, 1, 2}


def test_names_are_unique() -> None:
    """No table has two contenders, or two cases, of one name; a sample's key is its own."""
    keys = [step.key for step in runner.steps(catalogue(), 2)]
    assert len(keys) == len(set(keys))


def test_an_unknown_table_is_refused() -> None:
    """``--only`` names tables that there are."""
    with pytest.raises(SpecError, match="it has tunnel, wire"):
        session.choose(["nothing"])


def test_quick_is_shorter() -> None:
    """Short runs are shorter in every respect."""
    quick, full = Settings.quick(), Settings()
    assert quick.rounds < full.rounds
    assert quick.tcp < full.tcp
    assert quick.frames < full.frames
    assert quick.pings < full.pings


def test_the_page_keeps_what_was_written_around_it(tmp_path: Path) -> None:
    """Only what stands between the marks is replaced; the page has every table, and says that it is quick."""
    page = tmp_path / "performance.md"
    results = filled({})
    report.write(results, catalogue(), {"tunnel": tmp_path / "img" / "t.png"}, page)
    page.write_text(f"{page.read_text(encoding='utf-8')}\n## What a frame costs\n\nOurs.\n", encoding="utf-8")
    report.write(results, catalogue(), {}, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Performance\n")
    assert text.endswith("## What a frame costs\n\nOurs.\n")
    assert all(text.count(f"## {table.title}\n") == 1 for table in catalogue())
    assert "A quick run" in text
    assert "t.png" not in text


def test_every_table_has_a_plot(tmp_path: Path) -> None:
    """A PNG for each table, where matplotlib is installed."""
    if not plots.available():
        pytest.skip("matplotlib is optional")
    made = plots.draw(filled({}), catalogue(), tmp_path)
    assert set(made) == {table.name for table in catalogue()}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made.values())
