"""Captures a port of a running service: to a file, to standard output, or a line for each frame."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import typer

from vecwire.capture import SNAPLEN, CaptureWriter, Form, describe, drops, form_of
from vecwire.capture._made import open_named
from vecwire.capture.files import Interface, Statistics, footer
from vecwire.cli._common import NOT_FOR_A_TERMINAL
from vecwire.cli._output import print_json, print_line
from vecwire.cli._wakeup import Wakeup
from vecwire.client import Client
from vecwire.errors import PortError
from vecwire.service.state import CaptureState

#: Octets of a record at the most: a frame, and what stands in front of one that was dropped.
LONGEST_RECORD = SNAPLEN + 1024
#: Records that are taken between two looks for a signal.
RECORDS = 64
#: Seconds in which what was captured before a signal is read.
LAST_SECONDS = 1.0

_ENDING = (signal.SIGINT, signal.SIGTERM)


def capture_port(client: Client, port: str, *, write: Path | None, count: int | None, json: bool) -> None:
    """Takes copies of a port's frames until a signal, the count, or the service ends it.

    Args:
        client: Whom to ask.
        port: The port's name.
        write: Where the file goes, pcapng or by its suffix pcap; ``-`` is standard output; None tells each
            frame instead.
        count: Frames after which to end; None is never.
        json: Whether a frame that is told is told as an object.

    Raises:
        PortError: There is no such port, the file cannot be written, or the service ended the capture early.
    """
    with contextlib.ExitStack() as stack:
        wakeup = stack.enter_context(Wakeup(_ENDING))
        frames = stack.enter_context(contextlib.closing(client.capture(port)))
        file: BinaryIO | None = None
        if write is None:
            tell, flush = _tell_object if json else _tell_line, sys.stdout.flush
        else:
            file = stack.enter_context(_opened(write, wakeup))
            tell, flush = CaptureWriter(file, form_of(write), interface=Interface(port)).write, file.flush
            flush()
        begun = time.time_ns()
        taking = _Taking(frames, lambda frame: tell(frame, time.time_ns()), flush)
        asked = taking.run(wakeup, count)
        # What was left out until now; what comes while the rest is read is no part of it.
        told = _told(client, port)
        if asked:
            taking.finish(None if told is None else told.frames)
        missed = told.missed if told else 0
        if write is not None and file is not None and told is not None:
            file.write(_ending(form_of(write), begun, taking.taken, missed))
    if write is not None or missed:
        sys.stderr.write(_sum("frames", taking.taken, missed))
    if taking.ended:
        raise PortError(
            f"the capture of {port} was ended by the service", remedy="see whether the port is there still"
        )


def capture_drops(
    client: Client,
    port: str | None,
    reasons: Sequence[str],
    *,
    write: Path | None,
    count: int | None,
    json: bool,
) -> None:
    """Takes copies of what is dropped until a signal, the count, or the service ends it.

    Args:
        client: Whom to ask.
        port: The port that drops them; None is every port.
        reasons: Names of counters, or the beginnings of them; none is all.
        write: Where the file goes, pcapng; ``-`` is standard output; None tells each drop instead.
        count: Drops after which to end; None is never.
        json: Whether a drop that is told is told as an object.

    Raises:
        typer.BadParameter: The file has no place for reasons, or is a terminal.
        ConfigError: There is no such reason.
        PortError: There is no such port, drops are captured already, the file cannot be written, or the
            service ended the capture early.
    """
    if write is not None and form_of(write) is not Form.PCAPNG:
        name = write.with_suffix(".pcapng")
        raise typer.BadParameter(f"pcap has no place for the reason of a drop: write pcapng, -w {name}")
    with contextlib.ExitStack() as stack:
        wakeup = stack.enter_context(Wakeup(_ENDING))
        records = stack.enter_context(contextlib.closing(client.capture_drops(port, reasons)))
        gaps = drops.Gaps()
        if write is None:

            def tell(record: bytes) -> None:
                drop = drops.read(record)
                gaps.before(drop)
                if json:
                    print_json(_drop_object(drop))
                else:
                    print_line(_drop_line(drop))

            taking = _Taking(records, tell, sys.stdout.flush)
        else:
            file = stack.enter_context(_opened(write, wakeup))
            writer = drops.DropWriter(file, gaps)
            file.flush()
            taking = _Taking(records, lambda record: writer.write(drops.read(record)), file.flush)
        if taking.run(wakeup, count):
            taking.finish()
    if write is not None or gaps.missed:
        sys.stderr.write(_sum("drops", taking.taken, gaps.missed))
    if taking.ended:
        raise PortError("the capture of drops was ended by the service", remedy="see its log")


class _Taking:
    """Reads the records of a capture.

    Args:
        records: gives them, one a call.
        take: what is done with each.
        flush: has what was done be seen.
    """

    def __init__(
        self, records: socket.socket, take: Callable[[bytes], None], flush: Callable[[], object]
    ) -> None:
        records.setblocking(False)
        self._records = records
        self._take = take
        self._flush = flush
        #: Records so far.
        self.taken = 0
        #: Whether the other end has ended it.
        self.ended = False

    def run(self, wakeup: Wakeup, count: int | None) -> bool:
        """Reads until a signal, the count or the other end; whether it was a signal."""
        while not self.ended and self.taken != count:
            signals, _ = wakeup.wait(self._records.fileno())
            self._some(count)
            self._flush()
            if signals:
                return True
        return False

    def finish(self, count: int | None = None) -> None:
        """Reads, for a while, what was captured before a signal: so many records in all, or what there is."""
        deadline = time.monotonic() + LAST_SECONDS
        while time.monotonic() < deadline and self._some(count):
            pass
        self._flush()

    def _some(self, count: int | None) -> bool:
        """Reads what is there, some of it where that is much; whether there may be more to read."""
        for _ in range(RECORDS):
            if count is not None and self.taken >= count:
                return False
            try:
                record = self._records.recv(LONGEST_RECORD)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                record = b""
            if not record:
                self.ended = True
                return False
            self._take(record)
            self.taken += 1
        return True


def _told(client: Client, port: str) -> CaptureState | None:
    """What the service says of a capture; None where it cannot: that has ended, or the service is older."""
    try:
        return client.captured(port)
    except PortError:
        return None


def _sum(what: str, taken: int, missed: int) -> str:
    """How many there are, and how many there would be if the reader were faster."""
    more = f"; {missed} came too fast" if missed else ""
    return f"{taken} {what} captured{more}\n"


def _ending(form: Form, begun: int, taken: int, missed: int) -> bytes:
    """What stands at the end of a file; what came too fast found no room in the reader's socket."""
    return footer(
        form,
        Statistics(
            start=begun, end=time.time_ns(), received=taken + missed, kernel_dropped=missed, written=taken
        ),
    )


@contextlib.contextmanager
def _opened(write: Path, wakeup: Wakeup) -> Iterator[BinaryIO]:
    """The file; a pipe that nobody reads is waited for until a signal comes."""
    if str(write) == "-":
        if sys.stdout.isatty():
            raise typer.BadParameter(NOT_FOR_A_TERMINAL)
        yield sys.stdout.buffer
        return
    with os.fdopen(open_named(write, lambda: not wakeup.wait(seconds=0)[0]), "wb") as file:
        yield file


def _drop_line(drop: drops.Drop) -> str:
    told = (
        describe.words(drop.octets, drop.length)
        if drop.kind == "frame"
        else f"{drop.kind} packet  {drop.length} octets"
    )
    return f"{describe.clock(drop.time)}  {drop.port}  {drop.reason}  {told}"


def _drop_object(drop: drops.Drop) -> dict[str, Any]:
    """A drop for programs: what a frame is told as, and port, reason and kind."""
    about = {"port": drop.port, "reason": drop.reason, "kind": drop.kind}
    if drop.kind != "frame":
        return {"time_ns": drop.time, **about, "octets": drop.length}
    return {**describe.as_object(drop.octets, drop.time, drop.length), **about}


def _tell_line(frame: bytes, nanoseconds: int) -> None:
    print_line(describe.line(frame, nanoseconds))


def _tell_object(frame: bytes, nanoseconds: int) -> None:
    print_json(describe.as_object(frame, nanoseconds))
