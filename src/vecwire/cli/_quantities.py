"""Quantities as people write them on a command line: ``100M`` octets, ``50k`` frames/s, ``1.5Gbit/s``."""

import re
from dataclasses import dataclass

import typer

_PREFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "t": 1_000_000_000_000}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)\s*"
_OCTETS = re.compile(_NUMBER + r"([kmgt]?)(?:b|o)?", re.IGNORECASE)
_FRAMES = re.compile(_NUMBER + r"([kmg]?)(?:\s*(?:frames|packets|f|p)?(?:/s|ps))?", re.IGNORECASE)
_BITS = re.compile(_NUMBER + r"([kmgt]?)\s*(?:bit/s|bits/s|bps|bit)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast frames are to leave: one of the two, the other is 0.

    Attributes:
        frames: frames a second.
        bits: bits of frames a second, without preamble, check sequence and gap.
    """

    frames: float = 0.0
    bits: float = 0.0


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
    """Reads a rate: ``50000`` or ``50k`` frames a second, ``100Mbit/s``.

    Raises:
        typer.BadParameter: It is none.
    """
    if found := _BITS.fullmatch(text.strip()):
        rate = Rate(bits=float(found[1]) * _PREFIXES[found[2].lower()])
    elif found := _FRAMES.fullmatch(text.strip()):
        rate = Rate(frames=float(found[1]) * _PREFIXES[found[2].lower()])
    else:
        rate = Rate()
    if not rate.frames and not rate.bits:
        raise typer.BadParameter(f"{text!r} is no rate: 50000 or 50k (frames a second) or 100Mbit/s is")
    return rate
