"""What the kernels of two hosts exchange, by iperf3 and octet for octet, and what ports between them count.

iperf3 ends a run when all is sent, not when all has arrived: what is on its way then is cut off. Its window
is kept small here, so that this is little, and how much came is known. It has a way to send a file, too, but
skips octets where the socket takes less than it gives. So what came is compared by `hosts.transfer`.

Of UDP it counts what it has sent, and gaps in what it has read: the datagrams after the last one that it has
read, or all, may be lost unnoticed. So what arrives is compared with what the sending kernel has counted.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracle.streams import STREAM
from peers.arrivals import arrivals
from peers.hosts import FAMILIES, WHOLE, Host, send_datagrams, transfer
from peers.net import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peers.net import Namespace
    from vecwire import PortStats
    from vecwire.transports import TransportPort

OCTETS = 2 * 1024 * 1024
WINDOW = OCTETS // 8
#: Datagrams, and octets of them, that wait in the receiver's buffer, all of them, where it is not scheduled.
DATAGRAMS, WAITING, ROOM = 32, 128_000, 200 * 1024
#: Where iperf3 has the number of a datagram, from 1 on, behind the time (iperf_udp.c, iperf_udp_send).
NUMBER_AT = 8
PATIENCE = 5.0
#: Ports for servers, each for one run.
PORTS = itertools.count(5201)


@dataclass(frozen=True)
class Hop:
    """Two ports between which frames pass, the first one nearer to the left host, and their transports."""

    kinds: tuple[str, str]
    ports: tuple[TransportPort, TransportPort]


def exchange(left: Host, right: Host, hops: Sequence[Hop], mtu: int) -> None:
    """TCP of both families and directions, by iperf3 and octet for octet, and UDP super-frames.

    Args:
        left: The one host.
        right: The other.
        hops: What is between them, from left to right: super-frames must be in use on every one.
        mtu: Of both hosts from now on.
    """
    for host in (left, right):
        host.namespace.up(host.link, mtu=mtu)
    octets, size = STREAM[: 3 * mtu], mtu - 100
    datagrams = [octets[at : at + size] for at in range(0, len(octets), size)]
    for near, far in FAMILIES.values():
        for reverse, source, sink, address in ((False, left, right, far), (True, right, left, near)):
            before = [[port.stats for port in hop.ports] for hop in hops]
            with served(right.namespace, far) as port:
                tcp(left.namespace, far, port, reverse=reverse)
            transfer(source, sink, address, OCTETS // 4)
            for hop, earlier in zip(hops, before, strict=True):
                (a, b), counted = (
                    hop.kinds,
                    [port.stats - each for port, each in zip(hop.ports, earlier, strict=True)],
                )
                if reverse:
                    assert_offloaded(b, a, counted[1], counted[0])
                else:
                    assert_offloaded(a, b, counted[0], counted[1])
            assert send_datagrams(source, sink, address, octets, size) == datagrams


@contextlib.contextmanager
def served(namespace: Namespace, address: str) -> Iterator[int]:
    """A server of iperf3 for one run, at an address of a namespace; its port."""
    port = next(PORTS)
    with namespace.iperf3_server(address, port=port):
        yield port


def tcp(client: Namespace, address: str, port: int, *, reverse: bool) -> None:
    """A short run of TCP by iperf3; with `reverse` the server sends. A stall is an assertion."""
    run = client.iperf3(
        address, port=port, octets=OCTETS, reverse=reverse, options=["-w", str(WINDOW), "-l", "64K"]
    )
    end = run.report["end"]
    sent, received = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
    assert sent >= OCTETS, end
    # What the windows of both ends may hold, which the kernel doubles, is cut off at the end.
    assert OCTETS - 4 * WINDOW <= received <= sent, end


def udp(
    client: Namespace,
    server: Namespace,
    address: str,
    size: int,
    *,
    reverse: bool,
    patience: float = PATIENCE,
) -> None:
    """A few datagrams by iperf3, of so many octets each; with `reverse` the server sends.

    Each that the one kernel has sent is delivered by the other, once and in order.

    Args:
        client: Where the client is.
        server: Where the server is.
        address: The server's.
        size: Octets of a datagram.
        reverse: Whether the server sends.
        patience: Seconds that the last ones may take once iperf3 has ended.
    """
    source, sink = (server, client) if reverse else (client, server)
    counter = "Udp6OutDatagrams" if ":" in address else "UdpOutDatagrams"
    before = source.counters()[counter]
    count = min(DATAGRAMS, WAITING // size)
    options = ["-u", "-l", str(size), "-b", "50M", "-w", str(ROOM)]
    with arrivals(sink, address) as arrived, served(server, address) as port:
        run = client.iperf3(address, port=port, octets=count * size, reverse=reverse, options=options)
        sent = source.counters()[counter] - before
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: arrived.count() >= sent, timeout=patience, what="all has arrived")
    # Each side begins with a short one, by which the two meet.
    numbers = [struct.unpack_from("!I", each, NUMBER_AT)[0] for each in arrived.payloads if len(each) == size]
    assert sent > count
    assert numbers == list(range(1, sent)), f"{sent - 1} were sent"
    assert all(port in pair for pair in arrived.conversations), arrived.conversations
    end = run.report["end"]
    assert end["sum"]["lost_packets"] == 0, end
    assert not [stream for stream in end["streams"] if stream["udp"]["out_of_order"]], end


def assert_offloaded(source: str, sink: str, received: PortStats, sent: PortStats) -> None:
    """Offloads were in use between two ports, as far as their transports have them.

    Args:
        source: The transport that frames came from.
        sink: The transport that they left by.
        received: What the port of the one counted.
        sent: What the port of the other counted.
    """
    counted = f"{source} - {sink}: {received}, {sent}"
    if source in WHOLE:
        assert received.rx_super > 0, counted
        if sink in WHOLE:
            assert sent.tx_super > 0, counted
            assert sent.tx_segments == 0, counted
        else:
            assert sent.tx_split > 0, counted
    elif sink in WHOLE:
        assert sent.tx_joined > 0, counted
    if sink == "l2tpv3":
        assert sent.tx_trains > 0, counted


def assert_all_offloaded(kinds: tuple[str, str], stats: Sequence[PortStats]) -> None:
    """Offloads were in use both ways between two ports; their transports, and what they counted."""
    if stats:
        (a, b), (near, far) = kinds, stats
        assert_offloaded(a, b, near, far)
        assert_offloaded(b, a, far, near)
