from libc.stdint cimport uint32_t, uint64_t

from vecwire.path.linux cimport cpu_set_t

# Where a busy thread stays.
cdef struct Home:
    # Receptions counted, and the frames that they brought.
    uint32_t count
    uint32_t frames
    # Where it stays; -1 while it is free.
    int cpu
    # When it settled; or, while it is free, when it last began to count.
    uint64_t since
    # The processors that it is given back to.
    cpu_set_t free

cdef void leave(Home* home) noexcept nogil
cdef void settle(Home* home, uint32_t frames) noexcept nogil
