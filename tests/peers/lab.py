"""A lab: hosts attached by every transport to the switch of a service, and questions between them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from peers.hosts import MTU, Host, attached
from vecwire.service.config import loads
from vecwire.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType


PATIENCE = 20.0
ECHO, ECHO_REPLY = 8, 0


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
