"""Captures a port of a running service: to a file, to standard output, or a line for each frame."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from vecwire.cli._output import print_json, print_line
from vecwire.cli._wakeup import Wakeup
from vecwire.client import Client
from vecwire.errors import PortError
from vecwire.pcap import SNAPLEN, PcapWriter

Take = Callable[[bytes, int], None]

_ENDING = (signal.SIGINT, signal.SIGTERM)
_VLAN_TYPES = (0x8100, 0x88A8)  # IEEE 802.1Q-2018, table 9-1
_ETHERTYPES = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x86DD: "IPv6",
    0x8847: "MPLS",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE",
    0x88CC: "LLDP",
    0x8809: "slow protocols",
    0x888E: "EAPOL",
    0x88E5: "MACsec",
}


def capture_port(client: Client, port: str, *, write: Path | None, count: int | None, json: bool) -> None:
    """Takes copies of a port's frames until a signal, the count, or the service ends it.

    Args:
        client: Whom to ask.
        port: The port's name.
        write: Where pcap goes; ``-`` is standard output; None tells each frame instead.
        count: Frames after which to end; None is never.
        json: Whether a frame that is told is told as an object.

    Raises:
        PortError: There is no such port, the file cannot be written, or the service ended the capture early.
    """
    with Wakeup(_ENDING) as wakeup, contextlib.closing(client.capture(port)) as frames:
        frames.setblocking(False)
        taken = 0
        ended = False
        with _sink(write, json=json) as (take, flush):
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
def _sink(write: Path | None, *, json: bool) -> Iterator[tuple[Take, Callable[[], object]]]:
    """What takes the frames, and what sends on what was taken."""
    if write is None:
        tell = _tell_object if json else _tell_line
        yield tell, sys.stdout.flush
        return
    with _opened(write) as file:
        writer = PcapWriter(file)
        file.flush()
        yield writer.write, file.flush


@contextlib.contextmanager
def _opened(write: Path) -> Iterator[BinaryIO]:
    if str(write) == "-":
        if sys.stdout.isatty():
            raise PortError("pcap is not for a terminal", remedy="pipe it to another program, or name a file")
        yield sys.stdout.buffer
        return
    try:
        file = write.open("wb")
    except OSError as error:
        raise PortError(f"the capture cannot be written to {write}", errno=error.errno) from error
    with file:
        yield file


def _tell_line(frame: bytes, nanoseconds: int) -> None:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = time.strftime("%H:%M:%S", time.localtime(seconds))
    vlans, kind = _layers(frame)
    tags = "".join(f"vlan {vlan}  " for vlan in vlans)
    name = _ETHERTYPES.get(kind, f"type 0x{kind:04x}" if kind >= 0x0600 else "802.3")
    print_line(
        f"{moment}.{rest:09d}  {_mac(frame[6:12])} > {_mac(frame[:6])}  {tags}{name}  {len(frame)} octets"
    )


def _tell_object(frame: bytes, nanoseconds: int) -> None:
    vlans, kind = _layers(frame)
    print_json(
        {
            "time_ns": nanoseconds,
            "src": _mac(frame[6:12]),
            "dst": _mac(frame[:6]),
            "vlans": vlans,
            "ethertype": kind,
            "octets": len(frame),
        }
    )


def _layers(frame: bytes) -> tuple[list[int], int]:
    """Returns the VLANs of a frame's tags, from the outermost, and its type."""
    vlans: list[int] = []
    at = 12
    while (kind := int.from_bytes(frame[at : at + 2], "big")) in _VLAN_TYPES and len(frame) >= at + 6:
        vlans.append(int.from_bytes(frame[at + 2 : at + 4], "big") & 0x0FFF)
        at += 4
    return vlans, kind


def _mac(octets: bytes) -> str:
    return octets.hex(":")
