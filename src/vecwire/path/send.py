"""Sends frames from memory: with one sendmmsg an outbox, or with a writev a message on a tap.

Theory of operation: ``transmit`` puts frames into the outbox (``adapt.py``), sends it, and stops at the first
message that the kernel does not take now: the frame and segment that it stopped at are remembered, so that
nothing is sent twice. It stops in the same way where super-frames ask for so much that it is the turn of
others. Where the kernel refuses an offload, less is asked of it from then on, and the rest is
put again. What an errno means is written in ``errnos.py`` alone.
"""

import errno as errnos

import cython
from cython.cimports.libc.stdint import int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.adapt import NO_ROOM, TOO_LATE, put
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.errnos import DOUBT, LOST, NOTE, WAIT, Rule, on_send
from cython.cimports.vecwire.path.io import CONTROL_OUT, JOINED, LAST_SEGMENT, SUPER, WHOLE, Endpoint
from cython.cimports.vecwire.path.linux import (
    CMSG_DATA,
    CMSG_FIRSTHDR,
    CMSG_LEN,
    CMSG_SPACE,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SOL_UDP,
    UDP_SEGMENT,
    errno,
    iovec,
    sendmmsg,
    sendmsg,
    writev,
)
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.path.witness import FRAME, begin_drop, lose
from cython.cimports.vecwire.wire import counters as count
from cython.cimports.vecwire.wire.vnet import GSO_ECN, VnetHeader

EAGAIN = cython.declare(cython.int, errnos.EAGAIN)
EINTR = cython.declare(cython.int, errnos.EINTR)
EIO = cython.declare(cython.int, errnos.EIO)
ENOBUFS = cython.declare(cython.int, errnos.ENOBUFS)
EINVAL = cython.declare(cython.int, errnos.EINVAL)
EMSGSIZE = cython.declare(cython.int, errnos.EMSGSIZE)
#: Reports about earlier frames, and frames that the kernel cannot give, taken in one call at the most.
PATIENCE = cython.declare(cython.int, 64)
#: Refusals in a row, each a millisecond or more after the one before, after which a kind of super-frame is
#: given up: how often it was tried meanwhile says nothing.
MOST_REFUSALS = cython.declare(uint32_t, 30)
MILLISECOND = cython.declare(uint64_t, 1_000_000)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def account(endpoint: cython.pointer[Endpoint], first: uint32_t, last: uint32_t) -> cython.void:
    """Counts the packets that one call has sent."""
    box = cython.address(endpoint.outbox)
    i: uint32_t
    endpoint.counters[count.TX_CALLS] += 1
    endpoint.counters[count.TX_FRAMES] += last - first
    endpoint.counters[count.TX_MOST] = max(endpoint.counters[count.TX_MOST], last - first)
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
    moment: uint64_t
    if error != ENOBUFS:
        return False
    if endpoint.doubted:
        # Segments do not pass either: it is not for the super-frames that there is no room.
        endpoint.gso |= endpoint.doubted
        endpoint.doubted = 0
        return False
    if box.kinds[packet] != SUPER and box.kinds[packet] != JOINED:
        return False
    moment = now()
    if moment - endpoint.refused_at < MILLISECOND:
        return False
    endpoint.refused_at = moment
    endpoint.refusals += 1
    if endpoint.refusals < MOST_REFUSALS:
        return False
    if box.kinds[packet] == JOINED:
        endpoint.doubted = endpoint.gso
    else:
        kind = slots.vnet[box.frames[packet]].gso_type & ~cython.cast(uint32_t, GSO_ECN)
        endpoint.doubted = cython.cast(uint32_t, 1) << kind
    endpoint.gso &= ~endpoint.doubted
    endpoint.refusals = 0
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
    # The messages up to the one that was refused once, by what may be a report about an earlier one.
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
            if endpoint.doubted:
                # Segments pass where the whole did not: so it stays.
                endpoint.doubted = 0
                endpoint.counters[count.DOWNGRADES] += 1
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
        rule = on_send(error)
        if rule.action == DOUBT and endpoint.encap != cython.NULL and doubted != done + 1:
            # A router's word about an earlier packet, or a forger's, comes in the same way, once (ip(7)):
            # this one may well be short enough, and its destination reachable.
            doubted = done + 1
            continue
        if lowered(endpoint, done, error) or uncut(endpoint, slots, done, error):
            refit[0] = True
            break
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
    if endpoint.witness != cython.NULL:
        record(endpoint, message, cython.cast(uint32_t, counter))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def record(endpoint: cython.pointer[Endpoint], message: uint32_t, counter: uint32_t) -> cython.void:
    """Records the packets of a message that was refused, each as the frame that it would have been."""
    box = cython.address(endpoint.outbox)
    vector: cython.pointer[iovec] = box.messages[message].msg_hdr.msg_iov
    within: cython.size_t = 0
    piece: cython.size_t
    skip: cython.size_t
    left: cython.size_t
    kept: uint32_t = 0
    packet: uint32_t
    header: VnetHeader
    memset(cython.address(header), 0, cython.sizeof(VnetHeader))
    for packet in range(box.first_packets[message], end_of(endpoint, message)):
        skip = endpoint.tx_prefix
        left = box.octets[packet]
        if endpoint.tx_vnet:
            memcpy(
                cython.address(header),
                cython.cast(cython.pointer[uint8_t], vector.iov_base) + within,
                endpoint.tx_vnet,
            )
        at = begin_drop(
            endpoint.witness,
            counter,
            FRAME,
            box.octets[packet],
            cython.address(header),
            cython.address(kept),
        )
        while skip or left:
            piece = vector.iov_len - within
            piece = min(piece, skip or left)
            if skip:
                skip -= piece
            else:
                left -= piece
                if at != cython.NULL:
                    memcpy(
                        at,
                        cython.cast(cython.pointer[uint8_t], vector.iov_base) + within,
                        min(piece, cython.cast(cython.size_t, kept)),
                    )
                    at += piece
                    kept -= cython.cast(uint32_t, min(piece, cython.cast(cython.size_t, kept)))
            within += piece
            if within == vector.iov_len:
                vector += 1
                within = 0


def transmit(
    endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots], first: uint32_t, last: uint32_t
) -> uint32_t:
    """Sends frames ``first`` to ``last`` in order; returns the first one that is not done with.

    ``endpoint.blocked`` or ``endpoint.lost`` says why it stopped before ``last``, and ``endpoint.yielded``
    that it was for others; the segments of that frame that have been sent are in ``slots.progress``.
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
    endpoint.yielded = False
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
        if outcome == TOO_LATE:
            slots.progress[at] = segment
            endpoint.blocked = EAGAIN
            endpoint.yielded = True
            return at
        if outcome == NO_ROOM:
            slots.progress[at] = segment
        elif outcome > 0:
            # Judged only now, after all before it is sent: a stall never makes it judged twice.
            lose(
                cython.address(endpoint.counters[0]),
                endpoint.witness,
                slots,
                at,
                cython.cast(uint32_t, outcome),
            )
            at += 1
        index = at
    return index
