"""tcpdump's expressions (pcap-filter(7)), compiled by the libpcap of this host.

Called through ctypes: five functions that have not changed since libpcap's first releases. So an expression
means what it means to the host's tcpdump, and libpcap is needed only where there is an expression.
"""

import ctypes
import functools
import threading

from vecwire import host
from vecwire.bpf._program import MAXIMUM, Program, unpack
from vecwire.errors import SpecError
from vecwire.wire.filter import fault

NAMES = ("libpcap.so.0.8", "libpcap.so.1")  # Debian's, and everyone else's
DLT_EN10MB = 1  # pcap-linktype(7)
NETMASK_UNKNOWN = 0xFFFFFFFF  # pcap/pcap.h
#: What an accepting program returns: more than the longest frame, so that none is cut.
SNAP_LENGTH = 262144
#: The time that the optimiser takes grows much faster than the expression: from a second on with longer ones.
LONGEST = 4096


class _Program(ctypes.Structure):
    """``struct bpf_program`` of pcap/bpf.h."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


# Before 1.8 libpcap compiled one expression at a time.
_one_at_a_time = threading.Lock()


@functools.cache
def _library() -> ctypes.CDLL:
    """libpcap, with the functions' types.

    Raises:
        UnsupportedError: if this host has none.
    """
    library = host.library("pcap", NAMES, doing="filter expressions", package="libpcap0.8")
    library.pcap_open_dead.argtypes = (ctypes.c_int, ctypes.c_int)
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_compile.argtypes = (
        ctypes.c_void_p,
        ctypes.POINTER(_Program),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    )
    library.pcap_geterr.argtypes = (ctypes.c_void_p,)
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_freecode.argtypes = (ctypes.POINTER(_Program),)
    library.pcap_freecode.restype = None
    library.pcap_close.argtypes = (ctypes.c_void_p,)
    library.pcap_close.restype = None
    return library


def compile_expression(expression: str, *, snap: int = SNAP_LENGTH) -> Program:
    """The program that libpcap makes of an expression for Ethernet frames with their VLAN tags inside.

    Args:
        expression: as of pcap-filter(7), ``tcp port 80 and not vlan``. Names of hosts are looked up now.
        snap: what the program returns for a frame that it wants, in octets; a port takes it whole anyway.

    Raises:
        SpecError: if libpcap cannot make sense of it; the error has libpcap's word for why.
        UnsupportedError: if this host has no libpcap.
    """
    if not expression.strip():
        raise _wrong(expression, "it is empty")
    if len(expression) > LONGEST:
        raise _wrong(expression, f"it has {len(expression)} characters, and at most {LONGEST} are taken")
    if "\0" in expression:
        raise _wrong(expression, "it holds a control character")
    return _compile(expression, snap)


# A port that comes back has the same filter as before, and does not wait for a name server.
@functools.lru_cache(maxsize=64)
def _compile(expression: str, snap: int) -> Program:
    library = _library()
    compiled = _Program()
    with _one_at_a_time:
        handle = library.pcap_open_dead(DLT_EN10MB, snap)
        if not handle:
            raise MemoryError("no memory for libpcap")
        try:
            octets = expression.encode("utf-8", "surrogateescape")
            if library.pcap_compile(handle, ctypes.byref(compiled), octets, 1, NETMASK_UNKNOWN):
                raise _wrong(expression, library.pcap_geterr(handle).decode("utf-8", "replace"))
            try:
                if compiled.length > MAXIMUM:
                    raise _wrong(
                        expression, f"it takes {compiled.length} instructions, and a program has {MAXIMUM}"
                    )
                made = ctypes.string_at(compiled.instructions, 8 * compiled.length)
            finally:
                library.pcap_freecode(ctypes.byref(compiled))
        finally:
            library.pcap_close(handle)
    # "protochain" is a loop, which libpcap runs and the kernel does not.
    if (found := fault(made)) is not None:
        raise _wrong(expression, f"its program cannot be run: instruction {found[0]}: {found[1]}")
    return unpack(made)


def _wrong(expression: str, reason: str) -> SpecError:
    """The error of an expression that is not one."""
    return SpecError(
        f"the filter is no expression that libpcap takes: {reason}",
        option="filter",
        given=expression,
        allowed="an expression of pcap-filter(7)",
        text=expression,
        start=0,
        end=len(expression),
    )
