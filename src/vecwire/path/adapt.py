"""Adapts frames to what an egress can take, as packets and messages in its outbox.

Theory of operation: a frame leaves as it is, behind its encapsulation or its virtio-net header; or, where it
is a super-frame that the egress cannot take, as segments; or, where it goes on with the stream of the frame
before it and the egress takes super-frames, as part of one. Headers in front of a frame are written into the
free octets before it where there are enough, and into the outbox's scratch memory where there are not;
segments and super-frames that are made here have their headers in scratch memory and their payload where it
was received. A frame that lacks its checksum gets it in place where the egress speaks no virtio-net headers.

A packet is what the wire carries, a message what a system call carries: packets of one length, the last one
perhaps shorter, share a message where the socket cuts it again (UDP_SEGMENT, udp(7)). Their vectors lie next
to each other, so a message takes one more packet by counting its vectors too.

``put`` adds a frame's packets and says when there is no more room, or no more time to cut a super-frame,
which may be a thousand packets; it never sends. It counts nothing that would be counted twice when the same
frame is put again after a stall.
"""

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.adapt import NO_ROOM, PUT, TOO_LATE
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.io import (
    JOINED,
    LAST_SEGMENT,
    MOST_JOINED,
    MOST_OCTETS,
    MOST_SEGMENTS,
    SCRATCH,
    SEGMENT,
    SUPER,
    WHOLE,
    Endpoint,
)
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.wire.coalesce import Train, begin, join, write_super_headers
from cython.cimports.vecwire.wire.counters import TX_BAD_OFFLOAD, TX_CHECKSUMS, TX_RUNT
from cython.cimports.vecwire.wire.encap import write_header
from cython.cimports.vecwire.wire.ethernet import HEADER
from cython.cimports.vecwire.wire.segment import Segments, payload_at, plan, write_headers
from cython.cimports.vecwire.wire.vnet import (
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    NEEDS_CSUM,
    VnetHeader,
    complete_checksum,
    plausible,
)

JOINABLE = cython.declare(uint32_t, (1 << 1) | (1 << 4))


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
def scratch(endpoint: cython.pointer[Endpoint], length: uint32_t) -> cython.pointer[uint8_t]:
    """Takes octets of the outbox's scratch memory; ``has_room`` has said that they are there."""
    box = cython.address(endpoint.outbox)
    at: cython.pointer[uint8_t] = box.scratch + box.scratch_used
    box.scratch_used += (length + 15) & ~cython.cast(uint32_t, 15)
    return at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def has_room(endpoint: cython.pointer[Endpoint], vectors: uint32_t) -> cython.bint:
    """Whether one more packet of so many vectors fits, with all the scratch memory that it may need."""
    box = cython.address(endpoint.outbox)
    return (
        box.count < box.capacity
        and box.vectors_used + vectors <= box.vectors_capacity
        and box.scratch_used + SCRATCH <= box.scratch_capacity
    )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_vector(
    endpoint: cython.pointer[Endpoint], at: cython.pointer[uint8_t], length: uint32_t
) -> cython.void:
    """Adds octets to the packet that is being made."""
    box = cython.address(endpoint.outbox)
    vector = cython.address(box.vectors[box.vectors_used])
    vector.iov_base = at
    vector.iov_len = length
    box.vectors_used += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def add_packet(
    endpoint: cython.pointer[Endpoint],
    vectors: uint32_t,
    index: uint32_t,
    segment: uint32_t,
    merged: uint32_t,
    octets: uint32_t,
    kind: uint8_t,
) -> cython.void:
    """Makes a packet of the ``vectors`` added last, in the message made last or in one of its own."""
    box = cython.address(endpoint.outbox)
    length: uint32_t = endpoint.tx_prefix + octets
    packet: uint32_t = box.count
    box.frames[packet] = index
    box.segments[packet] = segment
    box.merged[packet] = merged
    box.octets[packet] = octets
    box.kinds[packet] = kind
    box.count += 1
    if (
        box.train_size
        and length <= box.train_size
        and box.train_octets + length <= MOST_OCTETS
        and packet - box.first_packets[box.message_count - 1] < MOST_SEGMENTS
    ):
        box.messages[box.message_count - 1].msg_hdr.msg_iovlen += vectors
        box.train_octets += length
        if length < box.train_size:
            # A shorter packet is the last: the kernel cuts at every multiple of the first one's length.
            box.train_size = 0
        return
    message = cython.address(box.messages[box.message_count].msg_hdr)
    message.msg_iov = cython.address(box.vectors[box.vectors_used - vectors])
    message.msg_iovlen = vectors
    message.msg_control = cython.NULL
    message.msg_controllen = 0
    box.first_packets[box.message_count] = packet
    box.message_count += 1
    box.train_size = length if length <= endpoint.segment_limit else 0
    box.train_octets = length


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_whole(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], index: uint32_t
) -> cython.void:
    """Adds a frame as it is, behind what the egress wants in front of it."""
    length: uint32_t = slots.lengths[index]
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
    header = cython.address(slots.vnet[index])
    prefix: uint32_t = endpoint.tx_prefix
    kind: uint8_t = WHOLE if header.gso_type == GSO_NONE else SUPER
    room: cython.pointer[uint8_t]
    if header.flags & NEEDS_CSUM and not endpoint.tx_vnet:
        complete_checksum(frame, length, header)
        endpoint.counters[TX_CHECKSUMS] += 1
    if prefix and slots.heads[index] < prefix:
        room = scratch(endpoint, prefix)
        write_prefix(endpoint, room, header, length)
        add_vector(endpoint, room, prefix)
        add_vector(endpoint, frame, length)
        add_packet(endpoint, 2, index, 0, 0, length, kind)
        return
    if prefix:
        write_prefix(endpoint, frame - prefix, header, length)
    add_vector(endpoint, frame - prefix, prefix + length)
    add_packet(endpoint, 1, index, 0, 0, length, kind)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def too_late(endpoint: cython.pointer[Endpoint]) -> cython.bint:
    """Whether others have waited long enough for what is being done here."""
    until: uint64_t = 0 if endpoint.turn == cython.NULL else endpoint.turn.until
    return until != 0 and now() > until


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_segments(
    endpoint: cython.pointer[Endpoint],
    slots: cython.pointer[Slots],
    index: uint32_t,
    segment: cython.pointer[uint32_t],
) -> int32_t:
    """Adds the segments of a super-frame, from number ``segment`` on, as far as there is room."""
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
    room: cython.pointer[uint8_t]
    plain: VnetHeader
    cut: Segments
    size: uint32_t = 0
    start: uint32_t
    head: uint32_t
    if not plan(frame, slots.lengths[index], cython.address(slots.vnet[index]), cython.address(cut)):
        return TX_BAD_OFFLOAD
    if too_late(endpoint):
        return TOO_LATE
    memset(cython.address(plain), 0, cython.sizeof(VnetHeader))
    head = endpoint.tx_prefix + cut.layout.payload
    while segment[0] < cut.count:
        if not has_room(endpoint, 2):
            return NO_ROOM
        room = scratch(endpoint, head)
        start = payload_at(cython.address(cut), segment[0], cython.address(size))
        if endpoint.tx_prefix:
            write_prefix(endpoint, room, cython.address(plain), head + size)
        write_headers(frame, cython.address(cut), segment[0], room + endpoint.tx_prefix)
        add_vector(endpoint, room, head)
        if size:
            add_vector(endpoint, frame + start, size)
        add_packet(
            endpoint,
            2 if size else 1,
            index,
            segment[0],
            0,
            cut.layout.payload + size,
            LAST_SEGMENT if segment[0] + 1 == cut.count else SEGMENT,
        )
        segment[0] += 1
    return PUT


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_joined(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], index: uint32_t, last: uint32_t
) -> int32_t:
    """Adds one super-frame made of the frames from ``index`` on.

    Returns how many they are, 0 where none joins the first, NO_ROOM where they must wait for the next outbox.
    """
    train: Train
    header: VnetHeader
    room: cython.pointer[uint8_t]
    head: uint32_t
    at: uint32_t = index + 1
    if not begin(cython.address(train), slots.memory + slots.starts[index], slots.lengths[index]):
        return 0
    if not (endpoint.gso >> (GSO_TCPV4 if train.layout.version == 4 else GSO_TCPV6)) & 1:
        return 0
    while at < last and train.count < MOST_JOINED:
        if not join(cython.address(train), slots.memory + slots.starts[at], slots.lengths[at]):
            break
        at += 1
    if train.count == 1:
        return 0
    if not has_room(endpoint, train.count + 1):
        return NO_ROOM
    head = train.layout.payload
    room = scratch(endpoint, endpoint.tx_prefix + head)
    write_super_headers(cython.address(train), room + endpoint.tx_prefix, cython.address(header))
    write_prefix(endpoint, room, cython.address(header), train.octets)
    add_vector(endpoint, room, endpoint.tx_prefix + head)
    for at in range(index, index + train.count):
        add_vector(endpoint, slots.memory + slots.starts[at] + head, slots.lengths[at] - head)
    add_packet(endpoint, train.count + 1, index, 0, train.count, train.octets, JOINED)
    return cython.cast(int32_t, train.count)


def put(
    endpoint: cython.pointer[Endpoint],
    slots: cython.pointer[Slots],
    index: uint32_t,
    last: uint32_t,
    segment: cython.pointer[uint32_t],
    taken: cython.pointer[uint32_t],
) -> int32_t:
    """Adds the packets that a frame leaves as, from segment ``segment`` on.

    Returns PUT when all of the frame is in the outbox, and as many frames after it as ``taken`` says, itself
    counted; NO_ROOM when the rest of it must wait for the next outbox (``segment`` says from where), TOO_LATE
    when it must wait for a later turn; or the counter of the reason why the frame cannot be sent.
    """
    length: uint32_t = slots.lengths[index]
    header = cython.address(slots.vnet[index])
    kind: uint32_t = header.gso_type & ~cython.cast(uint32_t, GSO_ECN)
    taken[0] = 1
    if length < HEADER:
        return TX_RUNT
    if (header.flags or header.gso_type) and not plausible(
        slots.memory + slots.starts[index], length, header
    ):
        return TX_BAD_OFFLOAD
    if not has_room(endpoint, 2):
        return NO_ROOM
    if kind != GSO_NONE and not (endpoint.gso >> kind) & 1:
        return put_segments(endpoint, slots, index, segment)
    if slots.plain and endpoint.gso & JOINABLE and endpoint.tx_vnet and index + 1 < last:
        joined: int32_t = put_joined(endpoint, slots, index, last)
        if joined < 0:
            return NO_ROOM
        if joined > 0:
            taken[0] = cython.cast(uint32_t, joined)
            return PUT
    put_whole(endpoint, slots, index)
    return PUT
