"""What a host may refuse or not have: memory, threads, libraries; with errors that say so."""

import ctypes
import ctypes.util
import errno
import mmap
import threading

from vecwire.errors import PortError, UnsupportedError


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


def start(thread: threading.Thread) -> None:
    """Starts a thread.

    Raises:
        PortError: if the kernel gives none.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise no_thread(thread.name) from error


def no_thread(name: str) -> PortError:
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
