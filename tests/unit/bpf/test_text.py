"""Programs as text: disassembled as libpcap does, read as tcpdump prints them."""

from __future__ import annotations

import re
import subprocess

import pytest

from oracle import libpcap
from oracle.traffic import EXPRESSIONS
from vecwire import PortError, bpf
from vecwire.bpf import Instruction
from vecwire.wire.filter import CODES

PROGRAM = bpf.own_mac("02:00:00:00:00:01")


def squeezed(text: str) -> list[list[str]]:
    """The words of each line."""
    return [each.split() for each in text.splitlines()]


#: ``ldx #pktlen``, which libpcap runs and does not print.
LENGTH_TO_X = 0x81


@pytest.mark.parametrize("code", sorted(CODES - {LENGTH_TO_X}), ids=hex)
@pytest.mark.parametrize("k", [0, 9, 0x1234, 0x7FFFFFFF])
def test_every_instruction_is_printed_as_libpcap_prints_it(code: int, k: int) -> None:
    """The name, the operand and where a jump leads are those of ``bpf_image``."""
    if code == 0x05 and k > 0xFFFF:
        k = 0xFFFF  # libpcap counts in 32 bits where a jump leads
    ours = bpf.disassemble((Instruction(0x00, 0, 0, 0), Instruction(code, 3, 7, k)))
    assert squeezed(ours)[1] == libpcap.image(1, code, 3, 7, k).split()


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("expression", ["ip", "tcp port 80 and not vlan", "vlan and tcp[0] > 5"])
def test_a_program_reads_like_tcpdumps(expression: str) -> None:
    """What is printed is what ``tcpdump -d`` prints, to the last space."""
    command = ["tcpdump", "-y", "EN10MB", "-s", "262144", "-d", expression]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert bpf.disassemble(bpf.compile_expression(expression)) == printed.rstrip("\n")


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("option", ["-dd", "-ddd"])
@pytest.mark.parametrize("expression", EXPRESSIONS[:6])
def test_what_tcpdump_prints_for_programs_is_read(option: str, expression: str) -> None:
    """Both texts that tcpdump prints for other programs are read back as the program."""
    command = ["tcpdump", "-y", "EN10MB", "-s", "262144", option, expression]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert bpf.parse(printed) == bpf.compile_expression(expression)


def test_raw_instructions_are_read() -> None:
    """An array of ``struct sock_filter`` is read back as the program."""
    assert bpf.parse(bpf.pack(PROGRAM)) == PROGRAM


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not 0 octets"),
        (b" \n", "not 2 octets"),
        (bytes(12), "not 12 octets"),
        (b"\xff" * 9, "not 9 octets"),
        (b"hello, world", "neither raw instructions nor"),
        (b"2\n6 0 0 0\n", "says 2 instructions, and 1 follow"),
        (b"1\n6 0 0\n", "line 2 has 3 numbers"),
        (b"1\n6 0 0 x\n", "line 2: 6 0 0 x are no numbers"),
        (b"1\n6 0 0 \x1b[2J\n", r"line 2: '6 0 0 \x1b[2J' are no numbers"),
        (b"1\n6 256 0 0\n", "line 2: 6 256 0 0 are no numbers"),
        (b"1\n6 0 0 -1\n", "line 2: 6 0 0 -1 are no numbers"),
        (b"1\n6 0 0 4294967296\n", "line 2: 6 0 0 4294967296"),
        (b"{ 0x6, 0, 0, 0x0 },\nret\n", "line 2 is no instruction as tcpdump -dd"),
        (b"{ 0x6, 0, 0, zero },\n", "line 1: 0x6 0 0 zero are no numbers"),
        (b"0\n", "not 0 octets"),
        (b"4097\n" + b"6 0 0 0\n" * 4097, "at most 4096 instructions"),
    ],
)
def test_what_is_no_program_is_refused(octets: bytes, reason: str) -> None:
    """The line at fault is named, with what is wrong with it."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        bpf.parse(octets)


def test_a_program_that_cannot_be_run_is_shown() -> None:
    """The error has the instruction's number, its text and the reason."""
    program = (Instruction(0x28, 0, 0, 12), Instruction(0x15, 9, 0, 0x800), *bpf.accept_all())
    words = "instruction 1 (jeq #0x800 jt 11 jf 2): it jumps over 9 instructions, and 1 follow it"
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        bpf.validate(program)
    bpf.validate(PROGRAM)


def test_a_file_holds_a_program_in_any_of_its_forms(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files of raw instructions and of tcpdump's text are loaded; others are refused with the reason."""
    path = tmp_path_factory.mktemp("bpf") / "file"
    path.write_bytes(bpf.pack(PROGRAM))
    assert bpf.load(str(path)) == PROGRAM
    path.write_text("1\n6 0 0 96\n", encoding="ascii")
    assert bpf.load(str(path)) == (Instruction(6, 0, 0, 96),)
    path.write_text("1\n0 0 0 96\n", encoding="ascii")
    with pytest.raises(PortError, match=r"instruction 0 \(ld #0x60\): it is the last one") as caught:
        bpf.load(str(path))
    assert "tcpdump -ddd" in caught.value.remedy
    with pytest.raises(PortError, match="cannot read"):
        bpf.load(str(path) + ".absent")
