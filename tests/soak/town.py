"""The town: one real ``vecwire run`` with sites behind its ports, and its books.

A switch joins a site of every transport by which frames are generated, some hosts with TCP, a port for guests
that come and go and one in a namespace that does; a cable joins two more. A second switch has ports that
reloads add and take away.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from peers.command import vecwire_command
from peers.net import Namespace, veth, wait_until
from soak.build import site
from soak.ledger import Equation, Reading, cabled, came, moved, switched
from vecwire.client import Client
from vecwire.port import PortStats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background
    from soak.sites import Site

PATIENCE = 60.0
#: Seconds between two readings that must be the same for all to be at rest.
REST = 0.08
#: The sites of the switch that generate frames: each two send to each other.
BLASTING = ("raw", "tap", "hybrid", "gre", "l2tpv3", "bess", "l2tpv3-ip", "raw")
#: The two ends of the cable.
CABLED = ("raw", "l2tpv3")
#: Hosts whose kernels speak TCP.
STACKS = ("raw", "tap", "l2tpv3", "bess")


@dataclass
class Town:
    """All of it.

    Attributes:
        middle: the namespace of the service.
        folder: where its file and its sockets are.
        blasting: sites of the switch with an end that generates.
        cabled: the two sites of the cable.
        stacks: hosts of the switch that speak TCP.
        lodging: the namespace that comes and goes.
        guests: how many frames guests have sent so far.
    """

    middle: Namespace
    folder: Path
    blasting: list[Site]
    cabled: list[Site]
    stacks: list[Site]
    lodging: Namespace
    service: Background = field(init=False, repr=False)
    client: Client = field(init=False, repr=False)
    guests: int = 0

    @property
    def sites(self) -> list[Site]:
        """All sites."""
        return [*self.blasting, *self.cabled, *self.stacks]

    @property
    def narrow(self) -> Site:
        """The site whose link is the narrowest: longer frames than 1514 octets are refused there."""
        return self.blasting[-1]

    @property
    def guest(self) -> str:
        """The path at which guests connect."""
        return str(self.folder / "guest")

    def lodge(self) -> None:
        """Makes the link of the lodger's port, in its namespace."""
        veth((self.lodging, "lodger"), (self.lodging, "lodged"))

    def write(self, spare: int = 0) -> None:
        """Writes the service's file; reloads change how many spare ports there are, and their VLANs."""
        ports = {site.name: f'"{site.spec}"' for site in self.sites}
        ports["guest"] = f'"bess,listen={self.guest}"'
        ports["lodger"] = f'"raw,ifname=lodger,netns={self.lodging.name}"'
        lan = [*(site.name for site in (*self.blasting, *self.stacks)), "guest", "lodger"]
        side = [f"spare{number}" for number in range(spare)]
        for number, name in enumerate(side):
            ports[name] = (
                f'{{ spec = "bess,listen=@{self.lodging.name}-{name}", vlan = {spare + number + 1} }}'
            )
        lines = [
            "[service]",
            f'control = "{self.folder / "control"}"',
            "[ports]",
            *(f"{name} = {spec}" for name, spec in ports.items()),
            "[cables]",
            f"line = {[site.name for site in self.cabled]}",
            "[switches.lan]",
            f"ports = {lan}",
            "[switches.side]",
            f"ports = {side}",
        ]
        (self.folder / "town.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self) -> None:
        """Starts the service and opens the ends."""
        self.lodge()
        self.write()
        self.service = self.middle.popen(vecwire_command("run", str(self.folder / "town.toml")))
        self.service.wait_for_text("ready", timeout=PATIENCE)
        self.client = Client(str(self.folder / "control"), timeout=PATIENCE)
        for each in self.sites:
            each.ready()
        self.middle.up(self.narrow.name, mtu=1500)
        self.settle()
        hosts = self.stacks
        for one, other in itertools.permutations(hosts, 2):
            one.far.ip(f"neigh replace 10.9.0.{other.number} lladdr {other.mac} dev host0 nud permanent")
        for one, other in itertools.pairwise(hosts):
            one.far.wait_reachable(f"10.9.0.{other.number}")

    def settle(self) -> None:
        """Waits until every site's port is up."""
        wait_until(lambda: not self.down(), timeout=PATIENCE, what="all ports are up")

    def down(self) -> list[str]:
        """The sites whose port is not up, at either end."""
        up = {state.name: state.up for state in self.client.ports()}
        return [
            site.name
            for site in self.sites
            if not up[site.name] or (site.end is not None and not site.end.info.up)
        ]

    def stop(self) -> None:
        """Ends the service."""
        self.client.close()
        self.service.stop()

    # The books.

    def read(self) -> Reading:
        """All counters as they stand."""
        ends = {site.name: site.end.stats for site in self.sites if site.end is not None}
        ends |= {f"{site.name}-tap": site.tap.stats for site in self.sites if site.tap is not None}
        return Reading(
            {state.name: PortStats(state.counters) for state in self.client.ports()},
            ends,
            dict(found for site in self.sites for found in site.links()),
            {**{site.name: site.lies for site in self.sites}, "guest": self.guests},
            {site.name: site.lied for site in self.sites},
            {site.name: site.reports() for site in self.sites},
        )

    def rest(self) -> Reading:
        """Waits until nothing moves any more, and reads all counters then."""
        before = self.read()

        def same() -> bool:
            nonlocal before
            earlier, before = before, self.read()
            return earlier == before

        wait_until(same, timeout=PATIENCE, what="all counters rest", interval=REST)
        return before

    def kernel_drops(self) -> dict[str, int]:
        """By ports, what the kernel says that it has dropped in front of their sockets since it made them."""
        return {site.name: drops for site in self.sites if (drops := site.kernel_drops()) is not None}

    def equations(self, since: Reading) -> Iterator[Equation]:
        """What must hold; what was disturbed is left out where the kernel's numbers have gone with it."""
        lan = {site.name for site in (*self.blasting, *self.stacks)} | {"guest", "lodger"}
        yield switched("lan", [since.ports[name] for name in sorted(lan)])
        one, other = (since.ports[site.name] for site in self.cabled)
        yield cabled("line", one, other)
        yield cabled("line", other, one)
        # Whatever a guest has said is heard, however soon it left.
        yield Equation("guest", ("said", since.lies["guest"]), ("came", came(since.ports["guest"])))
        for each in self.sites:
            if not each.disturbed:
                yield from each.equations(since)

    def faults(self, since: Reading) -> list[str]:
        """The equations that do not hold, each with all that its hop has counted."""
        found = [str(each) for each in self.equations(since) if not each.holds]
        if found:
            found += [f"  {name}: {moved(stats)}" for name, stats in since.ports.items()]
            found += [f"  end of {name}: {moved(stats)}" for name, stats in since.ends.items()]
            found += [f"  {' '.join(key)}: {link}" for key, link in since.links.items()]
        return found

    def checked(self, since: Reading) -> int:
        """How many equations there are."""
        return sum(1 for _ in self.equations(since))


@contextlib.contextmanager
def town() -> Iterator[Town]:
    """A town in which the service runs."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vecwire-soak-")))
        middle = stack.enter_context(Namespace("soak", ipv6=False))
        lodging = stack.enter_context(Namespace("lodging", ipv6=False))

        def make(kinds: tuple[str, ...], *, hosts: bool = False) -> list[Site]:
            return [stack.enter_context(site(kind, middle, folder, stack=hosts)) for kind in kinds]

        made = Town(middle, folder, make(BLASTING), make(CABLED), make(STACKS, hosts=True), lodging)
        made.start()
        stack.callback(made.stop)
        yield made
