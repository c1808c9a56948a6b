"""What saturates the service: stamped frames between two sites at a time, and TCP between hosts' kernels."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from peers.accounting import accounted
from soak.ledger import Equation
from vecwire.traffic import Blast, Sink, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from soak.ledger import Reading
    from soak.sites import Site
    from vecwire.traffic import Rate
    from vecwire.transports import TransportPort

SIZES = (60, 566, 60, 1400)
FLOWS = 4
CHUNK = bytes(1 << 16)
#: Closes at once, with a reset and without a word more (socket(7), SO_LINGER).
AT_ONCE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Arrivals:
    """What became of the stamped frames of one direction.

    Attributes:
        sender: whose they are.
        receiver: whom they are for.
        sent: how many were sent.
        marks: how many marks were sent beside them.
        counts: what the sink has counted.
    """

    sender: str
    receiver: str
    sent: int
    marks: int
    counts: dict[str, int]

    def equations(self, sending: Reading, receiving: Reading, marks: int) -> Iterator[Equation]:
        """What blasts have sent is what their end was given, and what the sink's end has received was judged.

        Args:
            sending: from the beginning until all that was sent is at rest, lies not yet told.
            receiving: from the beginning until nothing more was received.
            marks: how many marks were sent by everybody: a sink does not count those that came to its end.
        """
        given, came = sending.ends[self.sender], receiving.ends[self.receiver]
        yield Equation(
            f"blast of {self.sender}", ("sent", self.sent + self.marks), ("sent or dropped", accounted(given))
        )
        judged = sum(self.counts[name] for name in ("frames", "foreign", "corrupted"))
        yield Equation(
            f"sink of {self.receiver}", ("received", came.rx_frames), ("judged", judged), more=marks
        )

    def faults(self, *, duplicated: int, flooded: int) -> list[str]:
        """What no loss explains: damaged, twice, or more than were sent.

        Args:
            duplicated: how many frames were sent twice on purpose.
            flooded: how many were sent to everybody, since nobody knew where their address is.
        """
        counts = self.counts
        bounds = (("corrupted", 0), ("duplicates", duplicated), ("received", self.sent + flooded))
        return [
            f"{self.sender} to {self.receiver}: {counts[name]:,} {name}, {most:,} at the most"
            for name, most in bounds
            if counts[name] > most
        ]


class Pair:
    """Two sites that send each other frames as fast as is asked for, and judge what comes.

    Args:
        one: a site with an end.
        other: another.
        rate: frames a second in each direction.
    """

    def __init__(self, one: Site, other: Site, rate: Rate) -> None:
        self._ways = ((one, other), (other, one))
        self._rate = rate
        self._sinks: list[Sink] = []
        self._blasts: list[list[Blast]] = [[], []]
        self._senders: list[threading.Thread] = []
        self._readers: list[threading.Thread] = []

    def listen(self) -> None:
        """Begins to judge what comes, from zero."""
        self._blasts = [[], []]
        self._sinks = [Sink(_end(receiver)) for _, receiver in self._ways]
        self._readers = [threading.Thread(target=each.run) for each in self._sinks]
        for thread in self._readers:
            thread.start()

    def send(self) -> None:
        """Begins to send, or goes on after a pause."""
        for (sender, receiver), blasts in zip(self._ways, self._blasts, strict=True):
            traffic = Traffic(sizes=SIZES, flows=FLOWS, macs=(sender.mac, receiver.mac))
            blasts.append(Blast(_end(sender), traffic, self._rate))
        self._senders = [threading.Thread(target=each[-1].run) for each in self._blasts]
        for thread in self._senders:
            thread.start()

    def involves(self, site: Site) -> bool:
        """Whether a site is one of the two."""
        return site in self._ways[0]

    def pause(self) -> None:
        """Ends sending; what comes is still received."""
        for blast in (each for blasts in self._blasts for each in blasts):
            blast.stop()
        for thread in self._senders:
            thread.join()
        self._senders = []

    def finish(self) -> list[Arrivals]:
        """Ends; what has become of the frames."""
        self.pause()
        for sink in self._sinks:
            sink.stop()
        for thread in self._readers:
            thread.join()
        self._readers = []
        return [
            Arrivals(
                sender.name,
                receiver.name,
                sum(blast.frames for blast in blasts),
                sum(blast.marks for blast in blasts),
                sink.report().counts,
            )
            for (sender, receiver), blasts, sink in zip(self._ways, self._blasts, self._sinks, strict=True)
        ]


def _end(site: Site) -> TransportPort:
    assert site.end is not None
    return site.end


class Stream:
    """TCP from one host to another, in super-frames where the way takes them, until it is ended.

    Args:
        source: a site with a stack.
        sink: another.
    """

    def __init__(self, source: Site, sink: Site) -> None:
        self.octets = 0
        self._ending = threading.Event()
        with sink.far.enter():
            self._server = socket.create_server((f"10.9.0.{sink.number}", 0))
        with source.far.enter():
            self._client = socket.socket()
        self._client.settimeout(10)
        self._threads: list[threading.Thread] = []

    def start(self) -> Self:
        """Connects, and begins to send."""
        self._client.connect(self._server.getsockname())
        self._connection, _ = self._server.accept()
        for each in (self._client, self._connection):
            each.settimeout(0.2)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._threads = [threading.Thread(target=each) for each in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()
        return self

    def _send(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                self._client.send(CHUNK)

    def _receive(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                self.octets += len(self._connection.recv(len(CHUNK)))

    def stop(self) -> None:
        """Ends it: no kernel sends anything for it afterwards."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        for each in (self._client, self._connection, self._server):
            each.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
