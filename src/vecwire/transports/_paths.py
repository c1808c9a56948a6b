"""Paths that may not be there yet: which of them came, went or changed hands.

Theory of operation: of each path the deepest directory that exists is watched, for the entry that comes
next on the way down. When that entry comes, the path is nearer, and a deeper directory takes its turn; when
the directory goes, a higher one does.
"""

import contextlib
import logging
from pathlib import Path
from typing import NamedTuple

from vecwire.transports._inotify import GONE, IN_Q_OVERFLOW, Inotify

logger = logging.getLogger("vecwire.watch")


class _Anchor(NamedTuple):
    """Where a path is watched from: the directory's watch, and the entry on the way down."""

    watch: int
    entry: str


class Paths:
    """Is readable when something happened on the way to one of its paths.

    Raises:
        OSError: if the kernel gives no inotify instance.
    """

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._anchors: dict[Path, _Anchor] = {}
        self._watched: dict[int, set[Path]] = {}

    def fileno(self) -> int:
        """The descriptor."""
        return self._inotify.fileno()

    def close(self) -> None:
        """Gives everything back."""
        self._inotify.close()

    def add(self, path: Path) -> None:
        """Watches an absolute path, whatever of it is there now."""
        if path not in self._anchors:
            self._hold(path)

    def _hold(self, path: Path) -> None:
        try:
            self._anchors[path] = anchor = self._anchor(path)
        except OSError as error:
            logger.warning("%s: cannot be watched: %s", path, error)
            return
        self._watched.setdefault(anchor.watch, set()).add(path)

    def _anchor(self, path: Path) -> _Anchor:
        while True:
            below = path
            while True:
                try:
                    watch = self._inotify.watch(below.parent)
                    break
                except (FileNotFoundError, NotADirectoryError):
                    below = below.parent
            if below == path or not below.is_dir():
                return _Anchor(watch, below.name)
            # It was made between the two looks: begin again from there.
            self._release(watch)

    def remove(self, path: Path) -> None:
        """Ends watching a path; one that is not watched is no error."""
        anchor = self._anchors.pop(path, None)
        if anchor is not None:
            self._let_go(path, anchor)

    def _let_go(self, path: Path, anchor: _Anchor) -> None:
        self._watched[anchor.watch].discard(path)
        self._release(anchor.watch)

    def _release(self, watch: int) -> None:
        """Ends watching a directory that no path needs any more."""
        if not self._watched.get(watch):
            self._watched.pop(watch, None)
            # The kernel has ended it by itself if the directory is gone.
            with contextlib.suppress(OSError):
                self._inotify.forget(watch)

    def read(self) -> set[Path]:
        """The paths for which something happened; never blocks."""
        touched: set[Path] = set()
        for event in self._inotify.read():
            if event.mask & IN_Q_OVERFLOW:
                touched.update(self._anchors)
            for path in self._watched.get(event.watch, ()):
                if event.mask & GONE or event.name == self._anchors[path].entry:
                    touched.add(path)
        for path in touched:
            # The new place first: a directory that stays the same is watched all the while.
            before = self._anchors.pop(path)
            self._hold(path)
            now = self._anchors.get(path)
            if now is None or now.watch != before.watch:
                self._let_go(path, before)
        return touched
