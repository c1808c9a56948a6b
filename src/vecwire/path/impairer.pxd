from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.impair cimport Impair
from vecwire.wire.counters cimport COUNTERS

cdef class Impairer:
    cdef Impair impair
    cdef uint64_t[COUNTERS] _counters
    cdef object _memory
    cdef object _tables
    cdef unsigned char[::1] _octets
    cdef unsigned char[::1] _columns
    cdef int _reserve(self, uint32_t limit) except -1
