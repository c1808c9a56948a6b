"""One owner for each descriptor and for each path of a socket: given back once, and never used after that."""

import contextlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from vecwire.errors import ClosedError


class Descriptor:
    """Owns a descriptor until it is closed."""

    __slots__ = ("_fd", "_what")

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what

    @property
    def number(self) -> int:
        """The descriptor's number; -1 once it is closed."""
        return self._fd

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return self._fd >= 0

    def fileno(self) -> int:
        """The descriptor's number.

        Raises:
            ClosedError: if it was closed.
        """
        if self._fd < 0:
            raise ClosedError(f"the {self._what} was used after it was closed")
        return self._fd

    def take(self, fd: int) -> None:
        """Takes a number into ownership, in the place of none."""
        self._fd = fd

    def release(self) -> int:
        """Gives the descriptor away: closing it is somebody else's from here on.

        Raises:
            ClosedError: if it was closed.
        """
        fd = self.fileno()
        self._fd = -1
        return fd

    def close(self) -> None:
        """Closes it, once.

        What close(2) may answer of these descriptors is of no use to anybody: whatever it says, Linux has
        given the number free, and nothing that was sent is taken back.
        """
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # What failed before it had a number has nothing to close.
        with contextlib.suppress(AttributeError):
            self.close()

    def __repr__(self) -> str:
        state = f"fd={self._fd}" if self._fd >= 0 else "closed"
        return f"<Descriptor {self._what} {state}>"


class Entry:
    """Owns the path that a socket is bound to, and removes it once.

    It is there before the path is: to note that it was made takes no memory, whose lack would leave it.

    Attributes:
        made: whether binding has made the path. Until then whatever is there is somebody else's.
    """

    __slots__ = ("_inode", "_path", "made")

    def __init__(self, path: str) -> None:
        self.made = False
        self._inode = 0
        self._path = path

    def recognize(self) -> None:
        """Notes what was made, to be told from what others may put in its place.

        Raises:
            OSError: if it cannot be looked at.
        """
        # Of a Path's, os.stat tells want of memory as a wrong type.
        self._inode = os.stat(self._path).st_ino  # noqa: PTH116

    def leave(self) -> None:
        """Leaves the path to whoever has the socket now."""
        self.made = False

    def remove(self) -> None:
        """Removes the path if it is still the one that was made here; one not yet looked at was just made."""
        if not self.made:
            return
        with contextlib.suppress(OSError):
            if not self._inode or os.stat(self._path).st_ino == self._inode:  # noqa: PTH116
                os.unlink(self._path)  # noqa: PTH108
        self.made = False

    def __del__(self) -> None:
        # What failed before it was whole has made nothing.
        with contextlib.suppress(AttributeError):
            self.remove()


class Opening(ExitStack):
    """Collects what an opener makes; gives all of it back unless the opener reaches its end.

    Used as ``with Opening() as made: ...; made.complete()``: the same as ``ExitStack``, where ``complete``
    says that from here on the result owns what was made.
    """

    def descriptor(self, make: Callable[[], int], what: str) -> Descriptor:
        """Makes a descriptor, and owns it.

        Its owner is there before it is: no memory is needed in between, whose lack would leave it open.
        """
        owned = Descriptor(-1, what)
        self.callback(owned.close)
        owned.take(make())
        return owned

    def complete(self) -> None:
        """Leaves everything open, for its new owner."""
        self.pop_all()
