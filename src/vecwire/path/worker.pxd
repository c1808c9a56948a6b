from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.home cimport Home
from vecwire.path.seat cimport Rota, Seat

cdef class Worker:
    cdef Seat** seats
    cdef uint32_t room
    cdef Rota rota
    cdef Home home
    cdef int epoll
    cdef int wake
    # Tells that a frame that was delayed is due, and for when it is set.
    cdef int timer
    cdef uint64_t due
    cdef bint stopping
    cdef uint32_t poll
    cdef readonly uint64_t wakeups
    # For each seat the objects whose memory it uses; by the shape of a batch, that batch.
    cdef list _held
    cdef dict _batches
    cdef object _messages
    cdef object _lost
    cdef int _run(self) except -1 nogil
    cdef int _timeout(self) noexcept nogil
    cdef void _set_timer(self, uint64_t due) noexcept nogil
    cdef void _dispatch(self, uint64_t key, uint32_t flags) noexcept nogil
    cdef void _forward(self, Seat* seat) noexcept nogil
    cdef void _watch(self, Seat* seat) noexcept nogil
    cdef void _attend(self) noexcept nogil
    cdef void _take_rests(self) noexcept nogil
    cdef void _see_to(self, Seat* seat) noexcept nogil
    cdef void _tell(self, uint32_t index) noexcept
    cdef int _take_messages(self) except -1
    cdef Seat* _seat(self, uint32_t index) except NULL
