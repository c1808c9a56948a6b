"""A service while frames move: ports that go away come back, and reloads cost the others nothing."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.lan import Stream
from peers.net import Namespace, open_descriptors, veth, wait_until
from vecwire.errors import ConfigError
from vecwire.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds within which everything heals.
HEALS = 3.0
RELOADS = 1000
TUNNEL = (
    "l2tpv3,udp=1,src=192.168.7.1,dst=192.168.7.2,srcport=1701,dstport=1701,rx_session=1,tx_session=2",
    "l2tpv3,udp=1,src=192.168.7.2,dst=192.168.7.1,srcport=1701,dstport=1701,rx_session=2,tx_session=1",
)


@dataclass
class Site:
    """A namespace with a service in it: four links, a BESS listener, a tunnel over ``wan0``.

    Attributes:
        namespace: where the switch's ends are; the calling thread is in it.
        far: where the tunnel's other end is.
        path: the service's file.
        service: the service.
    """

    namespace: Namespace
    far: Namespace
    path: Path
    service: Service

    def write(self, **ports: str) -> None:
        """Writes the file anew: all ports by default, others or none of a name as given."""
        specs = {
            "left": '"raw,ifname=left0"',
            "right": '"raw,ifname=right0"',
            "third": '{ spec = "raw,ifname=third0", vlan = 7 }',
            "guest": '"bess,listen=@guest"',
            "branch": f'"{TUNNEL[0]}"',
            **ports,
        }
        lines = [f"{name} = {spec}" for name, spec in specs.items() if spec]
        names = [name for name, spec in specs.items() if spec]
        text = "\n".join(["[ports]", *lines, "[switches.lan]", f"ports = {names}"])
        self.path.write_text(text, encoding="utf-8")

    def is_up(self, name: str) -> bool:
        """Whether a port is up."""
        return self.service.port_states(name)[0].up

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Frames that go from the left to the right all the while; none may be lost."""
        with (
            vecwire.open("raw,ifname=left1") as source,
            vecwire.open("raw,ifname=right1") as sink,
            Stream(source, sink),
        ):
            yield


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running service."""
    with Namespace("live", ipv6=False) as here, Namespace("live-far", ipv6=False) as far:
        veth((here, "wan0"), (far, "wan0"), addresses_a=["192.168.7.1/24"], addresses_b=["192.168.7.2/24"])
        with here.enter():
            for name in ("left", "right", "third"):
                veth((here, f"{name}0"), (here, f"{name}1"))
            made = Site(here, far, tmp_path / "live.toml", Service(tmp_path / "live.toml"))
            made.write()
            made.service.reload()
            made.service.start()
            try:
                yield made
            finally:
                made.service.close()


def broadcast(port: vecwire.Port) -> None:
    """Has a port send a frame for all."""
    batch = port.batch(1)
    batch.append(b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x77\x88\xb6" + bytes(46))
    port.send(batch)


def heard(port: vecwire.Port) -> bool:
    """Whether a port has received the frame for all."""
    batch = port.batch()
    if not port.wait(0.05):
        return False
    port.recv(batch)
    return any(bytes(each[12:14]) == b"\x88\xb6" for each in batch)


def passes(source: vecwire.Port, sink: vecwire.Port) -> bool:
    """Whether a frame for all comes from one port to another now."""
    broadcast(source)
    return heard(sink)


def test_an_interface_that_is_made_again_heals(site: Site) -> None:
    """A port whose interface is deleted goes down, says why, and is back soon after the interface is."""
    site.write(third='"raw,ifname=third0"')
    site.service.reload()
    with site.stream(), vecwire.open("raw,ifname=right1") as sink:
        site.namespace.ip("link del third0")
        wait_until(lambda: not site.is_up("third"), timeout=HEALS, what="the loss is seen")
        state = site.service.port_states("third")[0]
        assert state.why
        veth((site.namespace, "third0"), (site.namespace, "third1"))
        wait_until(lambda: site.is_up("third"), timeout=HEALS, what="the port is back")
        with vecwire.open("raw,ifname=third1") as station:
            wait_until(lambda: passes(station, sink), timeout=HEALS, what="frames pass again")


def test_a_client_that_ends_and_comes_again_heals(site: Site) -> None:
    """A BESS client that ends is waited for, and the next one is served at once."""
    with site.stream(), vecwire.open("raw,ifname=right1") as sink:
        for _ in range(3):
            with vecwire.open("bess,dst=@guest") as client:
                wait_until(lambda: site.is_up("guest"), timeout=HEALS, what="the client is served")
                wait_until(lambda: passes(client, sink), timeout=HEALS, what="frames pass")
            wait_until(lambda: not site.is_up("guest"), timeout=HEALS, what="its end is seen")


def test_a_route_that_comes_back_heals(site: Site) -> None:
    """A tunnel whose route is removed drops and counts, and goes on once the route is there again."""
    with (
        site.stream(),
        vecwire.open("raw,ifname=right1") as sink,
        vecwire.open(f"{TUNNEL[1]},netns={site.far.name}") as branch,
    ):
        wait_until(lambda: passes(branch, sink), timeout=HEALS, what="frames come from the tunnel")
        wait_until(lambda: passes(sink, branch), timeout=HEALS, what="frames go into the tunnel")
        site.namespace.ip("route del 192.168.7.0/24")

        def refused() -> bool:
            broadcast(sink)
            return site.service.port_states("branch")[0].counters["tx_unreachable"] > 0

        wait_until(refused, timeout=HEALS, what="frames for the tunnel are dropped and counted")
        site.namespace.ip("route add 192.168.7.0/24 dev wan0 src 192.168.7.1")
        wait_until(lambda: passes(sink, branch), timeout=HEALS, what="frames go into the tunnel again")
        wait_until(lambda: passes(branch, sink), timeout=HEALS, what="and come from it")


def test_a_namespace_that_comes_later_is_waited_for(site: Site) -> None:
    """A port in a namespace that is not there yet waits, and comes up with the namespace."""
    late = Namespace("live-late", ipv6=False)
    name = late.name
    late.close()
    site.write(third=f'"tap,ifname=tap9,netns={name}"')
    site.service.reload()
    assert not site.is_up("third")
    assert name in str(site.service.port_states("third")[0].why)
    with site.stream():
        subprocess.run(["ip", "netns", "add", name], check=True)
        try:
            wait_until(lambda: site.is_up("third"), timeout=HEALS, what="the port is up")
        finally:
            subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.timeout(300)
def test_reloads_that_change_one_port_cost_the_others_nothing(site: Site) -> None:
    """A thousand reloads, each changing one port's VLAN, or taking the port out, lose no frame of others."""
    before = {state.name: state.spec for state in site.service.port_states()}
    descriptors = 0
    with site.stream():
        for number in range(RELOADS):
            if number == 4 * RELOADS // 10:
                descriptors = len(open_descriptors())
            kind = number % 4
            spec = f'{{ spec = "raw,ifname=third0", vlan = {number % 4094 + 1} }}' if kind else ""
            site.write(third=spec)
            done = site.service.reload()
            assert "left" in done["kept"]
            assert "right" in done["kept"]
        site.write(third="")
        site.service.reload()
        assert len(open_descriptors()) <= descriptors
    site.write()
    site.service.reload()
    assert {state.name: state.spec for state in site.service.port_states()} == before


def test_a_wrong_file_changes_nothing(site: Site) -> None:
    """A reload of a file with an error tells it, and leaves everything as it was."""
    before = site.service.port_states()
    site.path.write_text("[ports]\nleft = 'raw,ifname='\n", encoding="utf-8")
    with site.stream(), pytest.raises(ConfigError):
        site.service.reload()
    after = site.service.port_states()
    assert [(state.name, state.spec, state.joined) for state in after] == [
        (state.name, state.spec, state.joined) for state in before
    ]


def test_ports_come_and_go_by_hand(site: Site) -> None:
    """A port is added, changed and removed while frames move; the next reload makes it as the file says."""
    veth((site.namespace, "fourth0"), (site.namespace, "fourth1"))
    with site.stream(), vecwire.open("raw,ifname=right1") as sink:
        site.service.add_port("fourth", {"spec": "raw,ifname=fourth0", "switch": "lan"})
        with vecwire.open("raw,ifname=fourth1") as station:
            wait_until(lambda: passes(station, sink), timeout=HEALS, what="frames pass")
            site.service.set_port("fourth", {"vlan": 99})
            assert site.service.port_states("fourth")[0].vlan == 99
        site.service.remove_port("fourth")
        assert "fourth" not in {state.name for state in site.service.port_states()}
        site.service.add_port("fourth", {"spec": "raw,ifname=fourth0", "switch": "lan"})
        assert site.service.reload()["removed"] == ["fourth"]
