"""Text to spec and back: which transport to open, with which options.

>>> spec = parse("tap,ifname=tap0,depth=0x80")
>>> spec.ifname, spec.depth, spec.mtu
('tap0', 128, 1500)
>>> str(spec)
'transport=tap,ifname=tap0,depth=128'

A spec is a frozen value that is right by construction: :func:`parse` and the classes themselves refuse what
contradicts the tables. Each option is told once, in the metadata of its field; parsing, checking, ``str()``,
the ``spec`` command and the reference in ``docs/spec.md`` all read that. The names of options are those of
User Mode Linux's vector driver (Documentation/virt/uml/user_mode_linux_howto_v2.rst of the Linux kernel).

Nothing here asks the host anything: whether an interface exists, or a name resolves, shows at opening.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from vecwire.errors import SpecError
from vecwire.spec.base import Spec
from vecwire.spec.impairment import Impairment
from vecwire.spec.kinds import Boolean, Host, Integer, Interface, Port, TapInterface, UnixAddress
from vecwire.spec.options import Option, about
from vecwire.spec.parser import parse_as_one_of, place_of
from vecwire.spec.passed import Passed
from vecwire.spec.rules import AtMost, Both, Differ, Excludes, Needs, OfFamily, OneOf
from vecwire.spec.text import public

__all__ = [
    "SPEC_CLASSES",
    "BessSpec",
    "GreSpec",
    "HybridSpec",
    "Impairment",
    "L2tpv3Spec",
    "Option",
    "RawSpec",
    "Spec",
    "SpecError",
    "TapSpec",
    "parse",
    "place_of",
    "public",
]

ETHERNET_HEADER = 14  # IEEE 802.3 clause 3.2: two addresses and a type, no VLAN tag
IPV4_HEADER = 20  # RFC 791 section 3.1, without options
IPV6_HEADER = 40  # RFC 8200 section 3
UDP_HEADER = 8  # RFC 768
GRE_HEADER = 4  # RFC 2784 section 2
GRE_FIELD = 4  # RFC 2890 section 2: the key's, the sequence number's
L2TPV3_UDP_WORD = (
    4  # RFC 3931 section 4.1.2.1: flags and version, in front of the session where UDP carries it
)
L2TPV3_SESSION = 4  # RFC 3931 section 4.1
L2TPV3_COUNTER = 4  # RFC 3931 section 4.6: the L2-specific sublayer's place
PRIVILEGED_PORTS = 1024  # ip(7), net.ipv4.ip_unprivileged_port_start

_U32 = Integer(0, 0xFFFF_FFFF)
_U64 = Integer(0, 0xFFFF_FFFF_FFFF_FFFF)
_SESSION = Integer(1, 0xFFFF_FFFF)  # RFC 3931 section 4.1: session 0 is for control messages
_ON = Boolean()
_FAMILY = (OfFamily("src"), OfFamily("dst"))


_TAP = about(TapInterface(), "The tap, made if it is not there.", aliases=("iface", "dev"), essential=True)
_PACKET_SOCKET = "CAP_NET_RAW, for a packet socket."
_TUN = (
    "/dev/net/tun, open to the user for reading and writing.",
    "CAP_NET_ADMIN, unless the tap exists and belongs to the user (ip tuntap add NAME mode tap user USER).",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSpec(Spec):
    """Frames of a network interface, through packet sockets (packet(7)): ``raw,ifname=eth1``."""

    transport = "raw"
    rules = (Needs("tx_fd", "fd"), Differ("tx_fd", "fd"))

    ifname: str | None = field(
        default=None,
        metadata=about(Interface(), "The network interface.", aliases=("iface", "dev"), essential=True),
    )
    tx_fd: int | str | None = field(
        default=None, metadata=about(Passed(), "A second descriptor, which sends; `fd` then only receives.")
    )
    promisc: bool = field(
        default=True, metadata=about(_ON, "Receive frames for every address while the port is open.")
    )

    @property
    def requirements(self) -> tuple[str, ...]:
        """A packet socket."""
        return self.with_common(_PACKET_SOCKET)


@dataclass(frozen=True, slots=True, kw_only=True)
class TapSpec(Spec):
    """The other side of a tap interface (Documentation/networking/tuntap.rst): ``tap,ifname=tap0``."""

    transport = "tap"

    ifname: str | None = field(default=None, metadata=_TAP)

    @property
    def requirements(self) -> tuple[str, ...]:
        """The tun device."""
        return self.with_common(*_TUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridSpec(Spec):
    """A tap to send, a packet socket on the tap's interface to receive: ``hybrid,ifname=tap0``."""

    transport = "hybrid"
    rules = (Both("fd", "tx_fd"), Differ("tx_fd", "fd"))

    ifname: str | None = field(default=None, metadata=_TAP)
    tx_fd: int | str | None = field(
        default=None,
        metadata=about(Passed(), "The tap's descriptor, which sends; `fd` is the packet socket."),
    )

    @property
    def requirements(self) -> tuple[str, ...]:
        """The tun device and a packet socket."""
        return self.with_common(*_TUN, _PACKET_SOCKET)


@dataclass(frozen=True, slots=True, kw_only=True)
class _InetSpec(Spec):
    """What the tunnels over IP have in common."""

    _protocol: ClassVar[str]

    src: str | None = field(
        default=None,
        metadata=about(
            Host(peer=False), "The local address or host name.", aliases=("local",), essential=True
        ),
    )
    dst: str | None = field(
        default=None,
        metadata=about(
            Host(peer=True), "The peer's address or host name.", aliases=("remote",), essential=True
        ),
    )
    v6: bool = field(default=False, metadata=about(_ON, "Use IPv6.", aliases=("ipv6",)))

    @property
    def headers(self) -> tuple[tuple[str, int], ...]:
        """The outer IP header, the transport's, the encapsulation and the inner Ethernet header."""
        network = ("IPv6", IPV6_HEADER) if self.v6 else ("IPv4", IPV4_HEADER)
        return (
            network,
            *self._carrier,
            (self._protocol, self.encapsulation_octets),
            ("Ethernet", ETHERNET_HEADER),
        )

    @property
    def _carrier(self) -> tuple[tuple[str, int], ...]:
        """What stands between the IP header and the encapsulation."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GreSpec(_InetSpec):
    """Ethernet over GRE (RFC 2784, RFC 2890), IP protocol 47: ``gre,src=10.0.0.1,dst=10.0.0.2``."""

    transport = "gre"
    _protocol = "GRE"
    rules = (*_FAMILY, Both("rx_key", "tx_key"), Needs("pin_sequence", "sequence", "sequence=1"))

    rx_key: int | None = field(
        default=None, metadata=about(_U32, "The key that received packets must carry.", aliases=("rxkey",))
    )
    tx_key: int | None = field(
        default=None, metadata=about(_U32, "The key that sent packets carry.", aliases=("txkey",))
    )
    sequence: bool = field(
        default=False, metadata=about(_ON, "Number the packets, in the GRE sequence field.", aliases=("seq",))
    )
    pin_sequence: bool = field(
        default=False, metadata=about(_ON, "Send 0 as every sequence number.", aliases=("pinsequence",))
    )

    @property
    def encapsulation_octets(self) -> int:
        """The GRE header and its optional fields."""
        return GRE_HEADER + GRE_FIELD * ((self.tx_key is not None) + self.sequence)

    @property
    def requirements(self) -> tuple[str, ...]:
        """A raw socket."""
        return self.with_common("CAP_NET_RAW, for a raw socket of IP protocol 47.")


@dataclass(frozen=True, slots=True, kw_only=True)
class L2tpv3Spec(_InetSpec):
    """Ethernet over L2TPv3 (RFC 3931), static, over UDP or IP protocol 115.

    ``l2tpv3,udp=1,src=10.0.0.1,dst=10.0.0.2,srcport=1701,dstport=1701,rx_session=1,tx_session=2``
    """

    transport = "l2tpv3"
    _protocol = "L2TPv3"
    rules = (
        *_FAMILY,
        Needs("srcport", "udp", "udp=1"),
        Needs("dstport", "udp", "udp=1"),
        Needs("udp", "srcport", unless="fd"),
        Needs("udp", "dstport", unless="fd"),
        Both("rx_cookie", "tx_cookie"),
        Needs("cookie64", "rx_cookie", "rx_cookie and tx_cookie"),
        AtMost("rx_cookie", _U32.maximum, unless="cookie64"),
        AtMost("tx_cookie", _U32.maximum, unless="cookie64"),
        Needs("pin_counter", "counter", "counter=1"),
    )

    udp: bool = field(default=False, metadata=about(_ON, "Use UDP; 0 uses IP protocol 115."))
    srcport: int | str | None = field(
        default=None, metadata=about(Port(), "The local UDP port.", aliases=("src_port",), place=True)
    )
    dstport: int | str | None = field(
        default=None, metadata=about(Port(), "The peer's UDP port.", aliases=("dst_port",), place=True)
    )
    rx_session: int = field(
        metadata=about(_SESSION, "The session that received packets must carry.", aliases=("rxsession",))
    )
    tx_session: int = field(
        metadata=about(_SESSION, "The session that sent packets carry.", aliases=("txsession",))
    )
    rx_cookie: int | None = field(
        default=None,
        metadata=about(_U64, "The cookie that received packets must carry.", aliases=("rxcookie",)),
    )
    tx_cookie: int | None = field(
        default=None, metadata=about(_U64, "The cookie that sent packets carry.", aliases=("txcookie",))
    )
    cookie64: bool = field(default=False, metadata=about(_ON, "Cookies have 8 octets; 0 gives them 4."))
    counter: bool = field(
        default=False, metadata=about(_ON, "Put a 4-octet counter of packets between cookie and frame.")
    )
    pin_counter: bool = field(
        default=False, metadata=about(_ON, "Send 0 as every counter.", aliases=("pincounter",))
    )

    @property
    def encapsulation_octets(self) -> int:
        """The first word where UDP carries it, the session, the cookie and the counter."""
        cookie = 0 if self.tx_cookie is None else 8 if self.cookie64 else 4
        return L2TPV3_UDP_WORD * self.udp + L2TPV3_SESSION + cookie + L2TPV3_COUNTER * self.counter

    @property
    def requirements(self) -> tuple[str, ...]:
        """A raw socket, or nothing but what the port's number asks for."""
        if not self.udp:
            return self.with_common("CAP_NET_RAW, for a raw socket of IP protocol 115.")
        if isinstance(self.srcport, int) and self.srcport < PRIVILEGED_PORTS:
            return self.with_common("CAP_NET_BIND_SERVICE, for a srcport below 1024.")
        return self.with_common()

    @property
    def _carrier(self) -> tuple[tuple[str, int], ...]:
        return (("UDP", UDP_HEADER),) if self.udp else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BessSpec(Spec):
    """One frame a record of a Unix SEQPACKET socket, as BESS's UnixSocketPort: ``bess,dst=/tmp/port``.

    With ``dst`` the port is the client, with ``listen`` the server, of one peer at a time.
    """

    transport = "bess"
    rules = (
        OneOf("dst", "listen", unless="fd"),
        Excludes("src", "listen", "a server's own address is that of listen"),
        Differ("src", "dst"),
    )

    dst: str | None = field(
        default=None, metadata=about(UnixAddress(), "The server's address, to connect to.", place=True)
    )
    listen: str | None = field(
        default=None,
        metadata=about(UnixAddress(), "The address at which to serve one client after another.", place=True),
    )
    src: str | None = field(
        default=None,
        metadata=about(UnixAddress(), "The client's own address, for a server that looks at it.", place=True),
    )

    @property
    def requirements(self) -> tuple[str, ...]:
        """Nothing of its own."""
        return self.with_common()


SPEC_CLASSES: dict[str, type[Spec]] = {
    spec_class.transport: spec_class
    for spec_class in (RawSpec, TapSpec, HybridSpec, GreSpec, L2tpv3Spec, BessSpec)
}


def parse(text: str) -> Spec:
    """Returns the spec that the text means.

    The text is that of User Mode Linux's vector driver, ``transport=NAME,option=value,...``, with or without
    ``vecN:`` in front. The transport may stand first and bare (``tap,ifname=tap0``). A value may be quoted
    with ``"`` or ``'`` and then hold anything, a quote or a backslash behind a backslash. White space
    around names, values and commas is nothing.

    Raises:
        SpecError: The text is wrong; the error says where and what is allowed.
    """
    return parse_as_one_of(text, SPEC_CLASSES)
