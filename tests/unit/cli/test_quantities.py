"""Quantities of a command line."""

from __future__ import annotations

import pytest
import typer

from vecwire.cli._quantities import parse_octets, parse_rate
from vecwire.traffic.plan import Rate


@pytest.mark.parametrize(
    ("text", "octets"),
    [("1", 1), ("1500", 1500), ("64k", 64_000), ("1.5G", 1_500_000_000), ("100 MB", 100_000_000)],
)
def test_octets(text: str, octets: int) -> None:
    """Numbers with decimal prefixes."""
    assert parse_octets(text) == octets


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1x", "0.1"])
def test_what_is_no_number_of_octets(text: str) -> None:
    """The error shows what is."""
    with pytest.raises(typer.BadParameter, match="100M"):
        parse_octets(text)


def test_rates() -> None:
    """Rates are those of blast."""
    assert parse_rate("50k") == Rate(frames=50_000)
    with pytest.raises(typer.BadParameter, match="no rate"):
        parse_rate("fast")
