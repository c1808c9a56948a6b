"""Reads capture files, pcap and pcapng, whatever octets they hold.

A file is read a piece at a time, so that it may be a pipe, and longer than memory. The frames in a piece
are found by ``vecwire.wire.records.Scanner``; what describes them is read here. Where a file is wrong, all
frames before that place are given first.
"""

import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from vecwire.capture.errors import CaptureError
from vecwire.capture.files import BYTE_ORDER, PCAP_MAGIC, SECTION, Form
from vecwire.path.batch import Batch
from vecwire.path.tape import load
from vecwire.wire.records import (
    FAULTS,
    LONGEST_BLOCK,
    MORE,
    OTHER_BLOCK,
    SCAN_ROWS,
    Scanner,
)

#: Octets read at a time.
PIECE = 1 << 20
_PCAP_HEADER = 24
_MICROSECONDS = 6
_RESOLUTION, _OFFSET = 9, 14
_FOREIGN = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"\xfd7zX": ("xz", "unxz"),
    b"BZh": ("bzip2", "bunzip2"),
}


class Record(NamedTuple):
    """A frame of a file.

    Attributes:
        time: when it was seen, in nanoseconds since 1970.
        frame: the octets that the file has.
        length: how long the frame was.
    """

    time: int
    frame: bytes
    length: int


class CaptureReader:
    """Reads the frames of a file; iterating gives a :class:`Record` for each.

    Args:
        file: open for reading octets; it stays its owner's to close.
        name: what errors call it.

    Raises:
        CaptureError: if that is no capture file.
    """

    def __init__(self, file: BinaryIO, name: str = "the file") -> None:
        self._file = file
        self._name = name
        self._data = b""
        self._at = 0
        self._base = 0
        #: Frames so far of which the file has only the beginning, and those that fitted no slot.
        self.cut = 0
        self.left_out = 0
        start = self._start()
        self.form = Form.PCAPNG if start == SECTION else Form.PCAP
        self._scanner = Scanner(self.form.number, swapped=False)
        if self.form is Form.PCAP:
            self._begin_pcap(start)

    def rewind(self) -> None:
        """Begins again with the first frame; what was cut or left out goes on being counted.

        Raises:
            CaptureError: if the file has changed, and is no capture file of its form any more.
            OSError: if the file cannot be read from its beginning, as a pipe.
        """
        self._file.seek(0)
        self._data = b""
        self._at = self._base = 0
        start = self._start()
        if (start == SECTION) != (self.form is Form.PCAPNG):
            raise self._wrong("it was of another form before")
        if self.form is Form.PCAP:
            self._begin_pcap(start)

    @property
    def offset(self) -> int:
        """How many octets of the file are done with."""
        return self._base + self._at

    def fill(self, batch: Batch, most: int | None = None) -> int:
        """Replaces the frames of a batch by the next ones of the file, with their times.

        Args:
            batch: where the frames go.
            most: frames to take; the batch's depth by default.

        Returns:
            How many frames the batch holds; 0 at the end of the file.

        Raises:
            CaptureError: if the file goes on with what is no frame.
        """
        limit = batch.depth if most is None else min(batch.depth, most)
        while self._look(limit):
            self.cut += sum(kept < length for _, kept, length, _ in self._scanner.frames)
            self.left_out += load(batch, self._scanner, self._data)
            if len(batch):
                return len(batch)
        batch.clear()
        return 0

    def __iter__(self) -> Iterator[Record]:
        while self._look(SCAN_ROWS):
            for start, kept, length, time in self._scanner.frames:
                self.cut += kept < length
                yield Record(time, self._data[start : start + kept], length)

    def _look(self, most: int) -> bool:
        """Finds the next frames, as many as are at hand; False at the end of the file."""
        while True:
            self._at = self._scanner.scan(self._data, self._at, most)
            if len(self._scanner):
                return True
            ending = self._scanner.ending
            if ending == MORE:
                if not self._have(self._scanner.needed):
                    self._end(self._scanner.needed)
                    return False
            elif ending == OTHER_BLOCK:
                self._block()
            else:
                raise self._wrong(FAULTS[ending])

    def _have(self, octets: int) -> bool:
        """Reads on until there are so many octets from here; False where the file ends before."""
        if len(self._data) - self._at >= octets:
            return True
        parts = [self._data[self._at :]]
        self._base += self._at
        self._at = 0
        have = len(parts[0])
        while have < octets:
            part = self._file.read(PIECE)
            if not part:
                break
            parts.append(part)
            have += len(part)
        self._data = b"".join(parts)
        return have >= octets

    def _end(self, needed: int) -> None:
        left = len(self._data) - self._at
        if left:
            raise self._wrong(
                f"the file ends in the middle of a record: of {needed} octets or more {left} are there",
                remedy="whoever wrote it was cut short; the frames before are good",
            )

    def _wrong(self, what: str, *, at: int = 0, remedy: str = "") -> CaptureError:
        offset = self.offset + at
        return CaptureError(f"{self._name}, octet {offset}: {what}", offset=offset, remedy=remedy)

    def _start(self) -> int:
        """The number that the file begins with, in the host's byte order."""
        if not self._have(4):
            raise self._wrong("no capture file is as short as that" if self._data else "the file is empty")
        for magic, (kind, tool) in _FOREIGN.items():
            if self._data.startswith(magic):
                raise self._wrong(
                    f"the file is compressed by {kind}", remedy=f"{tool} < FILE | vecwire replay - SPEC"
                )
        return int.from_bytes(self._data[:4], sys.byteorder)

    def _begin_pcap(self, start: int) -> None:
        other = int.from_bytes(start.to_bytes(4, "little"), "big")
        swapped = other in PCAP_MAGIC
        if start not in PCAP_MAGIC and not swapped:
            raise self._wrong(
                f"neither pcap nor pcapng begins with {self._data[:4].hex(' ')}",
                remedy="editcap -F pcapng makes pcapng of what Wireshark can read",
            )
        if not self._have(_PCAP_HEADER):
            self._end(_PCAP_HEADER)
        order = "=" if not swapped else ">" if sys.byteorder == "little" else "<"
        major, minor, _, _, snaplen, link = struct.unpack(f"{order}HHiIII", self._data[4:_PCAP_HEADER])
        if major != 2 or minor < 3:
            raise self._wrong(f"version {major}.{minor} of pcap is not known, 2.4 is", at=4)
        self._scanner.begin_section(swapped=swapped)
        self._scanner.add_interface(
            link & 0xFFFF,
            snaplen,
            decimal=PCAP_MAGIC[other if swapped else start],
            binary=-1,
            offset=0,
        )
        self._at += _PCAP_HEADER

    def _block(self) -> None:
        """Reads a block of pcapng that is no frame's: a section's, or an interface's."""
        kind = int.from_bytes(self._data[self._at : self._at + 4], sys.byteorder)
        if kind == SECTION:
            if not self._have(12):
                self._end(12)
            magic = self._data[self._at + 8 : self._at + 12]
            if int.from_bytes(magic, "little") == BYTE_ORDER:
                self._order = "<"
            elif int.from_bytes(magic, "big") == BYTE_ORDER:
                self._order = ">"
            else:
                raise self._wrong(f"no section has the byte order {magic.hex(' ')}", at=8)
        (total,) = struct.unpack_from(f"{self._order}I", self._data, self._at + 4)
        least = 28 if kind == SECTION else 20
        if total < least or total % 4 or total > LONGEST_BLOCK:
            raise self._wrong(f"a block of {total} octets, of {least} to {LONGEST_BLOCK} as there may be")
        if not self._have(total):
            self._end(total)
        body = self._data[self._at : self._at + total]
        if struct.unpack_from(f"{self._order}I", body, total - 4)[0] != total:
            raise self._wrong("a block ends with another length than it begins with")
        if kind == SECTION:
            self._section(body)
        else:
            self._interface(body[8:-4])
        self._at += total

    def _section(self, body: bytes) -> None:
        major, minor = struct.unpack_from(f"{self._order}HH", body, 12)
        if major != 1:
            raise self._wrong(f"version {major}.{minor} of pcapng is not known, 1.0 is", at=12)
        native = "<" if sys.byteorder == "little" else ">"
        self._scanner.begin_section(swapped=self._order != native)

    def _interface(self, body: bytes) -> None:
        link, _, snaplen = struct.unpack_from(f"{self._order}HHI", body)
        resolution, offset = _MICROSECONDS, 0
        at = 8
        while at + 4 <= len(body):
            code, length = struct.unpack_from(f"{self._order}HH", body, at)
            if code == 0:
                break
            if at + 4 + length > len(body):
                raise self._wrong("an option goes on behind its block", at=8 + at)
            if code == _RESOLUTION and length == 1:
                resolution = body[at + 4]
            elif code == _OFFSET and length == 8:
                (offset,) = struct.unpack_from(f"{self._order}q", body, at + 4)
            at += 4 + length + -length % 4
        binary = resolution & 0x80
        try:
            self._scanner.add_interface(
                link,
                snaplen,
                decimal=-1 if binary else resolution,
                binary=resolution & 0x7F if binary else -1,
                offset=offset,
            )
        except ValueError as error:
            raise self._wrong(str(error)) from error
