"""The invariants of the fuzzer's targets, over all the inputs that are kept, without the fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzzing import targets


@pytest.mark.parametrize("name", sorted(set(targets.NAMES) - targets.NEED_ROOT))
def test_the_invariant_holds_of_all_that_is_kept(name: str) -> None:
    """Whatever once reached something new, or broke it, leaves the invariant of its target whole."""
    assert targets.hold_kept(name) > 3


@pytest.mark.parametrize("name", targets.NAMES)
def test_a_file_begins_with_its_invariant(name: str) -> None:
    """The first line of a target is a sentence that says what must hold of any input."""
    assert targets.invariant(name).endswith(".")


@pytest.mark.parametrize("name", targets.NAMES)
def test_the_page_tells_each_invariant(name: str) -> None:
    """Whoever asks what is fuzzed finds every target in docs/security.md, with its invariant as it is."""
    page = Path(__file__).parents[2] / "docs" / "security.md"
    assert f"| `{name}` | {targets.invariant(name)} |" in page.read_text(encoding="utf-8")


def test_what_is_kept_is_read_as_it_was(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus is written a line an input, whatever octets that has, and read again."""
    monkeypatch.setattr(targets, "CORPUS", tmp_path)
    inputs = [b"", b"\n", b"'\"\\", bytes(range(256))]
    targets.keep("any", reversed(inputs))
    assert targets.corpus("any") == [b"", b"\n", b"'\"\\", bytes(range(256))]
