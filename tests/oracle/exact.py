"""Memory of exactly the size asked for, from ``malloc``: AddressSanitizer sees every octet beside it."""

from __future__ import annotations

import ctypes

_libc = ctypes.CDLL(None)
_libc.malloc.argtypes = (ctypes.c_size_t,)
_libc.malloc.restype = ctypes.c_void_p
_libc.free.argtypes = (ctypes.c_void_p,)
_libc.free.restype = None


class _Memory:
    """Octets of ``malloc``, for as long as this lives."""

    def __init__(self, count: int) -> None:
        place = _libc.malloc(count)
        if place is None:
            raise MemoryError(f"no memory for {count} octets")
        self.address: int = place

    def __del__(self) -> None:
        _libc.free(self.address)


class Exact:
    """A copy of octets with nothing of its own before or behind it; there while this or its view is.

    Args:
        octets: what is copied.

    Attributes:
        address: where it is.
        view: the octets, to read and to write.
    """

    def __init__(self, octets: bytes | bytearray) -> None:
        memory = _Memory(len(octets))
        array = (ctypes.c_uint8 * len(octets)).from_address(memory.address)
        # A view holds its array, and with it the memory.
        array.memory = memory  # type: ignore[attr-defined]
        self.address = memory.address
        self.view = memoryview(array).cast("B")
        self.view[:] = octets

    def __bytes__(self) -> bytes:
        return bytes(self.view)
