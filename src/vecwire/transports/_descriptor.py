"""One owner for each descriptor: closed once, on every path, and never used after that."""

import contextlib
import os
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


class Opening(ExitStack):
    """Collects what an opener makes; gives all of it back unless the opener reaches its end.

    Used as ``with Opening() as made: ...; made.complete()``: the same as ``ExitStack``, where ``complete``
    says that from here on the result owns what was made.
    """

    def descriptor(self, fd: int, what: str) -> Descriptor:
        """Takes a descriptor into ownership."""
        owned = Descriptor(fd, what)
        self.callback(owned.close)
        return owned

    def complete(self) -> None:
        """Leaves everything open, for its new owner."""
        self.pop_all()
