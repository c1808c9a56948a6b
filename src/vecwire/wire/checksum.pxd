from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef uint64_t add(const uint8_t* data, size_t length, uint64_t total) noexcept nogil
cdef uint16_t fold(uint64_t total) noexcept nogil
cdef uint32_t crc32c(const uint8_t* data, size_t length, uint32_t crc) noexcept nogil
cdef uint64_t pseudo_header(
    const uint8_t* packet, uint32_t version, uint32_t protocol, uint32_t length
) noexcept nogil
