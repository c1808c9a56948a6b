from libc.stdint cimport uint8_t

ctypedef Py_buffer View

cdef class Octets:
    cdef uint8_t* at
    cdef size_t length
    cdef View _view
