"""What a port's filter is asked about a frame that was received: as it will leave, and not as it came.

What leaves differs from what came where a virtio-net header asks for it: a checksum is written, a super-frame
is cut. What a guest could use of that to get round a filter is done, or tried, before the filter judges.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.wire.counters import RX_CHECKSUMS, RX_FILTERED
from cython.cimports.vecwire.wire.filter import Instruction, judge
from cython.cimports.vecwire.wire.segment import each_wanted
from cython.cimports.vecwire.wire.vnet import (
    NEEDS_CSUM,
    VnetHeader,
    complete_checksum,
    foreign,
    plausible,
)


def screen(
    endpoint: cython.pointer[Endpoint],
    program: cython.pointer[cython.const[Instruction]],
    frame: cython.pointer[uint8_t],
    length: uint32_t,
    header: cython.pointer[VnetHeader],
) -> cython.bint:
    """Whether a filter wants a frame; where it does not, that is counted.

    A checksum that is not that of the frame's own TCP or UDP is completed, which is counted as well.
    """
    if (
        header.flags & NEEDS_CSUM
        and foreign(frame, length, header)
        # It was before a tag was put back; now its place may be beyond what 16 bits can tell.
        and plausible(frame, length, header)
    ):
        complete_checksum(frame, length, header)
        endpoint.counters[RX_CHECKSUMS] += 1
    if judge(program, frame, length) and each_wanted(program, frame, length, header):
        return True
    endpoint.counters[RX_FILTERED] += 1
    return False
