from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from vecwire.path.slots cimport Slots
from vecwire.path.fdb cimport Fdb
from vecwire.path.io cimport Endpoint
from vecwire.path.seat cimport Seat

cdef enum:
    # How a port takes frames of a VLAN.
    NEVER = -1
    UNTAGGED = 0
    TAGGED = 1
    AS_IT_IS = 2

cdef enum:
    # The VLAN of a frame without a tag on a transparent port.
    NATIVE = 0

cdef enum:
    # The mark of a frame that carries a tag.
    HAS_TAG = 1

cdef enum:
    MEMBER_OCTETS = 512

# How a port takes part: in one VLAN without a tag, in others with one, or in all as frames come.
cdef struct Member:
    Seat* seat
    bint transparent
    uint32_t untagged
    uint8_t tagged[MEMBER_OCTETS]
    uint32_t horizon
    # Nanoseconds that one flooded frame is worth, 0 for no limit; and when the next one is due.
    uint64_t flood_gap
    uint64_t flood_due
    # Frames of the batch at hand that go there, and where they begin in the plane's order.
    uint32_t tally
    uint32_t first

# The forwarding plane: everything that a batch is decided by.
cdef struct Plane:
    Fdb* fdb
    Member* members
    uint32_t count
    # Whether any port is other than transparent: tags are looked at for more than learning.
    bint aware
    uint32_t capacity
    # For each frame of the batch at hand: where it goes, its VLAN, and marks.
    int32_t* where
    uint16_t* vlans
    uint8_t* marks
    # Frames sorted by where they go, and the ports that any goes to.
    uint32_t* order
    uint32_t* touched
    # A table of some of the batch's frames, in the batch's memory.
    Slots view

cdef int takes(Member* member, uint32_t vlan) noexcept nogil
cdef bint assign(Plane* plane, Member* member, Slots* slots, uint32_t index) noexcept nogil
cdef bint change(Plane* plane, Slots* slots, uint32_t index, Endpoint* origin) noexcept nogil
cdef void pick(Slots* view, Slots* slots, uint32_t index) noexcept nogil
cdef void begin_view(Plane* plane, Slots* slots) noexcept nogil
