"""A lab: hosts attached by every transport to the switch of a service; and streams between ports."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from peers.frames import fill
from peers.hosts import MTU, Host, attached
from peers.net import wait_until
from vecwire.service.config import loads
from vecwire.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from vecwire.transports import TransportPort

PATIENCE = 20.0
ECHO, ECHO_REPLY = 8, 0
#: Between two frames of a stream, in seconds.
PACE = 0.001


@dataclass
class Lab:
    """Hosts, and the service that joins them.

    Attributes:
        service: the service, whose ports are named ``port1`` and on.
        hosts: the hosts, by number from 1 on: each has the address 10.9.0.NUMBER.
    """

    service: Service
    hosts: dict[int, Host]

    def forget_neighbours(self) -> None:
        """Empties the hosts' tables of neighbours: all namespaces share room for 1024 (arp(7))."""
        for host in self.hosts.values():
            host.namespace.ip("neigh flush all")

    def sent(self) -> dict[str, int]:
        """How many frames have left each port so far."""
        return {state.name: state.counters["tx_frames"] for state in self.service.port_states()}


@contextlib.contextmanager
def lab(kinds: Sequence[str], *, keys: str = "") -> Iterator[Lab]:
    """Hosts attached by these transports, to one switch.

    Args:
        kinds: how each host is attached.
        keys: more keys of the switch's table.
    """
    with contextlib.ExitStack() as stack:
        hosts = {number: stack.enter_context(attached(kind)) for number, kind in enumerate(kinds, start=1)}
        ports = "".join(f"port{number} = '{host.spec}'\n" for number, host in hosts.items())
        names = [f"port{number}" for number in hosts]
        text = f"[ports]\n{ports}\n[switches.lan]\nports = {names}\n{keys}\n"
        service = Service(Path("lab.toml"))
        stack.callback(service.close)
        service.apply(loads(text))
        service.start()
        for number, host in hosts.items():
            host.configure(number, MTU)
        yield Lab(service, hosts)


class Pinger:
    """Sends echo requests (RFC 792) from a host, to many at a time.

    Args:
        host: who asks.
    """

    def __init__(self, host: Host) -> None:
        with host.namespace.enter():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setblocking(False)
        self._identity = id(self) & 0xFFFF

    def ask(self, addresses: Sequence[str], number: int = 1) -> None:
        """Sends one request to each of the addresses."""
        for address in addresses:
            head = struct.pack("!BBHHH", ECHO, 0, 0, self._identity, number)
            total = sum(struct.unpack("!4H", head))
            checksum = ~(total + (total >> 16)) & 0xFFFF
            self._socket.sendto(
                struct.pack("!BBHHH", ECHO, 0, checksum, self._identity, number), (address, 0)
            )

    def answers(self, count: int, number: int = 1) -> set[str]:
        """Waits until so many addresses have answered, or too long; which ones have."""
        found: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as ready:
            ready.register(self._socket, selectors.EVENT_READ)
            while len(found) < count and ready.select(deadline - time.monotonic()):
                octets, (address, _) = self._socket.recvfrom(256)
                kind, _, _, identity, answered = struct.unpack_from("!BBHHH", octets, (octets[0] & 15) * 4)
                if (kind, identity, answered) == (ECHO_REPLY, self._identity, number):
                    found.add(address)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


@dataclass
class Stream:
    """Numbered frames that one port keeps sending to another, until it is stopped.

    Attributes:
        sent: how many frames have been sent.
        missing: the numbers of those that never arrived, once it has stopped.
    """

    source: TransportPort
    sink: TransportPort
    sent: int = 0
    missing: set[int] = field(default_factory=set)
    _got: set[int] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    SOURCE = b"\x02\x00\x00\x00\xaa\x01"
    SINK = b"\x02\x00\x00\x00\xaa\x02"
    KIND = b"\x88\xb5"

    def __enter__(self) -> Self:
        batch = self.sink.batch(1)
        fill(batch, [self.SOURCE + self.SINK + self.KIND + bytes(46)])
        self.sink.send(batch)  # so that it is known where the sink is
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self._got) > 10, timeout=PATIENCE, what="the stream flows")
        return self

    def _send(self) -> None:
        batch = self.source.batch(1)
        while not self._stopping.wait(PACE):
            octets = self.SINK + self.SOURCE + self.KIND + struct.pack("!Q", self.sent) + bytes(38)
            fill(batch, [octets])
            while not self.source.send(batch):
                self.source.wait(1, write=True)
            self.sent += 1

    def _receive(self) -> None:
        batch = self.sink.batch()
        while not self._stopping.is_set() or len(self._got) < self.sent:
            if not self.sink.wait(1):
                if self._stopping.is_set():
                    return
                continue
            self.sink.recv(batch)
            for each in batch:
                if bytes(each[6:14]) == self.SOURCE + self.KIND:
                    self._got.add(struct.unpack_from("!Q", each, 14)[0])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.missing = set(range(self.sent)) - self._got
