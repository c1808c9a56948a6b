"""Functions of libc that Python does not have."""

import ctypes
import functools
import os


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(function: str, *arguments: object) -> int:
    """Calls a function that returns -1 and sets errno where it fails; what it returns.

    Raises:
        OSError: if it fails.
        MemoryError: if there is no memory for its arguments.
    """
    try:
        result: int = getattr(_library(), function)(*arguments)
    except ctypes.ArgumentError as error:
        # They are right; what ctypes could not do is to find room for them.
        raise MemoryError(f"no memory for the arguments of {function}") from error
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
