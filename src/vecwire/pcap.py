"""Writes captures that Wireshark and tcpdump read: classic pcap, nanoseconds, link type Ethernet.

The format is that of draft-ietf-opsawg-pcap, sections 4 and 5.
"""

import struct
from typing import BinaryIO

_MAGIC = 0xA1B23C4D  # times have nanoseconds; the reader sees the order of octets by it
_ETHERNET = 1  # LINKTYPE_ETHERNET
_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_NANOSECONDS = 1_000_000_000
#: Octets kept of a frame: what Wireshark and tcpdump take at most.
SNAPLEN = 262144


class PcapWriter:
    """Writes frames to a file, which stays its owner's to close.

    Args:
        file: where to write; nothing is sought, so a pipe will do.
        snaplen: octets kept of a frame.
    """

    def __init__(self, file: BinaryIO, *, snaplen: int = SNAPLEN) -> None:
        self._file = file
        self._snaplen = snaplen
        file.write(_FILE.pack(_MAGIC, 2, 4, 0, 0, snaplen, _ETHERNET))

    def write(self, frame: bytes | memoryview, nanoseconds: int) -> None:
        """Writes a frame.

        Args:
            frame: from its destination address on, without a check sequence.
            nanoseconds: when it was seen, since the epoch.
        """
        seconds, rest = divmod(nanoseconds, _NANOSECONDS)
        kept = frame[: self._snaplen]
        self._file.write(_RECORD.pack(seconds, rest, len(kept), len(frame)) + bytes(kept))
