from libc.stdint cimport uint32_t

from vecwire.path.slots cimport Slots
from vecwire.path.io cimport Endpoint

# Frames that wait for the kernel, a ring: from head on, count of them.
cdef struct Hold:
    Slots* slots
    uint32_t head
    uint32_t count

cdef bint drain(Endpoint* endpoint, Hold* hold) noexcept nogil
cdef bint keep(Endpoint* endpoint, Hold* hold, const Slots* slots, uint32_t index) noexcept nogil
cdef void give_up(Endpoint* endpoint, Hold* hold) noexcept nogil
cdef void offer(Endpoint* endpoint, Hold* hold, Slots* slots) noexcept nogil
