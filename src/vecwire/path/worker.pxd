from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.batch cimport Slots
from vecwire.path.hold cimport Hold
from vecwire.path.io cimport Endpoint

# A port's place in a worker.
cdef struct Seat:
    Endpoint* endpoint
    Slots* slots
    Hold* hold
    uint32_t peer
    int rx_watched
    int tx_watched
    int wake_watched
    bint waits_for_room
    bint retries
    bint ailing
    uint32_t delay
    uint64_t due
    uint32_t fruitless
    # What errors have been explained by, counted; when and how soon to try again after ENOBUFS.
    uint64_t explained
    uint64_t retry_at
    uint64_t stuck_since
    uint32_t retry_delay
    bint rests

cdef class Worker:
    cdef Seat* seats
    cdef uint32_t count
    cdef int epoll
    cdef int wake
    cdef bint stopping
    cdef uint32_t poll
    cdef readonly uint64_t wakeups
    cdef list _channels
    cdef list _batches
    cdef object _recover
    cdef int _run(self) except -1 nogil
    cdef void _forward(self, uint32_t index) noexcept nogil
    cdef void _watch(self, uint32_t index) noexcept nogil
    cdef void _attend(self, uint32_t index) noexcept nogil
    cdef void _ask(self, uint32_t index) noexcept
