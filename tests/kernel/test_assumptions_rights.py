"""What vecwire takes for granted about rights and passed descriptors, shown with bare system calls.

Each test is one row of ``docs/kernel.md``, as those of ``test_assumptions.py`` are.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from peers.net import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

TUNSETIFF = 0x400454CA
TUNGETIFF = 0x800454D2
TUNATTACHFILTER = 0x401054D5
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IP_MTU = 14

#: Becomes another user beside a thread without capabilities.
CHANGES_USER = """
import ctypes, os, threading
libc = ctypes.CDLL(None, use_errno=True)
ready, end = threading.Event(), threading.Event()
def give_up():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    assert GIVE_UP == 0 or libc.capset(header, (ctypes.c_uint32 * 6)()) == 0
    ready.set()
    end.wait()
threading.Thread(target=give_up).start()
ready.wait()
os.setuid(65534)
end.set()
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("assume", ipv6=False) as made, made.enter():
        yield made


@pytest.mark.usefixtures("namespace")
def test_the_flag_of_no_information_tells_of_no_filter_too() -> None:
    """TUNGETIFF sets the bit of IFF_NO_PI for a tap without a filter, whatever it was attached with."""

    def flags(fd: int) -> int:
        found: int = struct.unpack_from("=16sH", fcntl.ioctl(fd, TUNGETIFF, bytes(40)))[1]
        return found

    with_information = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(with_information, TUNSETIFF, struct.pack("=16sH22x", b"tap0", IFF_TAP))
    assert flags(with_information) & IFF_NO_PI
    accept = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x40000))
    program = struct.pack("@HxxxxxxP", 1, ctypes.addressof(accept))
    fcntl.ioctl(with_information, TUNATTACHFILTER, program)
    assert not flags(with_information) & IFF_NO_PI
    os.close(with_information)


@pytest.mark.usefixtures("namespace")
def test_a_connected_raw_socket_has_no_peer_name_but_an_mtu() -> None:
    """getpeername(2) says ENOTCONN of a raw socket, connected or not; IP_MTU tells the two apart."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 47) as raw:
        with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
            raw.getsockopt(socket.IPPROTO_IP, IP_MTU)
        raw.connect(("127.0.0.1", 0))
        with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
            raw.getpeername()
        assert raw.getsockopt(socket.IPPROTO_IP, IP_MTU) > 0


@pytest.mark.parametrize(("gives_up", "status"), [(0, 0), (1, -signal.SIGABRT)])
def test_a_thread_without_capabilities_ends_a_program_that_changes_its_user(
    gives_up: int, status: int
) -> None:
    """Glibc has each thread change its user, and aborts where one cannot."""
    script = CHANGES_USER.replace("GIVE_UP", str(gives_up))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=30)
    assert done.returncode == status
