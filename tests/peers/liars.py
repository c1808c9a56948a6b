"""Peers that lie: what an honest peer never sends, and a cable through which it is sent among honest frames.

Packets are made here by octets and by scapy, and never by the code under test. They leave through raw
sockets, so that any source can be forged.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

import vecwire
from peers.accounting import cable
from peers.frames import frame, ones_complement_sum
from peers.net import Namespace, open_descriptors, wait_until
from peers.ports import LEFT4, LEFT6, LOOPBACK, RIGHT4, RIGHT6
from vecwire.wire.counters import DROPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from vecwire import PortStats
    from vecwire.transports import TransportPort

PATIENCE = 10.0
STRANGER4, STRANGER6 = "127.0.0.3", "fd00::3"
#: What is counted of what is no honest traffic: drops, and what happened to a port.
TOLD = (*DROPS, "rx_late", "rx_errors", "rx_filtered", "downgrades", "unreachable", "lost", "recovered")
OCTETS = 80


def honest(number: int) -> bytes:
    """The honest frame of that number."""
    return frame(number, OCTETS)


def lying(number: int = 0) -> bytes:
    """A frame that must never arrive; a number tells it from others."""
    return frame(number, OCTETS, source="02:00:00:00:00:66")


def told(before: PortStats, after: PortStats) -> dict[str, int]:
    """What was counted in between that is no honest traffic."""
    return {name: count for name, count in (after - before).counters.items() if count and name in TOLD}


@dataclass
class Hearing:
    """A cable from a port that hears liars to one through which everything that passes leaves.

    Attributes:
        port: hears them.
        out: what passes leaves here.
        sink: receives that, a record a frame.
        engine: moves the frames.
        say: has an honest peer send a frame to the port.
    """

    port: TransportPort
    out: TransportPort
    sink: socket.socket
    engine: vecwire.Engine
    say: Callable[[bytes], object]
    _number: int = field(default=0)

    def among(self, *lies: Callable[[], object]) -> dict[str, int]:
        """Tells each lie between two honest frames, which all must arrive, in order, and nothing else.

        Returns:
            What was counted meanwhile, at both ports, that is no honest traffic.
        """
        before, descriptors = (self.port.stats, self.out.stats), set(open_descriptors())
        first, self._number = self._number, self._number + len(lies) + 1
        frames = [honest(number) for number in range(first, self._number)]
        self.say(frames[0])
        for lie, each in zip(lies, frames[1:], strict=True):
            lie()
            self.say(each)
        came = [self.sink.recv(1 << 17) for _ in frames]
        assert came == frames, "honest frames arrive, and nothing else"
        self.engine.do(lambda: None)
        assert not self.more(), "nothing comes after them"
        # Whoever brought the port up may only now be closing what that took.
        wait_until(lambda: descriptors >= set(open_descriptors()), timeout=PATIENCE, what="none is left open")
        heard, passed = self.port.stats, self.out.stats
        assert (passed - before[1]).tx_frames == len(frames)
        counted = Counter(told(before[0], heard))
        counted.update(told(before[1], passed))
        return dict(counted)

    def more(self) -> list[bytes]:
        """What else has arrived."""
        found: list[bytes] = []
        while select.select([self.sink], [], [], 0)[0]:
            found.append(self.sink.recv(1 << 17))
        return found


@contextlib.contextmanager
def hearing(spec: str, say: Callable[[bytes], object]) -> Iterator[Hearing]:
    """A running cable from a port of this spec."""
    name = f"vecwire-liars-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        server.bind(f"\0{name}")
        server.listen(1)
        port = stack.enter_context(vecwire.open(spec))
        out = stack.enter_context(vecwire.open(f"bess,dst=@{name}"))
        sink = stack.enter_context(server.accept()[0])
        sink.settimeout(PATIENCE)
        engine = stack.enter_context(vecwire.Engine())
        stack.enter_context(cable(port, out, engine=engine))
        yield Hearing(port, out, sink, engine, say)


# Tunnels.


def gre(
    octets: bytes,
    *,
    key: int | None = None,
    sequence: int | None = None,
    flags: int = 0,
    protocol: int = 0x6558,
    spoil: int = 0,
) -> bytes:
    """A GRE packet (RFC 2784, RFC 2890) whose checksum, if ``flags`` asks for one, is off by ``spoil``."""
    flags |= (0x2000 if key is not None else 0) | (0x1000 if sequence is not None else 0)
    rest = b"".join(struct.pack("!I", each) for each in (key, sequence) if each is not None) + octets
    head = struct.pack("!HH", flags, protocol)
    if not flags & 0x8000:
        return head + rest
    checksum = (~ones_complement_sum(head + bytes(4) + rest) & 0xFFFF) ^ spoil
    return head + struct.pack("!HH", checksum, 0) + rest


def l2tpv3(
    octets: bytes, *, word: int | None, session: int, cookie: bytes = b"", number: int | None = None
) -> bytes:
    """An L2TPv3 data message (RFC 3931, 4.1): over UDP behind ``word``, which IP has none of."""
    head = b"" if word is None else struct.pack("!I", word)
    return (
        head
        + struct.pack("!I", session)
        + cookie
        + (b"" if number is None else struct.pack("!I", number))
        + octets
    )


DATA = 0x00030000
SESSION = 1
COOKIE32, COOKIE64 = struct.pack("!I", 0xDEADBEEF), struct.pack("!Q", 0xDEADBEEF)
KEY = 0xFFFFFFFF
#: What an honest peer sends, by the kind of tunnel: a frame, and the number of the packet.
WRAP: dict[str, Callable[[bytes, int], bytes]] = {
    "gre": lambda octets, _: gre(octets),
    "gre-key-sequence": lambda octets, number: gre(octets, key=KEY, sequence=number),
    "gre-ipv6": lambda octets, _: gre(octets),
    "l2tpv3-udp": lambda octets, _: l2tpv3(octets, word=DATA, session=SESSION),
    "l2tpv3-ip-cookies": lambda octets, _: l2tpv3(octets, word=None, session=SESSION, cookie=COOKIE32),
    "l2tpv3-udp-ipv6-cookies64-counter": lambda octets, number: l2tpv3(
        octets, word=DATA, session=SESSION, cookie=COOKIE64, number=number
    ),
}


class Tunnel:
    """A tunnel over a loopback whose far end is not there: what it would send is made up here.

    Args:
        kind: one of ``peers.ports.LOOPBACK``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.v6 = "ipv6" in kind
        self.udp = "udp" in kind
        self.protocol = 17 if self.udp else 47 if kind.startswith("gre") else 115
        self.number = 1000
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        namespace = self._stack.enter_context(Namespace("liars", ipv6=self.v6))
        self._stack.enter_context(namespace.enter())
        self.namespace = namespace
        namespace.ip(*(f"addr add {address}/8 dev lo" for address in (RIGHT4, STRANGER4)))
        if self.v6:
            namespace.up("lo", *(f"{address}/128" for address in (LEFT6, RIGHT6, STRANGER6)))
        family = socket.AF_INET6 if self.v6 else socket.AF_INET
        self._raw = self._stack.enter_context(socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
        # What the port sends is taken by somebody, or it would hear of it by ICMP.
        protocol, kind = (0, socket.SOCK_DGRAM) if self.udp else (self.protocol, socket.SOCK_RAW)
        self.far = self._stack.enter_context(socket.socket(family, kind, protocol))
        self.far.bind((RIGHT6 if self.v6 else RIGHT4, 1702 if self.udp else 0))
        self.far.settimeout(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def spec(self) -> str:
        """The end under test."""
        return LOOPBACK[self.kind][0]

    @contextlib.contextmanager
    def heard(self, options: str = "") -> Iterator[Hearing]:
        """A cable from the end under test, to whose spec the options are added."""
        with hearing(self.spec + options, lambda octets: self.send(self.packet(self.wrap(octets)))) as made:
            yield made

    def wrap(self, octets: bytes) -> bytes:
        """What an honest peer puts into its next packet for a frame."""
        self.number += 1
        return WRAP[self.kind](octets, self.number)

    def network(self, *, source: str = "", **fields: Any) -> Any:
        """An IP header, as scapy's, from the peer or from somebody else."""
        if self.v6:
            return IPv6(src=source or RIGHT6, dst=LEFT6, **fields)
        return IP(src=source or RIGHT4, dst=LEFT4, id=self.number & 0xFFFF or 1, **fields)

    def packet(
        self, payload: bytes, *, source: str = "", port: int = 1702, layer: Any = None, **udp: Any
    ) -> bytes:
        """A whole packet; ``layer`` stands in the place of the IP header."""
        head = self.network(source=source) if layer is None else layer
        if self.udp:
            return bytes(head / UDP(sport=port, dport=1701, **udp) / Raw(payload))
        if self.v6:
            head.lastlayer().nh = self.protocol
        else:
            head.proto = self.protocol
        return bytes(head / Raw(payload))

    def send(self, *packets: bytes) -> None:
        """Puts packets on the loopback as they are."""
        for each in packets:
            self._raw.sendto(each, (LEFT6, 0, 0, 0) if self.v6 else (LEFT4, 0))

    def sending(self, payload: bytes) -> Callable[[], None]:
        """Sends a payload in the peer's name when it is called."""
        packet = self.packet(payload)
        return lambda: self.send(packet)


def repeated(lies: Sequence[Callable[[], object]], count: int) -> list[Callable[[], object]]:
    """Every lie so many times."""
    return [lie for lie in lies for _ in range(count)]
