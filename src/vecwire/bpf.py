"""Classic BPF: programs that the kernel runs on what a port receives (linux/filter.h, bpf(4)).

A program is a tuple of instructions. ``own_mac`` builds the filter of the UML driver, which drops frames
that come back from the port's own address; ``only`` begins those that tell frames by their direction;
``load`` reads a file of ``struct sock_filter``. ``attach`` and ``detach`` work on sockets (socket(7)) and on
taps (linux/if_tun.h).
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from vecwire.errors import PortError

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
TUNATTACHFILTER = 0x401054D5
TUNDETACHFILTER = 0x401054D6
MAXIMUM = 4096  # BPF_MAXINSNS, linux/bpf_common.h

LD_W_ABS = 0x20
LD_H_ABS = 0x28
LD_W_IND = 0x40
LD_H_IND = 0x48
LDX_B_MSH = 0xB1
JEQ_K = 0x15
RET_K = 0x06
ACCEPT = 0x00040000
PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE, linux/filter.h
PACKET_OUTGOING = 4  # linux/if_packet.h


class Instruction(NamedTuple):
    """One ``struct sock_filter``: the code, the jumps if true and if false, and the operand."""

    code: int
    jt: int
    jf: int
    k: int


Program = tuple[Instruction, ...]


def own_mac(mac: str, *, offset: int = 0, behind_ipv4: bool = False) -> Program:
    """A program that drops the frames whose source is ``mac`` and accepts all others.

    Args:
        mac: the address, as ``02:00:00:00:00:01``.
        offset: where the frame begins in what the socket receives, in octets.
        behind_ipv4: whether an IPv4 header of any length comes before that, as on a raw IPv4 socket.
    """
    address = bytes.fromhex(mac.replace(":", ""))
    high, low = struct.unpack("!HI", address)
    word, half = (LD_W_IND, LD_H_IND) if behind_ipv4 else (LD_W_ABS, LD_H_ABS)
    length = (Instruction(LDX_B_MSH, 0, 0, 0),) if behind_ipv4 else ()
    return (
        *length,
        Instruction(word, 0, 0, offset + 8),
        Instruction(JEQ_K, 0, 3, low),
        Instruction(half, 0, 0, offset + 6),
        Instruction(JEQ_K, 0, 1, high),
        Instruction(RET_K, 0, 0, 0),
        Instruction(RET_K, 0, 0, ACCEPT),
    )


def only(*, outgoing: bool) -> Program:
    """The beginning of a program: drops frames of the other direction, goes on with the rest.

    Args:
        outgoing: whether frames that this host sends are wanted, or all but those (packet(7)).
    """
    return (
        Instruction(LD_W_ABS, 0, 0, PACKET_TYPE),
        Instruction(JEQ_K, 1 if outgoing else 0, 0 if outgoing else 1, PACKET_OUTGOING),
        Instruction(RET_K, 0, 0, 0),
    )


def accept_all() -> Program:
    """A program that accepts every frame."""
    return (Instruction(RET_K, 0, 0, ACCEPT),)


def drop_all() -> Program:
    """A program that drops every frame."""
    return (Instruction(RET_K, 0, 0, 0),)


def pack(program: Program) -> bytes:
    """The program as an array of ``struct sock_filter``, in host byte order."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def unpack(octets: bytes) -> Program:
    """Reads an array of ``struct sock_filter``.

    Raises:
        ValueError: if that is no whole number of instructions, or none, or more than the kernel takes.
    """
    if not octets or len(octets) % 8:
        raise ValueError(f"a program is a whole number of 8-octet instructions, not {len(octets)} octets")
    if len(octets) > 8 * MAXIMUM:
        raise ValueError(f"a program has at most {MAXIMUM} instructions, not {len(octets) // 8}")
    return tuple(Instruction(*fields) for fields in struct.iter_unpack("=HBBI", octets))


def load(path: str) -> Program:
    """Reads a program from a file of ``struct sock_filter`` instructions.

    Raises:
        PortError: if the file cannot be read or holds no program.
    """
    try:
        return unpack(Path(path).read_bytes())
    except OSError as error:
        raise PortError(
            f"cannot read the filter {path}",
            errno=error.errno,
            remedy="give bpffile= a file that this user may read",
        ) from error
    except ValueError as error:
        raise PortError(
            f"{path} holds no filter: {error}",
            errno=errno.EINVAL,
            remedy="bpffile= takes raw struct sock_filter instructions, 8 octets each",
        ) from error


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
            with socket.socket(fileno=os.dup(fd)) as view:
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
            with socket.socket(fileno=os.dup(fd)) as view:
                view.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise PortError("cannot detach the filter", errno=error.errno) from error
