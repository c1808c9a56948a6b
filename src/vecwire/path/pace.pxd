from libc.stdint cimport int64_t, uint32_t, uint64_t

from vecwire.path.histogram cimport Histogram
from vecwire.path.slots cimport Slots

cdef enum:
    # The most frames that a batch may hold: 1024 slots, one frame each.
    MOST_PACED = 1024

cdef class Pacer:
    cdef int64_t due[MOST_PACED]
    cdef double _clock
    cdef readonly uint64_t frames
    cdef readonly uint64_t octets
    cdef readonly Histogram late
    cdef readonly uint64_t calls
    cdef int64_t _spin
    cdef uint32_t _ready(
        self, Slots* slots, uint32_t first, int64_t deadline
    ) noexcept nogil
    cdef void _note(self, Slots* slots, uint32_t first, uint32_t last, int64_t now) noexcept nogil
