"""What holds of any text that is given for the service's file."""

from __future__ import annotations

import tomllib

from vecwire.errors import ConfigError
from vecwire.service._toml import Places, parse


def hold_toml(text: str) -> None:
    """Asserts that a text is parsed as tomllib does it, or that one fault tells a line and a remedy."""
    places = Places(text)
    assert all(1 <= place.line <= text.count("\n") + 1 for place in places.known.values())
    try:
        document = parse(text, "x.toml")
    except ConfigError as error:
        (fault,) = error.faults
        assert fault.line is not None
        hold_faults(text, error)
        return
    assert repr(document) == repr(tomllib.loads(text))


def hold_faults(text: str, error: ConfigError) -> None:
    """Asserts that all that is wrong is told, each with a remedy, in lines that are there."""
    assert error.faults
    for fault in error.faults:
        assert fault.line is None or 1 <= fault.line <= text.count("\n") + 1
        assert fault.message
        assert fault.remedy
        assert str(fault).isprintable()
