"""Makes the sites: namespaces, links, addresses."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from peers.hosts import MTU, TUNNELS
from peers.net import Namespace, veth
from soak.sites import Hybrid, Recorded, Site, Tapped, Wired, address
from soak.tunnels import Gre, L2tpv3Ip, L2tpv3Udp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
