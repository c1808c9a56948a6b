"""Programs as text: disassembled as ``tcpdump -d`` prints them, read as ``tcpdump -ddd`` and ``-dd`` do."""

import re

from vecwire.bpf._program import Instruction, Program, pack, unpack
from vecwire.wire.filter import fault

_CLASSES = ("ld", "ldx", "st", "stx", "alu", "jmp", "ret", "misc")
_SIZES = {0x00: "", 0x08: "h", 0x10: "b"}
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
_IMM, _ABS, _IND, _MEM, _LEN, _MSH = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
_C_LINE = re.compile(r"\{\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)\s*\}\s*,?")


def disassemble(program: Program) -> str:
    """The program as ``tcpdump -d`` prints one: a line an instruction, jumps with where they lead."""
    return "\n".join(f"({place:03}) {line(place, each)}" for place, each in enumerate(program))


def line(place: int, instruction: Instruction) -> str:
    """One instruction, the ``place``-th from 0, as text."""
    name, operand = _parts(place, instruction)
    if instruction.code & 7 == _CLASSES.index("jmp") and name != "ja":
        yes, no = place + 1 + instruction.jt, place + 1 + instruction.jf
        return f"{name:8} {operand:16} jt {yes}\tjf {no}"
    return f"{name:8} {operand}"


def _parts(place: int, instruction: Instruction) -> tuple[str, str]:
    """The name and the operand of an instruction."""
    code, k = instruction.code, instruction.k
    kind = _CLASSES[code & 7]
    operation = code & 0xF0
    by_x = bool(code & 0x08)
    if kind in {"ld", "ldx"} and code < 0x100:
        return _load(kind, code, k)
    if kind in {"st", "stx"}:
        return kind, f"M[{k}]"
    if kind == "ret":
        return "ret", "" if code & 0x18 else f"#{k}"
    if kind == "misc":
        return "txa" if code & 0x80 else "tax", ""
    if code == 0x84:
        return "neg", ""
    if code == 0x05:
        return "ja", str(place + 1 + k)
    name = (_ALU if kind == "alu" else _JUMPS).get(operation)
    if name is None:
        return "unimp", f"{code:#x}"
    if by_x:
        return name, "x"
    return name, f"#{k:#x}" if name in _IN_HEXADECIMAL else f"#{k}"


def _load(kind: str, code: int, k: int) -> tuple[str, str]:
    """The name and the operand of a load."""
    name = kind + _SIZES.get(code & 0x18, "?")
    mode = code & 0xE0
    if mode == _ABS:
        return name, f"[{_ANCILLARY.get(k - _ANCILLARY_OFFSET, k)}]"
    if mode == _IND:
        return name, f"[x + {k}]"
    if mode == _MSH:
        return name, f"4*([{k}]&0xf)"
    return name, {_IMM: f"#{k:#x}", _MEM: f"M[{k}]", _LEN: "#pktlen"}.get(mode, f"{code:#x}")


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
    except (ValueError, OverflowError) as error:
        raise ValueError(f"line {number}: {' '.join(words)} are no numbers of an instruction") from error
    return made


def _counted(program: list[Instruction]) -> Program:
    """The program, if it has as many instructions as one may have."""
    return unpack(pack(tuple(program)))
