from libc.stdint cimport uint8_t, uint32_t, uint64_t

from vecwire.path.slots cimport Slots

cdef class Packer:
    cdef int _form
    cdef uint32_t _snaplen
    cdef bint _segment
    cdef uint8_t* _at
    cdef uint8_t* _end
    cdef readonly uint32_t records
    cdef readonly uint64_t octets
    cdef readonly uint64_t cut
    cdef bint _frame(self, Slots* slots, uint32_t index, uint64_t time, uint32_t most) noexcept nogil
