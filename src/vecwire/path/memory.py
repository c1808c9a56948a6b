"""Memory from the kernel, for what is too large for an allocator: given when it is touched, all zero."""

import mmap


def mapped(octets: int, what: str, flags: int = 0) -> mmap.mmap:
    """Maps memory of nobody else's (mmap(2)).

    Args:
        octets: how much.
        what: what it is for, in an error's text.
        flags: more of mmap's flags, such as ``MAP_NORESERVE``.

    Raises:
        MemoryError: if the kernel gives none.
    """
    try:
        return mmap.mmap(-1, octets, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    except OSError as error:
        raise MemoryError(f"no memory for {what}: {octets} octets: {error.strerror}") from error
