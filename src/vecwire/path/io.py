"""Moves frames between descriptors and memory: the only place that makes the system calls of the path.

Theory of operation: ``receive`` fills a batch with one recvmmsg, or with a readv a frame on a tap, takes off
what stands in front of each frame and leaves in the table only those that are good; every other one is
counted by its reason. ``transmit`` puts frames into the outbox, sends the outbox with one sendmmsg, or with
a writev a message on a tap, and stops at the first message that the kernel does not take now: the frame
and segment that it stopped at are remembered, so that nothing is sent twice.

What an errno means is written in ``errnos.py`` alone.
"""

import errno as errnos

import cython
from cython.cimports.libc.stdint import int32_t, uint16_t, uint32_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.adapt import NO_ROOM, put
from cython.cimports.vecwire.path.batch import Slots, wire
from cython.cimports.vecwire.path.errnos import DROP, LOST, NOTE, WAIT, Rule, on_receive, on_send
from cython.cimports.vecwire.path.io import CONTROL_OUT, JOINED, LAST_SEGMENT, SUPER, WHOLE, Endpoint
from cython.cimports.vecwire.path.linux import (
    CMSG_DATA,
    CMSG_FIRSTHDR,
    CMSG_LEN,
    CMSG_NXTHDR,
    CMSG_SPACE,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_TRUNC,
    PACKET_AUXDATA,
    SOL_PACKET,
    SOL_UDP,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    UDP_GRO,
    UDP_SEGMENT,
    errno,
    msghdr,
    readv,
    recvmmsg,
    recvmsg,
    sendmmsg,
    sendmsg,
    tpacket_auxdata,
    writev,
)
from cython.cimports.vecwire.wire import counters as count
from cython.cimports.vecwire.wire.encap import strip
from cython.cimports.vecwire.wire.ethernet import HEADER, VLAN_TAG, insert_vlan
from cython.cimports.vecwire.wire.vnet import GSO_ECN, GSO_NONE, NEEDS_CSUM, VnetHeader, plausible

EINTR = cython.declare(cython.int, errnos.EINTR)
EAGAIN = cython.declare(cython.int, errnos.EAGAIN)
EPIPE = cython.declare(cython.int, errnos.EPIPE)
EIO = cython.declare(cython.int, errnos.EIO)
ENOBUFS = cython.declare(cython.int, errnos.ENOBUFS)
EINVAL = cython.declare(cython.int, errnos.EINVAL)
EMSGSIZE = cython.declare(cython.int, errnos.EMSGSIZE)
#: Reports about earlier frames, and frames that the kernel cannot give, taken in one call at the most.
PATIENCE = cython.declare(cython.int, 64)
#: Refusals in a row, a millisecond apart in a worker, after which a kind of super-frame is given up.
MOST_REFUSALS = cython.declare(uint32_t, 30)
CUSTOMER_TAG = cython.declare(uint32_t, 0x8100)


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
            counters[-offset] += 1
            return
    if length < cython.cast(uint32_t, offset) + HEADER:
        counters[count.RX_RUNT] += 1
        return
    slots.starts[at] = start + offset
    slots.lengths[at] = length - offset
    slots.heads[at] = head + offset
    slots.progress[at] = 0
    if endpoint.rx_vnet:
        if not plausible(header, slots.lengths[at]):
            counters[count.RX_BAD_VNET] += 1
            return
        if endpoint.auxdata and restore_tag(slots, at, cython.address(slots.messages[slot].msg_hdr)):
            counters[count.RX_VLAN] += 1
        if header.gso_type != GSO_NONE:
            counters[count.RX_SUPER] += 1
    elif endpoint.auxdata and restore_tag(slots, at, cython.address(slots.messages[slot].msg_hdr)):
        counters[count.RX_VLAN] += 1
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
    if length == 0:
        endpoint.counters[count.RX_RUNT] += 1
    while within < length:
        if slots.count == slots.capacity:
            endpoint.counters[count.RX_TRUNCATED] += 1
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
    if rule.action == LOST:
        endpoint.lost = error
        endpoint.counters[count.LOST] += 1
    return rule.action == NOTE or rule.action == DROP


def receive(endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots]) -> uint32_t:
    """Receives frames into a batch, whose frames it replaces; returns how many are good."""
    got: cython.Py_ssize_t = -1
    i: uint32_t
    limit: uint32_t = slots.depth if endpoint.vec else 1
    patience: cython.int = PATIENCE
    slots.count = 0
    slots.used = 0
    slots.plain = not endpoint.rx_vnet
    if endpoint.lost:
        return 0
    wire(slots, endpoint.rx_prefix, endpoint.auxdata or endpoint.udp_gro)
    if endpoint.rx_tun:
        i = 0
        while i < limit:
            got = readv(endpoint.rx_fd, cython.address(slots.vectors[i]), 1)
            if got < 0:
                patience -= 1
                if excused(endpoint, errno) and patience:
                    continue
                break
            # A read that fills the slot may have been cut: the slot is longer than the longest frame.
            if cython.cast(cython.size_t, got) >= slots.vectors[i].iov_len:
                endpoint.counters[count.RX_TRUNCATED] += 1
            else:
                accept(endpoint, slots, i, 0, got)
            endpoint.counters[count.RX_CALLS] += 1
            i += 1
        slots.used = i
        return slots.count
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
    for i in range(slots.used):
        if slots.messages[i].msg_len == 0 and endpoint.seqpacket:
            # An empty record is the end: seqpacket has no other sign that the peer has closed.
            endpoint.lost = EPIPE
            endpoint.counters[count.LOST] += 1
            break
        if slots.messages[i].msg_hdr.msg_flags & MSG_TRUNC:
            endpoint.counters[count.RX_TRUNCATED] += 1
        elif endpoint.udp_gro:
            accept_pieces(endpoint, slots, i, slots.messages[i].msg_len)
        else:
            accept(endpoint, slots, i, 0, slots.messages[i].msg_len)
    return slots.count


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def account(endpoint: cython.pointer[Endpoint], first: uint32_t, last: uint32_t) -> cython.void:
    """Counts the packets that one call has sent."""
    box = cython.address(endpoint.outbox)
    i: uint32_t
    endpoint.counters[count.TX_CALLS] += 1
    endpoint.counters[count.TX_FRAMES] += last - first
    for i in range(first, last):
        endpoint.counters[count.TX_OCTETS] += box.octets[i]
        if box.kinds[i] == SUPER:
            endpoint.counters[count.TX_SUPER] += 1
        elif box.kinds[i] != WHOLE:
            account_made(endpoint, i)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def account_made(endpoint: cython.pointer[Endpoint], packet: uint32_t) -> cython.void:
    """Counts a packet that was made here and is done with, sent or dropped.

    So frames offered are always ``tx_frames`` and the drops, less ``tx_segments``, plus ``tx_split``, less
    ``tx_joined``, plus ``tx_merged``.
    """
    box = cython.address(endpoint.outbox)
    if box.kinds[packet] == JOINED:
        endpoint.counters[count.TX_JOINED] += 1
        endpoint.counters[count.TX_MERGED] += box.merged[packet]
        return
    if box.kinds[packet] == LAST_SEGMENT:
        endpoint.counters[count.TX_SPLIT] += 1
    endpoint.counters[count.TX_SEGMENTS] += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def end_of(endpoint: cython.pointer[Endpoint], message: uint32_t) -> uint32_t:
    """The first packet that is not in a message, or in any before it."""
    box = cython.address(endpoint.outbox)
    return box.first_packets[message + 1] if message + 1 < box.message_count else box.count


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def mark_trains(endpoint: cython.pointer[Endpoint]) -> cython.void:
    """Tells the kernel where to cut the messages that carry several packets."""
    box = cython.address(endpoint.outbox)
    message: uint32_t
    size: uint16_t
    for message in range(box.message_count):
        first: uint32_t = box.first_packets[message]
        if end_of(endpoint, message) - first < 2:
            continue
        header = cython.address(box.messages[message].msg_hdr)
        header.msg_control = box.controls + message * CONTROL_OUT
        header.msg_controllen = CMSG_SPACE(2)
        control = CMSG_FIRSTHDR(header)
        control.cmsg_level = SOL_UDP
        control.cmsg_type = UDP_SEGMENT
        control.cmsg_len = CMSG_LEN(2)
        size = cython.cast(uint16_t, endpoint.tx_prefix + box.octets[first])
        memcpy(CMSG_DATA(control), cython.address(size), 2)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def lowered(endpoint: cython.pointer[Endpoint], message: uint32_t, error: cython.int) -> cython.bint:
    """Lowers what UDP_SEGMENT is used for, where that may be why the kernel refused; True to try again.

    EIO says that the device on the route cannot finish the checksums, EINVAL or EMSGSIZE that such segments
    are longer than the path's MTU (net/ipv4/udp.c, udp_send_skb): shorter ones may still go together.
    """
    box = cython.address(endpoint.outbox)
    first: uint32_t = box.first_packets[message]
    if end_of(endpoint, message) - first < 2:
        return False
    if error == EIO:
        endpoint.segment_limit = 0
    elif error == EINVAL or error == EMSGSIZE:
        endpoint.segment_limit = endpoint.tx_prefix + box.octets[first] - 1
    else:
        return False
    endpoint.counters[count.DOWNGRADES] += 1
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def uncut(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], message: uint32_t, error: cython.int
) -> cython.bint:
    """Gives up a kind of super-frame that is refused for want of room for too long; True to try again.

    Past the queueing discipline the kernel cuts nothing: an interface that cannot segment refuses a
    super-frame with ENOBUFS, as a full queue does, but for ever (__dev_direct_xmit, net/core/dev.c).
    """
    box = cython.address(endpoint.outbox)
    packet: uint32_t = box.first_packets[message]
    kind: uint32_t
    if error != ENOBUFS or (box.kinds[packet] != SUPER and box.kinds[packet] != JOINED):
        return False
    endpoint.refusals += 1
    if endpoint.refusals < MOST_REFUSALS:
        return False
    if box.kinds[packet] == JOINED:
        endpoint.gso = 0
    else:
        kind = slots.vnet[box.frames[packet]].gso_type & ~cython.cast(uint32_t, GSO_ECN)
        endpoint.gso &= ~(cython.cast(uint32_t, 1) << kind)
    endpoint.refusals = 0
    endpoint.counters[count.DOWNGRADES] += 1
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def flush(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], refit: cython.pointer[cython.bint]
) -> uint32_t:
    """Sends the outbox; returns how many of its packets are done with: sent, or dropped and counted.

    ``refit`` says that the rest is to be put again, since less may be asked of the kernel than was.
    """
    box = cython.address(endpoint.outbox)
    done: uint32_t = 0
    # The messages up to the one that was refused for its length once.
    doubted: uint32_t = 0
    sent: cython.Py_ssize_t
    error: cython.int
    patience: cython.int = PATIENCE
    rule: Rule
    if endpoint.segment_limit:
        mark_trains(endpoint)
    while done < box.message_count:
        message = cython.address(box.messages[done])
        if endpoint.tx_tun:
            sent = writev(
                endpoint.tx_fd, message.msg_hdr.msg_iov, cython.cast(cython.int, message.msg_hdr.msg_iovlen)
            )
        elif endpoint.vec:
            sent = sendmmsg(endpoint.tx_fd, message, box.message_count - done, MSG_DONTWAIT | MSG_NOSIGNAL)
        else:
            sent = sendmsg(endpoint.tx_fd, cython.address(message.msg_hdr), MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent >= 0:
            endpoint.refusals = 0
            if doubted == done + 1:
                # It was a report about an earlier packet.
                endpoint.counters[count.UNREACHABLE] += 1
            if endpoint.tx_tun or not endpoint.vec:
                sent = 1
            account(
                endpoint,
                box.first_packets[done],
                end_of(endpoint, done + cython.cast(uint32_t, sent) - 1),
            )
            while sent:
                if end_of(endpoint, done) - box.first_packets[done] > 1:
                    endpoint.counters[count.TX_TRAINS] += 1
                done += 1
                sent -= 1
            continue
        error = errno
        if error == EINTR:
            continue
        if error == EMSGSIZE and endpoint.encap != cython.NULL and doubted != done + 1:
            # A router's word about an earlier packet comes in the same way, once (ip(7), IP_MTU_DISCOVER):
            # this one may well be short enough.
            doubted = done + 1
            continue
        if lowered(endpoint, done, error) or uncut(endpoint, slots, done, error):
            refit[0] = True
            break
        rule = on_send(error)
        if rule.action == NOTE and patience:
            endpoint.counters[rule.counter] += 1
            patience -= 1
            continue
        if rule.action == WAIT or rule.action == NOTE:
            endpoint.blocked = error
            endpoint.counters[count.TX_STALLS] += 1
            break
        if rule.action == LOST:
            endpoint.lost = error
            endpoint.counters[count.LOST] += 1
            break
        drop(endpoint, done, rule.counter)
        done += 1
    return box.first_packets[done] if done < box.message_count else box.count


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def drop(endpoint: cython.pointer[Endpoint], message: uint32_t, counter: cython.int) -> cython.void:
    """Counts the packets of a message that the kernel refused."""
    box = cython.address(endpoint.outbox)
    packet: uint32_t
    for packet in range(box.first_packets[message], end_of(endpoint, message)):
        endpoint.counters[counter] += 1
        if box.kinds[packet] >= JOINED:
            account_made(endpoint, packet)


def transmit(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], first: uint32_t, last: uint32_t
) -> uint32_t:
    """Sends frames ``first`` to ``last`` in order; returns the first one that is not done with.

    ``endpoint.blocked`` or ``endpoint.lost`` says why it stopped before ``last``; the segments of that frame
    that have been sent are in ``slots.progress``.
    """
    box = cython.address(endpoint.outbox)
    index: uint32_t = first
    at: uint32_t
    segment: uint32_t
    done: uint32_t
    taken: uint32_t = 1
    outcome: int32_t = 0
    refit: cython.bint
    endpoint.blocked = 0
    while index < last and not endpoint.lost:
        box.count = 0
        box.vectors_used = 0
        box.scratch_used = 0
        box.message_count = 0
        box.train_size = 0
        refit = False
        at = index
        segment = slots.progress[at]
        while True:
            outcome = put(endpoint, slots, at, last, cython.address(segment), cython.address(taken))
            if outcome != 0:
                break
            at += taken
            if at == last:
                break
            segment = slots.progress[at]
        done = flush(endpoint, slots, cython.address(refit))
        # Only the first frame of an outbox can have been begun before: now it is done with, or begun anew.
        slots.progress[index] = 0
        if done < box.count:
            index = box.frames[done]
            slots.progress[index] = box.segments[done]
            if endpoint.encap != cython.NULL and endpoint.encap.tx_counter_at >= 0:
                endpoint.encap.counter -= box.count - done
            if refit:
                continue
            return index
        if outcome == NO_ROOM:
            slots.progress[at] = segment
        elif outcome > 0:
            # Judged only now, after all before it is sent: a stall never makes it judged twice.
            endpoint.counters[outcome] += 1
            at += 1
        index = at
    return index
