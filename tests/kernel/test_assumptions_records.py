"""What vecwire takes for granted about record sockets, shown with bare system calls and no code of vecwire's.

Each test is one row of ``docs/kernel.md``. If a kernel behaves otherwise, these fail first and say what to
look at.
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame
from peers.net import open_descriptors

if TYPE_CHECKING:
    from pathlib import Path

SO_TIMESTAMPNS = 35


def test_the_end_of_a_record_socket_is_an_empty_record_for_ever() -> None:
    """Once its peer has closed, a SEQPACKET socket gives empty records, as many as it is asked for."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near:
        with far:
            far.send(frame(1))
        assert near.recv(2048) == frame(1)
        assert [near.recv(2048) for _ in range(100)] == [b""] * 100
        with pytest.raises(BrokenPipeError):
            near.send(frame(1))


def test_an_empty_record_of_a_peer_that_stays_is_told_from_its_end() -> None:
    """POLLRDHUP is not there after an empty record, and is once the peer has closed or will send no more."""
    for end in ("closes", "ends sending"):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with near, far:
            watch = select.poll()
            watch.register(near, select.POLLRDHUP)
            far.send(b"")
            assert near.recv(2048) == b""
            assert watch.poll(0) == []
            if end == "closes":
                far.close()
            else:
                far.shutdown(socket.SHUT_WR)
            assert near.recv(2048) == b""
            assert watch.poll(0)[0][1] & select.POLLRDHUP


def test_descriptors_come_only_where_there_is_room_for_them() -> None:
    """With room for the time of arrival alone, it is the time that comes, and no descriptor that was sent."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        near.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        before = open_descriptors()
        for room in (socket.CMSG_SPACE(16), 96):
            socket.send_fds(far, [frame(1)], [far.fileno()] * 4)
            octets, messages, flags, _ = near.recvmsg(2048, room)
            kinds = [kind for level, kind, _ in messages if level == socket.SOL_SOCKET]
            assert octets == frame(1)
            if room < 96:
                assert (kinds, flags & socket.MSG_CTRUNC) == ([SO_TIMESTAMPNS], socket.MSG_CTRUNC)
                assert open_descriptors() == before
            else:
                assert kinds == [SO_TIMESTAMPNS, socket.SCM_RIGHTS]
                taken = array.array("i", messages[1][2])
                assert len(taken) == 4
                for number in taken:
                    os.close(number)


def test_a_datagram_socket_at_a_path_of_records_is_no_client(tmp_path: Path) -> None:
    """EPROTOTYPE tells that somebody is bound there, who hears nothing of it; ECONNREFUSED that nobody is."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as bound:
        bound.bind(path)
        for listens in (False, True):
            if listens:
                bound.listen(1)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                assert probe.connect_ex(path) == errno.EPROTOTYPE
        bound.setblocking(False)
        with pytest.raises(BlockingIOError):
            bound.accept()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(path)
