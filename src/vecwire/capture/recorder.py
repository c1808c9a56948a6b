"""Writes batches to files on a thread of its own, so that a disk does not hold up who receives.

Theory of operation: who receives packs records into a buffer (``vecwire.path.tape.Packer``) and hands it over
when it is full enough, or old enough; the thread writes it. There is a bounded number of buffers. While
none is free, receiving waits, and what the kernel then cannot keep it drops and counts. Which file a record
goes to is decided where it is packed. Where the disk is full the file is cut behind its last whole record. A
pipe that nobody reads is waited for as long as ``patient`` says.
"""

import errno
import queue
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vecwire.capture._disk import Disk
from vecwire.capture._made import open_named, open_new
from vecwire.capture.files import LEAST_FOOTER, SNAPLEN, Form, Interface, Statistics, footer, header
from vecwire.confine import Seccomp
from vecwire.errors import PortError
from vecwire.path.batch import Batch
from vecwire.path.tape import LARGEST_FRAME, Packer

#: Octets of a file at its end that the reasons of drops may have, and the share of a file that is theirs at
#: the most.
REMARKS = 1024
REMARKS_SHARE = 16
#: Octets after which a buffer is handed over, and seconds.
ENOUGH = 1 << 20
SOON = 0.1
BUFFERS = 32
#: Seconds between two looks whether what takes the octets is waited for any longer.
LOOK = 0.05
STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a new file is begun, and how many are kept.

    Attributes:
        size: octets that a file may have, with all that is not frames; None has no bound. One frame is
            always written.
        seconds: for how long a file is written to; None is for ever.
        keep: how many of the files are kept, the oldest go; None keeps all.
    """

    size: int | None = None
    seconds: float | None = None
    keep: int | None = None

    @property
    def numbered(self) -> bool:
        """Whether there is more than one file."""
        return self.size is not None or self.seconds is not None


class Recorder:
    """Writes what a port receives to a file, or to several one after the other.

    Args:
        path: the file; ``-`` is standard output. Several are numbered: ``trace-00001.pcapng``.
        form: the form of the files.
        snaplen: octets kept of a frame.
        segment: whether super-frames are written as the segments that they stand for.
        rotation: when a new file is begun.
        continued: whether numbers go on after those of files that are there, which count among those kept.
        interface: what the files say of the port.
        patient: asked again and again, while a pipe or a disk is waited for, whether to wait any longer, with
            the octets that it has taken so far: once it says no, nothing more is written.
        statistics: asked, when a file ends, for what it says then; gets when the first file was begun, in
            nanoseconds since 1970, and the records so far, those of earlier files with them.
        confine: what the thread that writes gives up; None leaves it what the one that makes it has. See
            ``vecwire.confine``.

    Raises:
        PortError: if the file cannot be written, or there is no thread to be had.
        UnsupportedError: if the thread must be held to its system calls, and cannot be.
    """

    def __init__(
        self,
        path: Path,
        *,
        form: Form = Form.PCAPNG,
        snaplen: int = SNAPLEN,
        segment: bool = False,
        rotation: Rotation | None = None,
        continued: bool = False,
        interface: Interface | None = None,
        patient: Callable[[int], bool] = lambda _: True,
        statistics: Callable[[int, int], Statistics] | None = None,
        confine: Seccomp | None = None,
    ) -> None:
        self._path = path
        self._form = form
        self._header = header(form, snaplen=snaplen, interface=interface)
        self._patient = patient
        self._statistics = statistics
        self._rotation = rotation or Rotation()
        self._reserved = self._needed_at_the_end()
        self._started_at = time.time_ns()
        self._packer = Packer(form.number, snaplen=snaplen, segment=segment)
        self._disk = Disk(form, confine)
        self._made = 0
        self._buffer: bytearray | None = None
        self._at = 0
        self._in_buffer = 0
        self._since = 0.0
        self._files: deque[Path] = deque()
        #: Records written or on their way, and the octets of the frames that they stand for.
        self.records = 0
        self.octets = 0
        #: Files begun.
        self.files = 0
        self._number = self._find_earlier() if continued else 0
        try:
            self._begin()
            self._disk.begin()
        except BaseException:
            # Nobody else is there to take the orders; what was put before its ``run`` would do nothing.
            self._disk.orders.put(("end", b"", 0, 0))
            Disk.run(self._disk)
            raise

    @property
    def written(self) -> int:
        """Octets that are in the files."""
        return self._disk.written

    @property
    def unwritten(self) -> int:
        """Records that are not in the files: not yet, or never once it is closed or has failed."""
        return self.records - self._disk.records

    @property
    def cut(self) -> int:
        """Frames that were longer than what was kept of them."""
        return int(self._packer.cut)

    def take(self, batch: Batch, now: int, most: int | None = None) -> int:
        """Writes the frames of a batch; how many records that makes.

        Args:
            batch: the frames.
            now: when they were received, in nanoseconds since 1970, where they do not say.
            most: records to write at the most.

        Raises:
            PortError: if a file cannot be written.
        """
        first = 0
        taken = 0
        self._begin_in_time()
        while first < len(batch) and (most is None or taken < most):
            index = self._pack(batch, first, now, None if most is None else most - taken)
            taken += self._packer.records
            if index == first:
                if self._at:
                    self._hand_over()
                elif self._records_in_file:
                    self._next_file()
                else:
                    # Longer than a file may be: it gets one of its own.
                    left = None if most is None else most - taken
                    index = self._pack(batch, first, now, left, alone=True)
                    taken += self._packer.records
            first = index
        if self._at >= ENOUGH or (self._at and time.monotonic() - self._since > SOON):
            self._hand_over()
        return taken

    def _pack(self, batch: Batch, first: int, now: int, most: int | None, *, alone: bool = False) -> int:
        if self._buffer is None:
            self._buffer = self._free_buffer()
            self._at = self._in_buffer = 0
            self._since = time.monotonic()
        limit = self._rotation.size
        index, at = self._packer.pack(
            batch,
            self._buffer,
            self._at,
            first=first,
            last=first + 1 if alone else None,
            room=None if limit is None or alone else limit - self._reserved - self._size,
            most=0xFFFFFFFF if most is None else most,
            now=now,
        )
        self._size += at - self._at
        self._at = at
        self._in_buffer += self._packer.records
        self._records_in_file += self._packer.records
        self.records += self._packer.records
        self.octets += self._packer.octets
        return index

    def _free_buffer(self) -> bytearray:
        self._check()
        try:
            return self._disk.free.get_nowait()
        except queue.Empty:
            if self._made < BUFFERS:
                self._made += 1
                return bytearray(LARGEST_FRAME)
        # The thread gives every buffer back, whatever becomes of the disk.
        while True:
            try:
                return self._disk.free.get(timeout=LOOK)
            except queue.Empty:
                if not self._patient(self._disk.taken):
                    raise self._given_up() from None

    def _given_up(self) -> PortError:
        self._disk.given_up = True
        self._disk.orders.put(("end", b"", 0, 0))
        return PortError(
            f"{self._where()} takes nothing more: {self.unwritten:,} frames are not written",
            remedy="see that it is read, or write to a file",
        )

    def _hand_over(self) -> None:
        if self._buffer is not None and self._at:
            self._disk.orders.put(("records", self._buffer, self._at, self._in_buffer))
            self._buffer = None
            self._at = 0

    def flush(self) -> None:
        """Hands over what was packed, so that a reader sees it; begins a new file if it is time.

        Raises:
            PortError: if a file cannot be written.
        """
        self._check()
        self._hand_over()
        self._begin_in_time()

    def _begin_in_time(self) -> None:
        """Begins a new file where the one that is written to is as old as it may be, and holds a frame."""
        seconds = self._rotation.seconds
        if seconds is not None and self._records_in_file and time.monotonic() - self._begun >= seconds:
            self._next_file()

    def _check(self) -> None:
        if self._disk.error is not None:
            raise self._failed(self._disk.error)

    def _failed(self, error: OSError) -> Exception:
        if isinstance(error, BrokenPipeError) and self._path == STANDARD_OUTPUT:
            return error
        remedy = "see that there is room, or keep fewer files: --keep" if error.errno == errno.ENOSPC else ""
        return PortError(
            f"{self._where()} cannot be written further; it ends with a whole frame",
            errno=error.errno,
            remedy=remedy,
        )

    def _where(self) -> str:
        return "standard output" if self._path == STANDARD_OUTPUT else str(self._name())

    def _name(self) -> Path:
        if not self._rotation.numbered:
            return self._path
        return self._path.with_name(f"{self._path.stem}-{self._number:05d}{self._path.suffix}")

    def _find_earlier(self) -> int:
        """Takes the files that are there as its own, but for a last one without frames; that one's number."""
        name = re.compile(rf"{re.escape(self._path.stem)}-([0-9]{{5,}}){re.escape(self._path.suffix)}")
        empty = len(self._header) + (LEAST_FOOTER if self._form is Form.PCAPNG else 0)
        try:
            there = [(name.fullmatch(each.name), each) for each in self._path.parent.iterdir()]
            found = sorted((int(match[1]), each.stat().st_size, each) for match, each in there if match)
        except OSError:
            return 0  # what is wrong with the folder is told where a file is made
        last = found[-1][0] if found else 0
        # Whoever begins again and again is not to lose what there is for files without anything in them.
        if found and found[-1][1] <= empty:
            found.pop()
            last -= 1
        self._files.extend(each for _, _, each in found)
        return last

    def _begin(self) -> None:
        """Begins a file, and removes those that are one too many."""
        self.files += 1
        self._number += 1
        self._size = len(self._header)
        self._records_in_file = 0
        self._begun = time.monotonic()
        if self._path == STANDARD_OUTPUT:
            self._disk.orders.put(("file", 1, 0, 0))
        else:
            path = self._name()
            fd = self._open(path)
            self._files.append(path)
            self._disk.orders.put(("file", fd, 1, 0))
        self._disk.orders.put(("header", self._header, len(self._header), 0))
        self._remove_oldest()

    def _open(self, path: Path) -> int:
        if self._rotation.numbered:
            # Such names are known beforehand to whoever may write to the folder.
            return open_new(path)
        return open_named(path, lambda: self._patient(0))

    def _needed_at_the_end(self) -> int:
        """The octets of a file that are kept free for what stands behind its last frame."""
        if self._statistics is None or self._rotation.size is None or self._form is Form.PCAP:
            return 0
        return LEAST_FOOTER + min(REMARKS, self._rotation.size // REMARKS_SHARE)

    def _finish(self) -> None:
        """Ends the file."""
        self._hand_over()
        if self._statistics is not None:
            limit = self._rotation.size
            room = None if limit is None else limit - self._size
            end = footer(self._form, self._statistics(self._started_at, self.records), room=room)
            self._disk.orders.put(("footer", end, len(end), 0))

    def _next_file(self) -> None:
        self._finish()
        self._begin()

    def _remove_oldest(self) -> None:
        keep = self._rotation.keep
        while keep is not None and len(self._files) > keep:
            # Its writer is done with it, or still has it open: the name goes in either case.
            oldest = self._files.popleft()
            try:
                oldest.unlink(missing_ok=True)
            except OSError as error:
                raise PortError(
                    f"{oldest}, the oldest capture, cannot be removed", errno=error.errno
                ) from error

    def close(self) -> None:
        """Writes what is left and ends the file; again and again does no harm.

        Raises:
            PortError: if a file could not be written, or is not waited for any longer.
        """
        if self._disk.given_up or not self._disk.is_alive():
            return
        self._finish()
        self._disk.orders.put(("end", b"", 0, 0))
        while True:
            self._disk.join(LOOK)
            if not self._disk.is_alive():
                break
            if not self._patient(self._disk.taken):
                raise self._given_up()
        self._check()
