"""Threads of their own, and what a host that has none, or no memory for one, has them say."""

from __future__ import annotations

import _thread
import gc
import threading
import weakref
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vecwire import host
from vecwire.errors import PortError

if TYPE_CHECKING:
    from collections.abc import Callable


class Nothing:
    """Something that can be referred to weakly."""


def fail(*_: object, **__: object) -> object:
    """What Python says of threads and of locks that it has no memory for."""
    raise RuntimeError("can't allocate lock")


def test_a_function_is_called_apart() -> None:
    """What the function gives is given, and it ran in another thread, which has ended."""
    there = host.apart("apart", threading.current_thread)
    assert there.name == "apart"
    assert there is not threading.current_thread()
    assert not there.is_alive()


def test_a_thread_has_its_name_for_the_kernel() -> None:
    """Whoever looks at the process from outside sees which thread is which, by the first 15 octets."""
    told: list[str] = []

    def do() -> None:
        told.append(Path("/proc/thread-self/comm").read_text(encoding="ascii"))

    thread = threading.Thread(target=do, name="vecwire-a-long-name")
    host.start(thread)
    thread.join()
    assert told == ["vecwire-a-long-\n"]


def failed() -> weakref.ref[Nothing]:
    """What an error that came from another thread had, once the error is forgotten."""
    had = Nothing()

    def do() -> None:
        raise LookupError(had)

    try:
        host.apart("apart", do)
    except LookupError as error:
        assert error.args[0] is had  # noqa: PT017 # what pytest.raises keeps would be kept here
    else:
        pytest.fail("nothing was raised")
    return weakref.ref(had)


def test_what_is_raised_apart_is_raised_here() -> None:
    """An error comes through as it is, and nothing of it is left for the garbage collector."""
    gc.disable()
    try:
        assert failed()() is None
    finally:
        gc.enable()


def test_without_memory_for_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that cannot be made for want of memory is a MemoryError that names it."""
    monkeypatch.setattr(threading.Event, "__init__", fail)
    with pytest.raises(MemoryError, match="thread apart"):
        host.apart("apart", fail)


def test_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that gives no thread is told with what to do."""
    monkeypatch.setattr(threading, "_start_new_thread", fail)
    with pytest.raises(PortError, match="cannot start the thread apart") as caught:
        host.apart("apart", fail)
    assert caught.value.remedy


def test_without_memory_to_wait_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that runs though there was no lock to wait for it with is waited for all the same."""
    monkeypatch.setattr(threading.Event, "wait", fail)
    assert host.apart("apart", lambda: 7) == 7


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What threads would begin with that have no memory for it: they end for the kernel without a word."""
    begun: list[Callable[[], object]] = []

    def start(first: Callable[[], object], _: tuple[object, ...]) -> int:
        begun.append(first)
        return 1

    monkeypatch.setattr(threading, "_start_new_thread", start)
    monkeypatch.setattr(host, "PATIENCE", 0.1)
    return begun


def test_a_thread_that_never_begins_is_not_waited_for(dead: list[Callable[[], object]]) -> None:
    """Python would wait for ever for it; and nobody counts it among the threads afterwards."""
    thread = threading.Thread(target=fail, name="lame")
    with pytest.raises(MemoryError, match="thread lame"):
        host.start(thread)
    assert len(dead) == 1
    assert thread not in threading.enumerate()
    assert not thread.is_alive()


def test_a_thread_that_begins_too_late_does_nothing(dead: list[Callable[[], object]]) -> None:
    """Who started it has gone on without it: what it would do might be done twice, or to what is gone."""
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(1))
    with pytest.raises(MemoryError):
        host.start(thread)
    late = threading.Event()

    def begin() -> None:
        dead[0]()
        late.set()

    _thread.start_new_thread(begin, ())
    assert late.wait(10)
    assert not done


def test_what_a_thread_says_first_is_given() -> None:
    """What it set is given, an error is raised; where it ended without either, that is no memory."""
    given, failed, silent = Future[int](), Future[int](), Future[int]()
    given.set_result(7)
    failed.set_exception(LookupError("first"))
    thread = threading.Thread(target=lambda: None)
    host.start(thread)
    thread.join()
    assert host.await_from(thread, given) == 7
    with pytest.raises(LookupError, match="first"):
        host.await_from(thread, failed)
    with pytest.raises(MemoryError, match="no memory for the thread"):
        host.await_from(thread, silent)
