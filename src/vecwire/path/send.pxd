from libc.stdint cimport uint32_t

from vecwire.path.slots cimport Slots
from vecwire.path.io cimport Endpoint

cdef uint32_t transmit(Endpoint* endpoint, Slots* slots, uint32_t first, uint32_t last) noexcept nogil
