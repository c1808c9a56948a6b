"""What was measured: medians, percentiles, the file that keeps it all."""

import json
from pathlib import Path

import pytest

from vecwire.bench.samples import FORMAT, Results, Sample, Summary, load, percentile, summary
from vecwire.errors import PortError


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], None),
        ([2.0], Summary(2.0, 2.0, 2.0, 1)),
        ([3.0, 1.0, 2.0], Summary(2.0, 1.0, 3.0, 3)),
        ([4.0, 1.0, 2.0, 3.0], Summary(2.5, 1.0, 4.0, 4)),
        ([float("nan"), 1.0, float("inf")], Summary(1.0, 1.0, 1.0, 1)),
    ],
)
def test_a_summary_is_the_median_with_its_range(values: list[float], found: Summary | None) -> None:
    """Of an even number of values it is the mean of those in the middle; what is no number does not count."""
    assert summary(values) == found


@pytest.mark.parametrize(("share", "found"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.001, 1)])
def test_a_percentile_is_one_of_the_values(share: float, found: int) -> None:
    """The p-th percentile of 1 to 100 is p, in whatever order they come."""
    assert percentile([float(value) for value in range(100, 0, -1)], share) == found


def test_there_is_no_percentile_of_nothing() -> None:
    """An empty list has no percentile."""
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def results(path: Path | None = None) -> Results:
    """Three samples of one table, one of which failed."""
    made = Results({"kernel": "k"}, {"rounds": 2}, path)
    made.add(Sample("t", "", "a", 0, {"x": 1.0}))
    made.add(Sample("t", "", "a", 1, error="it broke"))
    made.add(Sample("t", "", "b", 0, missing="not installed: b"))
    return made


def test_every_sample_is_in_the_file_at_once(tmp_path: Path) -> None:
    """After each sample the file is whole, and reads back as what was kept."""
    kept = results(tmp_path / "bench.json")
    found = load(tmp_path / "bench.json")
    assert found.samples == kept.samples
    assert (found.machine, found.settings) == (kept.machine, kept.settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json"]


def test_the_file_has_the_documented_parts(tmp_path: Path) -> None:
    """Its parts are format, machine, settings and samples; each sample has every field."""
    results(tmp_path / "bench.json")
    found = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert set(found) == {"format", "machine", "settings", "samples"}
    assert found["format"] == FORMAT
    assert all(
        set(each) == {"table", "case", "contender", "turn", "values", "error", "missing"}
        for each in found["samples"]
    )


def test_a_sample_takes_the_place_of_an_earlier_one() -> None:
    """What failed is done once it was measured again; what is missing is done, a failure is not."""
    made = results()
    failed = ("t", "", "a", 1)
    assert made.done(("t", "", "a", 0))
    assert made.done(("t", "", "b", 0))
    assert not made.done(failed)
    made.add(Sample("t", "", "a", 1, {"x": 3.0}))
    assert made.done(failed)
    assert made.summary("t", "", "a", "x") == Summary(2.0, 1.0, 3.0, 2)
    assert len(made.samples) == 3


def test_what_there_is_no_figure_of_has_a_reason() -> None:
    """Who is not installed, or failed, is named with the reason."""
    made = results()
    assert made.why_not("t", "", "b") == "not installed: b"
    assert made.why_not("t", "", "a") == "it broke"
    assert made.why_not("t", "", "c") == ""
    assert made.summary("t", "", "b", "x") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "samples": [{"x": 1}]}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is no file of results, or of another version, is an error of its own."""
    path = tmp_path / "bench.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PortError, match=r"bench\.json"):
        load(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """So is one that cannot be read."""
    with pytest.raises(PortError, match="cannot read"):
        load(tmp_path / "none")
