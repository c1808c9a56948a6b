"""A slow cable in plain Python, from the RFCs and the man pages alone: the second opinion of the tests.

`python reference.py SPEC SPEC --json` behaves as `vecwire cable SPEC SPEC --json` does, for the options
that the interop tests use. It shares no line with vecwire: where a peer takes one and refuses the other,
the fault is found. The interop tests run against it when VECWIRE_TEST_CABLE=reference is set, which proves
the harness and the peers' command lines without vecwire.

Theory of operation. One frame at a time, two system calls each. A frame carries a virtio-net header only
where both ports of the cable have one (raw, tap, hybrid); otherwise the tap is opened without, and the
kernel completes checksums and segments.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
SO_ATTACH_FILTER = 26
ETH_P_ALL = 3
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
VNET_LENGTH = 10
IPPROTO_L2TP = 115
GRE_TEB, GRE_KEY, GRE_SEQUENCE = 0x6558, 0x2000, 0x1000
CLONE_NEWNET = 0x40000000
BATCH = 64
FRAME_MAX = 65600

Options = dict[str, str]


class Port(Protocol):
    """One end of the cable."""

    def fileno(self) -> int:
        """What becomes readable when frames wait."""

    def receive(self) -> bytes | None:
        """The next frame, or None for one that is not for this port; BlockingIOError when none waits."""

    def send(self, frame: bytes) -> None:
        """Sends one frame; OSError if the kernel does not take it."""


class Raw:
    """A packet socket on an interface."""

    def __init__(self, options: Options, *, vnet: bool, outgoing: bool = False) -> None:
        # Protocol 0 until it is bound: no frame of another interface is ever queued.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setblocking(False)
        if vnet:
            self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        if outgoing:
            _attach(self.socket, _OUTGOING_ONLY)
        else:
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((options["ifname"], ETH_P_ALL))

    def fileno(self) -> int:
        """The socket."""
        return self.socket.fileno()

    def receive(self) -> bytes | None:
        """The next frame."""
        return self.socket.recv(FRAME_MAX)

    def send(self, frame: bytes) -> None:
        """Sends one frame."""
        self.socket.send(frame)


class Tap:
    """A tap, made or attached to."""

    def __init__(self, options: Options, *, vnet: bool) -> None:
        self.descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0)
        fcntl.ioctl(self.descriptor, TUNSETIFF, struct.pack("16sH22x", options["ifname"].encode(), flags))
        fcntl.ioctl(self.descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 if vnet else 0)
        if vnet:
            fcntl.ioctl(self.descriptor, TUNSETVNETHDRSZ, struct.pack("i", VNET_LENGTH))

    def fileno(self) -> int:
        """The tap."""
        return self.descriptor

    def receive(self) -> bytes | None:
        """The next frame."""
        return os.read(self.descriptor, FRAME_MAX)

    def send(self, frame: bytes) -> None:
        """Sends one frame."""
        os.write(self.descriptor, frame)


class Hybrid:
    """Receives by a packet socket on a tap's interface, sends by the tap.

    What the host sends to the tap is outgoing at its interface; what this port itself writes is incoming
    there. So the filter passes outgoing frames alone: PACKET_IGNORE_OUTGOING would be the wrong way round.
    """

    def __init__(self, options: Options, *, vnet: bool) -> None:
        self.tap = Tap(options, vnet=vnet)
        self.raw = Raw(options, vnet=vnet, outgoing=True)

    def fileno(self) -> int:
        """The packet socket."""
        return self.raw.fileno()

    def receive(self) -> bytes | None:
        """The next frame."""
        return self.raw.receive()

    def send(self, frame: bytes) -> None:
        """Sends one frame."""
        self.tap.send(frame)


class Tunnel:
    """A datagram socket, connected, with a header before each frame.

    Args:
        family: AF_INET or AF_INET6.
        kind: SOCK_RAW or SOCK_DGRAM.
        protocol: IP protocol of a raw socket.
        addresses: Own address and port, the peer's address and port.
        header: The octets before each frame that we send.
        expected: Those before each that we accept.
        counter: None: there is none. Otherwise four octets follow the header, counting if True, else zero.
        first: What it counts from.
    """

    def __init__(
        self,
        family: int,
        kind: int,
        protocol: int,
        addresses: tuple[tuple[str, int], tuple[str, int]],
        header: bytes,
        expected: bytes,
        counter: bool | None,
        first: int,
    ) -> None:
        self.socket = socket.socket(family, kind, protocol)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(addresses[0])
        self.socket.connect(addresses[1])
        self.header, self.expected, self.counter = header, expected, counter
        self.has_ip_header = family == socket.AF_INET and kind == socket.SOCK_RAW
        self.count = first

    def fileno(self) -> int:
        """The socket."""
        return self.socket.fileno()

    def receive(self) -> bytes | None:
        """The next frame, without its header."""
        packet = self.socket.recv(FRAME_MAX)
        start = (packet[0] & 15) * 4 if self.has_ip_header else 0
        frame = start + len(self.expected) + (0 if self.counter is None else 4)
        return packet[frame:] if packet[start:].startswith(self.expected) else None

    def send(self, frame: bytes) -> None:
        """Sends one frame, with its header."""
        number = b""
        if self.counter is not None:
            number = struct.pack("!I", self.count if self.counter else 0)
            self.count = (self.count + 1) & 0xFFFFFFFF
        self.socket.send(self.header + number + frame)


class Bess:
    """A SEQPACKET socket, one frame a record; with `listen`, the server, which takes the next client too."""

    def __init__(self, options: Options) -> None:
        self.listener: socket.socket | None = None
        self.peer: socket.socket | None = None
        if "listen" in options:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.listener.setblocking(False)
            self.listener.bind(options["listen"])
            self.listener.listen(1)
        else:
            self.peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.peer.connect(options["dst"])
            self.peer.setblocking(False)

    def fileno(self) -> int:
        """The client once there is one, the listening socket before."""
        current = self.peer or self.listener
        return current.fileno() if current else -1

    def receive(self) -> bytes | None:
        """The next frame."""
        if self.peer is None and self.listener is not None:
            self.peer = self.listener.accept()[0]
            self.peer.setblocking(False)
            raise BlockingIOError
        frame = self.peer.recv(FRAME_MAX) if self.peer else b""
        if not frame and self.peer:
            self.peer.close()
            self.peer = None
            raise BlockingIOError
        return frame

    def send(self, frame: bytes) -> None:
        """Sends one frame; without a peer it is lost."""
        if self.peer is None:
            raise BrokenPipeError
        self.peer.send(frame)


def gre(options: Options) -> Tunnel:
    """RFC 2784 and 2890: flags, protocol, then key and sequence where flagged."""
    keyed, counted = "tx_key" in options, _flag(options, "sequence")
    flags = (GRE_KEY if keyed else 0) | (GRE_SEQUENCE if counted else 0)
    base = struct.pack("!HH", flags, GRE_TEB)
    keys = [struct.pack("!I", int(options[name], 0)) if keyed else b"" for name in ("tx_key", "rx_key")]
    return Tunnel(
        _family(options),
        socket.SOCK_RAW,
        socket.IPPROTO_GRE,
        ((options["src"], 0), (options["dst"], 0)),
        base + keys[0],
        base + keys[1],
        not _flag(options, "pin_sequence") if counted else None,
        0,  # RFC 2890, section 2.2
    )


def l2tpv3(options: Options) -> Tunnel:
    """RFC 3931: over UDP a word of flags and version, then session and cookie; a counter as UML has it."""
    udp = _flag(options, "udp")
    cookie = "!Q" if _flag(options, "cookie64") else "!I"

    def header(side: str) -> bytes:
        return b"".join(
            [
                struct.pack("!I", 0x00030000) if udp else b"",
                struct.pack("!I", int(options[f"{side}_session"], 0)),
                struct.pack(cookie, int(options[f"{side}_cookie"], 0))
                if f"{side}_cookie" in options
                else b"",
            ]
        )

    ports = [int(options.get(name, "0")) for name in ("srcport", "dstport")]
    return Tunnel(
        _family(options),
        socket.SOCK_DGRAM if udp else socket.SOCK_RAW,
        0 if udp else IPPROTO_L2TP,
        ((options["src"], ports[0]), (options["dst"], ports[1])),
        header("tx"),
        header("rx"),
        not _flag(options, "pin_counter") if _flag(options, "counter") else None,
        1,  # as UML and QEMU count
    )


_WITH_VNET: dict[str, Callable[..., Port]] = {"raw": Raw, "tap": Tap, "hybrid": Hybrid}
_WITHOUT: dict[str, Callable[[Options], Port]] = {"gre": gre, "l2tpv3": l2tpv3, "bess": Bess}

# ldb [packet type]; jeq PACKET_OUTGOING (4); all of it; nothing
_OUTGOING_ONLY = [
    (0x30, 0, 0, 0xFFFFF004),
    (0x15, 0, 1, 4),
    (0x06, 0, 0, 0x40000),
    (0x06, 0, 0, 0),
]


def parse(spec: str) -> Options:
    """Reads `transport=tap,ifname=tap0` or `tap,ifname=tap0`; no quoting."""
    first, *rest = spec.split(",")
    words = [first if "=" in first else f"transport={first}", *rest]
    return dict(word.split("=", 1) for word in words)


def open_port(options: Options, *, vnet: bool) -> Port:
    """Opens one end, inside `netns=NAME` if that is given."""
    transport = options["transport"]
    with _namespace(options.get("netns")):
        if transport in _WITH_VNET:
            return _WITH_VNET[transport](options, vnet=vnet)
        return _WITHOUT[transport](options)


class Cable:
    """Two ports, and the frames between them counted."""

    def __init__(self, specs: list[str]) -> None:
        options = [parse(spec) for spec in specs]
        vnet = all(each["transport"] in _WITH_VNET for each in options)
        self.ports = [open_port(each, vnet=vnet) for each in options]
        self.counts = [dict.fromkeys(("rx_frames", "tx_frames", "dropped"), 0) for _ in specs]

    def run(self, stop: int) -> None:
        """Forwards until the descriptor `stop` is readable."""
        while True:
            # Registered anew each time: a bess port's descriptor changes as clients come and go.
            with selectors.DefaultSelector() as selector:
                selector.register(stop, selectors.EVENT_READ)
                known = [port.fileno() for port in self.ports]
                for index, descriptor in enumerate(known):
                    selector.register(descriptor, selectors.EVENT_READ, index)
                while known == [port.fileno() for port in self.ports]:
                    for key, _ in selector.select():
                        if key.fd == stop:
                            return
                        self.forward(key.data)

    def forward(self, index: int) -> None:
        """Moves at most a batch of frames from one port to the other."""
        source, sink = self.ports[index], self.ports[1 - index]
        for _ in range(BATCH):
            try:
                frame = source.receive()
            except BlockingIOError:
                return
            except OSError:  # an ICMP error queued on a connected socket
                frame = None
            if frame is None:
                self.counts[index]["dropped"] += 1
                continue
            self.counts[index]["rx_frames"] += 1
            try:
                sink.send(frame)
                self.counts[1 - index]["tx_frames"] += 1
            except OSError:
                self.counts[1 - index]["dropped"] += 1


def _family(options: Options) -> int:
    return socket.AF_INET6 if _flag(options, "v6") else socket.AF_INET


def _flag(options: Options, name: str) -> bool:
    return int(options.get(name, "0")) > 0


def _attach(packet_socket: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    packet_socket.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(buffer))
    )


@contextlib.contextmanager
def _namespace(name: str | None) -> Iterator[None]:
    if not name:
        yield
        return
    inside = os.open(Path("/run/netns", name), os.O_RDONLY | os.O_CLOEXEC)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(inside)
        try:
            yield
        finally:
            _setns(before)
    finally:
        os.close(inside)
        os.close(before)


def _setns(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def main() -> None:
    """Runs the cable until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("specs", nargs=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    stop, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    cable = Cable(arguments.specs)
    sys.stdout.write(json.dumps({"event": "ready"}) + "\n")
    sys.stdout.flush()
    cable.run(stop)
    sys.stdout.write(json.dumps({"event": "final", "ports": cable.counts}) + "\n")


if __name__ == "__main__":
    main()
