"""A host in a namespace of its own, attached to a cable's end by any transport; and TCP between two of them.

By raw, tap and hybrid the host's kernel is on the transport itself. By a tunnel or bess, a second cable joins
the transport's other end to a tap of the host, so that a kernel's TCP drives every transport.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import vecwire
from peers.accounting import cable
from peers.net import Namespace, veth
from peers.ports import COOKIES, KEYS, PORTS, SESSIONS
from peers.tagger import tag
from peers.wan import UDP_SEGMENT, datagrams

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = bytes(range(256)) * 256
SECONDS = 20.0
#: Leaves room for every encapsulation on a link of 1500.
MTU = 1400
#: An outer MTU that leaves room for every encapsulation of 9000 octets, and a tag.
JUMBO = 9200
#: The addresses of the two hosts of a cable, by family.
FAMILIES = {"ipv4": ("10.9.0.1", "10.9.0.2"), "ipv6": ("fd09::1", "fd09::2")}
#: The transports that a host can be attached by, each with the two specs of its link where it has one.
TUNNELS: dict[str, tuple[str, str]] = {
    "gre": (f"gre,{KEYS[0]},sequence=1", f"gre,{KEYS[1]},sequence=1"),
    "l2tpv3": (f"l2tpv3,udp=1,{PORTS[0]},{SESSIONS[0]}", f"l2tpv3,udp=1,{PORTS[1]},{SESSIONS[1]}"),
    "l2tpv3-ip": (f"l2tpv3,{SESSIONS[0]},{COOKIES[0]}", f"l2tpv3,{SESSIONS[1]},{COOKIES[1]}"),
}
#: Octets in front of a frame in these: Ethernet, IPv4, and what is asked for.
INSIDE = {"gre": 14 + 20 + 4 + 4 + 4, "l2tpv3": 14 + 20 + 8 + 8, "l2tpv3-ip": 14 + 20 + 4 + 4}
#: Those whose frames may be super-frames.
WHOLE = ("raw", "tap", "hybrid")
ATTACHED_BY = (*WHOLE, *TUNNELS, "bess")


@dataclass
class Host:
    """One host.

    Attributes:
        kind: what it is attached by.
        namespace: where it is.
        link: its own link.
        spec: of the transport that it is attached by.
        stack: what else there is for it.
        wire: the namespace and name of the link whose frames are those of the transport; none of bess.
        inside: octets on that link in front of a frame.
        outside: the namespaces of the other end of what it is attached by, and of a tunnel's link.
    """

    kind: str
    namespace: Namespace
    link: str
    spec: str
    stack: contextlib.ExitStack = field(repr=False)
    wire: tuple[Namespace, str] | None = None
    inside: int = 0
    outside: tuple[Namespace, ...] = ()

    def configure(self, number: int, mtu: int) -> None:
        """Gives it the addresses 10.9.0.NUMBER and fd09::NUMBER."""
        self.namespace.up(self.link, f"10.9.0.{number}/24", f"fd09::{number}/64", mtu=mtu)


@contextlib.contextmanager
def attached(kind: str, *, outer_mtu: int = 1500) -> Iterator[Host]:
    """A host that is attached by `kind`; `Host.spec` is what the cable under test opens.

    Args:
        kind: One of `ATTACHED_BY`.
        outer_mtu: Of the link that a tunnel goes over.
    """
    with contextlib.ExitStack() as stack:
        namespace = stack.enter_context(Namespace(kind))
        if kind in {"tap", "hybrid"}:
            namespace.tap("host0")
            spec = f"{kind},ifname=host0,netns={namespace.name}"
            yield Host(kind, namespace, "host0", spec, stack, (namespace, "host0"))
            return
        middle = stack.enter_context(Namespace(f"{kind}-mid", ipv6=False))
        if kind == "raw":
            veth((namespace, "host0"), (middle, "port0"), mtu=9000)
            spec = f"raw,ifname=port0,netns={middle.name}"
            yield Host(kind, namespace, "host0", spec, stack, (middle, "port0"), outside=(middle,))
            return
        namespace.tap("host0")
        wire = None
        outside: tuple[Namespace, ...] = (middle,)
        if kind == "bess":
            name = f"@vecwire-{namespace.name}"
            near = stack.enter_context(vecwire.open(f"bess,listen={name}"))
            spec = f"bess,dst={name}"
        else:
            outer = stack.enter_context(Namespace(f"{kind}-far", ipv6=False))
            veth(
                (outer, "wan0"),
                (middle, "wan0"),
                addresses_a=["192.168.7.1/24"],
                addresses_b=["192.168.7.2/24"],
                mtu=outer_mtu,
            )
            wire, outside = (middle, "wan0"), (middle, outer)
            ours, theirs = TUNNELS[kind]
            near = stack.enter_context(
                vecwire.open(f"{ours},src=192.168.7.1,dst=192.168.7.2,netns={outer.name}")
            )
            spec = f"{theirs},src=192.168.7.2,dst=192.168.7.1,netns={middle.name}"
        tap = stack.enter_context(vecwire.open(f"tap,ifname=host0,netns={namespace.name}"))
        stack.enter_context(cable(tap, near))
        yield Host(kind, namespace, "host0", spec, stack, wire, INSIDE.get(kind, 0), outside)


@contextlib.contextmanager
def cabled(
    a: str, b: str, *, mtu: int = MTU, options: str = "", outer_mtu: int = 1500, tci: int = 0
) -> Iterator[tuple[Host, Host, vecwire.Cable]]:
    """Two hosts, attached by the given transports, and the cable between them.

    Args:
        a: What the left host is attached by.
        b: What the right host is attached by.
        mtu: Inside.
        options: Added to both specs.
        outer_mtu: Of the link that a tunnel goes over.
        tci: The tag with which the hosts send, and receive, everything; 0 for none.
    """
    with (
        attached(a, outer_mtu=outer_mtu) as left,
        attached(b, outer_mtu=outer_mtu) as right,
        vecwire.open(left.spec + options) as first,
        vecwire.open(right.spec + options) as second,
        cable(first, second) as joined,
    ):
        for number, host in enumerate((left, right), 1):
            host.configure(number, mtu)
            if tci:
                tag(host.namespace, host.link, tci)
        left.namespace.wait_reachable("10.9.0.2")
        yield left, right, joined


def assert_healthy(*hosts: Host, between: Iterable[Namespace] = ()) -> None:
    """No kernel has counted a wrong checksum, and few segments were sent twice.

    Args:
        hosts: The hosts; the kernels that carry their tunnels are asked, too.
        between: Where else there are tunnels.
    """
    for host in hosts:
        for namespace in (host.namespace, *host.outside):
            assert namespace.checksum_errors() == {}, f"{host.kind}: {namespace}"
        counters = host.namespace.counters()
        assert counters["TcpRetransSegs"] <= max(20, counters["TcpOutSegs"] // 20)
    for namespace in between:
        assert namespace.checksum_errors() == {}, namespace


def transfer(source: Host, sink: Host, address: str, octets: int) -> None:
    """Moves octets by TCP from one host to another; a difference, or a stall, is an assertion."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as stack:
        with sink.namespace.enter():
            server = stack.enter_context(socket.create_server((address, 0), family=family))
        server.settimeout(SECONDS)
        with source.namespace.enter():
            client = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        client.settimeout(SECONDS)
        received = hashlib.sha256()
        count = 0

        def receive() -> None:
            nonlocal count
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                connection.settimeout(SECONDS)
                with connection:
                    while piece := connection.recv(1 << 16):
                        received.update(piece)
                        count += len(piece)

        thread = threading.Thread(target=receive)
        thread.start()
        try:
            client.connect(server.getsockname())
            sent = hashlib.sha256()
            for _ in range(octets // len(CHUNK)):
                client.sendall(CHUNK)
                sent.update(CHUNK)
            client.shutdown(socket.SHUT_WR)
        finally:
            thread.join()
        assert count == octets // len(CHUNK) * len(CHUNK), "the stream stalled"
        assert received.digest() == sent.digest()


def send_datagrams(source: Host, sink: Host, address: str, octets: bytes, size: int) -> list[bytes]:
    """Sends datagrams in one message from one host to another; what arrives, datagram by datagram."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with sink.namespace.enter():
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with source.namespace.enter():
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((address, 0))
        receiver.settimeout(SECONDS)
        sender.connect(receiver.getsockname())
        sender.sendmsg([octets], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))])
        return datagrams(receiver, -(-len(octets) // size))
