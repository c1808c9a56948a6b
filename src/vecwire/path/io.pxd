from libc.stdint cimport uint8_t, uint32_t, uint64_t

from vecwire.path.batch cimport Slots
from vecwire.path.linux cimport iovec, mmsghdr
from vecwire.wire.counters cimport COUNTERS
from vecwire.wire.encap cimport Encap
from vecwire.wire.segment cimport MAXIMUM_HEADERS

cdef enum:
    SCRATCH = MAXIMUM_HEADERS + 64

# Messages made ready to send: for each one its vectors, and which part of which frame it carries.
cdef struct Outbox:
    uint32_t capacity
    uint32_t count
    uint32_t vectors_used
    mmsghdr* messages
    iovec* vectors
    uint8_t* scratch
    uint32_t* frames
    uint32_t* segments
    uint32_t* octets
    uint8_t* kinds

cdef enum:
    WHOLE
    SUPER
    SEGMENT
    LAST_SEGMENT

cdef struct Endpoint:
    int rx_fd
    int tx_fd
    bint rx_tun
    bint tx_tun
    bint vec
    bint auxdata
    bint seqpacket
    uint32_t rx_vnet
    uint32_t tx_vnet
    uint32_t rx_prefix
    uint32_t tx_prefix
    uint32_t gso
    Encap* encap
    int lost
    int blocked
    Outbox outbox
    uint64_t counters[COUNTERS]

cdef uint32_t receive(Endpoint* endpoint, Slots* slots) noexcept nogil
cdef uint32_t transmit(Endpoint* endpoint, Slots* slots, uint32_t first, uint32_t last) noexcept nogil
