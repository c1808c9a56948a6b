from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    # Buckets of one power of two, and buckets in all.
    LINEAR = 128
    BUCKETS = 7552

cdef struct Counts:
    uint64_t buckets[BUCKETS]
    uint64_t count
    uint64_t total
    uint64_t least
    uint64_t most

cdef void enter(Counts* counts, uint64_t value) noexcept nogil

cdef class Histogram:
    cdef Counts counts
