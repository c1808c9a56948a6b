"""The thread that writes capture files, so that a disk does not hold up who receives."""

import os
import queue
import struct
import threading

from vecwire import confine
from vecwire.capture.files import Form
from vecwire.confine import Seccomp, seccomp

#: Octets that are written at a time: who waits for a slow reader of a pipe sees that it reads.
PIECE = 1 << 16


class Disk(threading.Thread):
    """Writes what it is told to, in order, to the file that it was told last."""

    def __init__(self, form: Form, mode: Seccomp | None = None) -> None:
        super().__init__(name="vecwire-disk", daemon=True)
        self._form = form
        self._mode = mode
        #: What to do, with what, its octets or whether it is to be closed, and the records that it holds.
        self.orders: queue.SimpleQueue[tuple[str, bytearray | bytes | int, int, int]] = queue.SimpleQueue()
        self.free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self.error: OSError | None = None
        self.written = 0
        #: Octets that were taken so far, those of records that are not whole yet with them.
        self.taken = 0
        self.records = 0
        #: Whether nobody waits for it any longer: nothing more is written.
        self.given_up = False
        self._fd = -1
        self._owned = False

    def begin(self) -> None:
        """Starts it, held to what writing takes where that was asked for.

        Raises:
            PortError: if there is no thread to be had.
            UnsupportedError: if it must be held to that, and cannot be.
        """
        confine.start(self, self._mode, seccomp.WRITER)

    def run(self) -> None:
        """Takes orders until the last."""
        while True:
            order, what, length, records = self.orders.get()
            if order == "end":
                break
            if order == "file" and isinstance(what, int):
                self._close()
                self._fd, self._owned = what, bool(length)
            elif isinstance(what, bytearray | bytes):
                if self.error is None and not self.given_up:
                    self._write(memoryview(what)[:length], records)
                if isinstance(what, bytearray):
                    self.free.put(what)
        self._close()

    def _close(self) -> None:
        if self._owned:
            self._owned = False
            try:
                os.close(self._fd)
            except OSError as error:  # what a network file system has kept back until now
                self.error = self.error or error

    def _write(self, octets: memoryview, records: int) -> None:
        done = 0
        try:
            while done < len(octets):
                wrote = os.write(self._fd, octets[done : done + PIECE])
                done += wrote
                self.taken += wrote
        except OSError as error:
            self.error = error
            keep, records = whole_records(self._form, octets, done) if records else (0, 0)
            if self._owned:
                self._cut(done - keep)
            done = keep
        self.written += done
        self.records += records

    def _cut(self, octets: int) -> None:
        """Takes the last octets of the file away again, so that it ends with a whole record."""
        try:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - octets)
        except OSError:
            return  # a device or a pipe: there is nothing that could be cut


def whole_records(form: Form, octets: memoryview, written: int) -> tuple[int, int]:
    """How many of the octets that were written are those of whole records, and how many those are."""
    at = records = 0
    while at + 16 <= written:
        place = at + (4 if form is Form.PCAPNG else 8)
        (length,) = struct.unpack_from("=I", octets, place)
        size = length if form is Form.PCAPNG else length + 16
        if at + size > written:
            break
        at += size
        records += 1
    return at, records
