from libc.stdint cimport int32_t, uint32_t

from vecwire.path.slots cimport Slots
from vecwire.path.io cimport Endpoint

cdef enum:
    PUT = 0
    NO_ROOM = -1
    TOO_LATE = -2

cdef int32_t put(
    Endpoint* endpoint, Slots* slots, uint32_t index, uint32_t last, uint32_t* segment, uint32_t* taken
) noexcept nogil
