"""Where an engine's captures go: to a socket whose other end somebody reads, one record a frame or a drop."""

import os
import select
import socket
from collections.abc import Callable

from vecwire.path.channel import Channel
from vecwire.transports import TransportPort
from vecwire.transports._descriptor import Descriptor

#: Octets that wait for whoever reads a capture, asked of the kernel.
CAPTURE_BUFFER = 4 * 1024 * 1024


def record_sockets() -> tuple[Descriptor, Descriptor]:
    """Two ends of a SEQPACKET socket: one to write records to, which never blocks, and one to read from."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CAPTURE_BUFFER)
        return Descriptor(ours.detach(), "capture's socket"), Descriptor(theirs.detach(), "capture's end")


class Drops:
    """A capture of drops: the channel that records go to, which reasons are wanted, and who has a name."""

    def __init__(
        self, writer: int, reasons: frozenset[str], name: Callable[[TransportPort], str | None]
    ) -> None:
        self.reasons = reasons
        self.name = name
        self.sink = -1
        # Before there is anything to close: it takes memory.
        self.channel = Channel()
        self._writer = Descriptor(os.dup(writer), "capture's socket")
        self.channel.attach(self._writer.fileno(), self._writer.fileno(), seqpacket=True)

    @property
    def abandoned(self) -> bool:
        """Whether the reader has gone, noticed yet or not."""
        watch = select.poll()
        watch.register(self._writer, 0)
        return bool(watch.poll(0))

    def close(self) -> None:
        """Ends it."""
        self.channel.detach()
        self._writer.close()


class Capture:
    """The two ends of a capture: the channel that frames are copied to, and the reader's descriptor."""

    def __init__(self, port: TransportPort, purpose: int) -> None:
        self.port = port
        self.purpose = purpose
        # Before there is anything to close: it takes memory.
        self.channel = Channel()
        self._writer, self._reader = record_sockets()
        self.channel.attach(self._writer.fileno(), self._writer.fileno(), seqpacket=True)

    def counts(self) -> tuple[int, int]:
        """Frames that were given to the reader, read or not, and those that there was no room for."""
        counters = self.channel.counters()
        return counters["tx_frames"], counters["tx_full"]

    def take_reader(self) -> int:
        """The reader's descriptor: the caller's from here on."""
        return self._reader.release()

    def close(self) -> None:
        """Ends it."""
        self.channel.detach()
        self._writer.close()
        self._reader.close()
