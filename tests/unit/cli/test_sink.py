"""``vecwire sink``: how bad it may be, from text."""

import pytest

from vecwire.cli.sink import read_latency


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("5ms", ("most", 5_000_000)),
        ("1.5s", ("most", 1_500_000_000)),
        ("p99=300us", ("p99", 300_000)),
        ("p99_9=1ns", ("p99_9", 1)),
    ],
)
def test_a_latency_is_bounded(text: str, bound: tuple[str, int]) -> None:
    """The greatest one, or the one that is named, in nanoseconds."""
    assert read_latency(text) == bound


@pytest.mark.parametrize("text", ["", "5", "ms", "p98=5ms", "=5ms", "p99=", "5 ms", "0.5ns", "-1s", "5h"])
def test_what_bounds_no_latency(text: str) -> None:
    """What is no time, or names no latency that is told, is refused with what one looks like."""
    with pytest.raises(ValueError, match="5ms or p99=5ms, not"):
        read_latency(text)
