"""Adapts frames to what an egress can take, as messages in its outbox.

Theory of operation: a frame leaves as it is, behind its encapsulation or its virtio-net header, or, where
it is a super-frame that the egress cannot take, as segments. Headers in front of a frame are written into
the free octets before it where there are enough, and into the outbox's scratch memory where there are
not; segments have their headers in scratch memory and their payload where it was received. A frame
that lacks its checksum gets it in place where the egress speaks no virtio-net headers.

``put`` adds a frame's messages and says when there is no more room; it never sends. It counts nothing
that would be counted twice when the same frame is put again after a stall.
"""

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.adapt import NO_ROOM, PUT
from cython.cimports.vecwire.path.batch import Slots
from cython.cimports.vecwire.path.io import LAST_SEGMENT, SCRATCH, SEGMENT, SUPER, WHOLE, Endpoint
from cython.cimports.vecwire.wire.counters import TX_BAD_OFFLOAD, TX_CHECKSUMS, TX_RUNT
from cython.cimports.vecwire.wire.encap import write_header
from cython.cimports.vecwire.wire.ethernet import HEADER
from cython.cimports.vecwire.wire.segment import Segments, payload_at, plan, write_headers
from cython.cimports.vecwire.wire.vnet import (
    GSO_ECN,
    GSO_NONE,
    NEEDS_CSUM,
    VnetHeader,
    complete_checksum,
    plausible,
)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_prefix(
    endpoint: cython.pointer[Endpoint],
    at: cython.pointer[uint8_t],
    header: cython.pointer[VnetHeader],
    length: uint32_t,
) -> cython.void:
    """Writes what the egress wants in front of a frame: a virtio-net header or an encapsulation."""
    if endpoint.tx_vnet:
        out: VnetHeader = header[0]
        # What was verified on the way in is not told on the way out; the length of headers is a hint.
        out.flags &= NEEDS_CSUM
        out.num_buffers = 0
        if out.hdr_len > length:
            out.hdr_len = 0
        memcpy(at, cython.address(out), endpoint.tx_vnet)
    else:
        write_header(endpoint.encap, at)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_message(
    endpoint: cython.pointer[Endpoint], index: uint32_t, segment: uint32_t, octets: uint32_t, kind: uint8_t
) -> cython.void:
    """Opens a message; the vectors added after it are its own."""
    box = cython.address(endpoint.outbox)
    message = cython.address(box.messages[box.count].msg_hdr)
    message.msg_iov = cython.address(box.vectors[box.vectors_used])
    message.msg_iovlen = 0
    box.frames[box.count] = index
    box.segments[box.count] = segment
    box.octets[box.count] = octets
    box.kinds[box.count] = kind
    box.count += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_vector(
    endpoint: cython.pointer[Endpoint], at: cython.pointer[uint8_t], length: uint32_t
) -> cython.void:
    """Adds octets to the message opened last."""
    box = cython.address(endpoint.outbox)
    vector = cython.address(box.vectors[box.vectors_used])
    vector.iov_base = at
    vector.iov_len = length
    box.vectors_used += 1
    box.messages[box.count - 1].msg_hdr.msg_iovlen += 1


def put(
    endpoint: cython.pointer[Endpoint],
    slots: cython.pointer[Slots],
    index: uint32_t,
    segment: cython.pointer[uint32_t],
) -> int32_t:
    """Adds the messages that a frame leaves as, from segment ``segment`` on.

    Returns PUT when all of the frame is in the outbox, NO_ROOM when the rest of it must wait for the next
    one (``segment`` says from where), or the counter of the reason why the frame cannot be sent.
    """
    box = cython.address(endpoint.outbox)
    length: uint32_t = slots.lengths[index]
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
    header = cython.address(slots.vnet[index])
    kind: uint32_t = header.gso_type & ~cython.cast(uint32_t, GSO_ECN)
    room: cython.pointer[uint8_t]
    plain: VnetHeader
    if length < HEADER:
        return TX_RUNT
    if (header.flags or header.gso_type) and not plausible(header, length):
        return TX_BAD_OFFLOAD
    if box.count == box.capacity:
        return NO_ROOM
    if kind == GSO_NONE or (endpoint.gso >> kind) & 1:
        if header.flags & NEEDS_CSUM and not endpoint.tx_vnet:
            complete_checksum(frame, length, header)
            endpoint.counters[TX_CHECKSUMS] += 1
        add_message(endpoint, index, 0, length, WHOLE if kind == GSO_NONE else SUPER)
        if endpoint.tx_prefix == 0:
            add_vector(endpoint, frame, length)
        elif slots.heads[index] >= endpoint.tx_prefix:
            write_prefix(endpoint, frame - endpoint.tx_prefix, header, length)
            add_vector(endpoint, frame - endpoint.tx_prefix, endpoint.tx_prefix + length)
        else:
            room = box.scratch + (box.count - 1) * SCRATCH
            write_prefix(endpoint, room, header, length)
            add_vector(endpoint, room, endpoint.tx_prefix)
            add_vector(endpoint, frame, length)
        return PUT
    cut: Segments
    size: uint32_t = 0
    start: uint32_t
    if not plan(frame, length, header, cython.address(cut)):
        return TX_BAD_OFFLOAD
    memset(cython.address(plain), 0, cython.sizeof(VnetHeader))
    while segment[0] < cut.count:
        if box.count == box.capacity:
            return NO_ROOM
        room = box.scratch + box.count * SCRATCH
        start = payload_at(cython.address(cut), segment[0], cython.address(size))
        add_message(
            endpoint,
            index,
            segment[0],
            cut.layout.payload + size,
            LAST_SEGMENT if segment[0] + 1 == cut.count else SEGMENT,
        )
        if endpoint.tx_prefix:
            write_prefix(endpoint, room, cython.address(plain), length)
        write_headers(frame, cython.address(cut), segment[0], room + endpoint.tx_prefix)
        add_vector(endpoint, room, endpoint.tx_prefix + cut.layout.payload)
        if size:
            add_vector(endpoint, frame + start, size)
        segment[0] += 1
    return PUT
