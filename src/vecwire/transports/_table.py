"""Which opener opens which spec."""

from collections.abc import Callable
from typing import Any

from vecwire.spec import BessSpec, GreSpec, HybridSpec, L2tpv3Spec, RawSpec, Spec, TapSpec
from vecwire.transports import _netns
from vecwire.transports._opened import Opened
from vecwire.transports._refusal import refusals
from vecwire.transports.bess import open_bess
from vecwire.transports.gre import open_gre
from vecwire.transports.hybrid import open_hybrid
from vecwire.transports.l2tpv3 import open_l2tpv3
from vecwire.transports.raw import open_raw
from vecwire.transports.tap import open_tap_port

OPENERS: dict[type[Spec], Callable[[Any], Opened]] = {
    RawSpec: open_raw,
    TapSpec: open_tap_port,
    HybridSpec: open_hybrid,
    GreSpec: open_gre,
    L2tpv3Spec: open_l2tpv3,
    BessSpec: open_bess,
}


def open_transport(spec: Spec) -> Opened:
    """Opens what a spec says, in its namespace.

    Raises:
        SpecError: if a filter expression is wrong, or a descriptor that was passed in.
        UnsupportedError: if this user may not, or this host cannot.
        PortError: if the interface, the address or the peer is not there.
    """
    opener = OPENERS[type(spec)]
    # Some steps have no special word by their openers, such as a socket option.
    with refusals(f"open {spec.public}", spec.transport):
        return _netns.inside(spec.netns, lambda: opener(spec))
