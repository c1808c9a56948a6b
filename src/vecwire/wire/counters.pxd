"""Every counter of a port, by index: one array of 64-bit numbers, written by one worker, read by anyone."""

cdef enum:
    # Received.
    RX_FRAMES
    RX_OCTETS
    RX_CALLS
    RX_SUPER
    RX_VLAN
    RX_CHECKSUMS
    RX_LATE
    # Received and dropped.
    RX_TRUNCATED
    RX_RUNT
    RX_BAD_VNET
    RX_BAD_HEADER
    RX_BAD_CHECKSUM
    RX_BAD_KEY
    RX_BAD_SESSION
    RX_BAD_COOKIE
    RX_CONTROL
    RX_ERRORS
    RX_FILTERED
    RX_MISSED
    RX_MOST
    # Decided by a switch about frames that were received.
    SWITCH_FLOODED
    SWITCH_COPIES
    SWITCH_LEARNED
    SWITCH_MOVED
    SWITCH_UNLEARNED
    SWITCH_SOURCE
    SWITCH_RESERVED
    SWITCH_VLAN
    SWITCH_LOCAL
    SWITCH_HORIZON
    SWITCH_LIMITED
    SWITCH_NOWHERE
    # Sent.
    TX_FRAMES
    TX_OCTETS
    TX_CALLS
    TX_SUPER
    TX_SPLIT
    TX_SEGMENTS
    TX_JOINED
    TX_MERGED
    TX_TRAINS
    TX_CHECKSUMS
    TX_STALLS
    TX_HELD
    TX_MOST
    TX_HELD_MOST
    TX_DELAYED
    TX_DUPLICATED
    TX_REORDERED
    # Not sent.
    TX_RUNT
    TX_BAD_OFFLOAD
    TX_TOO_BIG
    TX_UNREACHABLE
    TX_DOWN
    TX_REFUSED
    TX_FULL
    TX_LOST
    TX_LIMIT
    # What happened to the port.
    DOWNGRADES
    UNREACHABLE
    LOST
    RECOVERED
    COUNTERS
