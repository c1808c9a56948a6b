from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HEADER = 14
    VLAN_TAG = 4
    TCP = 6
    UDP = 17
    SCTP = 132

cdef struct Layout:
    uint32_t network
    uint32_t transport
    uint32_t payload
    uint32_t end
    uint32_t version
    uint32_t protocol

cdef uint16_t read16(const uint8_t* at) noexcept nogil
cdef uint32_t read32(const uint8_t* at) noexcept nogil
cdef void write16(uint8_t* at, uint32_t value) noexcept nogil
cdef void write32(uint8_t* at, uint32_t value) noexcept nogil
cdef uint32_t behind_tags(const uint8_t* frame, uint32_t length) noexcept nogil
cdef bint locate(const uint8_t* frame, uint32_t length, Layout* layout) noexcept nogil
cdef bint dissect(const uint8_t* frame, uint32_t length, Layout* layout) noexcept nogil
cdef uint8_t* insert_vlan(uint8_t* frame, uint32_t tpid, uint32_t tci) noexcept nogil
cdef uint8_t* remove_vlan(uint8_t* frame) noexcept nogil
