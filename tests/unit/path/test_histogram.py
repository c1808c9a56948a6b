"""The histogram: percentiles to within its error, of values of any magnitude."""

import math
import random

import pytest

from vecwire.path.histogram import ERROR, Histogram


def filled(values: list[int]) -> Histogram:
    """A histogram of the values."""
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def test_small_values_are_exact() -> None:
    """Below 256 each value has a bucket of its own."""
    found = filled(list(range(256)))
    assert [found.percentile(100 * (value + 1) / 256) for value in range(256)] == list(range(256))


@pytest.mark.parametrize("exponent", [8, 20, 33, 50, 63])
def test_percentiles_are_within_the_error(exponent: int) -> None:
    """Whatever the magnitude, a percentile is off from the value of that rank by the error at the most."""
    source = random.Random(exponent)  # noqa: S311 # the same values each time
    values = sorted(source.randrange(1 << exponent) for _ in range(2000))
    found = filled(values)
    for share in (0.01, 1, 25, 50, 90, 99, 99.9, 100):
        exact = values[max(1, math.ceil(len(values) * share / 100)) - 1]
        assert abs(found.percentile(share) - exact) <= exact * ERROR


def test_extremes_and_mean_are_exact() -> None:
    """The least, the greatest and the mean are not those of buckets."""
    found = filled([1_000_003, 5_000_017, 9_000_001])
    assert (found.least, found.most, len(found)) == (1_000_003, 9_000_001, 3)
    assert found.mean == 15_000_021 / 3


def test_the_greatest_value_has_a_bucket() -> None:
    """64 bits are counted, and no more."""
    found = filled([2**64 - 1])
    assert found.percentile(50) == found.most == 2**64 - 1
    with pytest.raises(OverflowError):
        found.record(2**64)
    with pytest.raises(OverflowError):
        found.record(-1)


def test_an_empty_one_says_zero() -> None:
    """Without a value there is none to tell, before the first and after clear."""
    found = filled([7])
    found.clear()
    assert (len(found), found.least, found.most, found.mean, found.percentile(99)) == (0, 0, 0, 0.0, 0)


@pytest.mark.parametrize("share", [0, -1, 100.1])
def test_there_is_no_such_percentile(share: float) -> None:
    """A percentile is above 0 and not above 100."""
    with pytest.raises(ValueError, match="percentile"):
        Histogram().percentile(share)
