"""What a host may refuse or not have: memory, threads, libraries; with errors that say so."""

import contextlib
import ctypes
import ctypes.util
import errno
import mmap
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar, cast

from vecwire.errors import PortError, UnsupportedError

T = TypeVar("T")
PR_SET_NAME = 15  # linux/prctl.h
LONGEST_NAME = 15  # octets: PR_SET_NAME(2const)
#: Seconds that a thread may take to begin: a machine that is that late does nothing else in time either.
PATIENCE = 5.0
#: Seconds between two looks whether a thread that is waited for is there still.
LOOK = 1.0


def mapped(octets: int, what: str, flags: int = 0) -> mmap.mmap:
    """Maps memory of nobody else's (mmap(2)): given when it is touched, all zero.

    Args:
        octets: how much.
        what: what it is for, in an error's text.
        flags: more of mmap's flags, such as ``MAP_NORESERVE``.

    Raises:
        MemoryError: if the kernel gives none.
    """
    try:
        return mmap.mmap(-1, octets, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    except OSError as error:
        raise MemoryError(f"no memory for {what}: {octets} octets: {error.strerror}") from error


#: Threads that are about to begin, as Python counts them; there is no other way to take one back.
_BEGINNING: dict[threading.Thread, threading.Thread] = getattr(threading, "_limbo", {})


class _Begun(threading.Event):
    """An event that is waited for in vain after a while.

    Python waits for ever for a thread to begin (``Thread.start``); one that finds no memory for its very
    first call ends without having said anything.

    Attributes:
        given_up: the thread, once nobody waits for it any more.
    """

    given_up: threading.Thread | None = None

    def set(self) -> None:
        """Says that the thread begins; one that was given up is put back where Python looks for it next."""
        if self.given_up is not None:
            _BEGINNING[self.given_up] = self.given_up
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the event, and not longer than ``PATIENCE``; whether it has come."""
        return super().wait(PATIENCE if timeout is None else timeout)


def start(thread: threading.Thread) -> None:
    """Starts a thread, which has its name for the kernel too: ``ps -L`` and ``top -H`` show it.

    Raises:
        PortError: if the kernel gives none.
        MemoryError: if there is no memory for it, or it has not begun for as long as ``PATIENCE``; it does
            nothing then.
    """
    run = thread.run
    try:
        # Whoever has it first decides whether the thread runs.
        decided = threading.Lock()
        begun = thread._started = _Begun()  # type: ignore[attr-defined]  # noqa: SLF001 # no other way to bound it
    except RuntimeError as error:
        # "can't allocate lock", as Python calls it.
        raise _no_memory(thread.name) from error

    def named() -> None:
        del thread.run
        if not decided.acquire(blocking=False):
            return
        # It works without.
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).prctl(PR_SET_NAME, thread.name.encode()[:LONGEST_NAME], 0, 0, 0)
        run()

    thread.run = named  # type: ignore[method-assign]
    deadline = time.monotonic() + PATIENCE
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        if thread.ident is None and thread not in threading.enumerate():
            # They refer to each other.
            del thread.run
            if isinstance(error, MemoryError):
                raise
            raise _no_thread(thread.name) from error
        # It runs: there was no memory for the lock alone that Python waits with until it does.
        while not begun.is_set() and time.monotonic() < deadline:
            time.sleep(0.001)
    if not begun.is_set() and decided.acquire(blocking=False):
        begun.given_up = thread
        _BEGINNING.pop(thread, None)
        raise _no_memory(thread.name)


def await_from(thread: threading.Thread, waits: Future[T]) -> T:
    """What a thread gives as the first thing that it does; not waited for once the thread has ended.

    Args:
        thread: the thread, which was started.
        waits: what it sets.

    Raises:
        MemoryError: if it has ended without: it had no memory for so much as its first call.
        BaseException: what it set in its stead.
    """
    while not wait([waits], LOOK).done:
        if not thread.is_alive() and not waits.done():
            raise _no_memory(thread.name)
    return waits.result()


class _Apart(threading.Thread, Generic[T]):
    """Calls a function, and keeps what it gives or raises."""

    def __init__(self, name: str, do: Callable[[], T]) -> None:
        super().__init__(name=name)
        self._do = do
        self.given: T | None = None
        self.raised: BaseException | None = None

    def run(self) -> None:
        """Calls it."""
        try:
            self.given = self._do()
        except BaseException as error:  # noqa: BLE001 # raised again by who waits
            self.raised = error
        finally:
            del self._do


def apart(name: str, do: Callable[[], T]) -> T:
    """Calls a function in a thread of its own, which ends with it; gives or raises what that does.

    Args:
        name: the thread's.
        do: the function.

    Raises:
        PortError: if the kernel gives no thread.
        MemoryError: if there is no memory for one.
    """
    try:
        thread = _Apart(name, do)
    except RuntimeError as error:
        raise _no_memory(name) from error
    start(thread)
    thread.join()
    raised, thread.raised = thread.raised, None
    if raised is None:
        return cast("T", thread.given)
    try:
        raise raised
    finally:
        # Its traceback has this frame: neither would go before the garbage collector comes.
        del raised


def _no_memory(name: str) -> MemoryError:
    """The error to raise where a thread has no memory to begin with."""
    return MemoryError(f"no memory for the thread {name}, or not within {PATIENCE:.0f} s")


def _no_thread(name: str) -> PortError:
    """The error to raise where there is no thread to be had (pthread_create(3))."""
    return PortError(
        f"cannot start the thread {name}",
        errno=errno.EAGAIN,
        remedy="let this user have more: ulimit -u, and pids.max of the process's cgroup",
    )


def library(name: str, sonames: tuple[str, ...], *, doing: str, package: str) -> ctypes.CDLL:
    """A shared library of this host, to be called through ctypes, by the first of its names that is there.

    Args:
        name: its name for the linker: ``pcap`` for libpcap.
        sonames: the file names under which distributions have it.
        doing: what needs it, in the plural, for the error's text.
        package: Debian's package of it.

    Raises:
        UnsupportedError: if this host has none.
    """
    for soname in (*sonames, ctypes.util.find_library(name)):
        if soname is None:
            continue
        try:
            return ctypes.CDLL(soname)
        except OSError:
            continue
    raise UnsupportedError(
        f"{doing} need lib{name}, which this host does not have",
        remedy=f"install it: apt-get install {package}, or what your system calls lib{name}",
    )
