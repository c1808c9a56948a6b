"""Sites by tunnels: the outer network is a veth pair of its own, whose counters are in the books too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vecwire
from peers.hosts import MTU, TUNNELS
from soak.kernel import inet_drops, links
from soak.ledger import Beside, Equation, Reading, came
from soak.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soak.kernel import Link
    from vecwire.port import PortStats

#: Ethernet, IPv4 and UDP headers: what stands in front of L2TPv3's on the wire (RFC 894, 791, 768).
OUTER = 14 + 20 + 8
#: Octets of L2TPv3 over UDP in front of a frame (RFC 3931, section 4.1.2): flags and session, no cookie.
L2TPV3_UDP = 8
#: Frames that one message carries at the most (UDP_MAX_SEGMENTS, as vecwire sends them).
MOST_IN_A_MESSAGE = 64


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
        reports = since.reports[self.name]
        lies = Beside(since.lies[self.name], since.lied[self.name])
        here, there = (since.links[self.name, each] for each in (self.wan, f"far:{self.wan}"))
        for what, sender, others, link, receiver, peer, reported in (
            (f"{self.name}, in", end, lies, there, port, here, reports.sent),
            (f"{self.name}, out", port, Beside(), here, end, there, reports.received),
        ):
            yield Equation(what, ("wire sent", link.tx_frames), ("wire received", peer.rx_frames))
            yield from self._hop(what, sender, others, link, receiver, reported)
        yield from self._stack_equations(since)

    def _hop(
        self, what: str, sender: PortStats, others: Beside, link: Link, receiver: PortStats, reported: int
    ) -> Iterator[Equation]:
        """What the one end has sent is what the other received, or missed; and reports beside it.

        Where a raw socket has no room, the kernel reports to the sender that the protocol is unreachable
        (raw_v4_input(), net/ipv4/raw.c): its packets are on the wire too.
        """
        yield Equation(
            what, ("sent", sender.tx_frames + others.messages + reported), ("wire sent", link.tx_frames)
        )
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
        self, what: str, sender: PortStats, others: Beside, link: Link, receiver: PortStats, reported: int
    ) -> Iterator[Equation]:
        """What was sent, in octets of the wire; and what came of it, as near as messages tell."""
        if not reported:
            told = sender.tx_octets + L2TPV3_UDP * sender.tx_frames + others.octets
            yield Equation(
                what,
                ("octets sent", told + OUTER * link.tx_frames),
                ("octets on the wire", link.tx_octets),
            )
        missed = receiver.rx_missed
        yield Equation(
            what,
            ("sent", sender.tx_frames + others.messages),
            ("came, less messages missed", came(receiver) - missed),
            more=missed * MOST_IN_A_MESSAGE,
            least=missed,
        )

    def kernel_drops(self) -> int | None:
        """Of the tunnel's socket."""
        return inet_drops(self.middle, "udp", f"10.8.{self.number}.2")
