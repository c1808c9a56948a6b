"""What a worker gives up, where some of it is refused."""

from __future__ import annotations

import logging
import threading

import pytest

from vecwire import confine
from vecwire.confine import Seccomp, seccomp
from vecwire.confine.capabilities import Privileges
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
    monkeypatch.setattr(confine.seccomp, "apply", lambda _: step("filter"))
    confine._tell.cache_clear()
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
        f"threads that read frames may do more than they need: cannot do {refused}; allow {refused}"
    ]


def test_each_refusal_is_told_once(taken: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Each of a process's threads meets the same kernel: what it refuses them is told by the first."""
    REFUSED.update(STEPS)
    for _ in range(3):
        confine.confine(Seccomp.ON)
    assert taken == [*STEPS] * 3
    assert len(caplog.records) == 3


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


@pytest.mark.parametrize("refused", STEPS)
def test_a_thread_that_must_be_held_and_cannot_does_nothing(taken: list[str], refused: str) -> None:
    """Who starts it is told, and its work was not begun."""
    REFUSED.add(refused)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(1))
    with pytest.raises(UnsupportedError, match=f"cannot do {refused}"):
        confine.start(thread, Seccomp.REQUIRE, seccomp.WRITER)
    thread.join()
    assert taken[-1] == refused
    assert not done


def test_a_thread_is_held_before_it_begins(taken: list[str]) -> None:
    """What it gives up is gone when its work begins, and when who starts it goes on."""
    seen: list[list[str]] = []
    thread = threading.Thread(target=lambda: seen.append(list(taken)))
    confine.start(thread, Seccomp.ON, seccomp.WRITER)
    thread.join()
    assert seen == [list(STEPS)]


def test_a_library_takes_nothing(taken: list[str]) -> None:
    """Where nothing is to be given up, nothing is, and a function is called where it stands."""
    thread = threading.Thread(target=lambda: None)
    confine.start(thread, None, seccomp.WRITER)
    thread.join()
    assert confine.unprivileged(threading.get_ident, None) == threading.get_ident()
    assert confine.unprivileged(threading.get_ident, Seccomp.OFF) != threading.get_ident()
    assert taken == ["capset"]


def test_no_filter_is_applied_where_none_is_wanted(taken: list[str]) -> None:
    """With off, capabilities and no-new-privileges are given up all the same."""
    assert not confine.confine(Seccomp.OFF)
    assert taken == ["capset", "prctl"]


@pytest.mark.parametrize("error", [OSError("read"), TypeError("can't concat NoneType to bytes")])
def test_what_cannot_be_read_is_given_up(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Where /proc does not say which capabilities there are, the thread gives up whatever they are."""
    given_up: list[tuple[object, ...]] = []

    def read() -> None:
        raise error

    monkeypatch.setattr(Privileges, "read", read)
    monkeypatch.setattr(confine, "set_capabilities", lambda *what: given_up.append(what[:2]))
    confine._drop_capabilities()
    assert given_up == [((), ())]
