"""Where the control socket is: opened by its user alone, and taken from no process that lives.

Theory of operation: bind(2) replaces nothing, so whoever finds the socket of a dead process removes it first.
Of two services that start at once one could remove what the other has just made. Between looking and
listening a service therefore holds the lock (flock(2)) of a file beside the socket. Whoever can open a file
can lock it: this one has mode 0600, and is there only as long as it is locked. If its process is killed the
file stays and the kernel takes the lock back: the next one uses that file. The lock is asked for again and
again rather than waited for in the kernel, so that the event loop hears signals meanwhile.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path

from vecwire.errors import SCARCE, PortError

logger = logging.getLogger("vecwire.control")

MODE = 0o600
#: How often a lock is asked for, which is held for some system calls, and the seconds in between.
TRIES = 40
PAUSE = 0.05
#: Clients that wait to be taken. With one more connect(2) gives EAGAIN to a client that does not block.
_BACKLOG = 128
#: What open(2) says of a link, of a file of mode 0600 that is another user's, and of a socket.
_ELSES = (errno.ELOOP, errno.EACCES, errno.ENXIO)
_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


def credentials(peer: socket.socket) -> tuple[int, int, int]:
    """Returns the process, user and group at the other end of a Unix socket (SO_PEERCRED of unix(7))."""
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(found)
    return pid, uid, gid


async def listen(path: Path, owner: int | None = None) -> socket.socket:
    """Returns a listening socket at a path that only its user may open.

    What a dead process has left there is replaced. A directory that is made for it is the owner's too, so
    that the owner can remove the path.

    Raises:
        PortError: if another process listens there, or the path cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _make(path.parent, owner)
        async with _alone(path.with_name(f"{path.name}.lock"), owner):
            _clear(path)
            # From its first moment nobody else may open it.
            before = os.umask(0o777 & ~MODE)
            try:
                listener.bind(os.fspath(path))
            finally:
                os.umask(before)
            if owner is not None:
                # Whoever the directory belongs to may have put a link there meanwhile.
                os.chown(path, owner, -1, follow_symlinks=False)
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        message = f"the control socket cannot be made at {path}"
        if error.errno is None:  # Python's own: the path is longer than the kernel's sockaddr_un
            message += f": {error}"
        raise PortError(
            message,
            errno=error.errno,
            remedy=SCARCE.get(error.errno or 0, "make its directory, or name another path as control"),
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _make(folder: Path, owner: int | None) -> None:
    """Makes a directory, the owner's, where there is none."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
        if owner is not None:
            os.chown(folder, owner, -1, follow_symlinks=False)


@contextlib.asynccontextmanager
async def _alone(lock: Path, owner: int | None) -> AsyncIterator[None]:
    """Keeps others out that would make the same socket, lest two replace each other's.

    Raises:
        PortError: if another process keeps the lock, or its file is a stranger's.
        OSError: if the file cannot be made.
    """
    number = await _taken(lock, owner)
    try:
        yield
    finally:
        _let_go(lock, number)


async def _taken(lock: Path, owner: int | None) -> int:
    """Returns the descriptor of a lock file that is locked, and that others find by its name."""
    holder = "another process"
    for _ in range(TRIES):
        number = _opened(lock, owner)
        if number is not None:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(number).st_nlink:
                    return number
            except BlockingIOError:
                holder = _holder(number)
            except BaseException:
                os.close(number)
                raise
            os.close(number)
        await asyncio.sleep(PAUSE)
    raise PortError(
        f"{holder} keeps the lock {lock}, as if it were about to listen there",
        remedy="end that process, or name another path as control",
    )


def _let_go(lock: Path, number: int) -> None:
    """Removes a lock file, then gives its lock back: who has the file open by then makes another."""
    with contextlib.suppress(OSError):
        lock.unlink()
    os.close(number)


def _opened(lock: Path, owner: int | None) -> int | None:
    """Returns the descriptor of a lock file, made where there is none; None where it has just gone.

    Raises:
        PortError: if what is there is a stranger's, or no file.
        OSError: if it cannot be made.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        number = os.open(lock, flags | os.O_CREAT | os.O_EXCL, MODE)
        if owner is not None:
            try:
                # Where this process is killed, the service may start as its own user the next time.
                os.fchown(number, owner, -1)
            except BaseException:
                os.close(number)
                raise
        return number
    try:
        number = os.open(lock, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _ELSES:
            raise _not_ours(lock) from error
        raise
    found = os.fstat(number)
    ours = stat.S_ISREG(found.st_mode) and found.st_uid in {0, os.geteuid(), owner}
    if not ours or stat.S_IMODE(found.st_mode) & ~MODE:
        os.close(number)
        raise _not_ours(lock)
    return number


def _not_ours(lock: Path) -> PortError:
    """The error of what somebody else, who could keep it locked, has put where the lock file is to be."""
    return PortError(
        f"{lock} is there and is no lock file of this service",
        remedy=f"see whose it is (ls -l {lock}) and remove it; keep others from writing to its directory",
    )


def _holder(number: int) -> str:
    """Says who holds the lock of a file, where the kernel tells (proc_locks(5))."""
    found = os.fstat(number)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            match line.split():
                case [_, "FLOCK", _, _, pid, place, *_] if place == f"{device}:{found.st_ino}":
                    return f"process {pid}"
    return "another process"


def _clear(path: Path) -> None:
    """Removes the socket of a dead process.

    Raises:
        PortError: if its process lives, or it is no socket.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise PortError(
            f"{path} is there and is no socket", remedy="remove it, or name another path as control"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            logger.info("%s: left by a process that is no more, replaced", path)
            path.unlink()
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            who = "a process"  # so many wait to be taken that the queue is full
        else:
            who = f"process {credentials(probe)[0]}"
    raise PortError(
        f"{who} listens at {path} already",
        remedy=f"end it with: vecwire ctl --socket {path} stop; or name another path as control",
    )
