"""Quantities as people write them on a command line: ``100M`` octets, ``50k`` frames/s, ``1.5Gbit/s``."""

import re

import typer

from vecwire.traffic.plan import Rate, read_rate

_PREFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "t": 1_000_000_000_000}
_OCTETS = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


def parse_octets(text: str) -> int:
    """Reads a number of octets: ``1500``, ``64k``, ``100M``, ``1.5G``; prefixes are decimal.

    Raises:
        typer.BadParameter: It is none.
    """
    found = _OCTETS.fullmatch(text.strip())
    octets = int(float(found[1]) * _PREFIXES[found[2].lower()]) if found else 0
    if octets < 1:
        raise typer.BadParameter(f"{text!r} is no number of octets: 65536, 64k, 100M or 1.5G is")
    return octets


def parse_rate(text: str) -> Rate:
    """Reads a rate: ``50000`` or ``50k`` frames a second, ``100Mbit/s``, ``max``.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        return read_rate(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
