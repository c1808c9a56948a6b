from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.hold cimport Hold
from vecwire.path.io cimport Endpoint
from vecwire.path.slots cimport Slots
from vecwire.path.witness cimport Witness

cdef enum:
    # Frames that are released in one go.
    ROWS = 64

# A frame that waits: when it leaves, in which turn of those that leave then, and where it is.
cdef struct Late:
    uint64_t due
    uint64_t turn
    uint32_t slot

# How frames are impaired, and those that wait.
cdef struct Impair:
    # Whether frames are to be judged at all; and whether super-frames are cut first.
    bint on
    bint cuts
    # Nanoseconds; of 2^32 frames, how many on average; bits a second, 0 for no bound.
    uint64_t delay
    uint64_t jitter
    uint64_t loss
    uint64_t duplicate
    uint64_t reorder
    uint64_t rate
    # The generator's state; when the link of that rate is free again; how many frames have waited.
    uint64_t state
    uint64_t free_at
    uint64_t turn
    # Those that wait: a heap, the first of which leaves first, and the slots that are free.
    uint32_t limit
    uint32_t count
    Late* heap
    uint32_t spare_count
    uint32_t* spares
    Slots store
    # A table of those that leave now, in the store's memory.
    Slots view

cdef uint32_t pop(Impair* impair) noexcept nogil
cdef bint admit(
    Impair* impair,
    uint64_t* counters,
    Witness* witness,
    const Slots* slots,
    uint32_t index,
    uint64_t moment,
) noexcept nogil
cdef void impede(
    Impair* impair,
    Endpoint* endpoint,
    Hold* hold,
    const Slots* slots,
    uint32_t first,
    uint32_t last,
    uint64_t moment,
) noexcept nogil
cdef void release(
    Impair* impair, Endpoint* endpoint, Hold* hold, uint64_t moment, uint32_t rounds
) noexcept nogil
