"""Programs of classic BPF as values: instructions, their octets, and the programs that every host needs."""

import struct
from typing import NamedTuple

MAXIMUM = 4096  # BPF_MAXINSNS, linux/bpf_common.h

LD_W_ABS = 0x20
LD_H_ABS = 0x28
LD_W_IND = 0x40
LD_H_IND = 0x48
LDX_B_MSH = 0xB1
JEQ_K = 0x15
RET_K = 0x06
RET_A = 0x16
ACCEPT = 0x00040000
PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE, linux/filter.h
VLAN_PRESENT = 0xFFFFF000 + 48  # SKF_AD_VLAN_TAG_PRESENT
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
    """The program as an array of ``struct sock_filter``, in host byte order.

    Raises:
        ValueError: if a number of an instruction does not fit its field.
    """
    try:
        return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    except struct.error as error:
        raise ValueError(f"a number of an instruction does not fit its field: {error}") from error


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
