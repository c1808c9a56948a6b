from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

cdef enum:
    NONE
    GRE
    L2TPV3

cdef struct Encap:
    int kind
    # Written in front of each frame: a template, and where in it the counter stands.
    uint32_t tx_length
    uint8_t tx_header[32]
    int32_t tx_counter_at
    uint32_t counter
    # Expected in front of each packet.
    bint ip_header
    bint udp
    uint32_t rx_length
    bint has_key
    uint32_t rx_key
    uint32_t rx_session
    uint32_t rx_cookie_length
    uint8_t rx_cookie[8]
    uint32_t rx_sublayer
    # The highest number that has come, once one has.
    bint rx_numbered
    uint32_t rx_number

cdef void write_header(Encap* encap, uint8_t* at) noexcept nogil
cdef int strip(const Encap* encap, const uint8_t* packet, uint32_t length) noexcept nogil
cdef bint is_late(Encap* encap, const uint8_t* packet, uint32_t frame_at) noexcept nogil

cdef class Encapsulation:
    cdef Encap encap
