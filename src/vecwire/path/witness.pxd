from libc.stdint cimport uint8_t, uint32_t, uint64_t

from vecwire.path.slots cimport Slots
from vecwire.wire.vnet cimport VnetHeader

cdef enum:
    # Octets of a record before its two names; octets of a name; and what stands before the octets at most.
    RECORD = 32
    MOST_NAME = 64
    MOST_FRONT = RECORD + 2 * MOST_NAME

cdef enum:
    # What the octets of a record are: a frame, or a packet as it was received.
    FRAME
    IPV4_PACKET
    GRE_PACKET
    L2TP_DATAGRAM
    L2TP_PACKET

cdef struct Book
ctypedef void (*HandOver)(Book* book) noexcept nogil

# What was dropped lately, in one worker: a record a slot, until they are handed over.
cdef struct Book:
    Slots* slots
    HandOver hand_over
    void* sink
    # The names of the counters, MOST_NAME octets each.
    const char* reasons

# Who watches the drops of a port: which reasons are wanted, a bit for each, and how many there were.
cdef struct Witness:
    Book* book
    uint64_t wanted
    uint32_t serial
    uint32_t name_length
    char name[MOST_NAME]

cdef uint8_t* begin_drop(
    Witness* witness, uint32_t reason, uint8_t what, uint32_t length, const VnetHeader* header, uint32_t* kept
) noexcept nogil
cdef void take_drop(
    Witness* witness,
    uint32_t reason,
    uint8_t what,
    const uint8_t* octets,
    uint32_t length,
    const VnetHeader* header,
) noexcept nogil
cdef void lose(
    uint64_t* counters, Witness* witness, const Slots* slots, uint32_t index, uint32_t reason
) noexcept nogil

cdef class Ledger:
    cdef Book book
    cdef object _batch
    cdef bytes _reasons
