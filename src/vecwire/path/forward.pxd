from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.slots cimport Slots
from vecwire.path.plane cimport Plane

cdef void forward(Plane* plane, uint32_t number, Slots* slots, uint64_t moment) noexcept nogil
