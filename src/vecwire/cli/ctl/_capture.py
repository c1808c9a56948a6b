"""Captures a port of a running service: to a file, to standard output, or a line for each frame."""

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from vecwire.capture import SNAPLEN, CaptureWriter, Form, describe, drops, form_of
from vecwire.capture.files import Interface
from vecwire.cli._output import print_json, print_line
from vecwire.cli._wakeup import Wakeup
from vecwire.client import Client
from vecwire.errors import PortError

#: Octets of a record at the most: a frame, and what stands in front of one that was dropped.
LONGEST_RECORD = SNAPLEN + 1024

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
    with Wakeup(_ENDING) as wakeup, contextlib.closing(client.capture(port)) as frames:
        if write is None:
            tell = _tell_object if json else _tell_line
            taken, ended = _take(
                frames, wakeup, count, lambda frame: tell(frame, time.time_ns()), sys.stdout.flush
            )
        else:
            with _opened(write) as file:
                writer = CaptureWriter(file, form_of(write), interface=Interface(port))
                file.flush()
                taken, ended = _take(
                    frames, wakeup, count, lambda frame: writer.write(frame, time.time_ns()), file.flush
                )
    if write is not None:
        sys.stderr.write(f"{taken} frames captured\n")
    if ended:
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
        PortError: There is no such port or reason, drops are captured already, the file cannot be written or
            has no place for reasons, or the service ended the capture early.
    """
    if write is not None and form_of(write) is not Form.PCAPNG:
        raise PortError(
            "pcap has no place for the reason of a drop",
            remedy=f"write pcapng: -w {write.with_suffix('.pcapng')}",
        )
    with Wakeup(_ENDING) as wakeup, contextlib.closing(client.capture_drops(port, reasons)) as records:
        gaps = drops.Gaps()
        if write is None:

            def tell(record: bytes) -> None:
                drop = drops.read(record)
                gaps.before(drop)
                if json:
                    print_json(_drop_object(drop))
                else:
                    print_line(_drop_line(drop))

            taken, ended = _take(records, wakeup, count, tell, sys.stdout.flush)
        else:
            with _opened(write) as file:
                writer = drops.DropWriter(file, gaps)
                file.flush()
                taken, ended = _take(
                    records, wakeup, count, lambda record: writer.write(drops.read(record)), file.flush
                )
    if write is not None or gaps.missed:
        more = f"; {gaps.missed} came too fast" if gaps.missed else ""
        sys.stderr.write(f"{taken} drops captured{more}\n")
    if ended:
        raise PortError("the capture of drops was ended by the service", remedy="see its log")


def _take(
    records: socket.socket,
    wakeup: Wakeup,
    count: int | None,
    take: Callable[[bytes], None],
    flush: Callable[[], object],
) -> tuple[int, bool]:
    """Reads records until a signal, the count or the other end; how many, and whether it was the latter."""
    records.setblocking(False)
    taken = 0
    while taken != count:
        signals, _ = wakeup.wait(records.fileno())
        while taken != count:
            try:
                record = records.recv(LONGEST_RECORD)
            except BlockingIOError:
                break
            except ConnectionResetError:
                record = b""
            if not record:
                flush()
                return taken, True
            take(record)
            taken += 1
        flush()
        if signals:
            break
    return taken, False


@contextlib.contextmanager
def _opened(write: Path) -> Iterator[BinaryIO]:
    if str(write) == "-":
        if sys.stdout.isatty():
            raise PortError(
                "a capture is not for a terminal", remedy="pipe it to another program, or name a file"
            )
        yield sys.stdout.buffer
        return
    try:
        file = write.open("wb")
    except OSError as error:
        raise PortError(f"the capture cannot be written to {write}", errno=error.errno) from error
    with file:
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
