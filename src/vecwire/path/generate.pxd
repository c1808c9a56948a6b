from libc.stdint cimport int64_t, uint32_t, uint64_t

from vecwire.path.batch cimport Batch
from vecwire.path.slots cimport Slots
from vecwire.path.channel cimport Channel
from vecwire.wire.stamp cimport Pattern, Stamp

cdef class Generator:
    cdef Pattern _pattern
    cdef uint32_t* _sizes
    cdef uint32_t _size_count
    cdef uint32_t _longest
    cdef uint32_t _flows
    cdef uint32_t _run
    # Which flow is next, and the number of the next frame in it.
    cdef uint32_t _flow
    cdef uint64_t _sequence
    cdef readonly uint64_t frames
    cdef readonly uint64_t octets
    cdef readonly uint64_t stalls
    cdef readonly uint64_t skipped
    cdef Batch _clean
    # The schedule: when its frame 0 was due, how many of it were sent, and nanoseconds between two.
    cdef double _start
    cdef uint64_t _step
    cdef double _interval
    cdef bint _stopping
    cdef object _check(self, Batch batch)
    cdef void _put(self, Slots* slots, uint32_t index, uint32_t size, const Stamp* stamp) noexcept nogil
    cdef uint64_t _fill(self, Slots* slots, uint32_t count, int64_t moment) noexcept nogil
    cdef void _rewind(self, uint32_t count) noexcept nogil
    cdef uint32_t _due(self, int64_t moment, uint32_t most) noexcept nogil
