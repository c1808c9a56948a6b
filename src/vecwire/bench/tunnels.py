"""Contenders that make a tunnel between two taps, and the kernel's own."""

from typing import ClassVar

from vecwire.bench.contender import OUTER, Contender, Site, Wan, joined

_L2TPV3 = "rx_session={0},tx_session={1}"


class VecwireTunnel(Contender):
    """``vecwire cable`` between a tap and a tunnel, in both hosts.

    Args:
        name: what tables call it.
        transport: the spec of the tunnel but for the addresses; ``{0}`` and ``{1}`` are the numbers of this
            side and the other.
        options: more options of the command.
    """

    def __init__(self, name: str, transport: str, *options: str) -> None:
        super().__init__(name)
        self._transport = transport
        self._options = options

    def join(self, site: Site, cpu: int | None) -> None:
        """One process in each host."""
        assert isinstance(site, Wan)  # noqa: S101 # the tables see to it
        site.taps()
        for number, host in enumerate((site.a, site.b)):
            spec = (
                self._transport.format(number + 1, 2 - number)
                + f",src={OUTER[number]},dst={OUTER[1 - number]}"
            )
            command = joined("tap,ifname=inner0", spec, *self._options)
            self.launch(host, command, cpu=cpu)


class VecwireBess(Contender):
    """``vecwire cable`` between a tap and a local socket, in both hosts: no network in between."""

    def join(self, site: Site, cpu: int | None) -> None:
        """The first host's process listens, the other's connects."""
        assert isinstance(site, Wan)  # noqa: S101
        site.taps()
        path = site.folder / "bess"
        for host, spec in ((site.a, f"bess,listen={path}"), (site.b, f"bess,dst={path}")):
            self.launch(host, joined("tap,ifname=inner0", spec), cpu=cpu)


class QemuTunnel(Contender):
    """QEMU without a guest: its hub joins a tap and its own L2TPv3."""

    commands: ClassVar = {"qemu-system-x86_64": "qemu-system-x86"}

    def join(self, site: Site, cpu: int | None) -> None:
        """One process in each host; it is up when its QMP greets."""
        assert isinstance(site, Wan)  # noqa: S101
        site.taps()
        for number, host in enumerate((site.a, site.b)):
            tunnel = (
                f"l2tpv3,id=tunnel,src={OUTER[number]},dst={OUTER[1 - number]},udp=on,srcport=1701,"
                f"dstport=1701,rxsession={number + 1},txsession={2 - number}"
            )
            command = [
                *("qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none"),
                *("-monitor", "none", "-qmp", "stdio", "-netdev", tunnel),
                *("-netdev", "tap,id=tap,ifname=inner0,script=no,downscript=no,vhost=off"),
                *("-netdev", "hubport,id=port1,hubid=1,netdev=tunnel"),
                *("-netdev", "hubport,id=port2,hubid=1,netdev=tap"),
            ]
            self.launch(host, command, ready='"QMP"', cpu=cpu, stdin=None)


class SocatTunnel(Contender):
    """socat between a tap and UDP: one read and one write for each frame."""

    commands: ClassVar = {"socat": "socat"}

    def join(self, site: Site, cpu: int | None) -> None:
        """One process in each host."""
        assert isinstance(site, Wan)  # noqa: S101
        site.taps()
        for number, host in enumerate((site.a, site.b)):
            tap = "TUN,tun-type=tap,tun-name=inner0,iff-no-pi"
            udp = f"UDP:{OUTER[1 - number]}:1702,bind={OUTER[number]}:1702"
            self.launch(host, ["socat", "-b", "65536", "-d", "-d", tap, udp], ready="starting data", cpu=cpu)


class KernelVxlan(Contender):
    """The kernel's VXLAN, which no process takes part in: what there is to be had."""

    def join(self, site: Site, cpu: int | None) -> None:  # noqa: ARG002 # the kernel runs where it is called
        """A VXLAN link in each host."""
        assert isinstance(site, Wan)  # noqa: S101
        for number, host in enumerate((site.a, site.b)):
            host.ip(
                f"link add inner0 type vxlan id 42 local {OUTER[number]} remote {OUTER[1 - number]} "
                "dstport 4789 dev wan0"
            )
        site.address()


def l2tpv3_udp(name: str, *options: str) -> VecwireTunnel:
    """L2TPv3 over UDP by vecwire."""
    return VecwireTunnel(name, f"l2tpv3,udp=1,srcport=1701,dstport=1701,{_L2TPV3}", *options)


def l2tpv3_ip(name: str) -> VecwireTunnel:
    """L2TPv3 over IP by vecwire."""
    return VecwireTunnel(name, f"l2tpv3,{_L2TPV3}")


def gre(name: str) -> VecwireTunnel:
    """GRE by vecwire."""
    return VecwireTunnel(name, "gre,rx_key={0},tx_key={1}")
