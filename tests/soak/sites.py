"""Sites: what stands behind each port of the service, and the equations of the way between them.

A site's *end* is a port of this process at the far end of the transport: it generates and judges frames. A
site with a stack has a host with a kernel of its own instead: by a tunnel or bess a cable joins end and tap.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import vecwire
from peers.hosts import MTU, TUNNELS
from peers.net import Namespace, veth, wait_until
from soak.kernel import inet_drops, links, packet_drops, reports
from soak.ledger import Equation, Reading, cabled, came

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from soak.kernel import Link, Reports
    from vecwire.port import PortStats
    from vecwire.transports import TransportPort

PATIENCE = 60.0
#: Ethernet, IPv4 and UDP headers: what stands in front of L2TPv3's on the wire (RFC 894, 791, 768).
OUTER = 14 + 20 + 8
#: Octets of L2TPv3 over UDP in front of a frame (RFC 3931, section 4.1.2): flags and session, no cookie.
L2TPV3_UDP = 8
#: Frames that one message carries at the most (UDP_MAX_SEGMENTS, as vecwire sends them).
MOST_IN_A_MESSAGE = 64


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


class Tunnelled(Site):
    """A site by a tunnel over a veth pair of its own."""

    kind = ""

    @property
    def wan(self) -> str:
        """The veth pair's name at both ends."""
        return f"wan{self.number}"

    def ready(self) -> None:
        """Opens the end."""
        ours, _ = TUNNELS[self.kind]
        self.end = vecwire.open(
            f"{ours},src=10.8.{self.number}.1,dst=10.8.{self.number}.2,netns={self.far.name},mtu={MTU}"
        )
        if self.stack:
            self._open_stack()

    def equations(self, since: Reading) -> Iterator[Equation]:
        """The port, the outer interfaces, the end."""
        port, end = since.ports[self.name], since.ends[self.name]
        lies, reports = since.lies[self.name], since.reports[self.name]
        here, there = (since.links[self.name, each] for each in (self.wan, f"far:{self.wan}"))
        for what, sender, others, link, receiver, peer, reported in (
            (f"{self.name}, in", end, lies, there, port, here, reports.sent),
            (f"{self.name}, out", port, 0, here, end, there, reports.received),
        ):
            yield Equation(what, ("wire sent", link.tx_frames), ("wire received", peer.rx_frames))
            yield from self._hop(what, sender, others, link, receiver, reported)
        yield from self._stack_equations(since)

    def _hop(
        self, what: str, sender: PortStats, others: int, link: Link, receiver: PortStats, reported: int
    ) -> Iterator[Equation]:
        """What the one end has sent is what the other received, or missed; and reports beside it.

        Where a raw socket has no room, the kernel reports to the sender that the protocol is unreachable
        (raw_v4_input(), net/ipv4/raw.c): its packets are on the wire too.
        """
        yield Equation(what, ("sent", sender.tx_frames + others + reported), ("wire sent", link.tx_frames))
        yield Equation(what, ("wire sent", link.tx_frames - reported), ("came", came(receiver)))

    def kernel_drops(self) -> int | None:
        """Of the tunnel's socket."""
        return inet_drops(self.middle, "raw", f"10.8.{self.number}.2")

    def links(self) -> Iterator[tuple[tuple[str, str], Link]]:
        """Those of the two ends have one name: the far one's is marked."""
        yield from super().links()
        yield (self.name, f"far:{self.wan}"), links(self.far)[self.wan]

    def cut(self) -> None:
        """Takes the route to the peer away."""
        self.middle.ip(f"route del 10.8.{self.number}.0/24")

    def mend(self) -> None:
        """Brings it back."""
        self.middle.ip(f"route add 10.8.{self.number}.0/24 dev {self.wan} src 10.8.{self.number}.2")


class Gre(Tunnelled):
    """A tunnel by GRE."""

    kind = "gre"


class L2tpv3Ip(Tunnelled):
    """A tunnel by L2TPv3 over IP."""

    kind = "l2tpv3-ip"


class L2tpv3Udp(Tunnelled):
    """A tunnel by L2TPv3 over UDP, where a message carries many frames (UDP_SEGMENT, UDP_GRO).

    The kernel counts messages. Their octets tell how many frames there were, and how many are missing only
    within bounds, where it has dropped messages: 1 to 64 frames were in each.
    """

    kind = "l2tpv3"

    def _hop(
        self, what: str, sender: PortStats, others: int, link: Link, receiver: PortStats, reported: int
    ) -> Iterator[Equation]:
        """What was sent, in octets of the wire; and what came of it, as near as messages tell."""
        if not others and not reported:
            yield Equation(
                what,
                ("octets sent", sender.tx_octets + L2TPV3_UDP * sender.tx_frames + OUTER * link.tx_frames),
                ("octets on the wire", link.tx_octets),
            )
        missed = receiver.rx_missed
        yield Equation(
            what,
            ("sent", sender.tx_frames + others),
            ("came, less messages missed", came(receiver) - missed),
            more=missed * MOST_IN_A_MESSAGE,
            least=missed,
        )

    def kernel_drops(self) -> int | None:
        """Of the tunnel's socket."""
        return inet_drops(self.middle, "udp", f"10.8.{self.number}.2")


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


KINDS: dict[str, type[Site]] = {
    "raw": Wired,
    "tap": Tapped,
    "hybrid": Hybrid,
    "gre": Gre,
    "l2tpv3": L2tpv3Udp,
    "l2tpv3-ip": L2tpv3Ip,
    "bess": Recorded,
}
_numbers = itertools.count(1)


@contextlib.contextmanager
def site(kind: str, middle: Namespace, folder: Path, *, stack: bool = False) -> Iterator[Site]:
    """Makes what is to stand behind a port; `Site.ready` does the rest once the service runs."""
    number = next(_numbers) % 250 or next(_numbers)
    made = KINDS[kind]
    name = f"{kind}{number}"
    with Namespace(name, ipv6=False) as far:
        common = (middle, far, stack)
        if made is Wired:
            here = Wired(name, number, f"raw,ifname={name}", *common)
            here.watched = [(middle, name), (far, "host0")]
            here.plug()
            found: Site = here
        elif kind in {"tap", "hybrid"}:
            # A bridge takes frames for the address of one of its ports itself.
            far.tap("host0", mac=address(number) if kind == "tap" else None, mtu=MTU)
            found = made(name, number, f"{kind},ifname=host0,netns={far.name}", *common)
            found.watched = [(far, "host0")]
            if stack:
                far.up("host0", f"10.9.0.{number}/24")
            if kind == "hybrid":
                veth((far, "gen0"), (far, "mid0"))
                far.bridge("bridge0", "host0", "mid0")
                found.watched += [(far, "mid0"), (far, "gen0")]
        elif kind == "bess":
            found = Recorded(name, number, f"bess,listen={folder / name}", *common)
        else:
            found = _tunnelled(kind, name, number, *common)
        if stack and kind not in {"raw", "tap"}:
            far.tap("host0", f"10.9.0.{number}/24", mac=address(number), mtu=MTU)
            found.watched.append((far, "host0"))
        with contextlib.closing(found):
            yield found


def _tunnelled(kind: str, name: str, number: int, middle: Namespace, far: Namespace, stack: bool) -> Site:
    """A tunnel's outer network: two addresses that know each other, so that nobody asks for them."""
    wan = f"wan{number}"
    veth(
        (far, wan),
        (middle, wan),
        addresses_a=[f"10.8.{number}.1/24"],
        addresses_b=[f"10.8.{number}.2/24"],
    )
    for one, other, host in ((far, middle, 2), (middle, far, 1)):
        mac = other.link(wan)["address"]
        one.ip(f"neigh replace 10.8.{number}.{host} lladdr {mac} dev {wan} nud permanent")
    _, theirs = TUNNELS[kind]
    spec = f"{theirs},src=10.8.{number}.2,dst=10.8.{number}.1"
    found = KINDS[kind](name, number, spec, middle, far, stack)
    found.watched = [(middle, wan)]
    return found


__all__ = ["KINDS", "Gre", "Hybrid", "Recorded", "Site", "Tapped", "Tunnelled", "Wired", "site"]
