"""Programs as text: disassembled as ``tcpdump -d`` prints them, read as ``tcpdump -ddd`` and ``-dd`` do."""

import re

from vecwire.bpf._program import Instruction, Program, pack, unpack
from vecwire.wire.filter import fault

_ALU = {
    0x00: "add",
    0x10: "sub",
    0x20: "mul",
    0x30: "div",
    0x40: "or",
    0x50: "and",
    0x60: "lsh",
    0x70: "rsh",
    0x90: "mod",
    0xA0: "xor",
}
_JUMPS = {0x10: "jeq", 0x20: "jgt", 0x30: "jge", 0x40: "jset"}
_IN_HEXADECIMAL = {"and", "or", "xor", "jeq", "jgt", "jge", "jset"}
_BY_X = 0x08


def _shown(name: str) -> str:
    """How a constant operand is written."""
    return "#{k:#x}" if name in _IN_HEXADECIMAL else "#{k}"


#: The name and the operand of every code.
_FORMATS: dict[int, tuple[str, str]] = {
    0x00: ("ld", "#{k:#x}"),
    0x20: ("ld", "[{place}]"),
    0x28: ("ldh", "[{place}]"),
    0x30: ("ldb", "[{place}]"),
    0x40: ("ld", "[x + {k}]"),
    0x48: ("ldh", "[x + {k}]"),
    0x50: ("ldb", "[x + {k}]"),
    0x60: ("ld", "M[{k}]"),
    0x80: ("ld", "#pktlen"),
    0x01: ("ldx", "#{k:#x}"),
    0x61: ("ldx", "M[{k}]"),
    0x81: ("ldx", "#pktlen"),
    0xB1: ("ldxb", "4*([{k}]&0xf)"),
    0x02: ("st", "M[{k}]"),
    0x03: ("stx", "M[{k}]"),
    0x84: ("neg", ""),
    0x05: ("ja", "{to}"),
    0x06: ("ret", "#{k}"),
    0x16: ("ret", ""),
    0x07: ("tax", ""),
    0x87: ("txa", ""),
    **{0x04 + operation: (name, _shown(name)) for operation, name in _ALU.items()},
    **{0x04 + operation + _BY_X: (name, "x") for operation, name in _ALU.items()},
    **{0x05 + operation: (name, _shown(name)) for operation, name in _JUMPS.items()},
    **{0x05 + operation + _BY_X: (name, "x") for operation, name in _JUMPS.items()},
}
#: What the kernel knows beside a frame, by its distance from SKF_AD_OFF (linux/filter.h).
_ANCILLARY = {
    0: "proto",
    4: "type",
    8: "ifidx",
    12: "nla",
    16: "nlan",
    20: "mark",
    24: "queue",
    28: "hatype",
    32: "rxhash",
    36: "cpu",
    40: "xor_x",
    44: "vlan_tci",
    48: "vlan_avail",
    52: "payload",
    56: "random",
    60: "vlan_tpid",
}
_ANCILLARY_OFFSET = 0xFFFFF000
_C_LINE = re.compile(r"\{\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*\}\s*,?")


def disassemble(program: Program) -> str:
    """The program as ``tcpdump -d`` prints one: a line an instruction, jumps with where they lead."""
    return "\n".join(f"({place:03}) {line(place, each)}" for place, each in enumerate(program))


def line(place: int, instruction: Instruction) -> str:
    """One instruction, the ``place``-th from 0, as text."""
    code, k = instruction.code, instruction.k
    name, operand = _FORMATS.get(code, ("unimp", "{code:#x}"))
    shown = operand.format(
        code=code, k=k, to=place + 1 + k, place=_ANCILLARY.get(k - _ANCILLARY_OFFSET, str(k))
    )
    if name in _JUMPS.values():
        yes, no = place + 1 + instruction.jt, place + 1 + instruction.jf
        return f"{name:8} {shown:16} jt {yes}\tjf {no}"
    return f"{name:8} {shown}"


def validate(program: Program) -> None:
    """Returns if the program can be run, here and in the kernel.

    Raises:
        ValueError: if it cannot; the error names the instruction, counted from 0, and the reason.
    """
    found = fault(pack(program))
    if found is not None:
        place, reason = found
        words = " ".join(line(place, program[place]).split())
        raise ValueError(f"instruction {place} ({words}): {reason}")


def parse(octets: bytes) -> Program:
    """Reads a program: raw ``struct sock_filter``, or the text of ``tcpdump -ddd`` or ``-dd``.

    Raises:
        ValueError: if it is none of these.
    """
    try:
        text = octets.decode("ascii").strip()
    except UnicodeDecodeError:
        return unpack(octets)
    # Raw instructions hold zeros, and no text does: every code is below 256.
    if not text or "\0" in text:
        return unpack(octets)
    if text.startswith("{"):
        return _from_c(text)
    return _from_numbers(text)


def _from_c(text: str) -> Program:
    """Reads the lines of ``tcpdump -dd``: the initialiser of an array in C."""
    found = []
    for number, each in enumerate(text.splitlines(), 1):
        match = _C_LINE.fullmatch(each.strip())
        if match is None:
            raise ValueError(f"line {number} is no instruction as tcpdump -dd prints them")
        found.append(_instruction(number, match.groups()))
    return _counted(found)


def _from_numbers(text: str) -> Program:
    """Reads the lines of ``tcpdump -ddd``: how many instructions, then the four numbers of each."""
    lines = text.splitlines()
    if not lines[0].strip().isdecimal():
        raise ValueError(
            "it is neither raw instructions nor what tcpdump -ddd prints, whose first line is their number"
        )
    found = []
    for number, each in enumerate(lines[1:], 2):
        words = each.split()
        if len(words) != 4:
            raise ValueError(f"line {number} has {len(words)} numbers, and an instruction 4")
        found.append(_instruction(number, words))
    if len(found) != int(lines[0]):
        raise ValueError(f"the first line says {lines[0].strip()} instructions, and {len(found)} follow")
    return _counted(found)


def _instruction(number: int, words: "tuple[str, ...] | list[str]") -> Instruction:
    """The instruction of four numbers."""
    try:
        made = Instruction(*(int(word, 0) for word in words))
        pack((made,))
    except ValueError as error:
        given = " ".join(words)
        # A file may hold what a terminal would obey.
        given = given if given.isprintable() else ascii(given)
        raise ValueError(f"line {number}: {given} are no numbers of an instruction") from error
    return made


def _counted(program: list[Instruction]) -> Program:
    """The program, if it has as many instructions as one may have."""
    return unpack(pack(tuple(program)))
