"""What a worker's thread may still do: no capability, nothing gained, and few system calls.

Theory of operation: a worker reads what strangers wrote. All that it needs is done beside it: ports are
opened, brought back and changed by other threads. So at its start it gives up every capability, which needs
no right and cannot be taken back, and, where that is asked for, all system calls but those of its loop.
Capabilities, no-new-privileges and filters belong to a thread (capabilities(7), seccomp(2)): no other thread
of the process is touched.

A program that becomes another user after that is ended by glibc, which has every thread do the same and finds
that one cannot (nptl(7)). So a library does not do this by itself: the commands do, once they are who they
are going to be.
"""

import logging
from collections.abc import Callable
from enum import StrEnum

from vecwire.confine import seccomp
from vecwire.confine.capabilities import PR_SET_NO_NEW_PRIVS, Privileges, prctl, set_capabilities
from vecwire.errors import UnsupportedError

logger = logging.getLogger("vecwire.confine")


class Seccomp(StrEnum):
    """Whether workers are held to the system calls of their loop."""

    OFF = "off"
    ON = "on"
    REQUIRE = "require"


def confine(mode: Seccomp) -> bool:
    """Takes from the calling thread what no worker needs.

    Capabilities, no-new-privileges and the filter are each given up whatever becomes of the others.

    Args:
        mode: with ``on`` a host that has no libseccomp, or whose kernel refuses one of the three, is only
            logged.

    Returns:
        Whether system calls are filtered now.

    Raises:
        UnsupportedError: if that is required, and cannot be had.
    """
    _try(mode, _drop_capabilities)
    _try(mode, lambda: prctl("set no-new-privileges", PR_SET_NO_NEW_PRIVS, 1))
    return mode is not Seccomp.OFF and _try(mode, seccomp.apply)


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
        logger.warning("a worker may do more than it needs: %s; %s", error, error.remedy)
        return False
    return True


def _drop_capabilities() -> None:
    if Privileges.read().permitted:
        set_capabilities((), (), "give up the capabilities of a worker")
