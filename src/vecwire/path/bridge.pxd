from libc.stdint cimport uint8_t, uint32_t

from vecwire.path.plane cimport Plane
from vecwire.path.seat cimport Seat
from vecwire.path.table cimport Table

cdef class Bridge:
    cdef Plane plane
    cdef readonly Table table
    cdef uint32_t room
    cdef object _columns
    cdef uint8_t[::1] _octets
    cdef int add(self, Seat* seat, uint32_t capacity) except -1
    cdef int remove(self, uint32_t number) except -1
    cdef int _reserve(self, uint32_t capacity) except -1
