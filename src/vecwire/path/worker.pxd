from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.home cimport Home
from vecwire.path.linux cimport epoll_event
from vecwire.path.seat cimport Rota, Seat
from vecwire.path.witness cimport Book, Ledger

cdef class Worker:
    cdef Seat** seats
    cdef uint32_t room
    cdef Rota rota
    cdef Home home
    cdef Ledger ledger
    # The ledger's, while somebody watches drops; or none.
    cdef Book* book
    cdef int epoll
    cdef int wake
    # Tells that a frame that was delayed is due, and for when it is set.
    cdef int timer
    cdef uint64_t due
    cdef bint stopping
    cdef uint32_t poll
    cdef readonly uint64_t wakeups
    # In this round: whether several ports may want a turn, and the nanoseconds that turns took.
    cdef bint contended
    cdef uint64_t spent
    # Nanoseconds for which receiving comes before what turns have left to be cut, and where in the events to go on.
    cdef uint64_t arrears
    cdef uint32_t next_rest
    # For each seat the objects whose memory it uses; by the shape of a batch, that batch.
    cdef list _held
    cdef dict _batches
    cdef object _messages
    cdef object _lost
    cdef int _run(self) except -1 nogil
    cdef int _timeout(self) noexcept nogil
    cdef bint _set_timer(self, uint64_t due) noexcept nogil
    cdef bint _must_wait(self, uint64_t key, uint32_t flags, uint64_t rests) noexcept nogil
    cdef void _put_off(self, uint64_t key, uint32_t flags, bint served) noexcept nogil
    cdef uint64_t _find_rests(self, epoll_event* events, int ready) noexcept nogil
    cdef void _cut_rests(self, epoll_event* events, int ready, uint64_t which, bint served) noexcept nogil
    cdef void _dispatch(self, uint64_t key, uint32_t flags) noexcept nogil
    cdef void _forward(self, Seat* seat) noexcept nogil
    cdef int _watch(self, Seat* seat) noexcept nogil
    cdef int _look_at(self, int fd, bint new, epoll_event* event) noexcept nogil
    cdef int _leave_alone(self, int fd) noexcept nogil
    cdef void _begin_retries(self, Seat* seat) noexcept nogil
    cdef void _attend(self) noexcept nogil
    cdef void _take_rests(self) noexcept nogil
    cdef void _see_to(self, Seat* seat) noexcept nogil
    cdef bint _tell(self, uint32_t index) noexcept
    cdef int _take_messages(self) except -1
    cdef Seat* _seat(self, uint32_t index) except NULL
