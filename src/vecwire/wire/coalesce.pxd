from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from vecwire.wire.ethernet cimport Layout
from vecwire.wire.vnet cimport VnetHeader

# A super-frame in the making: its first frame, and what the next one must be to join it.
cdef struct Train:
    const uint8_t* first
    Layout layout
    uint32_t size
    uint32_t octets
    uint32_t count
    uint32_t next_sequence
    uint32_t next_id
    bint same_id
    bint verified
    bint ended
    uint8_t last_flags

cdef bint begin(Train* train, const uint8_t* frame, uint32_t length) noexcept nogil
cdef bint join(Train* train, const uint8_t* frame, uint32_t length) noexcept nogil
cdef void write_super_headers(const Train* train, uint8_t* out, VnetHeader* header) noexcept nogil
