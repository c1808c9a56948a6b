"""What is read as a program is read the same from each form that tcpdump prints; all else is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oracle.traffic import EXPRESSIONS
from vecwire import bpf

if TYPE_CHECKING:
    from vecwire.bpf import Program


def numbers(program: Program) -> bytes:
    """The program as ``tcpdump -ddd`` prints it."""
    return "\n".join([str(len(program)), *(" ".join(map(str, each)) for each in program)]).encode()


def initialiser(program: Program) -> bytes:
    """The program as ``tcpdump -dd`` prints it."""
    return "\n".join(f"{{ {code:#x}, {jt}, {jf}, {k:#010x} }}," for code, jt, jf, k in program).encode()


def told(error: ValueError) -> None:
    """Asserts that an error can be shown to whoever gave the program."""
    assert str(error).isprintable()


def target(octets: bytes) -> None:
    """Reads the input, whatever form it has."""
    try:
        program = bpf.parse(octets)
    except ValueError as error:
        told(error)
        return
    assert 1 <= len(program) <= bpf.MAXIMUM
    assert bpf.parse(numbers(program)) == program
    assert bpf.parse(initialiser(program)) == program
    assert bpf.unpack(bpf.pack(program)) == program
    lines = bpf.disassemble(program).split("\n")
    assert [line[:5] for line in lines] == [f"({place:03})"[:5] for place in range(len(program))]
    try:
        bpf.validate(program)
    except ValueError as error:
        told(error)


def seeds() -> list[bytes]:
    """Programs that libpcap makes, in each form."""
    made = []
    for expression in EXPRESSIONS[:12]:
        program = bpf.compile_expression(expression)
        made += [numbers(program), initialiser(program), bpf.pack(program)]
    return made
