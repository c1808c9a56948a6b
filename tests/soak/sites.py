"""Sites: what stands behind each port of the service, and the equations of the way between them.

A site's *end* is a port of this process at the far end of the transport: it generates and judges frames. A
site with a stack has a host with a kernel of its own instead: by a tunnel or bess a cable joins end and tap.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import vecwire
from peers.hosts import MTU
from peers.net import Namespace, veth, wait_until
from soak.kernel import links, packet_drops, reports
from soak.ledger import Equation, Reading, cabled, came

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soak.kernel import Link, Reports
    from vecwire.transports import TransportPort

PATIENCE = 60.0


def address(number: int) -> str:
    """The MAC address of a site."""
    return f"02:76:77:02:00:{number:02x}"


@dataclass
class Site:
    """What stands behind a port.

    Attributes:
        name: of the port, and of the site.
        number: of the site, from 1 on; its addresses follow from it.
        spec: the port's.
        middle: where the service is.
        far: where the other end is.
        stack: whether a host's TCP is behind it.
        end: the port at the far end; none where a host is on the transport itself.
        tap: that of the host, which ``cable`` joins to the end.
        cable: the cable.
        lies: how many messages were sent past the end.
        lied: their octets.
        disturbed: whether an interface on the way was made anew in this epoch, and its counters are gone.
        watched: the interfaces on the way.
    """

    name: str
    number: int
    spec: str
    middle: Namespace
    far: Namespace
    stack: bool
    end: TransportPort | None = None
    tap: TransportPort | None = None
    cable: vecwire.Cable | None = None
    lies: int = 0
    lied: int = 0
    disturbed: bool = False
    watched: list[tuple[Namespace, str]] = field(default_factory=list)

    @property
    def mac(self) -> str:
        """Its address."""
        return address(self.number)

    def ready(self) -> None:
        """Opens the end; the service runs."""
        raise NotImplementedError

    def links(self) -> Iterator[tuple[tuple[str, str], Link]]:
        """The counters of the interfaces on the way."""
        for namespace, name in self.watched:
            found = links(namespace).get(name)
            if found is not None:
                yield (self.name, name), found

    def reports(self) -> Reports:
        """The reports of errors (ICMP) that the far end has received and sent."""
        return reports(self.far)

    def equations(self, since: Reading) -> Iterator[Equation]:
        """What must hold."""
        raise NotImplementedError

    def kernel_drops(self) -> int | None:
        """What the kernel has dropped in front of the service's port, by its own word; or None."""
        return None

    def lie(self, message: bytes, times: int) -> None:
        """Sends the port what no peer of ours would, past the end's own counters."""
        assert self.end is not None
        with socket.socket(fileno=os.dup(self.end.info.descriptors["tx"])) as tunnel:
            tunnel.setblocking(True)
            tunnel.settimeout(10)
            for _ in range(times):
                tunnel.send(message)
            tunnel.setblocking(False)
        self.lies += times
        self.lied += times * len(message)

    def close(self) -> None:
        """Gives the ends back."""
        if self.cable is not None:
            self.cable.stop()
        for port in (self.tap, self.end):
            if port is not None:
                port.close()

    def _open_stack(self) -> None:
        """Joins the end to the tap of a host."""
        assert self.end is not None
        self.tap = vecwire.open(f"tap,ifname=host0,netns={self.far.name}")
        self.cable = vecwire.Cable(self.tap, self.end).start()

    def _stack_equations(self, since: Reading) -> Iterator[Equation]:
        if self.tap is None:
            return
        end, tap = since.ends[self.name], since.ends[f"{self.name}-tap"]
        host = since.links[self.name, "host0"]
        yield cabled(f"{self.name}, to the host", end, tap)
        yield cabled(f"{self.name}, from the host", tap, end)
        yield Equation(f"{self.name}, host's tap", ("kernel sent", host.tx_frames), ("came", came(tap)))
        yield Equation(
            f"{self.name}, host's tap", ("port sent", tap.tx_frames), ("kernel received", host.rx_frames)
        )


class Wired(Site):
    """A site by raw: a veth pair between the port and the host."""

    def ready(self) -> None:
        """Opens the end."""
        if not self.stack:
            self.end = vecwire.open(f"raw,ifname=host0,netns={self.far.name},mtu=2000")

    def equations(self, since: Reading) -> Iterator[Equation]:
        """The port, both interfaces, the end."""
        port = since.ports[self.name]
        here, host = since.links[self.name, self.name], since.links[self.name, "host0"]
        yield Equation(self.name, ("kernel received", here.rx_frames), ("came", came(port)))
        yield Equation(self.name, ("port sent", port.tx_frames), ("kernel sent", here.tx_frames))
        yield Equation(self.name, ("kernel sent", here.tx_frames), ("host received", host.rx_frames))
        yield Equation(self.name, ("host sent", host.tx_frames), ("kernel received", here.rx_frames))
        yield from self._end_equations(since, host)

    def _end_equations(self, since: Reading, host: Link) -> Iterator[Equation]:
        if self.end is not None:
            end = since.ends[self.name]
            yield Equation(f"{self.name}, end", ("sent", end.tx_frames), ("host sent", host.tx_frames))
            yield Equation(f"{self.name}, end", ("host received", host.rx_frames), ("came", came(end)))

    def kernel_drops(self) -> int | None:
        """Of the packet sockets on its interface."""
        return packet_drops(self.middle, self.name)

    def plug(self) -> None:
        """Makes the veth pair, again where it was deleted."""
        veth((self.far, "host0"), (self.middle, self.name), mtu=9000)
        self.far.up("host0", mac=self.mac)
        if self.stack:
            self.far.up("host0", f"10.9.0.{self.number}/24", mtu=MTU)

    def unplug(self) -> None:
        """Deletes it."""
        self.middle.ip(f"link del {self.name}")


class Tapped(Wired):
    """A site by tap: the host is on the tap itself."""

    def equations(self, since: Reading) -> Iterator[Equation]:
        """The port, its interface, the end."""
        port, host = since.ports[self.name], since.links[self.name, "host0"]
        yield Equation(self.name, ("host sent", host.tx_frames), ("came", came(port)))
        yield Equation(self.name, ("port sent", port.tx_frames), ("host received", host.rx_frames))
        yield from self._end_equations(since, host)

    def kernel_drops(self) -> int | None:
        """A tap's queue refuses what it has no room for: whoever sends is told."""
        return None

    def plug(self) -> None:
        """Has the tap up, that the service has made again."""
        wait_until(
            lambda: "host0" in links(self.far), timeout=PATIENCE, what=f"{self.name} makes its tap again"
        )
        self.far.up("host0", mac=None if isinstance(self, Hybrid) else self.mac)

    def unplug(self) -> None:
        """Deletes the tap."""
        self.far.ip("link del host0")


class Hybrid(Tapped):
    """A site by hybrid: a bridge joins the tap to a veth pair, since a host's frames come by the tap's queue.

    Nobody reads the tap: each frame that its packet socket has seen is dropped there.
    """

    def ready(self) -> None:
        """Opens the end."""
        self.end = vecwire.open(f"raw,ifname=gen0,netns={self.far.name},mtu=2000")

    def equations(self, since: Reading) -> Iterator[Equation]:
        """The port, the interfaces, the end."""
        port, end = since.ports[self.name], since.ends[self.name]
        host, inner, outer = (since.links[self.name, each] for each in ("host0", "mid0", "gen0"))
        yield Equation(self.name, ("host sent", host.tx_frames + host.tx_dropped), ("came", came(port)))
        yield Equation(self.name, ("port sent", port.tx_frames), ("host received", host.rx_frames))
        yield Equation(self.name, ("host received", host.rx_frames), ("bridge sent", inner.tx_frames))
        yield Equation(
            self.name, ("bridge received", inner.rx_frames), ("host sent", host.tx_frames + host.tx_dropped)
        )
        yield Equation(f"{self.name}, end", ("sent", end.tx_frames), ("veth sent", outer.tx_frames))
        yield Equation(f"{self.name}, end", ("veth received", outer.rx_frames), ("came", came(end)))

    def kernel_drops(self) -> int | None:
        """Of the packet socket on the tap."""
        return packet_drops(self.far, "host0")

    def plug(self) -> None:
        """Has the tap up and in the bridge."""
        super().plug()
        self.far.ip("link set host0 master bridge0")


class Recorded(Site):
    """A site by bess: a record socket, which loses nothing."""

    def ready(self) -> None:
        """Opens the end."""
        self.end = vecwire.open(f"bess,dst={self.spec.partition('=')[2]},mtu={MTU}")
        if self.stack:
            self._open_stack()

    def equations(self, since: Reading) -> Iterator[Equation]:
        """The port and the end."""
        port, end = since.ports[self.name], since.ends[self.name]
        sent = end.tx_frames + since.lies[self.name]
        yield Equation(f"{self.name}, in", ("sent", sent), ("came", came(port)))
        yield Equation(f"{self.name}, out", ("sent", port.tx_frames), ("came", came(end)))
        yield from self._stack_equations(since)

    def leave(self) -> None:
        """Ends the connection; what waits in its queue is still received."""
        assert self.end is not None
        before = self.end.stats.recovered
        with socket.socket(fileno=os.dup(self.end.info.descriptors["rx"])) as connection:
            connection.shutdown(socket.SHUT_RDWR)
        end = self.end
        wait_until(lambda: end.stats.recovered > before, timeout=PATIENCE, what=f"{self.name} is back")
