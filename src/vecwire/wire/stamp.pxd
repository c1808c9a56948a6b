from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    # Octets of a stamp, and of the headers before it at the most.
    STAMP = 18
    MOST_HEADERS = 80
    # What a frame is: one of the traffic, or a mark at the beginning or the end of it.
    DATA = 0x7644
    BEGIN = 0x7642
    END = 0x7645
    # The EtherType of frames without IP.
    EXPERIMENTAL = 0x88B5

cdef enum:
    FOREIGN = 0
    STAMPED = 1
    CORRUPTED = 2

cdef struct Stamp:
    uint32_t kind
    uint32_t run
    uint32_t flow
    uint32_t sequence
    uint64_t nanoseconds

cdef struct Headers:
    uint8_t octets[MOST_HEADERS]
    # How many there are: the stamp follows; where the IP header begins, and its version, 0 without one.
    uint32_t length
    uint32_t network
    uint32_t version
    # What the number of the flow is added to, and the sums of all that is constant, in this host's order.
    uint32_t source
    uint32_t total
    uint32_t network_total

cdef void write_frame(
    const Headers* headers, const Stamp* stamp, uint8_t* at, uint32_t length
) noexcept nogil
cdef int read_frame(const uint8_t* frame, uint32_t length, bint unfinished, Stamp* stamp) noexcept nogil

cdef class Pattern:
    cdef Headers headers
