from libc.stdint cimport uint8_t, uint32_t

from vecwire.path.slots cimport Slots

cdef bint copy_frame(
    Slots* target, uint32_t at, const Slots* source, uint32_t index
) noexcept nogil

cdef class Batch:
    cdef Slots slots
    cdef object _memory
    cdef object _view
    cdef object _table
    cdef object _starts
    cdef object _stamps
    # What the user may write of the table, once it was asked for (class Columns).
    cdef object _columns
    cdef uint8_t[::1] _octets
    cdef uint8_t[::1] _numbers
    cdef Slots* ready(self, uint32_t first) except NULL
    cdef uint32_t conclude(self, Slots* sent, uint32_t index)
    cdef void publish(self)
