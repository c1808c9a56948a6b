"""What all transports over sockets share: buffers sized for bursts of super-frames."""

import socket

from vecwire.transports._opened import Opened

SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
#: Room for a few dozen super-frames, as the kernel accounts them.
BUFFER = 4 * 1024 * 1024
SIZES = (
    ("receive buffer", socket.SO_RCVBUF, SO_RCVBUFFORCE, "net.core.rmem_max"),
    ("send buffer", socket.SO_SNDBUF, SO_SNDBUFFORCE, "net.core.wmem_max"),
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
