"""Namespaces of one's own, by unshare(2): a network for a thread, a user namespace for a process."""

import fcntl
import os
import socket
import struct
from pathlib import Path

from vecwire.errors import PortError, UnsupportedError
from vecwire.transports import _libc
from vecwire.transports._netns import CLONE_NEWNET
from vecwire.transports._refusal import refusal

CLONE_NEWUSER = 0x10000000  # linux/sched.h
SIOCGIFFLAGS = 0x8913  # linux/sockios.h
SIOCSIFFLAGS = 0x8914
IFF_UP = 1

#: Settings that close user namespaces to ordinary users: the file, the value that does, one that does not.
SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian's kernels
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu's, from 23.10 on
    ("user/max_user_namespaces", "0", "10000"),
)


def unshare(flags: int) -> None:
    """Gives the calling thread namespaces of its own.

    Raises:
        OSError: if the kernel refuses.
    """
    _libc.call("unshare", flags)


def own_network() -> None:
    """Takes the calling thread into a new network namespace, whose loopback is up.

    The namespace is gone when its last thread, descriptor and socket is.

    Raises:
        OSError: if the kernel refuses.
    """
    unshare(CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack("=16sh22x", b"lo", 0))
        fcntl.ioctl(control, SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from("=h", request, 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("=16sh22x", b"lo", flags | IFF_UP))


def own_users() -> None:
    """Takes this process, which has one thread, into a new user namespace, and makes it root there.

    Raises:
        OSError: if the kernel refuses; EINVAL also where the process has more than one thread.
    """
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    process = Path("/proc/self")
    process.joinpath("setgroups").write_text("deny", encoding="ascii")  # asked for before a gid is mapped
    process.joinpath("uid_map").write_text(f"0 {uid} 1", encoding="ascii")
    process.joinpath("gid_map").write_text(f"0 {gid} 1", encoding="ascii")


def users_refused(error: OSError) -> PortError | UnsupportedError:
    """The error to raise where a user namespace was refused: the remedy names the setting in the way."""
    return refusal(error, "make a user namespace", "a user namespace", remedy=closed_by())


def closed_by() -> str:
    """The command that opens user namespaces to this user; empty where no known setting closes them."""
    for name, closed, opened in SWITCHES:
        try:
            value = Path("/proc/sys", name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == closed:
            return f"as root: sysctl -w {name.replace('/', '.')}={opened}"
    return ""
