"""The kernel's news of links, addresses, routes and rules (rtnetlink(7)), as far as they bring a port back.

The few fields that are needed are read here. pyroute2 decodes every attribute of a message, which takes
over 20 times as long, and importing it takes longer than importing all of vecwire: too much on a host whose
routing table is never at rest, and for a command that must start fast.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

# Groups, as bits of a socket address (linux/rtnetlink.h, RTMGRP_*).
LINKS = 0x1
_REACH = {
    socket.AF_INET: 0x10 | 0x40 | 0x80,  # addresses, routes, rules: RTNLGRP_IPV4_RULE is the 8th
    socket.AF_INET6: 0x100 | 0x400 | 0x40000,  # the same: RTNLGRP_IPV6_RULE is the 19th
}

# Messages (linux/rtnetlink.h).
_NEWLINK, _DELLINK, _NEWADDR, _DELADDR, _NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = (
    *(16, 17, 20, 21),
    *(24, 25, 32, 33),
)
_MESSAGE = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, sender
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, octets of the destination that count, ...
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_IFLA_IFNAME = 3  # linux/if_link.h
_RTA_DST = 1
_ADDRESS_BITS = 128  # the most that an address has: without them nothing is left of any

#: The flags of an interface that decide whether frames pass (linux/if.h): up, running, a carrier below.
_STATE = 0x1 | 0x40 | 0x1_0000

_LONGEST = 65536  # octets; the kernel makes messages of at most 32 KB
_MOST = 256  # messages that one look takes; the rest waits for the next


def reach_groups(family: int) -> int:
    """The groups that tell of addresses, routes and rules of an address family."""
    return _REACH[socket.AddressFamily(family)]


class Link(NamedTuple):
    """An interface came, changed or went.

    Attributes:
        name: its name.
        ifindex: its index; 0 where it is gone.
        flags: those that decide whether frames pass.
    """

    name: str
    ifindex: int
    flags: int


class Reach(NamedTuple):
    """How some addresses are reached has changed.

    Attributes:
        family: AF_INET or AF_INET6.
        prefix: the bits that the addresses begin with, as a number.
        drop: how many bits of an address come after those; 128 stands for every address.
    """

    family: int
    prefix: int
    drop: int

    def covers(self, address: int) -> bool:
        """Whether it is about an address of the family, given as a number."""
        return address >> self.drop == self.prefix


class Overrun(NamedTuple):
    """News was lost: anything may have changed."""


News = Link | Reach | Overrun


def news(data: bytes) -> Iterator[News]:
    """Reads messages of the kernel; those of no interest, and what is cut, are left out."""
    place = 0
    while place + _MESSAGE.size <= len(data):
        length, kind, *_ = _MESSAGE.unpack_from(data, place)
        if not _MESSAGE.size <= length <= len(data) - place:
            return
        body = data[place + _MESSAGE.size : place + length]
        place += (length + 3) & ~3
        if kind in {_NEWLINK, _DELLINK} and len(body) >= _LINK.size:
            family, _, index, flags, _ = _LINK.unpack_from(body)
            name = _attribute(body, _LINK.size, _IFLA_IFNAME)
            # A bridge tells of its ports in the same words: leaving one is not the end of an interface.
            if family == socket.AF_UNSPEC and name:
                there = kind == _NEWLINK
                text = name.rstrip(b"\0").decode(errors="surrogateescape")
                yield Link(text, index if there else 0, flags & _STATE if there else 0)
        elif kind in {_NEWROUTE, _DELROUTE} and len(body) >= _ROUTE.size:
            family, bits, *_ = _ROUTE.unpack_from(body)
            octets = _attribute(body, _ROUTE.size, _RTA_DST)
            # The kernel leaves the attribute of a default route out.
            drop = max(0, len(octets) * 8 - bits) if octets else _ADDRESS_BITS
            yield Reach(family, int.from_bytes(octets) >> drop, drop)
        elif kind in {_NEWADDR, _DELADDR, _NEWRULE, _DELRULE} and body:
            yield Reach(body[0], 0, _ADDRESS_BITS)


def _attribute(body: bytes, place: int, wanted: int) -> bytes:
    """The value of the first attribute of a type; empty where there is none."""
    while place + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, place)
        if length < _ATTRIBUTE.size:
            break
        if kind == wanted:
            return body[place + _ATTRIBUTE.size : place + length]
        place += (length + 3) & ~3
    return b""


class Listener:
    """A socket on which the kernel tells of the network namespace that the calling thread is in.

    Like every socket it keeps its namespace alive.

    Raises:
        OSError: if the kernel refuses.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._groups = 0
        self._overrun = False
        try:
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor: readable when there is news."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes it."""
        self._socket.close()

    def listen(self, groups: int) -> None:
        """Hears of these groups, and of no others, from now on.

        Raises:
            OSError: if the kernel refuses.
        """
        if groups != self._groups:
            # Bound again, to its own address, a socket changes its groups (netlink_bind(), af_netlink.c).
            self._socket.bind((self._socket.getsockname()[0], groups))
            self._groups = groups

    def read(self) -> Iterator[News]:
        """The news since, that of 256 messages at the most; never blocks.

        Raises:
            OSError: if the kernel refuses.
        """
        emptied = False
        for _ in range(_MOST):
            try:
                data = self._socket.recv(_LONGEST)
            except BlockingIOError:
                emptied = True
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._overrun = True
            else:
                yield from news(data)
        if self._overrun:
            # Until its queue is empty an overrun socket loses news without another word
            # (NETLINK_S_CONGESTED, af_netlink.c).
            yield Overrun()
            self._overrun = not emptied
