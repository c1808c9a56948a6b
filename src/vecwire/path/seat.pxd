from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.slots cimport Slots
from vecwire.path.hold cimport Hold
from vecwire.path.impair cimport Impair
from vecwire.path.io cimport Endpoint, Turn
from vecwire.path.witness cimport Book, Witness

cdef enum:
    # What copies of frames are made for: a capture, another port, a log.
    CAPTURE
    MIRROR
    TRACE
    MIRRORS

cdef enum:
    # Nanoseconds that a turn may take: three or so of the turns of 64 plain frames that others have meanwhile.
    TURN = 200000

cdef struct Seat

# The seats of a worker that need more than frames.
cdef struct Rota:
    Seat* first
    Turn turn

# A port's place in a worker.
cdef struct Seat:
    uint32_t index
    Endpoint* endpoint
    # Where its frames are received: shared by all seats of a worker whose batches have one shape.
    Slots* slots
    # Nanoseconds for which others come first, since a turn of its own took so much longer than it may.
    uint64_t debt
    # Frames of its last turn are held behind what is still to be cut.
    bint stalled
    Hold* hold
    # What is done on purpose to frames that leave here.
    Impair* impair
    # Where its frames go: to another seat, to a bridge (struct Bridge, by its number there), or nowhere.
    Seat* peer
    void* bridge
    uint32_t number
    # Other seats that get a copy of every frame received or sent here, one for each purpose, or none.
    Seat* mirrors[MIRRORS]
    # The rota, what comes after this seat on it, and whether it is on it.
    Rota* rota
    Seat* following
    bint listed
    int rx_watched
    int tx_watched
    bint waits_for_room
    # The owner has been told that it is lost.
    bint ailing
    uint32_t fruitless
    # What errors have been explained by, counted; when and how soon to try again after ENOBUFS.
    uint64_t explained
    # The epoll set cannot tell of room: it is looked for by time, as after ENOBUFS.
    bint unheard
    bint retries
    uint64_t retry_at
    uint64_t stuck_since
    uint32_t retry_delay
    # Used while somebody watches what the port drops.
    Witness witness

cdef void note(Seat* seat) noexcept nogil
cdef void deliver(Seat* seat, Slots* slots) noexcept nogil
cdef void reflect(Seat* seat, Slots* slots) noexcept nogil
cdef void judge(Seat* seat) noexcept nogil
cdef void retry(Seat* seat) noexcept nogil
cdef void hand_over(Book* book) noexcept nogil
cdef void weigh(Seat* seat, uint32_t messages, uint64_t took) noexcept nogil
cdef uint64_t repay(uint64_t debt, uint64_t spent) noexcept nogil
