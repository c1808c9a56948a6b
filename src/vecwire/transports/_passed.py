"""Descriptors that are open already (``fd=``): found, duplicated, and looked at before they are trusted.

A port takes a duplicate, so what was passed stays open, and the same spec opens it again. Both are one open
file (open(2)): it becomes non-blocking, and its socket options are those that the port sets. Nothing is
assumed of what was passed; the kernel is asked, and whatever does not fit is the fault of the spec, which
names the wrong descriptor. One whose interface or peer has gone is of no more use, and cannot be made again
from its number: that is a ``SpecError`` too, so that nobody waits for it.

Sources: sd_listen_fds(3) for names, socket(7) for SO_DOMAIN, SO_TYPE, SO_PROTOCOL and SO_ACCEPTCONN.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from vecwire.errors import SpecError
from vecwire.transports._descriptor import Descriptor, Opening
from vecwire.transports._refusal import refusal

SO_PROTOCOL = 38
SO_DOMAIN = 39
IP_MTU = 14  # linux/in.h
IPV6_MTU = 24  # linux/in6.h
FIRST = 3  # SD_LISTEN_FDS_START, systemd/sd-daemon.h
LOST = "what was passed in cannot be made again: start anew, with a new descriptor"
_FAMILIES = {
    int(socket.AF_UNIX): "Unix",
    int(socket.AF_INET): "IPv4",
    int(socket.AF_INET6): "IPv6",
    int(socket.AF_PACKET): "packet",
    int(socket.AF_NETLINK): "netlink",
}
_KINDS = {
    int(socket.SOCK_STREAM): "stream",
    int(socket.SOCK_DGRAM): "datagram",
    int(socket.SOCK_RAW): "raw",
    int(socket.SOCK_SEQPACKET): "SEQPACKET",
}


class Wrong:
    """Makes the errors of one option: which descriptor it names, and what is wrong with it."""

    def __init__(self, option: str, given: int | str) -> None:
        self.option = option
        self.given = given

    def error(self, what: str) -> SpecError:
        """The error that says what the descriptor is."""
        return SpecError(f"{self.option}={self.given} {what}", option=self.option, given=str(self.given))


def number_of(wrong: Wrong, environment: Mapping[str, str] | None = None) -> int:
    """The number of a descriptor that is given by number, or by the name that systemd gave it.

    Args:
        wrong: the option and what it was given.
        environment: where LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are; the process's own by default.

    Raises:
        SpecError: if systemd passed none of that name.
    """
    if isinstance(wrong.given, int):
        return wrong.given
    environment = os.environ if environment is None else environment
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isascii() or not count.isdigit():
        raise wrong.error("is a name, and no descriptors with names were passed to this process (LISTEN_FDS)")
    names = environment.get("LISTEN_FDNAMES", "").split(":")[: int(count)]
    if names.count(wrong.given) > 1:
        raise wrong.error("is the name of several descriptors: give each its own, by FileDescriptorName=")
    if wrong.given not in names:
        raise wrong.error(f"is none of the names in LISTEN_FDNAMES: {', '.join(names) or 'there are none'}")
    return FIRST + names.index(wrong.given)


def take(made: Opening, wrong: Wrong, what: str) -> Descriptor:
    """A duplicate of a descriptor, close-on-exec and non-blocking, owned by the opener.

    Args:
        made: where it is owned until the opener is done.
        wrong: the option and what it was given.
        what: what it is to be.

    Raises:
        SpecError: if this process has no such descriptor.
        PortError: if it may have no more.
    """
    number = number_of(wrong)
    try:
        owned = made.descriptor(partial(fcntl.fcntl, number, fcntl.F_DUPFD_CLOEXEC, FIRST), what)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise wrong.error("is not open in this process: whoever starts it passes it in") from None
        raise refusal(error, f"duplicate {wrong.option}={wrong.given}", what) from error
    os.set_blocking(owned.fileno(), False)
    return owned


@contextlib.contextmanager
def view(descriptor: Descriptor) -> Iterator[socket.socket]:
    """A descriptor as a socket, for as long as it is looked at."""
    with Opening() as made:
        own = made.descriptor(partial(os.dup, descriptor.fileno()), "view")
        # What it refuses stays open.
        each = socket.socket(fileno=own.fileno())
        own.release()
    with each:
        yield each


def take_socket(
    made: Opening, wrong: Wrong, what: str, family: int, kind: int, protocol: int | None = None
) -> Descriptor:
    """The same of a socket, which has to be of a family, a kind and a protocol.

    Raises:
        SpecError: if it is something else, or not open.
        PortError: if this process may have no more descriptors.
    """
    descriptor = take(made, wrong, what)
    if not stat.S_ISSOCK(os.fstat(descriptor.fileno()).st_mode):
        raise wrong.error(f"is no socket, and must be {what}")
    with view(descriptor) as each:
        found = tuple(
            each.getsockopt(socket.SOL_SOCKET, option) for option in (SO_DOMAIN, socket.SO_TYPE, SO_PROTOCOL)
        )
    if found[:2] != (family, kind) or (protocol is not None and found[2] != protocol):
        raise wrong.error(f"is {_described(*found)}, and must be {what}")
    return descriptor


def connected(descriptor: Descriptor) -> bool:
    """Whether a socket has a peer.

    A raw socket's has no port, and getpeername(2) takes that for none (inet_getname(), net/ipv4/af_inet.c);
    the MTU of the way to it is known all the same (IP_MTU, ip(7)).
    """
    with view(descriptor) as each:
        questions: list[Callable[[], object]] = [each.getpeername]
        if each.type == socket.SOCK_RAW:
            level, option = (
                (socket.IPPROTO_IPV6, IPV6_MTU)
                if each.family == socket.AF_INET6
                else (socket.IPPROTO_IP, IP_MTU)
            )
            questions.append(lambda: each.getsockopt(level, option))
        for ask in questions:
            try:
                ask()
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise
            else:
                return True
    return False


def hung_up(descriptor: Descriptor) -> bool:
    """Whether the peer of a connected socket has gone (poll(2))."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _described(family: int, kind: int, protocol: int) -> str:
    """A socket in words."""
    numbered = f" of protocol {protocol}" if protocol else ""
    return f"a {_KINDS.get(kind, str(kind))} socket of {_FAMILIES.get(family, f'family {family}')}{numbered}"
