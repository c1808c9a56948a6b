"""What the event loop has done by threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from vecwire.service import _threads
from vecwire.service._threads import in_thread


def test_it_is_done_elsewhere() -> None:
    """What the function gives is given, and the loop's thread went on meanwhile."""

    async def ask() -> tuple[int, bool]:
        begun, go = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def do() -> int:
            loop.call_soon_threadsafe(begun.set)
            go.wait(10)
            return threading.get_ident()

        task = asyncio.create_task(in_thread(do))
        await begun.wait()
        waited = not task.done()
        go.set()
        return await task, waited

    ident, waited = asyncio.run(ask())
    assert ident != threading.get_ident()
    assert waited


def test_what_is_raised_is_raised_here() -> None:
    """An error comes through as it is."""

    def do() -> None:
        raise LookupError("there")

    with pytest.raises(LookupError, match="there"):
        asyncio.run(in_thread(do))


def test_a_call_may_be_cancelled() -> None:
    """Who waits no longer hears nothing, and the call goes on to its end."""
    go, over = threading.Event(), threading.Event()

    def do() -> None:
        go.wait(10)
        over.set()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(do), 0.01)
        go.set()

    asyncio.run(ask())
    assert over.wait(10)


def test_a_thread_that_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose thread had no memory to begin with is a MemoryError, and not waited for."""

    def start(thread: threading.Thread) -> None:
        thread.run = lambda: None  # type: ignore[method-assign]
        thread.start()

    monkeypatch.setattr(_threads, "start", start)
    monkeypatch.setattr(_threads, "LOOK", 0.01)
    with pytest.raises(MemoryError, match="vecwire-call"):
        asyncio.run(in_thread(lambda: None))
