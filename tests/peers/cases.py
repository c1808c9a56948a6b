"""The peers' side of each interop case, and the spec of vecwire's side opposite: one table a peer.

Every case stands in three namespaces: `peer` holds the real peer, `near` the end of the cable that faces
it, `far` a tap with addresses on which the other end of the cable is. `under0` is a veth between `peer`
and `near` that carries the tunnels; its MTU leaves room for every encapsulation of 1500 octets.
"""

from __future__ import annotations

from dataclasses import dataclass

UNDERLAY_MTU = 1600
PEER_UNDERLAY, NEAR_UNDERLAY = ("10.88.0.1/24", "fd88::1/64"), ("10.88.0.2/24", "fd88::2/64")
# Overlay: what the guest and the far tap speak through the cable.
PEER_V4, PEER_V6 = "10.77.0.1", "fd77::1"
FAR_V4, FAR_V6 = "10.77.0.2", "fd77::2"
PEER_ADDRESSES, FAR_ADDRESSES = (f"{PEER_V4}/24", f"{PEER_V6}/64"), (f"{FAR_V4}/24", f"{FAR_V6}/64")
# The same in a VLAN.
TAGGED_V4, TAGGED_V6 = "10.78.0.1", "fd78::1"
TAGGED_PEER_ADDRESSES, TAGGED_FAR_ADDRESSES = (
    (f"{TAGGED_V4}/24", f"{TAGGED_V6}/64"),
    ("10.78.0.2/24", "fd78::2/64"),
)

V4 = "src=10.88.0.{},dst=10.88.0.{}"
V6 = "v6=1,src=fd88::{},dst=fd88::{}"


def kind_of(spec: str) -> str:
    """The transport of a spec, by the name that `hosts.ATTACHED_BY` has for it."""
    name = spec.partition(",")[0]
    return "l2tpv3-ip" if name == "l2tpv3" and ",udp=1" not in spec else name


@dataclass(frozen=True)
class UmlCase:
    """One transport of UML.

    Attributes:
        name: Of the test.
        uml: What follows `vec0:` on UML's command line; `{folder}` is a private folder.
        vecwire: The spec opposite; `{netns}` is the namespace that it opens in.
        bridged: Both ends are taps in the namespace `peer`, `uml0` and `cable0`, in one bridge: what a host
            does to join two of its guests. Otherwise the two ends meet on `under0`.
        listens: vecwire's end serves, so the cable must be ready before the guest connects.
        tags: VLAN tags reach the guest. For a packet socket the kernel takes the tag out of the frame and
            tells it beside, where UML does not look.
    """

    name: str
    uml: str
    vecwire: str
    bridged: bool = False
    listens: bool = False
    tags: bool = True


# gro=1: UML's raw, tap and hybrid always ask for vnet headers, so super-frames arrive whether it wants them
# or not; without gro=1 it cuts each to its MTU, and TCP towards the guest crawls at 0.2 Mbit/s.
UML_CASES = [
    UmlCase("raw", "transport=raw,ifname=under0,gro=1", "raw,ifname=under0,netns={netns}", tags=False),
    UmlCase("tap", "transport=tap,ifname=uml0,gro=1", "tap,ifname=cable0,netns={netns}", bridged=True),
    UmlCase(
        "hybrid",
        "transport=hybrid,ifname=uml0,gro=1",
        "hybrid,ifname=cable0,netns={netns}",
        bridged=True,
        tags=False,
    ),
    UmlCase("gre", f"transport=gre,{V4.format(1, 2)}", f"gre,{V4.format(2, 1)},netns={{netns}}"),
    UmlCase(
        "gre-key-sequence",
        f"transport=gre,{V4.format(1, 2)},rx_key=10,tx_key=0x1234567,sequence=1",
        f"gre,{V4.format(2, 1)},rx_key=0x1234567,tx_key=10,sequence=1,netns={{netns}}",
    ),
    UmlCase("gre-v6", f"transport=gre,{V6.format(1, 2)}", f"gre,{V6.format(2, 1)},netns={{netns}}"),
    UmlCase(
        "l2tpv3-udp",
        f"transport=l2tpv3,udp=1,{V4.format(1, 2)},srcport=1701,dstport=1702,rx_session=1,tx_session=2",
        f"l2tpv3,udp=1,{V4.format(2, 1)},srcport=1702,dstport=1701,rx_session=2,tx_session=1,netns={{netns}}",
    ),
    UmlCase(
        "l2tpv3-ip-cookie32",
        f"transport=l2tpv3,{V4.format(1, 2)},rx_session=0x11,tx_session=0x22"
        ",rx_cookie=0xdeadbeef,tx_cookie=0x1020304",
        f"l2tpv3,{V4.format(2, 1)},rx_session=0x22,tx_session=0x11"
        ",rx_cookie=0x1020304,tx_cookie=0xdeadbeef,netns={netns}",
    ),
    UmlCase(
        "l2tpv3-udp6-cookie64-counter",
        f"transport=l2tpv3,udp=1,{V6.format(1, 2)},srcport=1701,dstport=1701,rx_session=0x7fffffff"
        ",tx_session=0x22,cookie64=1,rx_cookie=0xfedcba9876543210,tx_cookie=0x0123456789abcdef,counter=1",
        f"l2tpv3,udp=1,{V6.format(2, 1)},srcport=1701,dstport=1701,rx_session=0x22,tx_session=0x7fffffff"
        ",cookie64=1,rx_cookie=0x0123456789abcdef,tx_cookie=0xfedcba9876543210,counter=1,netns={netns}",
    ),
    UmlCase("bess", "transport=bess,dst={folder}/bess", "bess,listen={folder}/bess", listens=True),
]


@dataclass(frozen=True)
class QemuCase:
    """One form of L2TPv3 that QEMU offers.

    Attributes:
        name: Of the test.
        qemu: What follows `l2tpv3,id=...,` in its `-netdev`, but for the addresses.
        vecwire: The spec opposite, but for the addresses and the namespace.
        v6: IPv6.
    """

    name: str
    qemu: str
    vecwire: str
    v6: bool = False

    def qemu_netdev(self, src: str, dst: str) -> str:
        """The options of `-netdev l2tpv3` between two addresses, but for `id`."""
        return f"src={src},dst={dst},{self.qemu}{',ipv6=on' if self.v6 else ''}"

    def vecwire_spec(self, src: str, dst: str) -> str:
        """The spec of the opposite end between two addresses."""
        return f"l2tpv3,src={src},dst={dst},{self.vecwire}{',v6=1' if self.v6 else ''}"


_QEMU_PORTS, _VECWIRE_PORTS = "udp=on,srcport=1701,dstport=1702", "udp=1,srcport=1702,dstport=1701"

# IPv4 and IPv6, UDP and IP, no cookie and both sizes, counter off, on and pinned, in eight: every two of
# these properties meet but for a pinned counter after a long cookie and where QEMU offers nothing.
QEMU_CASES = [
    QemuCase("udp4", f"{_QEMU_PORTS},txsession=1,rxsession=2", f"{_VECWIRE_PORTS},tx_session=2,rx_session=1"),
    QemuCase(
        "udp4-cookie32",
        f"{_QEMU_PORTS},txsession=0x1234,rxsession=0x5678,txcookie=0xdeadbeef,rxcookie=0x1020304",
        f"{_VECWIRE_PORTS},tx_session=0x5678,rx_session=0x1234,tx_cookie=0x1020304,rx_cookie=0xdeadbeef",
    ),
    QemuCase(
        "udp4-cookie64-counter",
        f"{_QEMU_PORTS},txsession=0xffffffff,rxsession=0x80000000,cookie64=on"
        ",txcookie=0x0123456789abcdef,rxcookie=0xfedcba9876543210,counter=on",
        f"{_VECWIRE_PORTS},tx_session=0x80000000,rx_session=0xffffffff,cookie64=1"
        ",tx_cookie=0xfedcba9876543210,rx_cookie=0x0123456789abcdef,counter=1",
    ),
    QemuCase(
        "udp4-pinned",
        f"{_QEMU_PORTS},txsession=1,rxsession=2,counter=on,pincounter=on",
        f"{_VECWIRE_PORTS},tx_session=2,rx_session=1,counter=1,pin_counter=1",
    ),
    QemuCase(
        "ip4-cookie32-counter",
        "udp=off,txsession=0x1234,rxsession=0x5678,txcookie=0xdeadbeef,rxcookie=0x1020304,counter=on",
        "tx_session=0x5678,rx_session=0x1234,tx_cookie=0x1020304,rx_cookie=0xdeadbeef,counter=1",
    ),
    QemuCase(
        "udp6-cookie64",
        f"{_QEMU_PORTS},txsession=1,rxsession=2,cookie64=on,txcookie=0xdeadbeef,rxcookie=0x1020304",
        f"{_VECWIRE_PORTS},tx_session=2,rx_session=1,cookie64=1,tx_cookie=0x1020304,rx_cookie=0xdeadbeef",
        v6=True,
    ),
    QemuCase(
        "udp6-cookie32-pinned",
        f"{_QEMU_PORTS},txsession=1,rxsession=2,txcookie=7,rxcookie=8,counter=on,pincounter=on",
        f"{_VECWIRE_PORTS},tx_session=2,rx_session=1,tx_cookie=8,rx_cookie=7,counter=1,pin_counter=1",
        v6=True,
    ),
    QemuCase(
        "ip6-counter",
        "udp=off,txsession=1,rxsession=2,counter=on",
        "tx_session=2,rx_session=1,counter=1",
        v6=True,
    ),
]
