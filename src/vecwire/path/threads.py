"""Starting threads, which a kernel may refuse: pthread_create(3) wants memory, and a user may have so many."""

import errno
import threading

from vecwire.errors import PortError


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
    """The error to raise where there is no thread to be had."""
    return PortError(
        f"cannot start the thread {name}",
        errno=errno.EAGAIN,
        remedy="let this user have more: ulimit -u, and pids.max of the process's cgroup",
    )
