from libc.stdint cimport uint8_t, uint32_t, uint64_t

from vecwire.path.slots cimport Slots
from vecwire.path.linux cimport iovec, mmsghdr
from vecwire.path.witness cimport Witness
from vecwire.wire.counters cimport COUNTERS
from vecwire.wire.encap cimport Encap
from vecwire.wire.filter cimport Instruction
from vecwire.wire.segment cimport MAXIMUM_HEADERS

cdef enum:
    # Octets of headers that one packet may need: those of a segment, and what stands in front of it.
    SCRATCH = MAXIMUM_HEADERS + 64
    # Packets that one UDP_SEGMENT message may carry, and octets (udp(7), linux/udp.h).
    MOST_SEGMENTS = 64
    MOST_OCTETS = 65000
    # Frames that one super-frame may be made of: each is a vector, of which writev takes 1024.
    MOST_JOINED = 512
    CONTROL_OUT = 32

# What is made ready to send: packets, each a run of vectors; and messages, each a run of packets.
cdef struct Outbox:
    uint32_t capacity
    uint32_t count
    uint32_t* frames
    uint32_t* segments
    uint32_t* octets
    uint32_t* merged
    uint8_t* kinds
    uint32_t vectors_capacity
    uint32_t vectors_used
    iovec* vectors
    uint32_t scratch_capacity
    uint32_t scratch_used
    uint8_t* scratch
    uint32_t message_count
    mmsghdr* messages
    uint32_t* first_packets
    uint8_t* controls
    # The message made last, while packets may still be added to it: its segment size, and its octets.
    uint32_t train_size
    uint32_t train_octets

cdef enum:
    WHOLE
    SUPER
    JOINED
    SEGMENT
    LAST_SEGMENT

# What several ports share in a worker: time.
cdef struct Turn:
    # When sending stops in front of what is still to be cut, in nanoseconds of the monotonic clock; 0 for never.
    uint64_t until
    # Nanoseconds that went into what earlier turns had left, and how often frames were held for such a rest.
    uint64_t rests
    uint64_t cut_off

cdef struct Endpoint:
    int rx_fd
    int tx_fd
    bint rx_tun
    bint tx_tun
    bint vec
    bint auxdata
    bint udp_gro
    bint stamps
    bint seqpacket
    # Messages that one call may receive, where that is fewer than the batch has room for; 0 for no bound.
    uint32_t most
    uint32_t rx_vnet
    uint32_t tx_vnet
    uint32_t rx_prefix
    uint32_t tx_prefix
    uint32_t gso
    # The longest packet that may travel with others in one message; 0 where none may.
    uint32_t segment_limit
    Encap* encap
    # The program that says which frames are wanted; none where all are.
    const Instruction* program
    int lost
    # Whether all that had come before the loss was received.
    bint ended
    int blocked
    # The turn of whoever sends here; none where nobody else waits. And whether sending stopped for others.
    Turn* turn
    bint yielded
    # How often in a row a super-frame was refused for want of room, and when it was last counted; and the kinds
    # that are tried as segments.
    uint32_t refusals
    uint64_t refused_at
    uint32_t doubted
    Outbox outbox
    # Who watches what is dropped; nobody where nobody does.
    Witness* witness
    uint64_t counters[COUNTERS]

cdef uint32_t asked(Slots* slots, uint32_t index) noexcept nogil
cdef uint32_t receive(Endpoint* endpoint, Slots* slots) noexcept nogil
