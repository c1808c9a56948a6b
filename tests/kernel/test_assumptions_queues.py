"""What vecwire takes for granted about the queues of sockets, shown with bare system calls as the rest is.

Each test is one row of ``docs/kernel.md``, as those of ``test_assumptions.py`` are.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from peers.net import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8
SK_MEMINFO_VARS = 9
COUNT = 500
ROOM = 4096
ETH_P_ALL = 3


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("queues", ipv6=False) as made, made.enter():
        yield made


def drops(receiver: socket.socket) -> int:
    """What a socket has dropped for want of room."""
    values = receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS)
    found: int = struct.unpack(f"={SK_MEMINFO_VARS}I", values)[SK_MEMINFO_DROPS]
    return found


def waiting(receiver: socket.socket) -> int:
    """How many datagrams a socket has to give."""
    receiver.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while receiver.recv(2048):
            count += 1
    return count


def udp(port: int = 9) -> socket.socket:
    """A UDP socket."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", port))
    return made


def raw_ip() -> socket.socket:
    """A raw socket of GRE."""
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_GRE)
    made.bind(("127.0.0.1", 0))
    return made


def packet() -> socket.socket:
    """A packet socket on the loopback that sees what is received."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
    made.bind(("lo", ETH_P_ALL))
    return made


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("make", [udp, raw_ip, packet])
def test_a_socket_tells_what_it_had_no_room_for(make: Callable[[], socket.socket]) -> None:
    """SO_MEMINFO counts each datagram that a full queue did not take, and reading does not reset it."""
    protocol = socket.IPPROTO_GRE if make is raw_ip else 0
    kind = socket.SOCK_RAW if make is raw_ip else socket.SOCK_DGRAM
    # Somebody listens, so that nothing is reported back.
    with udp(7), make() as receiver, socket.socket(socket.AF_INET, kind, protocol) as sender:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        for _ in range(COUNT):
            sender.sendto(bytes(1000), ("127.0.0.1", 7 if make is packet else 9))
        lost = drops(receiver)
        assert lost
        assert drops(receiver) == lost
        assert waiting(receiver) + lost == COUNT


@pytest.mark.usefixtures("namespace")
def test_a_raw_socket_without_room_makes_its_protocol_unreachable() -> None:
    """A full raw socket drops packets, and has the kernel report their protocol as unreachable."""
    with raw_ip() as receiver, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_GRE) as sender:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        # It receives what it sends, too: its queue fills as well.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        sender.connect(("127.0.0.1", 0))

        for _ in range(COUNT):
            sender.send(bytes(1000))
        assert drops(receiver)
        with pytest.raises(OSError, match=os.strerror(errno.ENOPROTOOPT)):
            sender.recv(2048)


def test_a_reset_is_told_before_what_the_peer_had_sent() -> None:
    """A record socket whose peer left records unread fails once, then gives the peer's own, then the end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.send(b"unread")
        theirs.send(b"first")
        theirs.send(b"second")
        theirs.close()
        with pytest.raises(ConnectionResetError):
            ours.recv(64)
        assert [ours.recv(64) for _ in range(3)] == [b"first", b"second", b""]
        with pytest.raises(BrokenPipeError):
            ours.send(b"more")
