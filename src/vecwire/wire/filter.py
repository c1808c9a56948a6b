"""Classic BPF on a frame in memory: what a program may be, and what it says of a frame (linux/filter.h).

Theory of operation: a ``Filter`` is a program that was checked once, by the rules of the kernel's own
verifier (``bpf_check_classic`` in net/core/filter.c). Every jump leads forward and inside, every path ends in
a return, no constant divides by zero or shifts too far, and scratch memory is read only after it was written.
So ``judge`` checks nothing but what depends on the frame, ends after as many steps as the program has
instructions at the most, and reads nothing outside the frame.

What it says is what libpcap's ``bpf_filter`` says. A load beyond the frame's end, or a division by zero,
ends the program with 0: the frame is refused. Where the kernel reads beside the frame (``SKF_AD_OFF``),
a frame in memory has nothing, with one exception: its VLAN tag is inside, so that there is none beside it.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.vecwire.wire.ethernet import read16, read32
from cython.cimports.vecwire.wire.filter import (
    ADD_K,
    ADD_X,
    AND_K,
    AND_X,
    DIV_K,
    DIV_X,
    JA,
    JEQ_K,
    JEQ_X,
    JGE_K,
    JGE_X,
    JGT_K,
    JGT_X,
    JSET_K,
    JSET_X,
    LD_B_ABS,
    LD_B_IND,
    LD_H_ABS,
    LD_H_IND,
    LD_IMM,
    LD_LEN,
    LD_MEM,
    LD_W_ABS,
    LD_W_IND,
    LDX_IMM,
    LDX_LEN,
    LDX_MEM,
    LDX_MSH,
    LSH_K,
    LSH_X,
    MEMORY,
    MOD_K,
    MOD_X,
    MOST_INSTRUCTIONS,
    MUL_K,
    MUL_X,
    NEG,
    OR_K,
    OR_X,
    RET_A,
    RET_K,
    RSH_K,
    RSH_X,
    ST,
    STX,
    SUB_K,
    SUB_X,
    TAX,
    TXA,
    XOR_K,
    XOR_X,
    Instruction,
)
from cython.cimports.vecwire.wire.octets import Octets

INSTRUCTION_OCTETS = 8
# From here on the kernel counts backwards, from the network header or into what it knows beside the frame.
NEGATIVE = cython.declare(uint32_t, 0x80000000)
ANCILLARY = cython.declare(uint32_t, 0xFFFFF000)
#: The ancillary loads that mean something here, by their distance from SKF_AD_OFF: VLAN tag, presence, TPID.
VLAN_LOADS = (44, 48, 60)

CODES = frozenset(
    (
        *(LD_IMM, LD_W_ABS, LD_H_ABS, LD_B_ABS, LD_W_IND, LD_H_IND, LD_B_IND, LD_MEM, LD_LEN),
        *(LDX_IMM, LDX_MEM, LDX_LEN, LDX_MSH, ST, STX),
        *(ADD_K, SUB_K, MUL_K, DIV_K, OR_K, AND_K, LSH_K, RSH_K, NEG, MOD_K, XOR_K),
        *(ADD_X, SUB_X, MUL_X, DIV_X, OR_X, AND_X, LSH_X, RSH_X, MOD_X, XOR_X),
        *(JA, JEQ_K, JGT_K, JGE_K, JSET_K, JEQ_X, JGT_X, JGE_X, JSET_X, RET_K, RET_A, TAX, TXA),
    )
)


def judge(
    program: cython.pointer[cython.const[Instruction]],
    frame: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
) -> uint32_t:
    """Runs a checked program on a frame; what it returns, which is 0 where the frame is not wanted."""
    at: cython.pointer[cython.const[Instruction]] = program
    a: uint32_t = 0
    x: uint32_t = 0
    k: uint32_t
    memory: uint32_t[MEMORY]
    while True:
        k = at.k
        if at.code == LD_H_ABS:
            if k < length and length - k >= 2:
                a = read16(frame + k)
            elif k >= ANCILLARY:
                a = 0
            else:
                return 0
        elif at.code == LD_W_ABS:
            if k < length and length - k >= 4:
                a = read32(frame + k)
            elif k >= ANCILLARY:
                a = 0
            else:
                return 0
        elif at.code == LD_B_ABS:
            if k < length:
                a = frame[k]
            elif k >= ANCILLARY:
                a = 0
            else:
                return 0
        elif at.code == LD_H_IND:
            if k > length or x > length - k or length - k - x < 2:
                return 0
            a = read16(frame + k + x)
        elif at.code == LD_W_IND:
            if k > length or x > length - k or length - k - x < 4:
                return 0
            a = read32(frame + k + x)
        elif at.code == LD_B_IND:
            if k > length or x > length - k or length - k - x < 1:
                return 0
            a = frame[k + x]
        elif at.code == LDX_MSH:
            if k >= length:
                return 0
            x = (frame[k] & 0x0F) << 2
        elif at.code == JEQ_K:
            at += at.jt if a == k else at.jf
        elif at.code == JGT_K:
            at += at.jt if a > k else at.jf
        elif at.code == JGE_K:
            at += at.jt if a >= k else at.jf
        elif at.code == JSET_K:
            at += at.jt if a & k else at.jf
        elif at.code == JEQ_X:
            at += at.jt if a == x else at.jf
        elif at.code == JGT_X:
            at += at.jt if a > x else at.jf
        elif at.code == JGE_X:
            at += at.jt if a >= x else at.jf
        elif at.code == JSET_X:
            at += at.jt if a & x else at.jf
        elif at.code == JA:
            at += k
        elif at.code == RET_K:
            return k
        elif at.code == RET_A:
            return a
        elif at.code == LD_IMM:
            a = k
        elif at.code == LD_LEN:
            a = length
        elif at.code == LD_MEM:
            a = memory[k]
        elif at.code == LDX_IMM:
            x = k
        elif at.code == LDX_LEN:
            x = length
        elif at.code == LDX_MEM:
            x = memory[k]
        elif at.code == ST:
            memory[k] = a
        elif at.code == STX:
            memory[k] = x
        elif at.code == TAX:
            x = a
        elif at.code == TXA:
            a = x
        elif at.code == ADD_K:
            a += k
        elif at.code == SUB_K:
            a -= k
        elif at.code == MUL_K:
            a *= k
        elif at.code == DIV_K:
            a //= k
        elif at.code == MOD_K:
            a %= k
        elif at.code == AND_K:
            a &= k
        elif at.code == OR_K:
            a |= k
        elif at.code == XOR_K:
            a ^= k
        elif at.code == LSH_K:
            a <<= k
        elif at.code == RSH_K:
            a >>= k
        elif at.code == NEG:
            a = 0 - a
        elif at.code == ADD_X:
            a += x
        elif at.code == SUB_X:
            a -= x
        elif at.code == MUL_X:
            a *= x
        elif at.code == DIV_X:
            if x == 0:
                return 0
            a //= x
        elif at.code == MOD_X:
            if x == 0:
                return 0
            a %= x
        elif at.code == AND_X:
            a &= x
        elif at.code == OR_X:
            a |= x
        elif at.code == XOR_X:
            a ^= x
        elif at.code == LSH_X:
            a = a << x if x < 32 else 0
        elif at.code == RSH_X:
            a = a >> x if x < 32 else 0
        at += 1


def fault(octets: bytes) -> tuple[int, str] | None:
    """What keeps a program from being run: an instruction's number, from 0, and why; None where nothing does.

    Args:
        octets: an array of ``struct sock_filter``, in host byte order.

    Raises:
        ValueError: if that is no whole number of instructions, or none, or more than the kernel takes.
    """
    count: cython.Py_ssize_t = len(octets) // INSTRUCTION_OCTETS
    place: cython.Py_ssize_t
    if len(octets) % INSTRUCTION_OCTETS or not count:
        raise ValueError(f"a program is a whole number of 8-octet instructions, not {len(octets)} octets")
    if count > MOST_INSTRUCTIONS:
        raise ValueError(f"a program has at most {MOST_INSTRUCTIONS} instructions, not {count}")
    program: cython.pointer[cython.const[Instruction]] = cython.cast(
        cython.pointer[cython.const[Instruction]],
        cython.cast(cython.pointer[cython.const[uint8_t]], octets),
    )
    # The words of scratch memory that every path to an instruction has written (check_load_and_stores).
    written = [(1 << MEMORY) - 1] * count
    words = 0
    for place in range(count):
        at: cython.pointer[cython.const[Instruction]] = program + place
        reason = instruction_fault(at, count - place - 1)
        if reason is not None:
            return place, reason
        words &= written[place]
        code = at.code
        if code in {ST, STX}:
            words |= 1 << at.k
        elif code in {LD_MEM, LDX_MEM}:
            if not words >> at.k & 1:
                return place, f"it reads M[{at.k}], which not every path to it has written"
        elif code == JA:
            written[place + 1 + at.k] &= words
            words = (1 << MEMORY) - 1
        elif code & 7 == JA:
            written[place + 1 + at.jt] &= words
            written[place + 1 + at.jf] &= words
            words = (1 << MEMORY) - 1
    if program[count - 1].code not in {RET_K, RET_A}:
        return count - 1, "it is the last one and no return"
    return None


@cython.cfunc
def instruction_fault(at: cython.pointer[cython.const[Instruction]], left: cython.int) -> object:
    """What is wrong with one instruction, ``left`` of which follow it; None where nothing is."""
    code: uint16_t = at.code
    k: uint32_t = at.k
    if code not in CODES:
        return f"there is no instruction of code {code:#x}"
    if code in {DIV_K, MOD_K} and k == 0:
        return "it divides by zero"
    if code in {LSH_K, RSH_K} and k >= 32:
        return f"it shifts 32 bits by {k}"
    if code in {LD_MEM, LDX_MEM, ST, STX} and k >= MEMORY:
        return f"there is no M[{k}]: scratch memory is M[0] to M[{MEMORY - 1}]"
    if code in {LD_W_ABS, LD_H_ABS, LD_B_ABS} and k >= NEGATIVE:
        if k < ANCILLARY:
            return f"it reads at {k:#x}, which means something to the kernel alone"
        if k - ANCILLARY not in VLAN_LOADS:
            return f"it reads what the kernel alone knows (SKF_AD_OFF + {k - ANCILLARY}), not the frame"
    farthest: uint32_t = 0
    if code == JA:
        farthest = k
    elif code & 7 == JA:
        farthest = max(at.jt, at.jf)
    if farthest >= cython.cast(uint32_t, left) and code & 7 == JA:
        return f"it jumps over {farthest} instructions, and {left} follow it"
    return None


@cython.cclass
class Filter:
    """A program that was found right, ready to be run on frames.

    Args:
        octets: an array of ``struct sock_filter``, in host byte order.

    Attributes:
        octets: the same.

    Raises:
        ValueError: if the program is not one that can be run; it names the instruction and the reason.
    """

    program: cython.pointer[cython.const[Instruction]]

    def __init__(self, octets: bytes) -> None:
        if self.program != cython.NULL:
            raise ValueError("a filter is made once: its program may be in use")
        found = fault(octets)
        if found is not None:
            raise ValueError(f"instruction {found[0]}: {found[1]}")
        self.octets = octets
        self.program = cython.cast(
            cython.pointer[cython.const[Instruction]],
            cython.cast(cython.pointer[cython.const[uint8_t]], self.octets),
        )

    def run(self, frame: bytes | bytearray | memoryview) -> int:
        """What the program returns for a frame: 0 refuses it, all else accepts it.

        Raises:
            TypeError: if ``frame`` has no octets to show.
        """
        octets: Octets = Octets(frame)
        if self.program == cython.NULL:
            raise ValueError("a filter without a program")
        return judge(self.program, octets.at, cython.cast(uint32_t, octets.length))

    def accepts(self, frame: bytes | bytearray | memoryview) -> bool:
        """Whether the program wants a frame.

        Raises:
            TypeError: if ``frame`` has no octets to show.
        """
        return self.run(frame) != 0

    def __len__(self) -> int:
        return len(self.octets) // INSTRUCTION_OCTETS
