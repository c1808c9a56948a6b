"""Makes capture files: for the eyes of their user alone, and where their user has said.

Theory of operation: who captures often is root, and folders that others may write to are where captures go.
What stands at a name may be put there by somebody else: a link that leads to a file of root's, or a file that
its owner goes on reading. A file that is new is therefore made with O_EXCL, which follows nothing (open(2)).
Of links that are there already, those of root and of the user are followed: /dev/stdout is one. The kernel
has it so in sticky folders (proc(5), protected_symlinks), here it holds in all.

Opening a named pipe blocks until somebody reads it (fifo(7)), whatever signals come: Python begins the call
again. So it is opened without blocking, again and again, for as long as whoever opens it is patient.
"""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from vecwire.errors import PortError

logger = logging.getLogger("vecwire.capture")

MODE = 0o600
#: Seconds between two looks whether somebody reads a pipe.
LOOK = 0.05
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_REMEDIES = {
    errno.EACCES: "let this user write there, or name another file: namei -l PATH shows the modes",
    errno.ENOENT: "make the folder first, or name a file in one that is there",
    errno.ENOTDIR: "what stands before the last / must be a folder",
    errno.EISDIR: "name a file in that folder",
    errno.EROFS: "that file system is read-only: name a file elsewhere",
}


def open_new(path: Path) -> int:
    """Returns the descriptor of a new file, in the place of a file or link of that name.

    Raises:
        PortError: if it cannot be made.
    """
    try:
        kind = _kind_of(path)
        if kind in {stat.S_IFREG, stat.S_IFLNK}:
            path.unlink()
        return os.open(path, _NEW, MODE)
    except OSError as error:
        raise _failed(path, error) from error


def open_named(path: Path, patient: Callable[[], bool] = lambda: True) -> int:
    """Returns the descriptor of what the user has named: a file, new or emptied; a pipe; a device.

    Args:
        path: the name.
        patient: asked again and again, while nobody reads a pipe, whether to wait any longer.

    Raises:
        PortError: if it cannot be written to, nobody reads it, or it is reached by a link of somebody else's.
    """
    try:
        kind = _kind_of(path)
        if not kind:
            return os.open(path, _NEW, MODE)
        if kind != stat.S_IFLNK:
            # With O_CREAT the kernel refuses files and pipes of others in sticky folders (protected_regular).
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            return _open(path, flags, patient, pipe=kind == stat.S_IFIFO)
        _check(path)
        try:
            number = _open(path, os.O_WRONLY | os.O_CLOEXEC, patient, pipe=path.is_fifo())
        except FileNotFoundError:
            return os.open(os.path.realpath(path), _NEW, MODE)
        try:
            return _emptied(path, number)
        except BaseException:
            os.close(number)
            raise
    except OSError as error:
        raise _failed(path, error) from error


def _open(path: Path, flags: int, patient: Callable[[], bool], *, pipe: bool) -> int:
    """Opens what is there; a pipe once somebody reads it."""
    waited = False
    while pipe:
        try:
            number = os.open(path, flags | os.O_NONBLOCK, MODE)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            os.set_blocking(number, True)
            return number
        if not waited:
            logger.info("%s: waits for somebody to read it", path)
            waited = True
        if not patient():
            raise PortError(f"nobody reads {path}: nothing is captured", remedy="start what reads it first")
        time.sleep(LOOK)
    return os.open(path, flags, MODE)


def _kind_of(path: Path) -> int:
    """What stands at a name (inode(7)); 0 where nothing does."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return 0


def _check(path: Path) -> None:
    """Refuses a link that neither root nor this user has made."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in {0, os.geteuid()}:
        raise PortError(
            f"{path} is a link of user {found.st_uid}, which may lead anywhere",
            errno=errno.ELOOP,
            remedy="remove it, or name the file that it leads to",
        )


def _emptied(path: Path, number: int) -> int:
    """Empties a file that was opened by a link, if it still is what the link leads to."""
    _check(path)
    opened = os.fstat(number)
    if not os.path.samestat(opened, path.stat()):
        raise PortError(f"{path} was exchanged while it was opened", errno=errno.ELOOP)
    if stat.S_ISREG(opened.st_mode):
        os.ftruncate(number, 0)
    return number


def _failed(path: Path, error: OSError) -> OSError:
    if isinstance(error, PortError):
        return error
    remedy = _REMEDIES.get(error.errno or 0, "")
    return PortError(f"the capture cannot be written to {path}", errno=error.errno, remedy=remedy)
