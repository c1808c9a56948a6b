"""Memory with a cliff on both sides: an octet read or written outside it ends the process at once."""

from __future__ import annotations

import ctypes
import mmap

_PROT_NONE = 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Cliff:
    """Pages between two that may not be touched, filled with 0xa5.

    Args:
        size: octets that fit at least.
    """

    def __init__(self, size: int = 1 << 17) -> None:
        room = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, room + 2 * mmap.PAGESIZE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._first = mmap.PAGESIZE
        self._end = mmap.PAGESIZE + room
        self._view = memoryview(memory)
        self._view[self._first : self._end] = b"\xa5" * room
        for page in (base, base + self._end):
            if _libc.mprotect(page, mmap.PAGESIZE, _PROT_NONE) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")

    def before_the_end(self, octets: bytes) -> memoryview:
        """A copy of ``octets`` whose last one is the last that may be touched."""
        place = self._view[self._end - len(octets) : self._end]
        place[:] = octets
        return place

    def after_the_start(self, octets: bytes) -> memoryview:
        """A copy of ``octets`` whose first one is the first that may be touched."""
        place = self._view[self._first : self._first + len(octets)]
        place[:] = octets
        return place
