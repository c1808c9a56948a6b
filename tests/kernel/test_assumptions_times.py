"""What vecwire takes for granted about the times of frames, shown with bare system calls as the rest is."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame
from peers.net import Namespace, veth

if TYPE_CHECKING:
    from collections.abc import Iterator

SO_TIMESTAMPNS = 35
ETH_P_ALL = 3
EXPERIMENT = 253  # RFC 3692: a protocol number for experiments


@contextlib.contextmanager
def ends(kind: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A sender and a receiver of a kind of socket that transports use."""
    if kind == "seqpacket":
        sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    elif kind == "packet":
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind(("left0", 0))
        receiver.bind(("right0", ETH_P_ALL))
    else:
        how = (socket.SOCK_DGRAM, 0) if kind == "udp" else (socket.SOCK_RAW, EXPERIMENT)
        sender, receiver = socket.socket(socket.AF_INET, *how), socket.socket(socket.AF_INET, *how)
        receiver.bind(("127.0.0.2", 0))
        sender.connect(receiver.getsockname())
    with sender, receiver:
        receiver.settimeout(5)
        yield sender, receiver


@pytest.mark.parametrize("kind", ["packet", "udp", "raw ip", "seqpacket"])
def test_every_kind_of_socket_tells_when_a_frame_came(kind: str) -> None:
    """With SO_TIMESTAMPNS a message comes with each frame: a time between its sending and its reading."""
    with Namespace("assume", ipv6=False) as namespace, namespace.enter():
        veth((namespace, "left0"), (namespace, "right0"))
        with ends(kind) as (sender, receiver):
            receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            before = time.time_ns()
            sender.send(frame(1))
            _, messages, _, _ = receiver.recvmsg(2000, 256)
            after = time.time_ns()
    assert [(level, which, len(data)) for level, which, data in messages] == [
        (socket.SOL_SOCKET, SO_TIMESTAMPNS, 16)
    ]
    seconds, nanoseconds = struct.unpack("qq", messages[0][2])
    assert before <= seconds * 1_000_000_000 + nanoseconds <= after
