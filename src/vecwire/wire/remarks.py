"""The remark on a super-frame in a capture file: its virtio-net header, in words that people can read too.

pcapng has no option that says how a super-frame is to be cut, so it is told in a comment, always of the same
length. A comment that somebody else has written is none of ours, whatever it says.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.libc.string import memcpy
from cython.cimports.vecwire.wire.remarks import DIGITS, FIELDS, LENGTH
from cython.cimports.vecwire.wire.vnet import VnetHeader

REMARK: bytes = (
    b"virtio-net: flags=00000 gso_type=00000 hdr_len=00000 gso_size=00000 csum_start=00000 csum_offset=00000"
)
text = cython.declare(uint8_t[LENGTH])
for _place in range(LENGTH):
    text[_place] = REMARK[_place]
#: Where its numbers begin.
places = cython.declare(uint32_t[FIELDS])
for _field in range(FIELDS):
    places[_field] = len(b"=".join(REMARK.split(b"=")[: _field + 1])) + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_number(at: cython.pointer[uint8_t], value: uint32_t) -> cython.void:
    """Writes a number in decimal digits."""
    digit: uint32_t = DIGITS
    while digit:
        digit -= 1
        at[digit] = cython.cast(uint8_t, 48 + value % 10)
        value //= 10


def write_remark(
    at: cython.pointer[uint8_t], header: cython.pointer[cython.const[VnetHeader]]
) -> cython.void:
    """Writes the ``LENGTH`` octets of a remark."""
    memcpy(at, cython.address(text[0]), LENGTH)
    put_number(at + places[0], header.flags)
    put_number(at + places[1], header.gso_type)
    put_number(at + places[2], header.hdr_len)
    put_number(at + places[3], header.gso_size)
    put_number(at + places[4], header.csum_start)
    put_number(at + places[5], header.csum_offset)


def read_remark(at: cython.pointer[cython.const[uint8_t]], header: cython.pointer[VnetHeader]) -> cython.bint:
    """Reads a header from ``LENGTH`` octets of a comment; False where they say something else."""
    numbers: uint32_t[FIELDS]
    i: uint32_t
    field: uint32_t = 0
    for i in range(FIELDS):
        numbers[i] = 0
    i = 0
    while i < LENGTH:
        if field < FIELDS and i == places[field]:
            while i < places[field] + DIGITS:
                if at[i] < 48 or at[i] > 57:
                    return False
                numbers[field] = numbers[field] * 10 + (at[i] - 48)
                i += 1
            if numbers[field] > (0xFF if field < 2 else 0xFFFF):
                return False
            field += 1
        elif at[i] != text[i]:
            return False
        else:
            i += 1
    header.flags = cython.cast(uint8_t, numbers[0])
    header.gso_type = cython.cast(uint8_t, numbers[1])
    header.hdr_len = cython.cast(uint16_t, numbers[2])
    header.gso_size = cython.cast(uint16_t, numbers[3])
    header.csum_start = cython.cast(uint16_t, numbers[4])
    header.csum_offset = cython.cast(uint16_t, numbers[5])
    header.num_buffers = 0
    return True
