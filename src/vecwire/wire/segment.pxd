from libc.stdint cimport uint8_t, uint16_t, uint32_t
from vecwire.wire.ethernet cimport Layout
from vecwire.wire.filter cimport Instruction
from vecwire.wire.vnet cimport VnetHeader

cdef enum:
    MAXIMUM_HEADERS = 384
    # Of TCP: include/net/tcp.h, TCP_MIN_GSO_SIZE.
    MINIMUM_SIZE = 8
    # Of shorter UDP segments, as many as one system call can ask Linux for: include/linux/udp.h, UDP_MAX_SEGMENTS.
    MOST_SHORT_SEGMENTS = 128

cdef struct Segments:
    Layout layout
    uint32_t size
    uint32_t count

cdef bint plan(
    const uint8_t* frame, uint32_t length, const VnetHeader* header, Segments* segments
) noexcept nogil
cdef uint32_t payload_at(const Segments* segments, uint32_t index, uint32_t* length) noexcept nogil
cdef void write_headers(
    const uint8_t* frame, const Segments* segments, uint32_t index, uint8_t* out
) noexcept nogil
cdef bint each_wanted(
    const Instruction* program, uint8_t* frame, uint32_t length, const VnetHeader* header
) noexcept nogil
