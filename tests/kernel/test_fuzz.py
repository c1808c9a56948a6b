"""The invariants of the fuzzer's targets that need a network namespace, over all the inputs that are kept."""

from __future__ import annotations

import pytest

from fuzzing import targets


@pytest.mark.parametrize("name", sorted(targets.NEED_ROOT))
def test_the_invariant_holds_of_all_that_is_kept(name: str) -> None:
    """Whatever once reached something new, or broke it, leaves the invariant of its target whole."""
    assert targets.hold_kept(name) > 3
