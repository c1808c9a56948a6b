"""A look at the octets of a Python object: where they are, and how many.

Frames come as bytes, as a bytearray, as a memoryview of a batch or as a numpy array; none is copied to
be read.
"""

import cython
from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.libc.stdint import uint8_t
from cython.cimports.vecwire.wire.octets import View


@cython.cclass
class Octets:
    """The octets of an object with the buffer protocol, held in place for as long as this lives.

    Args:
        data: the object, one contiguous piece of memory.
        writable: whether they are going to be written.

    Raises:
        TypeError: if ``data`` has no octets to show.
        BufferError: if they are not contiguous, or not to be written.
    """

    _view: View

    def __init__(self, data: bytes | bytearray | memoryview, *, writable: bool = False) -> None:
        PyObject_GetBuffer(data, cython.address(self._view), PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
        self.at = cython.cast(cython.pointer[uint8_t], self._view.buf)
        self.length = self._view.len

    def __dealloc__(self) -> None:
        PyBuffer_Release(cython.address(self._view))
