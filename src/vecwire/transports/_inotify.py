"""What happens in directories, as a descriptor (inotify(7))."""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from vecwire.transports import _libc
from vecwire.transports._descriptor import Descriptor

# linux/inotify.h
IN_ATTRIB = 0x4
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x0100_0000

#: An entry came, went, or may be used by somebody else now.
ENTRY = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB
#: The directory itself is not there any more.
GONE = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED

_HEADER = struct.Struct("=iIII")  # struct inotify_event: the watch, the mask, a cookie, the name's length
_AT_ONCE = 65536  # octets of events that one read takes


class Event(NamedTuple):
    """Something happened in a directory.

    Attributes:
        watch: the number that ``watch`` gave for the directory; -1 where events were lost.
        mask: what happened.
        name: the entry; empty where it is the directory itself.
    """

    watch: int
    mask: int
    name: str


class Inotify(Descriptor):
    """Is readable when something happened in a directory that is watched.

    Raises:
        OSError: if the kernel gives none: a user may have so many (fs.inotify.max_user_instances).
    """

    def __init__(self) -> None:
        super().__init__(-1, "inotify instance")
        self._fd = _libc.call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)

    def watch(self, directory: str | os.PathLike[str]) -> int:
        """Begins to watch a directory; the same number each time for the same one.

        Raises:
            OSError: if it is not there, is no directory, may not be read, or is one too many.
        """
        mask = ENTRY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
        return _libc.call("inotify_add_watch", self.fileno(), os.fsencode(directory), mask)

    def forget(self, watch: int) -> None:
        """Ends watching a directory.

        Raises:
            OSError: if it is not watched any more, as one that was deleted.
        """
        _libc.call("inotify_rm_watch", self.fileno(), watch)

    def read(self) -> Iterator[Event]:
        """What happened since, 64 KB of it at the most; nothing where nothing did."""
        try:
            data = os.read(self.fileno(), _AT_ONCE)
        except BlockingIOError:
            return
        place = 0
        while place < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, place)
            place += _HEADER.size + length
            yield Event(watch, mask, os.fsdecode(data[place - length : place].rstrip(b"\0")))
