"""Whatever the program and the frame: what libpcap says, what the kernel says, and never a read outside."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracle import libpcap
from oracle.cliff import Cliff
from oracle.traffic import EXPRESSIONS, corpus, cut
from vecwire import PortError, bpf
from vecwire.bpf import Instruction, Program
from vecwire.wire.filter import CODES, Filter, fault

CLIFF = Cliff()
FRAMES = [*corpus(), *cut()]
JUMPS = sorted(code for code in CODES if code & 7 == 5 and code != 0x05)
MEMORY_CODES = (0x02, 0x03, 0x60, 0x61)
CONSTANTS = st.one_of(
    st.integers(0, 80),
    st.sampled_from([0x0800, 0x86DD, 0x8100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF]),
    st.integers(0, 0xFFFFFFFF),
)
SOME_FRAME = st.one_of(st.sampled_from(FRAMES), st.binary(max_size=120))


@st.composite
def programs(draw: st.DrawFn, most: int = 24) -> Program:
    """Programs that are right: every jump inside, every word of memory written first."""
    count = draw(st.integers(0, most))
    rows = [Instruction(0x02, 0, 0, word) for word in range(16)]
    for place in range(count):
        code = draw(st.sampled_from(sorted(CODES)))
        k = draw(CONSTANTS)
        left = count - place
        if code in {0x34, 0x94}:
            k = k or 1
        elif code in {0x64, 0x74}:
            k %= 32
        elif code in MEMORY_CODES:
            k %= 16
        elif code == 0x05:
            k %= left
        elif code in {0x20, 0x28, 0x30}:
            k &= 0x7FFFFFFF
        jt, jf = (draw(st.integers(0, min(left, 255) - 1)) if code in JUMPS else 0 for _ in range(2))
        rows.append(Instruction(code, jt, jf, k))
    return (*rows, Instruction(0x16, 0, 0, 0), Instruction(0x06, 0, 0, draw(CONSTANTS)))


@given(programs(), SOME_FRAME)
def test_any_program_says_what_libpcap_says(program: Program, frame: bytes) -> None:
    """A right program returns for any frame what ``bpf_filter`` returns, and reads nothing outside it."""
    made = Filter(bpf.pack(program))
    expected = libpcap.run(program, frame)
    assert made.run(CLIFF.before_the_end(frame)) == expected
    assert made.run(CLIFF.after_the_start(frame)) == expected


@given(st.sampled_from(EXPRESSIONS), SOME_FRAME)
def test_any_expression_wants_what_libpcap_wants(expression: str, frame: bytes) -> None:
    """An expression wants of any frame what ``pcap_offline_filter`` wants, however much of it is there."""
    made, judge = bpf.matcher(expression), libpcap.Expression(expression)
    for length in {len(frame), len(frame) // 2, 14, 0}:
        assert made.accepts(CLIFF.before_the_end(frame[:length])) == judge.accepts(frame[:length])


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_tells_frames_apart(expression: str) -> None:
    """Of the frames of the corpus, each expression wants some and not others, as libpcap does."""
    made, judge = bpf.matcher(expression), libpcap.Expression(expression)
    verdicts = [made.accepts(frame) for frame in FRAMES]
    assert verdicts == [judge.accepts(frame) for frame in FRAMES]
    assert set(verdicts) == {True, False}


@given(st.binary(max_size=400), SOME_FRAME)
@example(b"", b"")
def test_any_octets_are_refused_or_run(octets: bytes, frame: bytes) -> None:
    """Octets that are no program are a ``ValueError``; those that are one run on any frame to their end."""
    try:
        made = Filter(octets)
    except ValueError:
        return
    assert 0 <= made.run(CLIFF.before_the_end(frame)) <= 0xFFFFFFFF


@st.composite
def doubtful(draw: st.DrawFn) -> Program:
    """Programs of known codes with anything in their other fields, often with a return at their end."""
    numbers = st.one_of(st.integers(0, 20), st.just(0xFFFFFFFF))
    row = st.builds(
        Instruction, st.sampled_from(sorted(CODES)), st.integers(0, 4), st.integers(0, 4), numbers
    )
    rows = draw(st.lists(row, min_size=1, max_size=8))
    return (*rows, *draw(st.sampled_from([(), bpf.accept_all()])))


@given(doubtful())
def test_what_is_refused_is_what_the_kernel_refuses(program: Program) -> None:
    """The same programs are right here and in the kernel, but for those that read beside the frame."""
    ours = fault(bpf.pack(program))
    if ours is not None and "the kernel" in ours[1]:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as judge:
        try:
            bpf.attach(judge.fileno(), program)
        except PortError:
            assert ours is not None
        else:
            assert ours is None


@given(programs(most=12), SOME_FRAME)
def test_the_kernel_never_drops_what_the_program_wants(program: Program, frame: bytes) -> None:
    """What the kernel is given of a program judges a frame as the program does, and leaves it whole."""
    given_to_it = bpf.for_kernel(program)
    if given_to_it is None or not frame:
        return
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with receiver, sender:
        bpf.attach(receiver.fileno(), given_to_it)
        sender.send(frame)
        receiver.setblocking(False)
        try:
            received = receiver.recv(65536)
        except BlockingIOError:
            received = None
    assert received == (frame if Filter(bpf.pack(program)).accepts(frame) else None)


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=4, max_size=4))
def test_any_instruction_can_be_printed(numbers: list[int]) -> None:
    """The printer takes any numbers: it is used to say what is wrong."""
    code, jt, jf, k = numbers
    row = Instruction(code & 0xFFFF, jt & 0xFF, jf & 0xFF, k)
    assert bpf.disassemble((row,)).startswith("(000) ")
