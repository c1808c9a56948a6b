"""vecwire opens any Linux layer-2 transport from one line of text and moves frames a vector at a time.

>>> import vecwire
>>> str(vecwire.parse("tap,ifname=tap0,depth=128"))
'transport=tap,ifname=tap0,depth=128'
"""

from vecwire.engine import Engine
from vecwire.errors import ClosedError, PortError, SpecError, UnsupportedError, VecwireError
from vecwire.mirror import Mirror
from vecwire.path.batch import Batch
from vecwire.port import Port, PortInfo, PortStats
from vecwire.spec import Impairment, Spec, parse
from vecwire.switch import Cable, Membership, Station, Switch
from vecwire.trace import Trace
from vecwire.transports import open_port as open  # noqa: A004  (vecwire.open is the name that users type)
from vecwire.wire.vnet import Vnet

__all__ = [
    "Batch",
    "Cable",
    "ClosedError",
    "Engine",
    "Impairment",
    "Membership",
    "Mirror",
    "Port",
    "PortError",
    "PortInfo",
    "PortStats",
    "Spec",
    "SpecError",
    "Station",
    "Switch",
    "Trace",
    "UnsupportedError",
    "VecwireError",
    "Vnet",
    "open",
    "parse",
]
