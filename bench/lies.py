"""Everybody who lies for ``bench/liars.py``, or listens to that, each a process of its own.

``python bench/lies.py KIND FILE`` tells one kind of lie until it is killed, and writes into the file how many
it has told. ``python bench/lies.py --drain N`` takes what N ports send to it, and forgets it.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import select
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE, SINK, LIAR, OTHER = (bytes.fromhex(f"0200000000{each}") for each in ("aa", "bb", "66", "cc"))
ALL = b"\xff" * 6
#: IEEE 802 local experimental EtherType 1: no stack answers it.
EXPERIMENTAL = struct.pack("!H", 0x88B5)
TUNNEL = "l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.2,srcport=1701,dstport=1702,rx_session=1,tx_session=2"
AWAY = "l2tpv3,udp=1,src=127.0.0.3,dst=127.0.0.4,srcport=1703,dstport=1704,rx_session=3,tx_session=4"
COOKIES = ",cookie64=1,rx_cookie=3,tx_cookie=4"
DEAF, DRAINED = "bess,dst=@deaf", "bess,dst=@drained"
#: Tunnels whose kernel cuts no super-frame for them.
MANY_TUNNELS = tuple(f"gre,src=127.0.0.1,dst=127.0.1.{number}" for number in range(1, 9))
MANY_RECORDS = (DRAINED,) * 4
LISTENING = "ready"


def frame(destination: bytes, source: bytes, length: int = 60) -> bytes:
    """A frame of that many octets."""
    return (destination + source + EXPERIMENTAL).ljust(length, b"\0")


def super_frame(size: int, destination: bytes = OTHER, fragment: int = 0x4000) -> bytes:
    """A TCP super-frame of 60,000 octets behind a header that asks for segments of such a size.

    Args:
        size: octets of a segment.
        destination: an Ethernet address.
        fragment: flags and offset of RFC 791; by default "don't fragment".
    """
    carried = 60_000
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + carried, 1, fragment, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2")
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 512, 0, 0)
    header = struct.pack("=BBHHHH", 1, 1, 54, size, 34, 16)
    return header + destination + LIAR + b"\x08\x00" + ip + tcp + bytes(carried)


def by_tunnel(payload: bytes) -> Iterator[None]:
    """Sends a datagram from the peer's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.2", 1702))
        peer.connect(("127.0.0.1", 1701))
        while True:
            yield
            with contextlib.suppress(ConnectionRefusedError):
                peer.send(payload)


def by_packet(protocol: int, payload: bytes) -> Iterator[None]:
    """Sends an IP packet from the peer's address."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as peer:
        peer.bind(("127.0.0.2", 0))
        peer.connect(("127.0.0.1", 0))
        while True:
            yield
            peer.send(payload)


def unreachable() -> bytes:
    """A forged report (ICMP, RFC 792) that nobody listens at the peer's port, about a datagram of ours."""
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 100, 1, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\2")
    report = struct.pack("!BBHI", 3, 3, 0, 0) + quoted + struct.pack("!HHHH", 1701, 1702, 80, 0)
    total = sum(struct.unpack(f"!{len(report) // 2}H", report))
    total = (total & 0xFFFF) + (total >> 16)
    return report[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + report[4:]


def by_record(records: Iterator[bytes]) -> Iterator[None]:
    """Sends records as a client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect("\0liars")
        while True:
            yield
            client.send(next(records))


def by_coming() -> Iterator[None]:
    """Connects, says something, and leaves."""
    while True:
        yield
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client,
        ):
            client.connect("\0liars")
            client.send(frame(OTHER, LIAR))


def by_link(octets: bytes) -> Iterator[None]:
    """Writes frames with virtio-net headers into the guest's end of a link."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as guest:
        guest.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        guest.bind(("c1", 0))
        while True:
            yield
            with contextlib.suppress(OSError):
                guest.send(octets)


def made_up() -> Iterator[bytes]:
    """Frames for an address that stays on its link, from ever new ones."""
    for number in itertools.count():
        yield frame(bytes.fromhex("0180c2000001"), b"\x02\x66" + struct.pack("!I", number & 0xFFFFFFFF))


def by_fragment() -> Iterator[None]:
    """Sends first fragments (RFC 791) of datagrams from the peer's address, and never the others."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as peer:
        for number in itertools.count():
            yield
            ip = struct.pack(
                "!BBHHHBBH4s4s",
                0x45,
                0,
                1420,
                number & 0xFFFF,
                0x2000,
                64,
                17,
                0,
                b"\x7f\0\0\2",
                b"\x7f\0\0\1",
            )
            udp = struct.pack("!HHHH", 1702, 1701, 2800, 0)
            with contextlib.suppress(OSError):
                peer.sendto(ip + udp + bytes(1392), ("127.0.0.1", 0))


@dataclass(frozen=True)
class Lie:
    """One kind of lie.

    Attributes:
        spec: the port that is lied to.
        tell: what tells it, once a step.
        others: the ports beside the honest ones and that one. Behind the first of those that nobody reads is
            the station OTHER.
    """

    spec: str
    tell: Callable[[], Iterator[None]]
    others: tuple[str, ...] = (AWAY,)


WORD = struct.pack("!II", 0x00030000, 1)
KEYED = "gre,src=127.0.0.1,dst=127.0.0.2,rx_key=3,tx_key=4"
WRONG_KEY = struct.pack("!HHI", 0x2000, 0x6558, 99)
STACK = OTHER + LIAR + struct.pack("!HH", 0x8100, 1) * 10 + EXPERIMENTAL
LONG = frame(ALL, LIAR, 64_000)
LINK, SERVER = "raw,ifname=c0", "bess,listen=@liars"
LIES: dict[str, Lie] = {
    "honest frames": Lie(SERVER, lambda: by_record(itertools.repeat(frame(OTHER, LIAR)))),
    "wrong cookies": Lie(TUNNEL + COOKIES, lambda: by_tunnel(WORD + bytes(8) + frame(OTHER, LIAR))),
    "wrong keys": Lie(KEYED, lambda: by_packet(socket.IPPROTO_GRE, WRONG_KEY + frame(OTHER, LIAR))),
    "forged reports": Lie(TUNNEL, lambda: by_packet(socket.IPPROTO_ICMP, unreachable())),
    "control bits": Lie(TUNNEL, lambda: by_tunnel(b"\x80" + WORD[1:] + frame(OTHER, LIAR))),
    "runts": Lie(SERVER, lambda: by_record(itertools.repeat(bytes(13)))),
    "empty records": Lie(SERVER, lambda: by_record(itertools.repeat(b""))),
    "made up addresses": Lie(SERVER, lambda: by_record(made_up())),
    "stacks of VLAN tags": Lie(SERVER, lambda: by_record(itertools.repeat(STACK.ljust(100, b"\0")))),
    "frames for a deaf port": Lie(SERVER, lambda: by_record(itertools.repeat(frame(OTHER, LIAR))), (DEAF,)),
    "segments of 1400": Lie(LINK, lambda: by_link(super_frame(1400))),
    # As many segments as a port cuts, and more.
    "segments of 64": Lie(LINK, lambda: by_link(super_frame(64))),
    "segments of 8": Lie(LINK, lambda: by_link(super_frame(8))),
    "segments of 1": Lie(LINK, lambda: by_link(super_frame(1))),
    "super-frames for 8 gre": Lie(LINK, lambda: by_link(super_frame(64, ALL)), MANY_TUNNELS),
    "super-frames for 4 bess": Lie(LINK, lambda: by_link(super_frame(64, ALL)), MANY_RECORDS),
    "frames of 64 KB for all": Lie(SERVER, lambda: by_record(itertools.repeat(LONG)), MANY_RECORDS),
    "fragments as super-frames": Lie(LINK, lambda: by_link(super_frame(1400, OTHER, 0x2000))),
    "halves of datagrams": Lie(TUNNEL, by_fragment),
    "come and go": Lie(SERVER, by_coming),
}


def tell(name: str, path: Path) -> None:
    """Lies until this process is ended, and writes into a file of 8 octets how often it has."""
    steps = LIES[name].tell()
    next(steps)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as told:
        print(LISTENING, flush=True)
        for number, _ in enumerate(steps, 1):
            struct.pack_into("=Q", told, 0, number)


def drain(many: int) -> None:
    """Takes what so many ports send, and forgets it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("\0drained")
        listener.listen(many)
        print(LISTENING, flush=True)
        ends = {end.fileno(): end for end, _ in (listener.accept() for _ in range(many))}
        watch = select.epoll()
        for number in ends:
            watch.register(number, select.EPOLLIN)
        while ends:
            for number, _ in watch.poll():
                # The rest of the record goes with its first octet (unix(7)).
                if not ends[number].recv(1):
                    watch.unregister(number)
                    ends.pop(number).close()


if __name__ == "__main__":
    if sys.argv[1] == "--drain":
        drain(int(sys.argv[2]))
    else:
        tell(sys.argv[1], Path(sys.argv[2]))
