"""What a capture file is made of besides its frames, and the writer of one frame after the other.

The formats: draft-ietf-opsawg-pcap, section 4; draft-ietf-opsawg-pcapng, sections 4.1 to 4.3 and 4.6.
"""

import platform
import struct
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import BinaryIO

from vecwire.wire.records import LONGEST_KEPT, PCAP_FORM, PCAPNG_FORM, record

#: Octets kept of a frame: what Wireshark and tcpdump take at most.
SNAPLEN = LONGEST_KEPT
ETHERNET = 1  # LINKTYPE_ETHERNET
SECTION, DESCRIPTION, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6
BYTE_ORDER = 0x1A2B3C4D
#: The numbers that a pcap file begins with, and the power of ten that its times count in.
PCAP_MAGIC = {0xA1B2C3D4: 6, 0xA1B23C4D: 9}
NANOSECONDS = 9

# Options of pcapng's blocks, by number.
_COMMENT, _END = 1, 0
_OS, _APPLICATION = 3, 4
_IF_NAME, _IF_RESOLUTION, _IF_FILTER, _IF_OS = 2, 9, 11, 12
_START, _FINISH, _RECEIVED, _OS_DROPPED, _DELIVERED = 2, 3, 4, 7, 8
_PACKET_FLAGS, _PACKET_MISSED = 2, 4
_LONGEST_OPTION = 0xFFFF


class Form(Enum):
    """The form of a capture file."""

    PCAPNG = "pcapng"
    PCAP = "pcap"

    @property
    def number(self) -> int:
        """What the compiled half calls it."""
        return PCAPNG_FORM if self is Form.PCAPNG else PCAP_FORM


def form_of(path: PurePath, wanted: Form | None = None) -> Form:
    """The form of a file to be written: the one that is wanted, or what its suffix says, or pcapng."""
    if wanted is not None:
        return wanted
    return Form.PCAP if path.suffix in {".pcap", ".cap", ".dmp"} else Form.PCAPNG


@dataclass(frozen=True, slots=True)
class Interface:
    """What a file says of the port whose frames it holds; pcap has no place for it.

    Attributes:
        name: the port, as people call it.
        comment: more about it, such as its spec.
        filter: the expression that the frames were chosen by.
    """

    name: str = ""
    comment: str = ""
    filter: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a file says at its end; pcap has no place for it.

    All of it counts from the beginning of the capture, of which the file may be one of several
    (draft-ietf-opsawg-pcapng, section 4.6).

    Attributes:
        start: when the capture began, in nanoseconds since 1970.
        end: when the file ended.
        received: frames that the port received.
        kernel_dropped: frames that the kernel dropped because nobody took them in time.
        written: frames that were written.
        comment: more, such as why frames were dropped, in lines.
    """

    start: int
    end: int
    received: int
    kernel_dropped: int
    written: int
    comment: str = ""


def header(form: Form, *, snaplen: int = SNAPLEN, interface: Interface | None = None) -> bytes:
    """What stands before the first frame of a file."""
    if form is Form.PCAP:
        return struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, ETHERNET)
    return section() + description(interface or Interface(), snaplen=snaplen)


def section() -> bytes:
    """The block that a pcapng file begins with."""
    body = struct.pack("=IHHq", BYTE_ORDER, 1, 0, -1)
    return _block(SECTION, body + _options((_OS, _host()), (_APPLICATION, b"vecwire")))


def description(about: Interface, *, snaplen: int = SNAPLEN, link: int = ETHERNET) -> bytes:
    """The block that describes an interface; the first one in a file is number 0.

    Args:
        about: the interface.
        snaplen: octets kept of a frame.
        link: what its packets begin with (LINKTYPE).
    """
    body = struct.pack("=HHI", link, 0, snaplen) + _options(
        (_COMMENT, about.comment.encode(errors="replace")),
        (_IF_NAME, about.name.encode(errors="replace")),
        (_IF_RESOLUTION, bytes([NANOSECONDS])),
        (_IF_FILTER, b"\0" + about.filter.encode(errors="replace") if about.filter else b""),
        (_IF_OS, _host()),
    )
    return _block(DESCRIPTION, body)


def packet(
    interface: int,
    nanoseconds: int,
    octets: bytes | memoryview,
    length: int,
    *,
    comment: str = "",
    flags: int = 0,
    missed: int = 0,
) -> bytes:
    """The block of one packet.

    Args:
        interface: the number of its interface.
        nanoseconds: when it was seen, since 1970.
        octets: those that are kept.
        length: how long it was.
        comment: what there is to say of it.
        flags: its direction and more (epb_flags).
        missed: how many packets before it could not be written (epb_dropcount).
    """
    body = struct.pack("=IIIII", interface, *_time(nanoseconds), len(octets), length)
    options = _options(
        (_COMMENT, comment.encode(errors="replace")),
        (_PACKET_FLAGS, struct.pack("=I", flags) if flags else b""),
        (_PACKET_MISSED, struct.pack("=Q", missed) if missed else b""),
    )
    return _block(PACKET, body + bytes(octets) + bytes(-len(octets) % 4) + options)


def _host() -> bytes:
    return f"{platform.system()} {platform.release()}".encode()


def footer(form: Form, statistics: Statistics, *, room: int | None = None) -> bytes:
    """What stands behind the last frame of a file.

    Args:
        form: the form of the file.
        statistics: what it says.
        room: octets that it may have: the last lines of the comment go, where it would be longer.
    """
    if form is Form.PCAP:
        return b""
    lines = statistics.comment.split("\n")
    while True:
        made = _footer(statistics, "\n".join(lines))
        if room is None or len(made) <= room or not lines:
            return made
        lines.pop()


def _footer(statistics: Statistics, comment: str) -> bytes:
    octets = struct.pack("=III", 0, *_time(statistics.end)) + _options(
        (_COMMENT, comment.encode(errors="replace")),
        (_START, struct.pack("=II", *_time(statistics.start))),
        (_FINISH, struct.pack("=II", *_time(statistics.end))),
        (_RECEIVED, struct.pack("=Q", statistics.received)),
        (_OS_DROPPED, struct.pack("=Q", statistics.kernel_dropped)),
        (_DELIVERED, struct.pack("=Q", statistics.written)),
    )
    return _block(STATISTICS, octets)


def _time(nanoseconds: int) -> tuple[int, int]:
    return nanoseconds >> 32 & 0xFFFFFFFF, nanoseconds & 0xFFFFFFFF


def _block(kind: int, body: bytes) -> bytes:
    total = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + total + body + total


def _options(*options: tuple[int, bytes]) -> bytes:
    """Options of a block, those without octets left out, and their end."""
    given = [(code, value[:_LONGEST_OPTION]) for code, value in options if value]
    parts = [struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in given]
    return b"".join([*parts, struct.pack("=HH", _END, 0)])


#: The octets of what stands behind the last frame, without a comment.
LEAST_FOOTER = len(_footer(Statistics(0, 0, 0, 0, 0), ""))


class CaptureWriter:
    """Writes frames to a file, one by one; the file stays its owner's to close.

    Args:
        file: where to write; nothing is sought, so a pipe will do.
        form: the form of the file.
        snaplen: octets kept of a frame.
        interface: what the file says of the port.
    """

    def __init__(
        self,
        file: BinaryIO,
        form: Form = Form.PCAPNG,
        *,
        snaplen: int = SNAPLEN,
        interface: Interface | None = None,
    ) -> None:
        self._file = file
        self._form = form
        self._snaplen = snaplen
        file.write(header(form, snaplen=snaplen, interface=interface))

    def write(self, frame: bytes | memoryview, nanoseconds: int) -> None:
        """Writes a frame.

        Args:
            frame: from its destination address on, without a check sequence.
            nanoseconds: when it was seen, since 1970.
        """
        self._file.write(record(self._form.number, nanoseconds, frame[: self._snaplen], len(frame)))
