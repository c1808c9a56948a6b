"""Pairs of ports that are joined by a link: what one sends, the other receives.

One factory for every transport and for the in-memory fake, so that one suite of the contract runs over all.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import vecwire
from peers.net import Namespace, veth
from vecwire import Impairment
from vecwire.capture import Recorder
from vecwire.spec import RawSpec, parse
from vecwire.testing import pair
from vecwire.transports import hand_over
from vecwire.wrappers import Captured, Impaired, Mirrored, Traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire import Port

LEFT4, RIGHT4 = "127.0.0.1", "127.0.0.2"
LEFT6, RIGHT6 = "fd00::1", "fd00::2"
TUNNEL4 = (f"src={LEFT4},dst={RIGHT4}", f"src={RIGHT4},dst={LEFT4}")
TUNNEL6 = (f"src={LEFT6},dst={RIGHT6},v6=1", f"src={RIGHT6},dst={LEFT6},v6=1")
PORTS = ("srcport=1701,dstport=1702", "srcport=1702,dstport=1701")
SESSIONS = ("rx_session=1,tx_session=0xfffffffe", "rx_session=0xfffffffe,tx_session=1")
COOKIES = ("rx_cookie=0xdeadbeef,tx_cookie=7", "rx_cookie=7,tx_cookie=0xdeadbeef")
KEYS = ("rx_key=0xffffffff,tx_key=5", "rx_key=5,tx_key=0xffffffff")


def _joined(*parts: tuple[str, str]) -> tuple[str, str]:
    return ",".join(part[0] for part in parts), ",".join(part[1] for part in parts)


def _same(text: str) -> tuple[str, str]:
    return text, text


#: The specs of both ends over a loopback with the addresses above.
LOOPBACK: dict[str, tuple[str, str]] = {
    "gre": _joined(_same("gre"), TUNNEL4),
    "gre-key-sequence": _joined(_same("gre"), TUNNEL4, KEYS, _same("sequence=1")),
    "gre-ipv6": _joined(_same("gre"), TUNNEL6),
    "l2tpv3-udp": _joined(_same("l2tpv3,udp=1"), TUNNEL4, PORTS, SESSIONS),
    "l2tpv3-ip-cookies": _joined(_same("l2tpv3"), TUNNEL4, SESSIONS, COOKIES),
    "l2tpv3-udp-ipv6-cookies64-counter": _joined(
        _same("l2tpv3,udp=1,cookie64=1,counter=1"), TUNNEL6, PORTS, SESSIONS, COOKIES
    ),
}
#: What stands on the left of a link, and the interface at whose other end a raw port stands on the right.
LINKS: dict[str, str] = {"raw": "raw,ifname=left0", "tap": "tap,ifname=tap0", "hybrid": "hybrid,ifname=tap0"}
TRANSPORTS = (*LINKS, *LOOPBACK, "bess", "memory")
#: Ports in wrappers: each around one that is no transport, and one around a socket.
WRAPPED = (*(f"{how}:memory" for how in ("traced", "captured", "mirrored", "impaired")), "impaired:bess")
#: The same over descriptors that were opened before, and passed in (``fd=``); raw over one socket or two.
PASSED = tuple(
    f"{kind}-passed" for kind in ("raw", "raw-one", "tap", "hybrid", "gre-ipv6", "l2tpv3-udp", "bess")
)


@dataclass(frozen=True)
class Joined:
    """Two joined ports, the namespace that they are in, and how to open one more of the left kind.

    Attributes:
        left: the port under test.
        right: the other end.
        namespace: where both are; None for the fake.
        blocking: whether a reader that does not read stops the sender, as a queue between them does.
    """

    left: Port
    right: Port
    namespace: Namespace | None
    blocking: bool = False


#: So seldom that it never happens here: every frame is judged.
HARDLY = Impairment(loss=1e-9)


@contextlib.contextmanager
def wrapped(how: str, port: Port) -> Iterator[Port]:
    """A port in a wrapper: `traced`, `captured`, `mirrored` or `impaired`."""
    with contextlib.ExitStack() as stack:
        if how == "traced":
            yield Traced(port)
        elif how == "captured":
            recorder = Recorder(Path("/dev/null"))
            stack.callback(recorder.close)
            yield Captured(port, recorder)
        elif how == "mirrored":
            sink, _ = (stack.enter_context(each) for each in pair())
            yield Mirrored(port, sink)
        else:
            yield stack.enter_context(Impaired(port, HARDLY))


@contextlib.contextmanager
def joined(kind: str, options: str = "") -> Iterator[Joined]:
    """A pair of the given kind; `options` are added to both specs, as `,depth=8`.

    Both are wrapped where the kind says so, as `traced:memory`.
    """
    if ":" in kind:
        how, _, inner = kind.partition(":")
        with (
            joined(inner, options) as bare,
            wrapped(how, bare.left) as left,
            wrapped(how, bare.right) as right,
        ):
            yield replace(bare, left=left, right=right)
        return
    if kind == "memory":
        left, right = pair()
        with left, right:
            yield Joined(left, right, None, blocking=True)
        return
    base = kind.removesuffix("-passed").removesuffix("-one")
    with (
        Namespace("pair", ipv6="ipv6" in kind) as namespace,
        namespace.enter(),
        contextlib.ExitStack() as passing,
    ):
        left_spec, right_spec, before = _specs(base, namespace)

        def ready(text: str) -> str:
            return text if base == kind else passing.enter_context(passed(text, one="-one" in kind))

        with vecwire.open(ready(left_spec + options)) as first:
            before()
            with vecwire.open(ready(right_spec + options)) as second:
                right_first = base == "bess"
                ends = (second, first) if right_first else (first, second)
                if right_first:
                    # A server has its client only once it has looked for one.
                    first.recv(first.batch(1))
                yield Joined(*ends, namespace, blocking=base == "bess")


@contextlib.contextmanager
def passed(text: str, *, one: bool = False) -> Iterator[str]:
    """Opens a spec as somebody else would; gives the spec that takes the descriptors, which are closed after.

    Args:
        text: the spec.
        one: whether the second descriptor of a raw port is left out.
    """
    spec = hand_over(parse(text))
    numbers = [each for each in (spec.fd, getattr(spec, "tx_fd", None)) if isinstance(each, int)]
    try:
        yield str(replace(spec, tx_fd=None) if one and isinstance(spec, RawSpec) else spec)
    finally:
        for number in numbers:
            os.close(number)


def _specs(kind: str, namespace: Namespace) -> tuple[str, str, Callable[[], None]]:
    """The spec to open first, the one to open second, and what to do in between."""
    if kind == "bess":
        return "bess,listen=@vecwire-test", "bess,dst=@vecwire-test", lambda: None
    if kind in LOOPBACK:
        namespace.ip(f"addr add {RIGHT4}/8 dev lo")
        if "ipv6" in kind:
            namespace.up("lo", f"{LEFT6}/128", f"{RIGHT6}/128")
        return *LOOPBACK[kind], lambda: None
    if kind == "raw":
        veth((namespace, "left0"), (namespace, "right0"))
        return LINKS[kind], "raw,ifname=right0", lambda: None

    def bridged() -> None:
        # A bridge sends through the tap's queue, where a packet socket sees it, as a host's own stack does.
        veth((namespace, "mid0"), (namespace, "right0"))
        namespace.up("tap0")
        namespace.bridge("bridge0", "tap0", "mid0")

    return LINKS[kind], "raw,ifname=right0", bridged
