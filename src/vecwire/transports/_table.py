"""Which opener opens which spec."""

from collections.abc import Callable
from typing import Any

from vecwire.spec import BessSpec, GreSpec, HybridSpec, L2tpv3Spec, RawSpec, Spec, TapSpec
from vecwire.transports._opened import Opened
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
