from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    # No port: the address is unknown, or has aged.
    NOWHERE = -1
    # Ports that a table tells apart, numbered from 0.
    PORTS = 65536

# What came of learning an address.
cdef enum:
    KNOWN
    LEARNED
    MOVED
    FULL
    IGNORED

# One address, half a cache line. Entries are numbered from 1; 0 is none. A key of 0 is a free entry.
cdef struct Entry:
    uint64_t key
    uint64_t stamp
    # The chain of its bucket, or of the free entries; and the addresses of its port, by age.
    uint32_t next
    uint32_t older
    uint32_t newer
    uint32_t port

# What a port holds. A bound of 0 is the table's.
cdef struct Place:
    uint32_t oldest
    uint32_t newest
    uint32_t count
    uint32_t bound

# One address as it is told, 24 octets; idle in nanoseconds.
cdef struct Row:
    uint8_t mac[6]
    uint16_t vlan
    uint32_t port
    uint64_t idle

cdef struct Fdb:
    Entry* entries
    uint32_t* buckets
    Place* places
    uint64_t secret[4]
    uint64_t age
    # A stamp is not written anew within so many nanoseconds.
    uint64_t grain
    uint32_t mask
    uint32_t capacity
    uint32_t bound
    uint32_t count
    # Entries used so far, the first on the free list, the port looked at last, and one more than the highest.
    uint32_t fresh
    uint32_t free
    uint32_t hand
    uint32_t ports

# Times are nanoseconds of the monotonic clock; mac points at 6 octets.
cdef int32_t lookup(const Fdb* fdb, const uint8_t* mac, uint32_t vlan, uint64_t now) noexcept nogil
cdef int32_t learn(
    Fdb* fdb, const uint8_t* mac, uint32_t vlan, uint32_t port, uint64_t now
) noexcept nogil
cdef uint32_t forget(Fdb* fdb, uint32_t port) noexcept nogil
cdef void forget_all(Fdb* fdb) noexcept nogil
cdef uint32_t tell(const Fdb* fdb, uint64_t now, Row* rows) noexcept nogil
