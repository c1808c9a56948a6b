"""What a capture asks of the socket that a port receives from: room, both directions, the kernel's drops."""

import contextlib
import os
import socket
import struct

SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO_DROPS = 8  # linux/sock_diag.h, SK_MEMINFO_DROPS
#: Octets that the kernel may keep, as it accounts them: 150,000 short frames.
BUFFER = 128 * 1024 * 1024


class Tap:
    """What the kernel knows of a port's receiving descriptor; nothing where that is no socket.

    Args:
        fd: the descriptor; it stays its owner's.
    """

    def __init__(self, fd: int) -> None:
        own = os.dup(fd)
        try:
            self._socket: socket.socket | None = socket.socket(fileno=own)
        except OSError:
            os.close(own)
            self._socket = None
        self._packet = self._socket is not None and self._socket.family == socket.AF_PACKET
        self._dropped = 0
        self._before = 0
        self._before = self.dropped  # what came before the capture is not its own

    @property
    def told(self) -> bool:
        """Whether the kernel tells how many frames it dropped."""
        return self._socket is not None

    def enlarge(self, octets: int = BUFFER) -> None:
        """Asks for room for what waits to be received; what is not granted is done without (socket(7))."""
        if self._socket is not None:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, octets // 2)
            except OSError:
                with contextlib.suppress(OSError):
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets // 2)

    def receive_outgoing(self) -> bool:
        """Has a packet socket receive what this host sends, too (packet(7)); whether it does."""
        if not self._packet or self._socket is None:
            return False
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 0)
        except OSError:
            return False
        return True

    @property
    def dropped(self) -> int:
        """Frames that the kernel dropped since the beginning, because nobody took them in time."""
        self._read()
        return self._dropped - self._before

    def _read(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            if self._packet:
                # Reading it sets it to zero.
                counted = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
                self._dropped += struct.unpack("=II", counted)[1]
            else:
                told = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
                self._dropped = struct.unpack("=9I", told)[_MEMINFO_DROPS]

    def close(self) -> None:
        """Lets go of the socket, which stays its owner's."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
