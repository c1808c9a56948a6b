from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    NEEDS_CSUM = 1
    DATA_VALID = 2
    GSO_NONE = 0
    GSO_TCPV4 = 1
    GSO_UDP = 3
    GSO_TCPV6 = 4
    GSO_UDP_L4 = 5
    GSO_ECN = 0x80

cdef struct VnetHeader:
    uint8_t flags
    uint8_t gso_type
    uint16_t hdr_len
    uint16_t gso_size
    uint16_t csum_start
    uint16_t csum_offset
    uint16_t num_buffers

cdef bint plausible(const uint8_t* frame, uint32_t length, const VnetHeader* header) noexcept nogil
cdef bint foreign(const uint8_t* frame, uint32_t length, const VnetHeader* header) noexcept nogil
cdef bint complete_checksum(uint8_t* frame, uint32_t length, VnetHeader* header) noexcept nogil
