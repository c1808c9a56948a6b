"""The UDP datagrams that a kernel delivers, seen beside the sockets that they are for.

Theory of operation. A raw socket gets a copy of each packet of its protocol that IP delivers here (raw(7)),
reassembled, whatever becomes of the other copy. So what has arrived is known, though its reader may have
stopped before: iperf3 closes its socket as soon as it is told that all was sent, and what waits there is
counted by nobody.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peers.wan import SO_RCVBUFFORCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.net import Namespace

UDP_HEADER = 8


@dataclass
class Arrivals:
    """What has arrived so far.

    Attributes:
        conversations: the ports of source and destination of each datagram, in order.
        payloads: the octets of each.
    """

    listener: socket.socket
    conversations: list[tuple[int, int]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def count(self) -> int:
        """How many datagrams have arrived; those that wait are taken in."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = self.listener.recv(1 << 16)
                # With IPv4 the header comes too, with IPv6 it does not.
                at = (packet[0] & 15) * 4 if self.listener.family == socket.AF_INET else 0
                ports = struct.unpack_from("!HH", packet, at)
                self.conversations.append((ports[0], ports[1]))
                self.payloads.append(packet[at + UDP_HEADER :])
        return len(self.payloads)


@contextlib.contextmanager
def arrivals(namespace: Namespace, address: str) -> Iterator[Arrivals]:
    """Takes in the datagrams of an address's family that are delivered in a namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with namespace.enter():
        listener = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        listener.setblocking(False)
        yield Arrivals(listener)
