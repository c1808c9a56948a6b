from libc.stdint cimport int64_t, uint32_t, uint64_t

from vecwire.path.batch cimport Batch
from vecwire.path.slots cimport Slots
from vecwire.path.channel cimport Channel
from vecwire.path.histogram cimport Histogram
from vecwire.wire.stamp cimport Stamp

cdef enum:
    # Numbers of a flow, up to its highest, of which it is known whether they have come.
    WINDOW = 1024
    WORDS = 16
    # Runs that are told apart.
    MOST_RUNS = 64

cdef struct Flow:
    uint64_t following
    uint64_t base
    uint64_t bits[WORDS]
    bint known
    bint ended

cdef struct Run:
    uint32_t number
    bint known
    bint begun
    uint64_t seen
    Flow* flows
    uint32_t room

cdef class Tally:
    cdef Run runs[MOST_RUNS]
    cdef uint32_t _latest
    cdef bint _stopping
    cdef readonly Histogram latency
    cdef readonly uint64_t frames
    cdef readonly uint64_t octets
    cdef readonly uint64_t received
    cdef readonly uint64_t expected
    cdef readonly uint64_t duplicates
    cdef readonly uint64_t reordered
    cdef readonly uint64_t late
    cdef readonly uint64_t corrupted
    cdef readonly uint64_t foreign
    cdef readonly uint64_t early
    cdef readonly uint64_t flows
    cdef readonly uint64_t ended
    cdef readonly int64_t first
    cdef readonly int64_t last
    cdef Run* _run_of(self, uint32_t number) noexcept nogil
    cdef Flow* _flow_of(self, Run* run, uint32_t number) noexcept nogil
    cdef void _take(self, const Stamp* stamp, int64_t moment) noexcept nogil
    cdef void _judge(self, const Slots* slots, int64_t moment) noexcept nogil
    cdef void _pass(self, Flow* flow, uint64_t following) noexcept nogil
