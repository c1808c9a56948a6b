"""Programs in the kernel: what a socket (socket(7)) or a tap (linux/if_tun.h) receives is judged there."""

import contextlib
import ctypes
import errno
import fcntl
import socket
from collections.abc import Iterator

from vecwire.bpf._program import (
    ACCEPT,
    JEQ_K,
    LD_W_ABS,
    LDX_B_MSH,
    MAXIMUM,
    RET_A,
    RET_K,
    VLAN_PRESENT,
    Instruction,
    Program,
    pack,
)
from vecwire.errors import PortError

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
TUNATTACHFILTER = 0x401054D5
TUNDETACHFILTER = 0x401054D6


# What the kernel's interpreter and libpcap's do not make the same of: shifts by 32 and more, and loads at an
# index that may have wrapped around. And what a program returns, of which the kernel takes the length from.
_SHIFTS_BY_X = frozenset((0x6C, 0x7C))
_INDEXED_LOADS = frozenset((0x40, 0x48, 0x50))
_ANY_INDEX = frozenset((0x07, 0x61))  # tax, ldx M[]
_LDX_IMM = 0x01
_SMALL = 0x40000000
_NO_TAG_BESIDE = (
    Instruction(LD_W_ABS, 0, 0, VLAN_PRESENT),
    Instruction(JEQ_K, 1, 0, 0),
    Instruction(RET_K, 0, 0, ACCEPT),
)


def for_kernel(program: Program, guard: Program = ()) -> Program | None:
    """The program as the kernel may run it before a port does; None where the kernel is to leave it alone.

    The kernel takes the outermost VLAN tag out of a frame and keeps it beside. Such frames are let through,
    to be judged when the tag is put back; so whatever the kernel drops, the program does not want. It would
    also cut a frame to the length that a program returns: every frame that is wanted is taken whole.

    Args:
        program: the instructions.
        guard: those that come first, and drop or go on.
    """
    codes = {each.code for each in program}
    indexed = bool(codes & _INDEXED_LOADS)
    if (
        RET_A in codes
        or codes & _SHIFTS_BY_X
        or (indexed and codes & _ANY_INDEX)
        or any(each.k >= _SMALL and each.code in _INDEXED_LOADS | {_LDX_IMM, LDX_B_MSH} for each in program)
        or len(guard) + len(_NO_TAG_BESIDE) + len(program) > MAXIMUM
    ):
        return None
    whole = (each._replace(k=ACCEPT) if each.code == RET_K and each.k else each for each in program)
    return (*guard, *_NO_TAG_BESIDE, *whole)


@contextlib.contextmanager
def as_socket(fd: int) -> Iterator[socket.socket]:
    """Lends a descriptor to a socket object, for its methods; it stays its owner's.

    Raises:
        OSError: if it is no socket.
    """
    view = socket.socket(fileno=fd)
    try:
        yield view
    finally:
        view.detach()


class _SockFprog(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def attach(fd: int, program: Program, *, tap: bool = False) -> None:
    """Has the kernel run ``program`` on what ``fd`` receives, in the place of any before it.

    Args:
        fd: a socket, or a tap's descriptor.
        program: the instructions.
        tap: whether ``fd`` is a tap's.

    Raises:
        PortError: if the kernel refuses the program.
    """
    octets = ctypes.create_string_buffer(pack(program))
    fprog = _SockFprog(len(program), ctypes.addressof(octets))
    try:
        if tap:
            fcntl.ioctl(fd, TUNATTACHFILTER, bytes(fprog))
        else:
            with as_socket(fd) as view:
                view.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(fprog))
    except OSError as error:
        raise PortError(
            f"the kernel refuses the filter of {len(program)} instructions",
            errno=error.errno,
            remedy="check the program with bpf_dbg or tcpdump -dd: every path must end in a return",
        ) from error


def detach(fd: int, *, tap: bool = False) -> None:
    """Takes the program off ``fd``, if it has one.

    Raises:
        PortError: if the kernel refuses.
    """
    try:
        if tap:
            fcntl.ioctl(fd, TUNDETACHFILTER, bytes(_SockFprog(0, None)))
        else:
            with as_socket(fd) as view:
                view.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise PortError("cannot detach the filter", errno=error.errno) from error
