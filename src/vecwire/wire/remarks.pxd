from libc.stdint cimport uint8_t

from vecwire.wire.vnet cimport VnetHeader

cdef enum:
    # Octets of a remark, and as many as they take in a file; its numbers, and the digits of each.
    LENGTH = 102
    PADDED = 104
    FIELDS = 6
    DIGITS = 5

cdef void write_remark(uint8_t* at, const VnetHeader* header) noexcept nogil
cdef bint read_remark(const uint8_t* at, VnetHeader* header) noexcept nogil
