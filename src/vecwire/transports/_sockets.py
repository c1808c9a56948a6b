"""What all transports over sockets share: buffers sized for bursts of super-frames, and times of arrival."""

import socket

from vecwire import bpf
from vecwire.transports._offload import Offload
from vecwire.transports._opened import Opened

SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
#: Room for a few dozen super-frames, as the kernel accounts them.
BUFFER = 4 * 1024 * 1024
SIZES = (
    (Offload.RECEIVE_BUFFER, socket.SO_RCVBUF, SO_RCVBUFFORCE, "net.core.rmem_max"),
    (Offload.SEND_BUFFER, socket.SO_SNDBUF, SO_SNDBUFFORCE, "net.core.wmem_max"),
)


def enlarge_buffers(made: socket.socket, opened: Opened) -> None:
    """Asks for large buffers (socket(7)); what is not granted is reported with the sysctl that limits it."""
    for what, option, forced, sysctl in SIZES:
        try:
            made.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
        except OSError:
            # Without CAP_NET_ADMIN the sysctl is the bound.
            made.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            # The kernel doubles what it grants, for its own book-keeping.
            granted = made.getsockopt(socket.SOL_SOCKET, option) // 2
            if granted < BUFFER:
                opened.refused[what] = f"{granted} octets of {BUFFER}: raise {sysctl} with sysctl -w"


def enable_timestamps(opened: Opened) -> None:
    """Has frames come with the time of their arrival: a socket's from the kernel, a tap's from its reader."""
    if opened.rx is None:
        return
    if not opened.rx_tun:
        try:
            with bpf.as_socket(opened.rx.fileno()) as receiver:
                receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError as error:
            opened.refuse(Offload.TIMESTAMPS, error)
            return
    opened.stamps = True
