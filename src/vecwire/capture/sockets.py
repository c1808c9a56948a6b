"""What a capture asks of the socket that a port receives from: room, both directions, the kernel's drops.

A packet socket gives its frames in a ring (``vecwire.path.ring``); others have their buffer enlarged.
"""

import contextlib
import errno
import mmap
import os
import socket
import struct

from vecwire.errors import PortError
from vecwire.path.ring import Ring

SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
PACKET_IGNORE_OUTGOING = 23
TPACKET_V3 = 2
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO_DROPS = 8  # linux/sock_diag.h, SK_MEMINFO_DROPS
#: Octets that the kernel may keep, as it accounts them: hundreds of thousands of short frames in a ring.
BUFFER = 64 * 1024 * 1024
#: Octets of a block of a ring: longer than any frame.
BLOCK = 1024 * 1024
_FRAME = 2048  # the ring of version 3 has no frames of one size, but wants to be told one
#: Milliseconds after which a block is the reader's, full or not.
RETIRE = 10


class Tap:
    """What the kernel does for a capture at a port's receiving descriptor; nothing where that is no socket.

    Args:
        fd: the descriptor; it stays its owner's.
        outgoing: whether a packet socket is to receive what this host sends, too (packet(7)).
        ring: whether a packet socket is to give its frames in a ring.
    """

    def __init__(self, fd: int, *, outgoing: bool, ring: bool) -> None:
        self._outgoing = outgoing
        self._wants_ring = ring
        self._dropped = 0
        self._memory: mmap.mmap | None = None
        self._socket: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        #: The ring, where there is one.
        self.ring: Ring | None = None
        #: Whether what this host sends is received.
        self.both = False
        self.attach(fd)

    def attach(self, fd: int) -> None:
        """Does it all at the descriptor that the port receives from now.

        Raises:
            PortError: if there are no descriptors left.
        """
        self.close()
        self._identity = _identity(fd)
        if fd < 0:
            return  # no peer yet: its frames come by system calls
        try:
            own = os.dup(fd)
        except OSError as error:
            raise PortError("cannot look into the port's queue", errno=error.errno) from error
        try:
            self._socket = socket.socket(fileno=own)
        except OSError:
            os.close(own)
            return
        self._packet = self._socket.family == socket.AF_PACKET
        self._enlarge(self._socket)
        # What was dropped before the capture is not its own.
        self._last = 0
        before = self._dropped
        self._count()
        self._dropped = before
        if self._packet:
            self.both = self._outgoing and self._receive_outgoing(self._socket)
            if self._wants_ring:
                with contextlib.suppress(OSError):  # without it frames come by system calls
                    self._make_ring(self._socket)

    def follow(self, fd: int) -> None:
        """Does it all again where the port receives from another descriptor than before.

        A number may be the same, and the socket another. The ring must not be in use elsewhere.

        Raises:
            PortError: if there are no descriptors left.
        """
        if fd >= 0 and _identity(fd) != self._identity:
            self.attach(fd)

    @property
    def listens(self) -> bool:
        """Whether it is a socket that is received from, whose frames have the times of the kernel."""
        return self._socket is not None

    @staticmethod
    def _enlarge(made: socket.socket) -> None:
        """Asks for room for what waits to be received; what is not granted is done without (socket(7))."""
        try:
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER // 2)
        except OSError:
            with contextlib.suppress(OSError):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER // 2)

    @staticmethod
    def _receive_outgoing(made: socket.socket) -> bool:
        try:
            made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 0)
        except OSError:  # before Linux 4.20 a filter keeps them out
            return False
        return True

    def _make_ring(self, made: socket.socket) -> None:
        """Makes the largest ring that there is memory for.

        Raises:
            OSError: The kernel has none.
        """
        made.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        blocks = BUFFER // BLOCK
        while True:
            size = blocks * BLOCK
            try:
                request = struct.pack("=7I", BLOCK, blocks, _FRAME, size // _FRAME, RETIRE, 0, 0)
                made.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
                break
            except OSError as error:
                if error.errno != errno.ENOMEM or blocks == 1:
                    raise
                blocks //= 2
        self._memory = mmap.mmap(made.fileno(), size, flags=mmap.MAP_SHARED)
        self.ring = Ring(self._memory, blocks)

    @property
    def dropped(self) -> int:
        """Frames that the kernel dropped since the beginning, because nobody took them in time."""
        self._count()
        return self._dropped

    def _count(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            if self._packet:
                # Reading it sets it to zero.
                counted = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
                self._dropped += struct.unpack("=II", counted)[1]
            else:
                told = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
                dropped = struct.unpack("=9I", told)[_MEMINFO_DROPS]
                self._dropped += dropped - self._last
                self._last = dropped

    def close(self) -> None:
        """Lets go of the socket, which stays its owner's; the drops so far stay told."""
        self._count()
        self.ring = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _identity(fd: int) -> tuple[int, int] | None:
    """What a descriptor leads to, which is no other's while it is open; None where it is none."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino
