"""Classic BPF: programs that decide which frames a port receives (linux/filter.h, pcap-filter(7)).

A program is a tuple of instructions; it speaks of the frame as it is on the wire, with its VLAN tags and
without what a tunnel puts in front. ``compile_expression`` makes one of tcpdump's expressions, ``load`` reads
one from a file, ``own_mac`` is that of the UML driver, which drops frames that come back from the port's own
address. ``validate`` says what is wrong with one, ``disassemble`` shows it, ``matcher`` runs it here:

>>> from vecwire import bpf
>>> wants = bpf.matcher(bpf.own_mac("02:00:00:00:00:01"))
>>> wants.accepts(bytes(60))
True

``attach`` and ``detach`` have the kernel run one, on sockets (socket(7)) and taps (linux/if_tun.h).
"""

import errno
from pathlib import Path

from vecwire.bpf._kernel import as_socket, attach, detach, for_kernel
from vecwire.bpf._libpcap import SNAP_LENGTH, compile_expression
from vecwire.bpf._program import (
    ACCEPT,
    MAXIMUM,
    Instruction,
    Program,
    accept_all,
    drop_all,
    only,
    own_mac,
    pack,
    unpack,
)
from vecwire.bpf._text import disassemble, parse, validate
from vecwire.errors import PortError
from vecwire.wire.filter import Filter

__all__ = [
    "ACCEPT",
    "MAXIMUM",
    "SNAP_LENGTH",
    "Filter",
    "Instruction",
    "Program",
    "accept_all",
    "as_socket",
    "attach",
    "compile_expression",
    "detach",
    "disassemble",
    "drop_all",
    "for_kernel",
    "load",
    "matcher",
    "only",
    "own_mac",
    "pack",
    "parse",
    "unpack",
    "validate",
]


def matcher(program: Program | str) -> Filter:
    """A program, or an expression, ready to be run on frames: ``matcher("arp").accepts(frame)``.

    Raises:
        ValueError: if the program is not one that can be run; it names the instruction and the reason.
        SpecError: if the expression is wrong.
        UnsupportedError: if there is an expression, and no libpcap on this host.
    """
    if isinstance(program, str):
        program = compile_expression(program)
    validate(program)
    return Filter(pack(program))


def load(path: str) -> Program:
    """Reads a program from a file: raw ``struct sock_filter``, or the text of ``tcpdump -ddd`` or ``-dd``.

    Raises:
        PortError: if the file cannot be read or holds no program that can be run.
    """
    try:
        program = parse(Path(path).read_bytes())
        validate(program)
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
            remedy="bpffile= takes raw struct sock_filter instructions or what tcpdump -ddd prints",
        ) from error
    return program
