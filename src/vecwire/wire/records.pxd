from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from vecwire.wire.vnet cimport VnetHeader

cdef enum:
    PCAP
    PCAPNG

cdef enum:
    # The longest frame that a file may hold, and the longest block: as libpcap and Wireshark have them.
    MOST_KEPT = 262144
    MOST_BLOCK = 16 * 1024 * 1024
    # Rows that one scan fills at the most.
    ROWS = 1024

# How the scan of a piece ended.
cdef enum Ending:
    NEEDS
    FULL
    BLOCK
    BAD_LENGTH
    BAD_TRAILER
    BAD_KEPT
    BAD_INTERFACE
    BAD_LINK

# What a pcapng file says of an interface.
cdef struct Interface:
    uint32_t link
    uint32_t snaplen
    # Units of time: 10^-decimal or 2^-binary seconds; the other is negative.
    int decimal
    int binary
    int64_t offset

# One frame: where it begins in the piece, how many octets are kept, how long it was, when it was seen,
# and its virtio-net header, where the file has it.
cdef struct Row:
    uint32_t start
    uint32_t kept
    uint32_t length
    uint64_t time
    VnetHeader vnet

cdef uint32_t record_room(int form, uint32_t kept) noexcept nogil
cdef uint8_t* begin_record(
    int form, uint8_t* at, uint64_t time, uint32_t kept, uint32_t length
) noexcept nogil
cdef uint8_t* end_record(int form, uint8_t* data, uint32_t kept) noexcept nogil
cdef uint32_t super_room(uint32_t kept) noexcept nogil
cdef uint8_t* end_super_record(uint8_t* data, uint32_t kept, const VnetHeader* header) noexcept nogil

cdef class Scanner:
    cdef int _form
    cdef bint _swapped
    cdef Interface* _interfaces
    cdef uint32_t _count
    cdef uint32_t _room
    cdef uint64_t _last
    cdef Row rows[ROWS]
    cdef uint32_t found
    cdef readonly size_t needed
    cdef readonly int ending
    cdef readonly size_t culprit
    cdef Ending _scan(self, const uint8_t* data, size_t size, size_t* at, uint32_t most) noexcept nogil
    cdef void _comment(self, const uint8_t* data, uint32_t at, uint32_t total) noexcept nogil
    cdef bint _row(
        self,
        const Interface* interface,
        size_t start,
        uint32_t kept,
        uint32_t length,
        uint64_t ticks,
        bint timed,
    ) noexcept nogil
