from libc.stdint cimport uint8_t, uint32_t, uint64_t

from vecwire.path.linux cimport iovec, mmsghdr, poison, unpoison
from vecwire.wire.vnet cimport VnetHeader

cdef enum:
    # Room for the control messages of one frame: PACKET_AUXDATA or UDP_GRO, and SCM_TIMESTAMPNS.
    CONTROL = 96
    # Room for SCM_TIMESTAMPNS and nothing else: CMSG_SPACE(sizeof(struct timespec)).
    STAMP_ALONE = 32

cdef struct Slots:
    # Where frames are received: depth slots of stride octets, each with headroom in front.
    uint8_t* memory
    uint32_t depth
    uint32_t stride
    uint32_t headroom
    # The frames, capacity of them at the most: where each begins in the memory, how long it is, and how many octets before it are free.
    uint32_t capacity
    uint32_t count
    # Slots in use, from the first on; and whether the frames came without virtio-net headers.
    uint32_t used
    bint plain
    # Whether the column of times is written by whoever receives.
    bint stamped
    uint32_t* starts
    uint32_t* lengths
    uint32_t* heads
    uint32_t* progress
    VnetHeader* vnet
    # When each frame was received, in nanoseconds since 1970; 0 where nobody has asked for it.
    uint64_t* stamps
    # Wired for recvmmsg: one message, one vector and one control buffer a slot.
    mmsghdr* messages
    iovec* vectors
    uint8_t* controls
    uint32_t wired_prefix
    uint32_t wired_control

# In a build with AddressSanitizer, while frames are in the path, whatever is behind what was received into a slot
# may not be touched: an octet read behind a frame is an error. In any other build none of these does anything.
cdef inline void fence_off(const Slots* slots, uint32_t slot, uint32_t end) noexcept nogil:
    poison(slots.memory + <size_t>slot * slots.stride + end, slots.stride - end)

# The slots that nothing was received into.
cdef inline void fence_off_unused(const Slots* slots) noexcept nogil:
    poison(slots.memory + <size_t>slots.used * slots.stride, <size_t>(slots.depth - slots.used) * slots.stride)

# Before anything is received, and before users see the memory.
cdef inline void lay_open(const Slots* slots) noexcept nogil:
    unpoison(slots.memory, <size_t>slots.depth * slots.stride)

cdef void wire(Slots* slots, uint32_t prefix, uint32_t control) noexcept nogil
cdef uint32_t room(const Slots* slots, uint32_t row) noexcept nogil
cdef void gather(const Slots* slots, uint32_t offset, uint32_t width, uint8_t* out) noexcept nogil
cdef void scatter(Slots* slots, uint32_t offset, uint32_t width, const uint8_t* octets) noexcept nogil

cdef class Columns:
    cdef object _table
    cdef uint8_t[::1] _octets
    cdef uint32_t capacity
    cdef uint32_t* lengths
    cdef VnetHeader* vnet
    cdef uint8_t* mask
    # The frames that the mask chooses, and the row of the batch that each is in.
    cdef object _chosen_table
    cdef uint8_t[::1] _chosen_octets
    cdef Slots chosen
    cdef uint32_t* rows
    cdef void publish(self, const Slots* slots, uint32_t first, uint32_t last) noexcept nogil
    cdef bint settle(self, Slots* slots, uint32_t first, uint32_t last) except -1
    cdef Slots* choose(self, Slots* slots, uint32_t first) except NULL
    cdef uint32_t conclude(self, Slots* slots, Slots* sent, uint32_t index) noexcept nogil

cdef class Headers:
    cdef Columns columns
    cdef Py_ssize_t count
    cdef Py_ssize_t stride
