"""Ping and TCP between two namespaces, by the sockets of this process; no program is needed."""

import contextlib
import itertools
import os
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from vecwire.errors import PortError
from vecwire.host import start
from vecwire.wire.checksum import checksum

ECHO_REQUEST = 8  # RFC 792
ECHO_REPLY = 0
ICMP_HEADER = 8
IP_MTU_DISCOVER = 10  # linux/in.h
IP_PMTUDISC_DO = 2
TCP_INFO_TOTAL_RETRANS = 100  # offset of tcpi_total_retrans in struct tcp_info, linux/tcp.h
_CHUNK = 256 * 1024

Pause = Callable[[float], None]
Inside = Callable[[Callable[[], socket.socket]], socket.socket]


@dataclass(frozen=True, slots=True)
class Pinged:
    """What a series of pings gave.

    Attributes:
        size: Octets of a packet, its headers included.
        sent: Requests.
        times: Round-trip times of those answered, in milliseconds.
    """

    size: int
    sent: int
    times: Sequence[float]

    @property
    def summary(self) -> str:
        """The result in the words of ping."""
        if not self.times:
            return f"0 of {self.sent} answered"
        low, middle, high = min(self.times), statistics.fmean(self.times), max(self.times)
        return (
            f"{len(self.times)} of {self.sent} answered, rtt min/avg/max {low:.3f}/{middle:.3f}/{high:.3f} ms"
        )


class Pinger:
    """Pings one address from inside a namespace; packets are never fragmented.

    Args:
        inside: Calls a function inside the namespace.
        address: Whom to ping.
    """

    def __init__(self, inside: Inside, address: str) -> None:
        self._socket = inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        self._socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        self._socket.connect((address, 0))
        self._identity = os.getpid() & 0xFFFF
        self._numbers = itertools.count(1)

    def ping(self, data: int = 56, patience: float = 1.0) -> float | None:
        """Sends one request.

        Args:
            data: Octets of ICMP data; the packet is 28 longer.
            patience: Seconds to wait for the answer.

        Returns:
            The round-trip time in milliseconds; None where no answer came.

        Raises:
            OSError: The kernel did not take the request.
        """
        number = next(self._numbers) & 0xFFFF
        request = _echo(ECHO_REQUEST, self._identity, number, bytes(data))
        expected = _echo(ECHO_REPLY, self._identity, number, bytes(data))
        start = time.perf_counter()
        self._socket.send(request)
        while (left := start + patience - time.perf_counter()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                break
            packet = self._socket.recv(0xFFFF)
            if packet[(packet[0] & 0xF) * 4 :] == expected:
                return (time.perf_counter() - start) * 1000
        return None

    def wait(self, seconds: float, pause: Pause) -> None:
        """Pings until an answer comes.

        Args:
            seconds: For how long at most.
            pause: Sleeps.

        Raises:
            PortError: None came in so many seconds.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pause(0.0)
            with contextlib.suppress(OSError):  # unreachable, as long as nobody says who has the address
                if self.ping(patience=0.2) is not None:
                    return
        raise PortError(f"{self._socket.getpeername()[0]} does not answer through the tunnel")

    def series(self, count: int, data: int, pause: Pause, interval: float = 0.05) -> Pinged:
        """Sends several requests.

        Args:
            count: How many.
            data: Octets of ICMP data in each.
            pause: Sleeps.
            interval: Seconds from one to the next.
        """
        times = []
        for _ in range(count):
            start = time.monotonic()
            if (answer := self.ping(data)) is not None:
                times.append(answer)
            pause(max(0.0, start + interval - time.monotonic()))
        return Pinged(data + ICMP_HEADER + 20, count, times)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _echo(kind: int, identity: int, number: int, data: bytes) -> bytes:
    blank = struct.pack("!BBHHH", kind, 0, 0, identity, number) + data
    return blank[:2] + struct.pack("!H", checksum(blank)) + blank[4:]


@dataclass(slots=True)
class Stream:
    """One TCP connection that carries as much as goes through, for a while.

    Attributes:
        octets: How many have arrived.
        seconds: How long that took.
        retransmissions: Segments that were sent again.
    """

    octets: int = 0
    seconds: float = 0.0
    retransmissions: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _sockets: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @classmethod
    def start(cls, sender: Inside, receiver: Inside, address: str) -> Self:
        """Connects, and begins to send.

        Args:
            sender: Calls a function inside the namespace that sends.
            receiver: Inside the one that receives.
            address: Where that listens.

        Raises:
            OSError: There is no connection.
        """
        stream = cls()
        listener = receiver(lambda: socket.create_server((address, 0)))
        with listener:
            source = sender(lambda: socket.create_connection(listener.getsockname(), timeout=5))
            source.settimeout(None)
            sink, _ = listener.accept()
        stream._sockets = [source, sink]
        for target, end in ((stream._receive, sink), (stream._send, source)):
            thread = threading.Thread(target=target, args=(end,), name="vecwire-demo", daemon=True)
            stream._threads.append(thread)
            start(thread)
        return stream

    @property
    def bits_per_second(self) -> float:
        """How fast it was, or is so far."""
        return self.octets * 8 / self.seconds if self.seconds else 0.0

    def _send(self, source: socket.socket) -> None:
        block = bytes(_CHUNK)
        with contextlib.suppress(OSError):  # the end of the demo closes the socket
            while not self._stop.is_set():
                source.send(block)
            info = source.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            (self.retransmissions,) = struct.unpack_from("=I", info, TCP_INFO_TOTAL_RETRANS)
            source.shutdown(socket.SHUT_WR)

    def _receive(self, sink: socket.socket) -> None:
        block = bytearray(_CHUNK)
        start = time.monotonic()
        with contextlib.suppress(OSError):
            while got := sink.recv_into(block):
                self.octets += got
                self.seconds = time.monotonic() - start

    def stop(self) -> None:
        """Stops sending, and waits until what was sent has arrived."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self.close()

    def close(self) -> None:
        """Ends it at once."""
        self._stop.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that sleeps in it
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
