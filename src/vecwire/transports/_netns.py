"""Opening inside a network namespace: in a thread that enters it and ends, so that no other code moves.

A socket or a tap belongs for ever to the namespace that it was made in (network_namespaces(7)), so only the
opening has to happen there.
"""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from vecwire.host import apart
from vecwire.transports import _libc
from vecwire.transports._descriptor import Opening
from vecwire.transports._refusal import refusal

CLONE_NEWNET = 0x40000000  # linux/sched.h
NAMED = Path("/run/netns")  # ip-netns(8)
NO_NAMESPACE = "list them with: ip netns; or give a path such as /proc/PID/ns/net"
_REMEDIES = {errno.ENOENT: NO_NAMESPACE, errno.EINVAL: f"that is no network namespace; {NO_NAMESPACE}"}

T = TypeVar("T")


def path_of(netns: str) -> Path:
    """The path of a namespace that is given by name or by path."""
    return Path(netns) if "/" in netns else NAMED / netns


def identity(netns: str | None) -> tuple[int, int] | None:
    """The device and inode number of a namespace's file; None where there is none, or none is named."""
    if netns is None:
        return None
    try:
        # Of a Path's, it tells want of memory as a wrong type.
        found = os.stat(str(path_of(netns)))  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def enter(fd: int) -> None:
    """Moves the calling thread into the network namespace that ``fd`` refers to (setns(2)).

    Raises:
        OSError: if the kernel refuses.
    """
    _libc.call("setns", fd, CLONE_NEWNET)


def inside(netns: str | None, do: Callable[[], T]) -> T:
    """Calls ``do`` in a network namespace; None is the one that the caller is in.

    Raises:
        UnsupportedError: if the namespace may not be entered.
        PortError: if there is no such namespace, or no thread.
        MemoryError: if there is no memory for a thread.
    """
    if netns is None:
        return do()

    def there() -> T:
        try:
            with Opening() as made:
                look = partial(os.open, path_of(netns), os.O_RDONLY | os.O_CLOEXEC)
                enter(made.descriptor(look, "namespace").fileno())
        except OSError as error:
            raise refusal(
                error,
                f"enter the network namespace {netns}",
                "the network namespace",
                remedy=_REMEDIES.get(error.errno or 0, ""),
            ) from error
        return do()

    return apart("vecwire-netns", there)
