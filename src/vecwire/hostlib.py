"""Libraries of the host that are called through ctypes, needed only where something is asked of them."""

import ctypes
import ctypes.util

from vecwire.errors import UnsupportedError


def load(name: str, sonames: tuple[str, ...], *, doing: str, package: str) -> ctypes.CDLL:
    """A shared library of this host, by the first of its names that is there.

    Args:
        name: its name for the linker: ``pcap`` for libpcap.
        sonames: the file names under which distributions have it.
        doing: what needs it, in the plural, for the error's text.
        package: Debian's package of it.

    Raises:
        UnsupportedError: if this host has none.
    """
    for soname in (*sonames, ctypes.util.find_library(name)):
        if soname is None:
            continue
        try:
            return ctypes.CDLL(soname)
        except OSError:
            continue
    raise UnsupportedError(
        f"{doing} need lib{name}, which this host does not have",
        remedy=f"install it: apt-get install {package}, or what your system calls lib{name}",
    )
