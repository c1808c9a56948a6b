"""scapy over any transport: sniff, send and answer through a spec as through an interface.

``Interface`` stands where scapy takes an interface, ``Socket`` where it takes a socket that is open:

    from scapy.all import ARP, Ether, sniff, srp
    from vecwire.scapy import Interface, Socket

    tunnel = Interface("gre,src=192.0.2.1,dst=192.0.2.2")
    answered, _ = srp(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.0.2"), iface=tunnel, timeout=2)

    with Socket("gre,src=192.0.2.1,dst=192.0.2.2") as socket:
        sniff(opened_socket=socket, count=10)

An interface is opened for each call and closed after it, a socket once. Frames are received a batch at a
time, with the time that the kernel gives, and are complete: a checksum that was left to the hardware is made.
scapy itself takes some tens of microseconds a frame; where that is too slow, use a ``Batch``.
"""

import dataclasses
import functools
import select
import time
from collections import deque
from typing import Any

from vecwire.errors import ClosedError, UnsupportedError
from vecwire.path.batch import LONGEST_FRAME, Batch
from vecwire.port import Port
from vecwire.spec import Spec, parse, public
from vecwire.transports import open_port
from vecwire.transports._delayed import drain
from vecwire.wire.vnet import complete

try:
    from scapy.config import conf
    from scapy.interfaces import InterfaceProvider, NetworkInterface
    from scapy.layers.l2 import Ether
    from scapy.supersocket import SuperSocket
except ImportError as error:
    raise UnsupportedError(
        "vecwire.scapy needs scapy, which is not installed", remedy="pip install 'vecwire[scapy]'"
    ) from error

__all__ = ["Interface", "Socket"]

#: How long a sender waits where the kernel has no room in spite of its word, in seconds.
DELAY = 0.001
NANOSECONDS = 1e-9
NEEDS_CSUM = 1  # linux/virtio_net.h


class Socket(SuperSocket):
    """A SuperSocket of scapy's over a port.

    Args:
        spec: the text, as ``tap,ifname=tap0``, a spec, or an open port, which is closed with the socket.
        iface: the same, under the name by which scapy's functions pass it on.
        filter: a filter expression, as ``icmp or arp``, where the spec has none of its own.

    The other arguments that scapy passes on are those of an interface, and mean nothing here.

    Raises:
        SpecError: if the text is wrong.
        UnsupportedError: if this user may not, or this host cannot; it says what to do.
        PortError: if the interface, the address or the peer is not there.
        ValueError: if a filter is given for a port that is open.
    """

    desc = "frames of any transport that vecwire opens"

    def __init__(
        self,
        spec: str | Spec | Port | NetworkInterface | None = None,
        *,
        iface: str | Spec | Port | NetworkInterface | None = None,
        filter: str | None = None,  # noqa: A002  (scapy's name for it)
        **_: Any,
    ) -> None:
        self.closed = True
        given = iface if spec is None else spec
        if given is None:
            raise TypeError("a spec is needed")
        self.port = _opened(given, filter)
        # Files that scapy writes have it: no cookies.
        self.iface = public(self.port.info.spec)
        self.promisc = True
        self._batch: Batch = self.port.batch()
        self._out: Batch = self.port.batch(1)
        self._waiting: deque[tuple[bytes, float]] = deque()
        self.closed = False

    def send(self, x: Any) -> int:
        """Sends a packet of scapy's, or octets, and waits for room where there is none; how long it is.

        Raises:
            ClosedError: if the socket is closed.
            ValueError: if the frame is longer than the port's frames are.
        """
        frame = bytes(x)
        self._out.clear()
        self._out.append(frame)
        while not self.port.send(self._out):
            self.port.wait(write=True)
            # Where the queue of an interface is full, a socket that has room refuses all the same.
            time.sleep(DELAY)
        if hasattr(x, "sent_time"):
            x.sent_time = time.time()
        return len(frame)

    def recv_raw(self, x: int = LONGEST_FRAME) -> tuple[type[Any] | None, bytes | None, float | None]:
        """The next frame: as what it is to be read, its octets and its time; all None where none is waiting.

        Raises:
            EOFError: if the socket is closed, which ends scapy's loops.
        """
        if not self._waiting:
            self._fill()
        if not self._waiting:
            return None, None, None
        frame, moment = self._waiting.popleft()
        return Ether, frame[:x], moment

    def _fill(self) -> None:
        """Receives one batch, and copies its frames out."""
        try:
            self.port.recv(self._batch)
        except ClosedError as error:
            raise EOFError(str(error)) from error
        now = time.time()
        headers = self._batch.vnet
        for place, (frame, moment) in enumerate(zip(self._batch, self._batch.timestamps, strict=True)):
            if headers[place].flags & NEEDS_CSUM:
                complete(frame, headers[place])
            self._waiting.append((bytes(frame), moment * NANOSECONDS if moment else now))

    def fileno(self) -> int:
        """A descriptor that is readable when frames may be received.

        Raises:
            ClosedError: if the socket is closed.
        """
        return self.port.fileno()

    def close(self) -> None:
        """Closes the port, once what it delays has left; again and again does no harm."""
        if not self.closed:
            self.closed = True
            try:
                # scapy's functions close what they opened right after the last packet.
                if not self.port.closed:
                    drain(self.port)
            finally:
                self.port.close()

    @staticmethod
    def select(sockets: list[Any], remain: float | None = None) -> list[Any]:
        """Those of the sockets that have frames, or may have; waits ``remain`` seconds for one at the most.

        Args:
            sockets: of scapy's; those of another kind must have a descriptor.
            remain: seconds; None waits as long as scapy does at the most.
        """
        # Those that are closed have nothing to wait for either: they say so when they are read.
        ready = [each for each in sockets if isinstance(each, Socket) and (each.closed or each._waiting)]  # noqa: SLF001
        if ready:
            return ready
        readable, _, _ = select.select(sockets, [], [], conf.recv_poll_rate if remain is None else remain)
        return readable


class _Provider(InterfaceProvider):
    """Tells scapy which socket belongs to an interface; asked for nothing else."""

    name = "vecwire"

    def _l2socket(self, dev: NetworkInterface) -> Any:
        return functools.partial(Socket, dev)

    def _l2listen(self, dev: NetworkInterface) -> Any:
        return functools.partial(Socket, dev)

    def _l3socket(self, dev: NetworkInterface, ipv6: bool) -> Any:
        del ipv6
        raise UnsupportedError(
            f"{dev} moves frames, and knows no routes for packets without an Ethernet header",
            remedy="put Ether(dst=...) in front, and use srp or sendp for sr or send",
        )


class Interface(NetworkInterface):
    """What stands where scapy takes an interface: ``sniff(iface=Interface("tap,ifname=tap0"))``.

    Args:
        spec: the text, as ``tap,ifname=tap0``, or a spec.

    Raises:
        SpecError: if the text is wrong.
    """

    def __init__(self, spec: str | Spec) -> None:
        self.spec = parse(spec) if isinstance(spec, str) else spec
        text = self.spec.public
        super().__init__(
            _Provider(),
            {
                "name": text,
                "description": text,
                "network_name": text,
                "mac": self.spec.mac or "00:00:00:00:00:00",
                # ARPHRD_ETHER (linux/if_arp.h).
                "type": 1,
            },
        )


def _opened(given: str | Spec | Port | NetworkInterface, expression: str | None) -> Port:
    """The port that is meant, opened with the filter and with the times of frames."""
    if isinstance(given, Interface):
        given = given.spec
    if isinstance(given, str):
        given = parse(given)
    if isinstance(given, NetworkInterface):
        raise TypeError(f"{given} is an interface of the host: give the spec raw,ifname={given}")
    if not isinstance(given, Spec):
        if expression is not None:
            raise ValueError("a port that is open takes no filter here: open it with filter=")
        return given
    options: dict[str, Any] = {"timestamps": True}
    if expression is not None:
        options["filter"] = expression if given.filter is None else f"({given.filter}) and ({expression})"
    return open_port(dataclasses.replace(given, **options))
