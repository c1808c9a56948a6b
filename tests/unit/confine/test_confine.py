"""What a worker gives up, where some of it is refused."""

from __future__ import annotations

import logging

import pytest

from vecwire import confine
from vecwire.confine import Seccomp
from vecwire.errors import UnsupportedError

STEPS = ("capset", "prctl", "filter")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were taken; those named in `refused` are refused. None is for real."""
    found: list[str] = []

    def step(name: str) -> None:
        found.append(name)
        if name in REFUSED:
            raise UnsupportedError(f"cannot do {name}", remedy=f"allow {name}")

    monkeypatch.setattr(confine, "_drop_capabilities", lambda: step("capset"))
    monkeypatch.setattr(confine, "prctl", lambda *_: step("prctl"))
    monkeypatch.setattr(confine.seccomp, "apply", lambda: step("filter"))
    REFUSED.clear()
    return found


REFUSED: set[str] = set()


@pytest.mark.parametrize("refused", STEPS)
def test_what_is_refused_keeps_nothing_else(
    taken: list[str], caplog: pytest.LogCaptureFixture, refused: str
) -> None:
    """Each of the three is given up whatever becomes of the others, and each refusal is told."""
    REFUSED.add(refused)
    with caplog.at_level(logging.WARNING, "vecwire.confine"):
        assert confine.confine(Seccomp.ON) is (refused != "filter")
    assert taken == list(STEPS)
    assert [record.getMessage() for record in caplog.records] == [
        f"a worker may do more than it needs: cannot do {refused}; allow {refused}"
    ]


def test_all_may_be_refused(taken: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """A host that refuses everything is told so three times, and the worker works."""
    REFUSED.update(STEPS)
    assert not confine.confine(Seccomp.ON)
    assert taken == list(STEPS)
    assert len(caplog.records) == 3


@pytest.mark.parametrize("refused", STEPS)
def test_what_is_required_must_be_had(taken: list[str], refused: str) -> None:
    """Where it is required, whichever is refused is an error."""
    REFUSED.add(refused)
    with pytest.raises(UnsupportedError, match=f"cannot do {refused}"):
        confine.confine(Seccomp.REQUIRE)
    assert taken[-1] == refused


def test_no_filter_is_applied_where_none_is_wanted(taken: list[str]) -> None:
    """With off, capabilities and no-new-privileges are given up all the same."""
    assert not confine.confine(Seccomp.OFF)
    assert taken == ["capset", "prctl"]
