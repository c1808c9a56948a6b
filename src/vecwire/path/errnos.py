"""What an errno of receiving or sending means for the path: one table, each row with its source.

Five actions. ``wait``: nothing more for now, the frame is kept. ``drop``: this frame is lost and counted,
the next may pass. ``note``: a report about an earlier frame that the socket delivers once; it is counted and
the call is made again. ``doubt``: on a tunnel's socket that may be such a report, which anybody can have
forged, so the frame is sent once more, and dropped if that fails too; elsewhere it is dropped. ``lost``: the
descriptor is of no more use until its owner has recovered it. EINTR is retried where the call is made
(signal(7)).

Which ICMP message is which errno: net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c, tab_unreach.
"""

import errno
from typing import NamedTuple

import cython
from cython.cimports.vecwire.path.errnos import DOUBT, DROP, LOST, NOTE, WAIT, Rule

from vecwire.wire.counters import NAMES


class Meaning(NamedTuple):
    """One row: the action, the counter that it moves, and where that is written."""

    action: str
    counter: str
    source: str


RECEIVE: dict[int, Meaning] = {
    errno.EAGAIN: Meaning(
        "wait", "", "recvmsg(2): no data on a non-blocking socket; read(2) on tun likewise"
    ),
    errno.ENOBUFS: Meaning("wait", "", "the kernel is short of memory for now"),
    errno.ENOMEM: Meaning("wait", "", "recvmsg(2): no memory for now"),
    errno.EINVAL: Meaning(
        "drop", "rx_errors", "packet(7) sockets: a super-frame that no virtio-net header can describe"
    ),
    errno.ECONNREFUSED: Meaning("note", "unreachable", "udp(7): an ICMP error for an earlier datagram"),
    errno.EHOSTUNREACH: Meaning("note", "unreachable", "ip(7): an ICMP error for an earlier packet"),
    errno.ENETUNREACH: Meaning("note", "unreachable", "ip(7): an ICMP error for an earlier packet"),
    errno.ENOPROTOOPT: Meaning("note", "unreachable", "icmp(7): protocol unreachable, seen on raw sockets"),
    errno.EPROTO: Meaning("note", "unreachable", "icmp(7): parameter problem, seen on raw sockets"),
    errno.EACCES: Meaning("note", "unreachable", "icmpv6: communication administratively prohibited"),
    errno.EMSGSIZE: Meaning("note", "unreachable", "ip(7): an ICMP error, fragmentation needed"),
    errno.EHOSTDOWN: Meaning("note", "unreachable", "icmp(7): host unknown"),
    errno.ENONET: Meaning("note", "unreachable", "icmp(7): host isolated"),
    errno.ENETDOWN: Meaning("lost", "", "packet(7): the interface went down or away"),
    errno.EBADFD: Meaning("lost", "", "drivers/net/tun.c: the device was deleted"),
    errno.ENODEV: Meaning("lost", "", "packet(7): the interface is gone"),
    errno.ENXIO: Meaning("lost", "", "packet(7): the interface is gone"),
    # Told before what the peer had sent, which is still there, and the end behind it.
    errno.ECONNRESET: Meaning("note", "", "unix(7): the peer closed with data unread"),
    errno.EPIPE: Meaning("lost", "", "unix(7): the peer is gone"),
    errno.ENOTCONN: Meaning("lost", "", "unix(7): there is no peer"),
    errno.EBADF: Meaning("lost", "", "there is no peer yet"),
}

SEND: dict[int, Meaning] = {
    errno.EAGAIN: Meaning("wait", "", "send(2): the socket's buffer is full"),
    errno.ENOBUFS: Meaning(
        "wait", "", "send(2): the queue of the interface is full; packet(7) with qdisc bypass"
    ),
    errno.ENOMEM: Meaning("wait", "", "send(2): no memory for now"),
    errno.EMSGSIZE: Meaning(
        "doubt", "tx_too_big", "send(2), packet(7): longer than the link's MTU; ip(7): an ICMP error"
    ),
    errno.ECONNREFUSED: Meaning("note", "unreachable", "udp(7): an ICMP error for an earlier datagram"),
    errno.EHOSTUNREACH: Meaning("doubt", "tx_unreachable", "ip(7): no route, or an ICMP error"),
    errno.ENETUNREACH: Meaning("doubt", "tx_unreachable", "ip(7): no route, or an ICMP error"),
    errno.EHOSTDOWN: Meaning("doubt", "tx_unreachable", "icmp(7): host unknown"),
    errno.ENONET: Meaning("doubt", "tx_unreachable", "icmp(7): host isolated"),
    errno.EADDRNOTAVAIL: Meaning("drop", "tx_unreachable", "ip(7): the source address is gone"),
    errno.ENOPROTOOPT: Meaning("note", "unreachable", "icmp(7): protocol unreachable, for an earlier packet"),
    errno.EPROTO: Meaning("note", "unreachable", "icmp(7): parameter problem, for an earlier packet"),
    errno.ENETDOWN: Meaning("drop", "tx_down", "packet(7): the interface is down"),
    errno.EIO: Meaning("drop", "tx_down", "drivers/net/tun.c: the interface is down"),
    errno.ENXIO: Meaning("drop", "tx_down", "packet(7): the interface is gone"),
    errno.ENODEV: Meaning("drop", "tx_down", "packet(7): the interface is gone"),
    errno.EPERM: Meaning("drop", "tx_refused", "send(2): a packet filter refused it"),
    errno.EACCES: Meaning("doubt", "tx_refused", "send(2): not allowed to that destination, or ICMPv6"),
    errno.EINVAL: Meaning("drop", "tx_refused", "packet(7), tun: the virtio-net header was not accepted"),
    errno.EFAULT: Meaning("drop", "tx_refused", "tun: the frame is shorter than its headers"),
    errno.EBADFD: Meaning("lost", "", "drivers/net/tun.c: the device was deleted"),
    errno.ECONNRESET: Meaning("lost", "", "unix(7): the peer closed with data unread"),
    errno.EPIPE: Meaning("lost", "", "unix(7): the peer is gone"),
    errno.ENOTCONN: Meaning("lost", "", "unix(7): there is no peer"),
    errno.EBADF: Meaning("lost", "", "there is no peer yet"),
}

#: What stands for every errno that has no row: a receiver that fails for an unknown reason is
#: recovered; a frame that is refused for one is dropped.
UNKNOWN_RECEIVE = Meaning("lost", "", "no source: recovered, with the errno in the log")
UNKNOWN_SEND = Meaning("drop", "tx_refused", "no source: counted")

RECEIVE_RULES = cython.declare(Rule[256])
SEND_RULES = cython.declare(Rule[256])


def on_receive(error: cython.int) -> Rule:
    """The rule for an errno of receiving."""
    return RECEIVE_RULES[error & 255]


def on_send(error: cython.int) -> Rule:
    """The rule for an errno of sending."""
    return SEND_RULES[error & 255]


def _fill() -> None:
    """Lays the tables out as arrays, so that looking a rule up needs no interpreter."""
    actions = {"drop": DROP, "wait": WAIT, "note": NOTE, "doubt": DOUBT, "lost": LOST}
    number: cython.int
    for number in range(256):
        meaning = RECEIVE.get(number, UNKNOWN_RECEIVE)
        RECEIVE_RULES[number].action = actions[meaning.action]
        RECEIVE_RULES[number].counter = NAMES.index(meaning.counter) if meaning.counter else -1
        meaning = SEND.get(number, UNKNOWN_SEND)
        SEND_RULES[number].action = actions[meaning.action]
        SEND_RULES[number].counter = NAMES.index(meaning.counter) if meaning.counter else -1


_fill()
