"""A trace: a line of the log for each frame that a port receives or sends, no more of them than people read.

>>> told(bytes.fromhex("ffffffffffff0200000000aa0806") + bytes(46))
'02:00:00:00:00:aa > ff:ff:ff:ff:ff:ff, ARP, length 60'
"""

import contextlib
import errno
import ipaddress
import logging
import os
import threading
import time
from types import TracebackType
from typing import Self

from vecwire.engine import Engine
from vecwire.host import start
from vecwire.path.worker import FOR_TRACE
from vecwire.transports import TransportPort
from vecwire.transports._descriptor import Descriptor

logger = logging.getLogger("vecwire.trace")

#: Lines a second, after which frames are only counted.
USUAL_RATE = 100
#: IEEE 802 numbers and IANA's protocol numbers that are told by name.
ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x88CC: "LLDP"}
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 47: "GRE", 115: "L2TP"}
TAGS = (0x8100, 0x88A8)
LONGEST = 1 << 17
#: What read(2) may say once and not again: a signal, no memory for now.
TRANSIENT = frozenset((errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM))


def told(frame: bytes) -> str:
    """Returns a line that tells a frame: its addresses, VLAN, type, length, and those of IP and its ports."""
    kind, at = int.from_bytes(frame[12:14]), 14
    words = [f"{frame[6:12].hex(':')} > {frame[:6].hex(':')}"]
    while kind in TAGS and len(frame) >= at + 4:
        words.append(f"vlan {int.from_bytes(frame[at : at + 2]) & 0x0FFF}")
        kind, at = int.from_bytes(frame[at + 2 : at + 4]), at + 4
    words += [ETHERTYPES.get(kind, f"ethertype {kind:#06x}"), f"length {len(frame)}"]
    line = ", ".join(words)
    inner = _internet(frame[at:], kind)
    return f"{line}: {inner}" if inner else line


def _internet(packet: bytes, kind: int) -> str:
    """Returns what there is to tell of an IP packet; nothing of another."""
    if kind == 0x0800 and len(packet) >= 20:
        addresses, protocol = (packet[12:16], packet[16:20]), packet[9]
        head, fragment = (packet[0] & 0x0F) * 4, int.from_bytes(packet[6:8]) & 0x1FFF
    elif kind == 0x86DD and len(packet) >= 40:
        addresses, protocol = (packet[8:24], packet[24:40]), packet[6]
        head, fragment = 40, 0
    else:
        return ""
    source, destination = (str(ipaddress.ip_address(each)) for each in addresses)
    if protocol in {6, 17} and not fragment and len(packet) >= head + 4:
        source += f".{int.from_bytes(packet[head : head + 2])}"
        destination += f".{int.from_bytes(packet[head + 2 : head + 4])}"
    return f"{source} > {destination} {PROTOCOLS.get(protocol, f'protocol {protocol}')}"


def _next(reader: Descriptor) -> bytes:
    """The next frame of a capture; empty where it has ended."""
    while True:
        try:
            return os.read(reader.fileno(), LONGEST)
        except OSError as error:
            if error.errno not in TRANSIENT:
                logger.warning("a trace ends: %s", error.strerror)
                return b""


class Trace:
    """Writes what a port receives and sends to the log ``vecwire.trace``, at level DEBUG.

    Frames are copied as a capture copies them; those that come faster than lines may be written are counted.

    Args:
        port: the port, which has a place in the engine.
        engine: moves its frames.
        name: what it is called in the log; by default its spec.
        rate: lines a second.
    """

    def __init__(
        self, port: TransportPort, *, engine: Engine, name: str | None = None, rate: int = USUAL_RATE
    ) -> None:
        self._port = port
        self._engine = engine
        self._name = name or str(port.spec)
        self._rate = rate
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Begins.

        Raises:
            PortError: if the port has no place in the engine, or is traced already.
        """
        with contextlib.ExitStack() as made:
            number = self._engine.capture(self._port, purpose=FOR_TRACE)
            made.callback(self._engine.end_capture, self._port, purpose=FOR_TRACE)
            # The number is its own from here on, and is closed once.
            reader = made.enter_context(Descriptor(number, "trace"))
            thread = threading.Thread(target=self._read, args=(reader,), name="vecwire-trace", daemon=True)
            start(thread)
            made.pop_all()
        self._thread = thread
        return self

    def _read(self, reader: Descriptor) -> None:
        began, lines, more = time.monotonic(), 0, 0
        with reader:
            while frame := _next(reader):
                moment = time.monotonic()
                if moment - began >= 1:
                    self._tell_of(more)
                    began, lines, more = moment, 0, 0
                if lines < self._rate:
                    lines += 1
                    logger.debug("%s: %s", self._name, told(frame))
                else:
                    more += 1
        self._tell_of(more)

    def _tell_of(self, more: int) -> None:
        if more:
            logger.debug("%s: %d frames more, too many to tell", self._name, more)

    def stop(self) -> None:
        """Ends it; returns once the last line is written."""
        if self._thread is not None:
            self._engine.end_capture(self._port, purpose=FOR_TRACE)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
