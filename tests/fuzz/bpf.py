"""A program is refused where the kernel refuses it, or says of a frame what libpcap says, reading no more."""

from __future__ import annotations

import socket

from fuzzing.feed import Feed
from fuzzing.lasting import lasting
from oracle import libpcap
from oracle.exact import Exact
from oracle.traffic import EXPRESSIONS, corpus
from vecwire import PortError, bpf
from vecwire.bpf import Instruction, Program
from vecwire.wire.filter import CODES, Filter, fault

KNOWN = sorted(CODES)
FRAMES = corpus()
(JUDGE,) = lasting(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
LOADS = {0x20, 0x28, 0x30}
BESIDE = 0xFFFFF000
RAW, CHOSEN = 1, 2


def the_kernel_takes(program: Program) -> bool:
    """Whether the kernel takes a program for a socket."""
    try:
        bpf.attach(JUDGE.fileno(), program)
    except PortError:
        return False
    bpf.detach(JUDGE.fileno())
    return True


def without_loads_beside(program: Program) -> Program:
    """The program with a zero wherever it asks for a tag beside the frame, which has none there."""
    return tuple(
        Instruction(0x00, 0, 0, 0) if each.code in LOADS and each.k >= BESIDE else each for each in program
    )


def written(feed: Feed) -> bytes:
    """A program of known codes; its other fields are small numbers, so that more of them are right."""
    rows = []
    for _ in range(1 + feed.among(48)):
        code, jt, jf = KNOWN[feed.among(len(KNOWN))], feed.among(16), feed.among(16)
        rows.append(Instruction(code, jt, jf, feed.number(feed.among(5))))
    return bpf.pack((*rows, Instruction(0x16, 0, 0, 0), Instruction(0x16, 0, 0, 0)))


def target(octets: bytes) -> None:
    """Takes the input as a program, raw or by its instructions, and a frame, its own or one of the corpus."""
    feed = Feed(octets)
    form = feed.number(1)
    frame = FRAMES[feed.among(len(FRAMES))] if form & CHOSEN else feed.take(feed.number(1))
    program_octets = feed.rest() if form & RAW else written(feed)
    try:
        found = fault(program_octets)
    except ValueError:
        assert not program_octets or len(program_octets) % 8 or len(program_octets) > 8 * bpf.MAXIMUM
        return
    program = bpf.unpack(program_octets)
    if found is None or "the kernel" not in found[1]:
        assert the_kernel_takes(program) == (found is None)
    if found is None:
        expected = libpcap.run(without_loads_beside(program), frame)
        assert Filter(program_octets).run(Exact(frame).view) == expected


def seeds() -> list[bytes]:
    """What libpcap makes of expressions, on a frame of the corpus; and a few instructions of every kind."""
    raw = [
        bytes([RAW | CHOSEN, number]) + bpf.pack(bpf.compile_expression(expression))
        for number, expression in enumerate(EXPRESSIONS)
    ]
    kinds = [
        bytes([0, 4]) + bytes(4) + bytes([1, place, 0, 0, 1, 3, place, 0, 0, 1, 3])
        for place in range(len(KNOWN))
    ]
    return [*raw, *kinds]
