from libc.stdint cimport uint8_t, uint32_t

from vecwire.path.io cimport Endpoint
from vecwire.path.linux cimport tpacket3_hdr
from vecwire.path.slots cimport Slots

cdef class Ring:
    cdef object _memory
    cdef uint8_t[::1] _octets
    cdef uint8_t* _start
    cdef uint32_t _blocks
    cdef uint32_t _block_size
    cdef uint32_t _block
    # Frames of the block that are not taken yet, and the first of them.
    cdef uint32_t _left
    cdef uint8_t* _next
    cdef void _fill(self, Endpoint* endpoint, Slots* slots) noexcept nogil
    cdef void _accept(self, Endpoint* endpoint, Slots* slots, const tpacket3_hdr* header) noexcept nogil
