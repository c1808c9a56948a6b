from libc.stdint cimport uint8_t

from vecwire.path.fdb cimport Fdb

cdef class Table:
    cdef Fdb fdb
    cdef object _memory
    cdef uint8_t[::1] _octets
