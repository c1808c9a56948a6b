"""Receives frames into memory: with one recvmmsg a batch, or with a readv a frame on a tap.

``receive`` takes off what stands in front of each frame and leaves in the table only those that are good;
every other one is counted by its reason. What an errno means is written in ``errnos.py`` alone.
"""

import errno as errnos

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.errnos import DROP, LOST, NOTE, Rule, on_receive
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.path.linux import (
    CLOCK_REALTIME,
    CMSG_DATA,
    CMSG_FIRSTHDR,
    CMSG_NXTHDR,
    MSG_DONTWAIT,
    MSG_TRUNC,
    PACKET_AUXDATA,
    POLLRDHUP,
    SCM_TIMESTAMPNS,
    SOL_PACKET,
    SOL_SOCKET,
    SOL_UDP,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    UDP_GRO,
    clock_gettime,
    errno,
    msghdr,
    poll,
    pollfd,
    readv,
    recvmmsg,
    recvmsg,
    timespec,
    tpacket_auxdata,
)
from cython.cimports.vecwire.path.screen import screen
from cython.cimports.vecwire.path.slots import (
    CONTROL,
    STAMP_ALONE,
    Slots,
    fence_off,
    fence_off_unused,
    lay_open,
    wire,
)
from cython.cimports.vecwire.path.witness import (
    FRAME,
    GRE_PACKET,
    IPV4_PACKET,
    L2TP_DATAGRAM,
    L2TP_PACKET,
    take_drop,
)
from cython.cimports.vecwire.wire import counters as count
from cython.cimports.vecwire.wire.encap import GRE, is_late, strip
from cython.cimports.vecwire.wire.ethernet import HEADER, VLAN_TAG, insert_vlan
from cython.cimports.vecwire.wire.vnet import GSO_NONE, NEEDS_CSUM, VnetHeader, plausible

EINTR = cython.declare(cython.int, errnos.EINTR)
EPIPE = cython.declare(cython.int, errnos.EPIPE)
#: Reports about earlier frames, and frames that the kernel cannot give, taken in one call at the most.
PATIENCE = cython.declare(cython.int, 64)
#: Segments that the super-frames of a turn may ask for before it ends, where frames are read one by one: a
#: millisecond's work or so.
MOST_ASKED = cython.declare(uint32_t, 2048)
#: Segments that one super-frame may ask for: of TCP's whose peer takes 536 octets, the fewest without a word
#: (RFC 9293, 3.7.1), it is 122 at the most, and of UDP's 128 (linux/udp.h, UDP_MAX_SEGMENTS).
MOST_CUT = cython.declare(uint32_t, 1024)
CUSTOMER_TAG = cython.declare(uint32_t, 0x8100)
SECOND = cython.declare(uint64_t, 1_000_000_000)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def stamp(slots: cython.pointer[Slots], first: uint32_t, message: cython.pointer[msghdr]) -> cython.void:
    """Writes when frames were received, from row ``first`` on: as the kernel says, or now on a tap."""
    time: timespec
    moment: uint64_t
    row: uint32_t
    time.tv_sec = 0
    time.tv_nsec = 0
    if message == cython.NULL:
        clock_gettime(CLOCK_REALTIME, cython.address(time))
    else:
        control = CMSG_FIRSTHDR(message)
        while control != cython.NULL:
            if control.cmsg_level == SOL_SOCKET and control.cmsg_type == SCM_TIMESTAMPNS:
                memcpy(cython.address(time), CMSG_DATA(control), cython.sizeof(timespec))
                break
            control = CMSG_NXTHDR(message, control)
    moment = cython.cast(uint64_t, time.tv_sec) * SECOND + cython.cast(uint64_t, time.tv_nsec)
    for row in range(first, slots.count):
        slots.stamps[row] = moment


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def restore_tag(slots: cython.pointer[Slots], at: uint32_t, message: cython.pointer[msghdr]) -> cython.bint:
    """Puts back the VLAN tag that a packet socket gives in PACKET_AUXDATA (packet(7))."""
    auxiliary: cython.pointer[tpacket_auxdata]
    control = CMSG_FIRSTHDR(message)
    while control != cython.NULL:
        if control.cmsg_level == SOL_PACKET and control.cmsg_type == PACKET_AUXDATA:
            auxiliary = cython.cast(cython.pointer[tpacket_auxdata], CMSG_DATA(control))
            if not auxiliary.tp_status & TP_STATUS_VLAN_VALID:
                return False
            insert_vlan(
                slots.memory + slots.starts[at],
                auxiliary.tp_vlan_tpid if auxiliary.tp_status & TP_STATUS_VLAN_TPID_VALID else CUSTOMER_TAG,
                auxiliary.tp_vlan_tci,
            )
            slots.starts[at] -= VLAN_TAG
            slots.heads[at] -= VLAN_TAG
            slots.lengths[at] += VLAN_TAG
            # The kernel counts the offsets of the header from the frame without its tag.
            if slots.vnet[at].flags & NEEDS_CSUM:
                slots.vnet[at].csum_start += VLAN_TAG
            if slots.vnet[at].hdr_len:
                slots.vnet[at].hdr_len += VLAN_TAG
            return True
        control = CMSG_NXTHDR(message, control)
    return False


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def reject(
    endpoint: cython.pointer[Endpoint],
    octets: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    reason: uint32_t,
) -> cython.void:
    """Counts a packet as dropped, as it was received, and records it where somebody watches."""
    what: uint8_t = FRAME
    header: VnetHeader
    taken: uint32_t = min(endpoint.rx_vnet, length)
    endpoint.counters[reason] += 1
    if endpoint.witness == cython.NULL:
        return
    memset(cython.address(header), 0, cython.sizeof(VnetHeader))
    if endpoint.encap != cython.NULL:
        if endpoint.encap.ip_header:
            what = IPV4_PACKET
        elif endpoint.encap.kind == GRE:
            what = GRE_PACKET
        else:
            what = L2TP_DATAGRAM if endpoint.encap.udp else L2TP_PACKET
    elif taken:
        memcpy(cython.address(header), octets, taken)
        octets += taken
        length -= taken
    take_drop(endpoint.witness, reason, what, octets, length, cython.address(header))


def asked(slots: cython.pointer[Slots], index: uint32_t) -> uint32_t:
    """How many segments a frame asks for, or a few more: 1 where it is no super-frame."""
    header = cython.address(slots.vnet[index])
    return 1 if header.gso_type == GSO_NONE else slots.lengths[index] // max(header.gso_size, 1) + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def accept(
    endpoint: cython.pointer[Endpoint],
    slots: cython.pointer[Slots],
    slot: uint32_t,
    within: uint32_t,
    length: uint32_t,
) -> cython.void:
    """Takes ``length`` octets, received ``within`` octets into a slot, into the table, or counts why not."""
    counters = cython.address(endpoint.counters[0])
    # What stands before the first packet in a slot is free; before a later one, only its own header is.
    head: uint32_t = 0 if within else slots.headroom - endpoint.rx_prefix
    start: uint32_t = slot * slots.stride + slots.headroom - endpoint.rx_prefix + within
    at: uint32_t = slots.count
    offset: int32_t = 0
    header = cython.address(slots.vnet[at])
    memset(header, 0, cython.sizeof(VnetHeader))
    if endpoint.rx_vnet:
        offset = endpoint.rx_vnet
        if length >= endpoint.rx_vnet:
            memcpy(header, slots.memory + start, endpoint.rx_vnet)
            header.num_buffers = 0
    elif endpoint.encap != cython.NULL:
        offset = strip(endpoint.encap, slots.memory + start, length)
        if offset < 0:
            reject(endpoint, slots.memory + start, length, cython.cast(uint32_t, -offset))
            return
        if is_late(endpoint.encap, slots.memory + start, offset):
            counters[count.RX_LATE] += 1
    if length < cython.cast(uint32_t, offset) + HEADER:
        reject(endpoint, slots.memory + start, length, count.RX_RUNT)
        return
    slots.starts[at] = start + offset
    slots.lengths[at] = length - offset
    slots.heads[at] = head + offset
    slots.progress[at] = 0
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[at]
    if endpoint.rx_vnet and (not plausible(frame, slots.lengths[at], header) or asked(slots, at) > MOST_CUT):
        reject(endpoint, slots.memory + start, length, count.RX_BAD_VNET)
        return
    if endpoint.auxdata and restore_tag(slots, at, cython.address(slots.messages[slot].msg_hdr)):
        counters[count.RX_VLAN] += 1
    # Read once: it may be replaced while frames move.
    program = endpoint.program
    frame = slots.memory + slots.starts[at]
    if program != cython.NULL and not screen(endpoint, program, frame, slots.lengths[at], header):
        return
    if header.gso_type != GSO_NONE:
        counters[count.RX_SUPER] += 1
    counters[count.RX_FRAMES] += 1
    counters[count.RX_OCTETS] += slots.lengths[at]
    slots.count += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def accept_pieces(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], slot: uint32_t, length: uint32_t
) -> cython.void:
    """Takes the datagrams that the kernel gave in one piece (UDP_GRO, udp(7)), each as a frame of its own."""
    message = cython.address(slots.messages[slot].msg_hdr)
    within: uint32_t = 0
    size: cython.int = 0
    control = CMSG_FIRSTHDR(message)
    while control != cython.NULL:
        if control.cmsg_level == SOL_UDP and control.cmsg_type == UDP_GRO:
            memcpy(cython.address(size), CMSG_DATA(control), cython.sizeof(cython.int))
        control = CMSG_NXTHDR(message, control)
    piece: uint32_t = cython.cast(uint32_t, size) if 0 < size < cython.cast(cython.int, length) else length
    octets = cython.cast(cython.pointer[uint8_t], slots.vectors[slot].iov_base)
    if length == 0:
        reject(endpoint, octets, 0, count.RX_RUNT)
    while within < length:
        if slots.count == slots.capacity:
            reject(endpoint, octets + within, min(piece, length - within), count.RX_TRUNCATED)
        else:
            accept(endpoint, slots, slot, within, min(piece, length - within))
        within += piece


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def excused(endpoint: cython.pointer[Endpoint], error: cython.int) -> cython.bint:
    """Judges an errno of receiving: True where the call is to be made again."""
    if error == EINTR:
        return True
    rule: Rule = on_receive(error)
    if rule.counter >= 0:
        endpoint.counters[rule.counter] += 1
    if rule.action == LOST and not endpoint.lost:
        endpoint.lost = error
        endpoint.counters[count.LOST] += 1
    return rule.action == NOTE or rule.action == DROP


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def brought(endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots]) -> uint32_t:
    """How many frames a batch has brought; the most of them is kept in mind."""
    endpoint.counters[count.RX_MOST] = max(endpoint.counters[count.RX_MOST], slots.count)
    return slots.count


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def room_for_control(endpoint: cython.pointer[Endpoint]) -> uint32_t:
    """How many octets of control messages may come with a frame."""
    if endpoint.seqpacket:
        # A peer may send descriptors too (SCM_RIGHTS, unix(7)), which stay open here where there is room for
        # them. The time comes first (net/unix/af_unix.c, __unix_dgram_recvmsg), and leaves none.
        return STAMP_ALONE if endpoint.stamps else 0
    return CONTROL if endpoint.auxdata or endpoint.udp_gro or endpoint.stamps else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def end_of_records(endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots]) -> uint32_t:
    """How many of the records received are records: where the peer has gone, empty ones follow for ever.

    A peer may also send empty records, and stay: poll(2) tells the two apart.
    """
    count_: uint32_t = slots.used
    watched: pollfd
    if slots.messages[count_ - 1].msg_len != 0:
        return count_
    watched.fd = endpoint.rx_fd
    watched.events = POLLRDHUP
    watched.revents = 0
    if poll(cython.address(watched), 1, 0) != 1:
        return count_
    while count_ and slots.messages[count_ - 1].msg_len == 0:
        count_ -= 1
    if not endpoint.lost:
        endpoint.lost = EPIPE
        endpoint.counters[count.LOST] += 1
    return count_


def receive(endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots]) -> uint32_t:
    """Receives frames into a batch, whose frames it replaces; returns how many are good.

    What had come before the peer or the interface went away can still be received: the loss may be noticed
    by sending, or be told before what is queued. Once a call brings nothing more, it has ended.
    """
    got: uint32_t = take(endpoint, slots)
    if endpoint.lost and not got:
        endpoint.ended = True
    return got


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def take(endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots]) -> uint32_t:
    """Receives once."""
    got: cython.Py_ssize_t = -1
    i: uint32_t
    row: uint32_t
    limit: uint32_t = slots.depth if endpoint.vec else 1
    # What the super-frames of this turn ask for, in segments.
    segments: uint32_t = 0
    # Where in a slot packets begin.
    start: uint32_t = slots.headroom - endpoint.rx_prefix
    patience: cython.int = PATIENCE
    if endpoint.most and endpoint.most < limit:
        limit = endpoint.most
    slots.count = 0
    slots.used = 0
    slots.plain = not endpoint.rx_vnet
    slots.stamped = endpoint.stamps
    if endpoint.lost and (endpoint.ended or endpoint.rx_fd < 0):
        return 0
    lay_open(slots)
    wire(slots, endpoint.rx_prefix, room_for_control(endpoint))
    if endpoint.rx_tun:
        i = 0
        while i < limit and segments < MOST_ASKED:
            got = readv(endpoint.rx_fd, cython.address(slots.vectors[i]), 1)
            if got < 0:
                patience -= 1
                if excused(endpoint, errno) and patience:
                    continue
                break
            # A read that fills the slot may have been cut: the slot is longer than the longest frame.
            if cython.cast(cython.size_t, got) >= slots.vectors[i].iov_len:
                reject(
                    endpoint,
                    cython.cast(cython.pointer[uint8_t], slots.vectors[i].iov_base),
                    cython.cast(uint32_t, got),
                    count.RX_TRUNCATED,
                )
            else:
                row = slots.count
                fence_off(slots, i, start + got)
                accept(endpoint, slots, i, 0, got)
                if slots.count > row and slots.vnet[row].gso_type:
                    segments += asked(slots, row)
                if endpoint.stamps:
                    stamp(slots, row, cython.NULL)
            endpoint.counters[count.RX_CALLS] += 1
            i += 1
        slots.used = i
        fence_off_unused(slots)
        return brought(endpoint, slots)
    while patience:
        if limit > 1:
            got = recvmmsg(endpoint.rx_fd, slots.messages, limit, MSG_DONTWAIT, cython.NULL)
        else:
            got = recvmsg(endpoint.rx_fd, cython.address(slots.messages[0].msg_hdr), MSG_DONTWAIT)
            if got >= 0:
                slots.messages[0].msg_len = cython.cast(uint32_t, got)
                got = 1
        if got >= 0:
            break
        if not excused(endpoint, errno):
            return 0
        patience -= 1
    if got <= 0:
        return 0
    endpoint.counters[count.RX_CALLS] += 1
    slots.used = cython.cast(uint32_t, got)
    if endpoint.seqpacket:
        slots.used = end_of_records(endpoint, slots)
    fence_off_unused(slots)
    for i in range(slots.used):
        row = slots.count
        fence_off(slots, i, start + slots.messages[i].msg_len)
        if slots.messages[i].msg_hdr.msg_flags & MSG_TRUNC:
            reject(
                endpoint,
                cython.cast(cython.pointer[uint8_t], slots.vectors[i].iov_base),
                slots.messages[i].msg_len,
                count.RX_TRUNCATED,
            )
        elif endpoint.udp_gro:
            accept_pieces(endpoint, slots, i, slots.messages[i].msg_len)
        else:
            accept(endpoint, slots, i, 0, slots.messages[i].msg_len)
        if endpoint.stamps:
            stamp(slots, row, cython.address(slots.messages[i].msg_hdr))
    return brought(endpoint, slots)
