"""Two namespaces and an L2TPv3 tunnel over UDP between them, of which either end may be a plain socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import vecwire
from peers.net import namespaces, veth
from peers.ports import PORTS, SESSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peers.net import Namespace
    from vecwire.transports import TransportPort

NEAR, FAR = "192.168.7.1", "192.168.7.2"
NEAR_PORT, FAR_PORT = 1701, 1702
UDP_SEGMENT = 103  # linux/udp.h
SO_RCVBUFFORCE = 33
PATIENCE = 10.0
#: What stands in front of a frame on its way to the far end: version 3, and the session that it wants.
TO_FAR = struct.pack("!HHI", 3, 0, 0xFFFFFFFE)


@dataclass
class Wan:
    """The namespaces `near` and `far`, each with a link `wan0`, and what is opened in them."""

    near: Namespace
    far: Namespace
    stack: contextlib.ExitStack = field(repr=False)

    near_address: str = NEAR
    far_address: str = FAR

    def near_port(self, options: str = "") -> TransportPort:
        """The tunnel's near end; `options` are added to its spec, as `,depth=8`."""
        return self._port(0, self.near, self.near_address, self.far_address, options)

    def far_port(self, options: str = "") -> TransportPort:
        """The tunnel's far end."""
        return self._port(1, self.far, self.far_address, self.near_address, options)

    def near_socket(self) -> socket.socket:
        """A socket in the place of the tunnel's near end."""
        return self._socket(self.near, (self.near_address, NEAR_PORT), (self.far_address, FAR_PORT))

    def far_socket(self) -> socket.socket:
        """A socket in the place of the tunnel's far end: the kernel gives it every datagram by itself."""
        return self._socket(self.far, (self.far_address, FAR_PORT), (self.near_address, NEAR_PORT))

    def _port(self, end: int, namespace: Namespace, src: str, dst: str, options: str) -> TransportPort:
        spec = f"l2tpv3,udp=1,{PORTS[end]},{SESSIONS[end]},src={src},dst={dst},netns={namespace.name}"
        return self.stack.enter_context(vecwire.open(spec + options))

    def _socket(self, namespace: Namespace, own: tuple[str, int], peer: tuple[str, int]) -> socket.socket:
        with namespace.enter():
            made = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        made.bind(own)
        made.connect(peer)
        made.settimeout(PATIENCE)
        return made


@contextlib.contextmanager
def wan(mtu: int = 1500) -> Iterator[Wan]:
    """The link, of the given MTU."""
    with namespaces("near", "far", ipv6=False) as (near, far), contextlib.ExitStack() as stack:
        veth((near, "wan0"), (far, "wan0"), addresses_a=[f"{NEAR}/24"], addresses_b=[f"{FAR}/24"], mtu=mtu)
        yield Wan(near, far, stack)


def send_train(sender: socket.socket, datagrams: Iterable[bytes], size: int) -> None:
    """Sends datagrams of `size` octets, the last one perhaps shorter, in one message."""
    sender.sendmsg(list(datagrams), [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))])


def datagrams(receiver: socket.socket, count: int) -> list[bytes]:
    """The next `count` datagrams; fewer are a timeout."""
    return [receiver.recv(1 << 16) for _ in range(count)]


@contextlib.contextmanager
def inside(port: TransportPort, role: str = "tx") -> Iterator[socket.socket]:
    """The socket of a port, to set an option on."""
    with socket.socket(fileno=os.dup(port.info.descriptors[role])) as found:
        yield found


def shrink(port: TransportPort) -> None:
    """Leaves a port the least send buffer that there is."""
    with inside(port) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)


@contextlib.contextmanager
def routed(mtu: int) -> Iterator[Wan]:
    """A router between the ends, whose link to the far one has another MTU than the near one's 1500."""
    with (
        namespaces("near", "router", "far", ipv6=False) as (near, router, far),
        contextlib.ExitStack() as stack,
    ):
        veth((near, "wan0"), (router, "wan0"), addresses_a=["10.1.0.1/24"], addresses_b=["10.1.0.2/24"])
        veth(
            (router, "wan1"), (far, "wan0"), addresses_a=["10.2.0.2/24"], addresses_b=["10.2.0.1/24"], mtu=mtu
        )
        router.sysctl("ipv4/ip_forward", "1")
        near.ip("route add default via 10.1.0.2")
        far.ip("route add default via 10.2.0.2")
        near.wait_reachable("10.2.0.1")
        yield Wan(near, far, stack, "10.1.0.1", "10.2.0.1")
