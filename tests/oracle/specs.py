"""What holds of any text that is given for a spec."""

from __future__ import annotations

from vecwire.spec import Spec, SpecError, parse


def hold(text: str) -> None:
    """Asserts that a text is a spec that round-trips, or an error of one line with a place in the text."""
    try:
        spec = parse(text)
    except SpecError as error:
        hold_error(text, error)
        return
    assert isinstance(spec, Spec)
    assert parse(str(spec)) == spec
    assert str(parse(str(spec))) == str(spec)


def hold_error(text: str, error: SpecError) -> None:
    """Asserts that an error tells of a text, in one line that can be printed, and where."""
    assert error.text == text
    assert 0 <= error.start <= error.end <= len(text)
    assert str(error).isprintable()
    excerpt, carets = error.excerpt().split("\n")
    assert excerpt.isprintable()
    assert set(carets) <= {" ", "^"}
    assert carets.endswith("^")
