from libc.stdint cimport uint8_t, uint32_t

from vecwire.path.io cimport Endpoint
from vecwire.wire.filter cimport Instruction
from vecwire.wire.vnet cimport VnetHeader

cdef bint screen(
    Endpoint* endpoint, const Instruction* program, uint8_t* frame, uint32_t length, VnetHeader* header
) noexcept nogil
