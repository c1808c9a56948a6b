"""What the demo builds: names, addresses, specs, and the commands that do the same by hand. Pure values."""

from dataclasses import dataclass, replace

from vecwire.spec import Spec, parse

WIRE = "wire0"
TAP = "tap0"
#: Without taps a host has one end of a veth pair, and its cable the other.
INSIDE = "eth0"
PORT = "port0"
WIRE_MTU = 1500
UDP_PORT = 1701
PREFIX = 24


@dataclass(frozen=True, slots=True)
class Host:
    """One of the two hosts.

    Attributes:
        name: Of its namespace, where namespaces have names.
        session: The L2TPv3 session that it receives.
        inner: Its address in the network that the tunnel carries.
        outer: Its address on the wire.
    """

    name: str
    session: int
    inner: str
    outer: str


# The wire has addresses that RFC 5737 sets aside for examples.
FIRST = Host("h1", 1, "10.0.0.1", "192.0.2.1")
SECOND = Host("h2", 2, "10.0.0.2", "192.0.2.2")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is built.

    Attributes:
        taps: Whether hosts have taps; else raw ports on veth pairs.
        users: Whether it all happens in a user namespace.
        hosts: The two hosts.
    """

    taps: bool = True
    users: bool = False
    hosts: tuple[Host, Host] = (FIRST, SECOND)

    @property
    def link(self) -> str:
        """The interface that a host's traffic is on."""
        return TAP if self.taps else INSIDE

    @property
    def link_of_cable(self) -> str:
        """The interface that a cable's port is on."""
        return TAP if self.taps else PORT

    def peer(self, host: Host) -> Host:
        """The other host."""
        return self.hosts[1] if host == self.hosts[0] else self.hosts[0]

    def access(self, host: Host, netns: str | None = None) -> Spec:
        """The spec of the port by which a cable has its host's frames.

        Args:
            host: The host.
            netns: Where to open it, if not in the namespace that has the host's name.
        """
        text = f"tap,ifname={TAP}" if self.taps else f"raw,ifname={PORT}"
        return parse(f'{text},netns="{netns or host.name}"')

    def tunnel(self, host: Host, netns: str | None = None) -> Spec:
        """The spec of a host's end of the tunnel; arguments as for ``access``."""
        peer = self.peer(host)
        return parse(
            f"l2tpv3,udp=1,src={host.outer},dst={peer.outer},srcport={UDP_PORT},dstport={UDP_PORT},"
            f'rx_session={host.session},tx_session={peer.session},netns="{netns or host.name}"'
        )

    @property
    def mtu(self) -> int:
        """The longest packet that goes through the tunnel whole, in octets."""
        return self.tunnel(self.hosts[0]).inner_mtu(WIRE_MTU)

    @property
    def headers(self) -> tuple[tuple[str, int], ...]:
        """What the tunnel puts in front of a packet: names and octets."""
        return self.tunnel(self.hosts[0]).headers

    def without_taps(self) -> "Plan":
        """The same with raw ports on veth pairs."""
        return replace(self, taps=False)

    def commands(self) -> list[str]:
        """The lines for a shell that do the same by hand, and undo it."""
        lines: list[str] = []
        if self.users:
            lines += [
                "# root of a user namespace, whose /run is its own",
                "unshare --user --map-root-user --net --mount",
                "mount -t tmpfs tmpfs /run",
            ]
        first, second = self.hosts
        lines += [
            "# two hosts, and a wire between them",
            *(f"ip netns add {host.name}" for host in self.hosts),
            f"ip -n {first.name} link add {WIRE} type veth peer name {WIRE} netns {second.name}",
            *(line for host in self.hosts for line in _up(host.name, WIRE, host.outer)),
            f"# {'a tap' if self.taps else 'a pair of interfaces'} in each; {self._arithmetic()}",
            *(line for host in self.hosts for line in self._access_commands(host)),
            f"# a cable in each, from the {'tap' if self.taps else 'interface'} to the tunnel",
            *(
                f"vecwire cable {_short(self.access(host))} {_short(self.tunnel(host))} & {host.name}=$!"
                for host in self.hosts
            ),
            "# it works, once both are ready: three answers, or ten seconds",
            f"ip netns exec {first.name} ping -c 3 -w 10 {second.inner}",
            "# away with it",
            f"kill ${first.name} ${second.name}",
            *(f"ip netns del {host.name}" for host in self.hosts),
        ]
        if self.users:
            lines += ["exit"]
        return lines

    def _arithmetic(self) -> str:
        """Where the MTU comes from."""
        terms = " - ".join(f"{octets} {name}" for name, octets in self.headers)
        return f"MTU {self.mtu} = {WIRE_MTU} - {terms}"

    def _access_commands(self, host: Host) -> list[str]:
        ip = f"ip -n {host.name}"
        if self.taps:
            return [f"{ip} tuntap add {TAP} mode tap", *_up(host.name, TAP, host.inner, mtu=self.mtu)]
        return [
            f"{ip} link add {INSIDE} type veth peer name {PORT}",
            *_up(host.name, INSIDE, host.inner, mtu=self.mtu),
            f"{ip} link set {PORT} up",
        ]


def _up(namespace: str, link: str, address: str, *, mtu: int = 0) -> list[str]:
    setting = f" mtu {mtu}" if mtu else ""
    return [
        f"ip -n {namespace} addr add {address}/{PREFIX} dev {link}",
        f"ip -n {namespace} link set {link}{setting} up",
    ]


def _short(spec: Spec) -> str:
    """A spec as people write it, the transport bare."""
    return str(spec).removeprefix("transport=")
