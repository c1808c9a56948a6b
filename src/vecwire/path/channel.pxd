from libc.stdint cimport uint32_t

from vecwire.path.batch cimport Batch, Slots
from vecwire.path.hold cimport Hold
from vecwire.path.impairer cimport Impairer
from vecwire.path.io cimport Endpoint
from vecwire.wire.encap cimport Encapsulation
from vecwire.wire.filter cimport Filter

cdef class Channel:
    cdef Endpoint endpoint
    cdef Hold hold
    cdef readonly Impairer impairer
    cdef Batch _held
    cdef Encapsulation _encapsulation
    cdef Filter _program
    cdef list _retired
    # What the kernel had dropped when it was asked last.
    cdef uint32_t _missed
    cdef readonly int wake_fd
    cdef readonly object user
    # Set and cleared with the GIL held: who moves frames now, and whether nobody may.
    cdef bint _receiving
    cdef bint _sending
    cdef bint _seized
    cdef uint32_t _impede(self, Slots* slots, uint32_t start) noexcept nogil
