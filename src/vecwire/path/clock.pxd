from libc.stdint cimport int64_t, uint64_t

cdef int64_t monotonic() noexcept nogil
cdef uint64_t now() noexcept nogil
cdef int64_t realtime() noexcept nogil
cdef void sleep_until(int64_t moment, int64_t spin) noexcept nogil
cdef int tighten() noexcept nogil
cdef void loosen(int slack) noexcept nogil
