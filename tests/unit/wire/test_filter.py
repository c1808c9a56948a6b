"""The interpreter of classic BPF: what each instruction does, and which programs are refused and why."""

from __future__ import annotations

import struct

import pytest

from oracle import libpcap
from vecwire.bpf import Instruction, accept_all, drop_all
from vecwire.wire.filter import CODES, Filter, fault

FRAME = bytes(range(0xA0, 0xA0 + 64))
ANCILLARY = 0xFFFFF000
Rows = list[tuple[int, int, int, int]]


def packed(*rows: tuple[int, int, int, int]) -> bytes:
    """The octets of a program."""
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def ran(rows: Rows, frame: bytes = FRAME) -> int:
    """What a program returns, which libpcap returns too."""
    found = Filter(packed(*rows)).run(frame)
    assert found == libpcap.run(tuple(Instruction(*row) for row in rows), frame)
    return found


RET_A = (0x16, 0, 0, 0)
TXA = (0x87, 0, 0, 0)
TAIL = ((0x06, 0, 0, 1), (0x06, 0, 0, 2))


def alu(code: int, a: int, k: int) -> Rows:
    """A program that returns what an operation by a constant makes of A."""
    return [(0x00, 0, 0, a), (code, 0, 0, k), RET_A]


def alu_x(code: int, a: int, x: int) -> Rows:
    """The same, by X."""
    return [(0x00, 0, 0, a), (0x01, 0, 0, x), (code, 0, 0, 0), RET_A]


def jump(code: int, a: int, k: int) -> Rows:
    """A program that returns 1 where a comparison with a constant holds, else 2."""
    return [(0x00, 0, 0, a), (code, 0, 1, k), (0x06, 0, 0, 1), (0x06, 0, 0, 2)]


def jump_x(code: int, a: int, x: int) -> Rows:
    """The same, with X."""
    return [(0x00, 0, 0, a), (0x01, 0, 0, x), (code, 0, 1, 0), (0x06, 0, 0, 1), (0x06, 0, 0, 2)]


def index(code: int, x: int, k: int) -> Rows:
    """A program that returns what a load at X and a constant finds."""
    return [(0x01, 0, 0, x), (code, 0, 0, k), RET_A]


#: A program for every code, and what it returns for the frame above.
CASES: list[tuple[int, Rows, int]] = [
    (0x00, [(0x00, 0, 0, 0xFFFFFFFF), RET_A], 0xFFFFFFFF),
    (0x20, [(0x20, 0, 0, 1), RET_A], 0xA1A2A3A4),
    (0x28, [(0x28, 0, 0, 1), RET_A], 0xA1A2),
    (0x30, [(0x30, 0, 0, 63), RET_A], 0xDF),
    (0x40, index(0x40, 7, 3), 0xAAABACAD),
    (0x48, index(0x48, 7, 3), 0xAAAB),
    (0x50, index(0x50, 60, 3), 0xDF),
    (0x60, [(0x00, 0, 0, 9), (0x02, 0, 0, 15), (0x00, 0, 0, 0), (0x60, 0, 0, 15), RET_A], 9),
    (0x80, [(0x80, 0, 0, 0), RET_A], 64),
    (0x01, [(0x01, 0, 0, 77), TXA, RET_A], 77),
    (0x61, [(0x00, 0, 0, 9), (0x02, 0, 0, 0), (0x61, 0, 0, 0), TXA, RET_A], 9),
    (0x81, [(0x81, 0, 0, 0), TXA, RET_A], 64),
    (0xB1, [(0xB1, 0, 0, 5), TXA, RET_A], 20),
    (0x02, [(0x00, 0, 0, 3), (0x02, 0, 0, 1), (0x60, 0, 0, 1), RET_A], 3),
    (0x03, [(0x01, 0, 0, 4), (0x03, 0, 0, 2), (0x60, 0, 0, 2), RET_A], 4),
    (0x04, alu(0x04, 0xFFFFFFFF, 3), 2),
    (0x14, alu(0x14, 1, 3), 0xFFFFFFFE),
    (0x24, alu(0x24, 0x10001, 0x10001), 0x20001),
    (0x34, alu(0x34, 0xFFFFFFFF, 2), 0x7FFFFFFF),
    (0x44, alu(0x44, 0xF0, 0x0F), 0xFF),
    (0x54, alu(0x54, 0xF7, 0x0F), 0x07),
    (0x64, alu(0x64, 0x80000001, 31), 0x80000000),
    (0x74, alu(0x74, 0x80000001, 31), 1),
    (0x84, alu(0x84, 1, 0), 0xFFFFFFFF),
    (0x94, alu(0x94, 0xFFFFFFFF, 10), 5),
    (0xA4, alu(0xA4, 0xFF, 0x0F), 0xF0),
    (0x0C, alu_x(0x0C, 0xFFFFFFFF, 3), 2),
    (0x1C, alu_x(0x1C, 1, 3), 0xFFFFFFFE),
    (0x2C, alu_x(0x2C, 7, 6), 42),
    (0x3C, alu_x(0x3C, 0x80000000, 2), 0x40000000),
    (0x4C, alu_x(0x4C, 0xF0, 0x0F), 0xFF),
    (0x5C, alu_x(0x5C, 0xF7, 0x0F), 0x07),
    (0x6C, alu_x(0x6C, 3, 31), 0x80000000),
    (0x7C, alu_x(0x7C, 0x80000000, 31), 1),
    (0x9C, alu_x(0x9C, 17, 5), 2),
    (0xAC, alu_x(0xAC, 0xFF, 0x0F), 0xF0),
    (0x05, [(0x05, 0, 0, 1), (0x06, 0, 0, 1), (0x06, 0, 0, 2)], 2),
    (0x15, jump(0x15, 5, 5), 1),
    (0x25, jump(0x25, 5, 5), 2),
    (0x35, jump(0x35, 5, 5), 1),
    (0x45, jump(0x45, 6, 3), 1),
    (0x1D, jump_x(0x1D, 5, 6), 2),
    (0x2D, jump_x(0x2D, 0xFFFFFFFF, 6), 1),
    (0x3D, jump_x(0x3D, 5, 6), 2),
    (0x4D, jump_x(0x4D, 4, 3), 2),
    (0x06, [(0x06, 0, 0, 0xFFFFFFFF)], 0xFFFFFFFF),
    (0x16, [RET_A], 0),
    (0x07, [(0x00, 0, 0, 8), (0x07, 0, 0, 0), (0x00, 0, 0, 0), TXA, RET_A], 8),
    (0x87, [(0x01, 0, 0, 8), TXA, RET_A], 8),
]


@pytest.mark.parametrize(("code", "rows", "result"), CASES, ids=[f"{row[0]:#04x}" for row in CASES])
def test_every_instruction_does_what_it_does_in_libpcap(code: int, rows: Rows, result: int) -> None:
    """Each instruction has its result, in libpcap's interpreter too."""
    assert any(row[0] == code for row in rows)
    assert ran(rows) == result


def test_there_is_a_case_for_every_instruction() -> None:
    """No instruction is left out of the table, and none is there that is none."""
    assert sorted(row[0] for row in CASES) == sorted(CODES)


@pytest.mark.parametrize(
    ("code", "octets"), [(0x20, 4), (0x28, 2), (0x30, 1), (0x40, 4), (0x48, 2), (0x50, 1)]
)
def test_a_load_beyond_the_end_refuses_the_frame(code: int, octets: int) -> None:
    """The last whole number is read; one octet further on the program ends with 0, as at any distance."""
    accept = (0x06, 0, 0, 7)
    assert ran([(0x01, 0, 0, 0), (code, 0, 0, len(FRAME) - octets), accept]) == 7
    for place in (len(FRAME) - octets + 1, len(FRAME), len(FRAME) + 1, 0x7FFFFFFF):
        assert ran([(0x01, 0, 0, 0), (code, 0, 0, place), accept]) == 0
    assert ran([(0x01, 0, 0, 0), (code, 0, 0, 0), accept], b"") == 0


@pytest.mark.parametrize("code", [0x40, 0x48, 0x50])
def test_an_index_does_not_wrap_around(code: int) -> None:
    """An index beyond 32 bits is beyond the end, not back at the beginning."""
    for x, k in ((0xFFFFFFFF, 1), (1, 0xFFFFFFFF), (0x80000000, 0x80000000), (0xFFFFFFF0, 0x20)):
        assert ran([(0x01, 0, 0, x), (code, 0, 0, k), (0x06, 0, 0, 7)]) == 0


def test_a_header_length_beyond_the_end_refuses_the_frame() -> None:
    """``ldx 4*([k]&0xf)`` reads the last octet, and none after it."""
    assert ran([(0xB1, 0, 0, 63), TXA, RET_A]) == 0xF * 4
    assert ran([(0xB1, 0, 0, 64), (0x06, 0, 0, 7)]) == 0
    assert ran([(0xB1, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 7)]) == 0


@pytest.mark.parametrize("code", [0x3C, 0x9C])
def test_division_by_zero_refuses_the_frame(code: int) -> None:
    """A division or a remainder by an X of zero ends the program with 0."""
    assert ran([(0x00, 0, 0, 5), (0x01, 0, 0, 0), (code, 0, 0, 0), (0x06, 0, 0, 7)]) == 0


@pytest.mark.parametrize("code", [0x6C, 0x7C])
def test_a_shift_by_32_or_more_leaves_nothing(code: int) -> None:
    """A shift by an X of 32 or above gives 0."""
    for x in (32, 33, 0x80000000, 0xFFFFFFFF):
        assert ran(alu_x(code, 0xFFFFFFFF, x)) == 0


@pytest.mark.parametrize("code", [0x20, 0x28, 0x30])
@pytest.mark.parametrize("distance", [44, 48, 60])
def test_there_is_no_tag_beside_a_frame(code: int, distance: int) -> None:
    """What a program of a live capture asks about a tag beside the frame is 0: the tag is inside."""
    program = Filter(packed((0x00, 0, 0, 9), (code, 0, 0, ANCILLARY + distance), (0x15, 0, 1, 0), *TAIL))
    assert program.run(FRAME) == 1


RET = (0x06, 0, 0, 1)
REFUSED: list[tuple[str, Rows, int, str]] = [
    ("code", [RET, (0x0E, 0, 0, 0), RET], 1, "no instruction of code 0xe"),
    ("16-bit-code", [(0x106, 0, 0, 0)], 0, "code 0x106"),
    ("div", [(0x34, 0, 0, 0), RET], 0, "divides by zero"),
    ("mod", [(0x94, 0, 0, 0), RET], 0, "divides by zero"),
    ("lsh", [(0x64, 0, 0, 32), RET], 0, "shifts 32 bits by 32"),
    ("rsh", [(0x74, 0, 0, 0xFFFFFFFF), RET], 0, "shifts 32 bits by 4294967295"),
    ("st", [(0x02, 0, 0, 16), RET], 0, "no M[16]"),
    ("stx", [(0x03, 0, 0, 16), RET], 0, "no M[16]"),
    ("ld-m", [(0x60, 0, 0, 16), RET], 0, "no M[16]"),
    ("ldx-m", [(0x61, 0, 0, 0x80000000), RET], 0, "no M[2147483648]"),
    ("unwritten", [(0x60, 0, 0, 3), RET], 0, "reads M[3], which not every path to it has written"),
    (
        "written-on-one-path",
        [(0x15, 0, 1, 0), (0x02, 0, 0, 3), (0x61, 0, 0, 3), RET],
        2,
        "reads M[3], which not every path",
    ),
    ("ja", [(0x05, 0, 0, 1), RET], 0, "jumps over 1 instructions, and 1 follow it"),
    ("ja-far", [(0x05, 0, 0, 0xFFFFFFFF), RET], 0, "jumps over 4294967295 instructions"),
    ("jt", [(0x15, 1, 0, 0), RET], 0, "jumps over 1 instructions"),
    ("jf", [RET, (0x4D, 0, 255, 0), RET], 1, "jumps over 255 instructions"),
    ("last", [(0x00, 0, 0, 0)], 0, "the last one and no return"),
    ("last-jump", [RET, (0x15, 0, 0, 0)], 1, "jumps over 0 instructions, and 0 follow it"),
    ("beside", [(0x20, 0, 0, ANCILLARY + 4), RET], 0, "the kernel alone knows (SKF_AD_OFF + 4)"),
    ("network", [(0x30, 0, 0, 0xFFF00000), RET], 0, "at 0xfff00000, which means something to the kernel"),
]


@pytest.mark.parametrize(
    ("rows", "place", "reason"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_program_that_cannot_be_run_is_refused(rows: Rows, place: int, reason: str) -> None:
    """The instruction at fault is named by its number, with the reason."""
    found = fault(packed(*rows))
    assert found is not None
    assert found[0] == place
    assert reason in found[1]
    with pytest.raises(ValueError, match=rf"^instruction {place}: "):
        Filter(packed(*rows))


def test_scratch_memory_written_on_every_path_may_be_read() -> None:
    """Each of two paths has written the word where they meet."""
    rows = [(0x15, 1, 0, 0), (0x05, 0, 0, 1), (0x02, 0, 0, 3), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET]
    assert fault(packed(*rows)) is None
    assert ran(rows) == 1


@pytest.mark.parametrize("octets", [b"", bytes(7), bytes(9), bytes(8 * 4097)])
def test_what_is_no_array_of_instructions_is_refused(octets: bytes) -> None:
    """A program has 1 to 4096 instructions of 8 octets each."""
    with pytest.raises(ValueError, match="a program"):
        Filter(octets)


def test_the_longest_program_runs_to_its_end() -> None:
    """4096 instructions are taken, and each is executed."""
    rows = [(0x04, 0, 0, 1)] * 4095 + [RET_A]
    assert Filter(packed(*rows)).run(b"") == 4095


def test_a_filter_is_made_once() -> None:
    """A filter in use cannot be given another program."""
    made = Filter(packed(RET))
    with pytest.raises(ValueError, match="once"):
        made.__init__(packed(RET))  # type: ignore[misc]  # what a user must not do
    assert made.run(b"") == 1


def test_a_filter_without_a_program_says_so() -> None:
    """An object whose constructor never ran raises, and does not crash."""
    with pytest.raises(ValueError, match="without a program"):
        Filter.__new__(Filter).run(b"")


def test_frames_of_every_kind_of_memory_are_judged() -> None:
    """Bytes, bytearrays and memoryviews are read where they are; what has no octets is refused."""
    made = Filter(packed((0x30, 0, 0, 1), RET_A))
    assert made.run(b"ab") == made.run(bytearray(b"ab")) == made.run(memoryview(b"xab")[1:]) == ord("b")
    with pytest.raises(TypeError):
        made.run("ab")  # type: ignore[arg-type]  # what a user must not do


def test_a_filter_says_yes_or_no() -> None:
    """``accepts`` is whether the program returns anything but 0; the length is that of the program."""
    everything = Filter(packed(*accept_all()))
    assert everything.accepts(b"")
    assert len(everything) == 1
    assert not Filter(packed(*drop_all())).accepts(FRAME)
