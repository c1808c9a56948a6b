"""Captures a port of a running service: to a file, to standard output, or a line for each frame."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from vecwire.capture import SNAPLEN, CaptureWriter, describe, form_of
from vecwire.capture.files import Interface
from vecwire.cli._output import print_json, print_line
from vecwire.cli._wakeup import Wakeup
from vecwire.client import Client
from vecwire.errors import PortError

Take = Callable[[bytes, int], None]

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
        frames.setblocking(False)
        taken = 0
        ended = False
        with _sink(port, write, json=json) as (take, flush):
            while not ended and taken != count:
                signals, _ = wakeup.wait(frames.fileno())
                while taken != count:
                    try:
                        frame = frames.recv(SNAPLEN)
                    except BlockingIOError:
                        break
                    except ConnectionResetError:
                        frame = b""
                    if not frame:
                        ended = True
                        break
                    take(frame, time.time_ns())
                    taken += 1
                flush()
                if signals:
                    break
    if write is not None:
        sys.stderr.write(f"{taken} frames captured\n")
    if ended:
        raise PortError(
            f"the capture of {port} was ended by the service", remedy="see whether the port is there still"
        )


@contextlib.contextmanager
def _sink(port: str, write: Path | None, *, json: bool) -> Iterator[tuple[Take, Callable[[], object]]]:
    """What takes the frames, and what sends on what was taken."""
    if write is None:
        tell = _tell_object if json else _tell_line
        yield tell, sys.stdout.flush
        return
    with _opened(write) as file:
        writer = CaptureWriter(file, form_of(write), interface=Interface(port))
        file.flush()
        yield writer.write, file.flush


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


def _tell_line(frame: bytes, nanoseconds: int) -> None:
    print_line(describe.line(frame, nanoseconds))


def _tell_object(frame: bytes, nanoseconds: int) -> None:
    print_json(describe.as_object(frame, nanoseconds))
