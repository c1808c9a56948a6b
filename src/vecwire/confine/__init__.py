"""What threads may still do that read what strangers wrote: no capability, nothing gained, few system calls.

Theory of operation: workers read what strangers wrote, and so do the threads that tell of frames, write them
to files, and answer who asks for metrics. What they need is done beside them: ports are opened, brought back
and changed by other threads. So at its start each gives up every capability, which needs no right and cannot
be taken back, and, where that is asked for, all system calls but those of its work
(``vecwire.confine.seccomp``). Capabilities, no-new-privileges and filters belong to a thread
(capabilities(7), seccomp(2)): no other thread of the process is touched, but those that it starts.

A program that becomes another user after that is ended by glibc, which has every thread do the same and finds
that one cannot (nptl(7)). So a library does not do this by itself: the commands do, once they are who they
are going to be.
"""

import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from typing import TypeVar

from vecwire import host
from vecwire.confine import seccomp
from vecwire.confine.capabilities import PR_SET_NO_NEW_PRIVS, Privileges, prctl, set_capabilities
from vecwire.errors import UnsupportedError

logger = logging.getLogger("vecwire.confine")

T = TypeVar("T")


class Seccomp(StrEnum):
    """Whether threads that read what strangers wrote are held to the system calls of their work."""

    OFF = "off"
    ON = "on"
    REQUIRE = "require"


def confine(mode: Seccomp, calls: seccomp.Calls = seccomp.WORKER) -> bool:
    """Takes from the calling thread what its work does not need.

    Capabilities, no-new-privileges and the filter are each given up whatever becomes of the others.

    Args:
        calls: the system calls of its work.
        mode: with ``on`` a host that has no libseccomp, or whose kernel refuses one of the three, is only
            logged.

    Returns:
        Whether system calls are filtered now.

    Raises:
        UnsupportedError: if that is required, and cannot be had.
    """
    _try(mode, _drop_capabilities)
    _try(mode, lambda: prctl("set no-new-privileges", PR_SET_NO_NEW_PRIVS, 1))
    return mode is not Seccomp.OFF and _try(mode, lambda: seccomp.apply(calls))


def start(thread: threading.Thread, mode: Seccomp | None, calls: seccomp.Calls) -> None:
    """Starts a thread that gives up what its work does not need before it begins; returns once it has.

    Args:
        thread: the thread.
        mode: what ``confine`` takes; None leaves the thread what the one that starts it has.
        calls: the system calls of its work.

    Raises:
        PortError: if the kernel gives no thread.
        MemoryError: if there is no memory for it.
        UnsupportedError: if it must be held to its system calls, and cannot be.
    """
    if mode is None:
        host.start(thread)
        return
    run, held = thread.run, Future[bool]()

    def confined() -> None:
        try:
            found = confine(mode, calls)
        except BaseException as error:  # noqa: BLE001 # raised again by who waits
            held.set_exception(error)
            return
        held.set_result(found)
        run()

    thread.run = confined  # type: ignore[method-assign]
    host.start(thread)
    host.await_from(thread, held)


def unprivileged(do: Callable[[], T], mode: Seccomp | None) -> T:
    """Calls a function without capabilities: in a thread of its own, unless ``mode`` is None.

    So a file that is opened once more by a thread that has none is opened without from the first.

    Raises:
        PortError: if the kernel gives no thread.
        MemoryError: if there is no memory for one.
        UnsupportedError: if that is required, and cannot be had.
    """
    if mode is None:
        return do()

    def there() -> T:
        _try(mode, _drop_capabilities)
        return do()

    return host.apart("vecwire-unprivileged", there)


def _try(mode: Seccomp, step: Callable[[], None]) -> bool:
    """Takes a step; whether that was possible.

    Raises:
        UnsupportedError: if it must be, and was not.
    """
    try:
        step()
    except UnsupportedError as error:
        if mode is Seccomp.REQUIRE:
            raise
        _tell(str(error), error.remedy)
        return False
    return True


@functools.cache
def _tell(message: str, remedy: str) -> None:
    """Tells what could not be given up: once, since all of a process's threads meet the same kernel."""
    logger.warning("threads that read frames may do more than they need: %s; %s", message, remedy)


def _drop_capabilities() -> None:
    try:
        some = bool(Privileges.read().permitted)
    except (OSError, TypeError):
        # Whatever cannot be read, and so is not known, is given up. Python has the wrong type for EAGAIN.
        some = True
    if some:
        set_capabilities((), (), "give up the capabilities of a thread")
