"""hybrid: a tap to send, a packet socket on the tap's interface to receive.

What the host sends out of the tap is received from the packet socket, many frames a call, and nobody
reads the tap: a filter there drops what would only fill its queue. The packet socket wants just what the host
sends, and not what comes in through the tap, which is our own.
"""

from vecwire import bpf
from vecwire.spec import HybridSpec
from vecwire.transports._descriptor import Opening
from vecwire.transports._opened import Opened
from vecwire.transports._packet import open_receiver
from vecwire.transports._tun import open_tap


def open_hybrid(spec: HybridSpec) -> Opened:
    """Opens the tap, made if it is not there, and a packet socket on it.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if the tap is in use, or a filter is refused.
    """
    with Opening() as made:
        opened = Opened(tx_tun=True, auxdata=True)
        opened.tx = open_tap(made, opened, spec.ifname, gro=spec.gro)
        opened.filter(opened.tx, bpf.drop_all(), tap=True)
        ifname = opened.ifname or spec.ifname
        opened.rx = open_receiver(made, opened, ifname, outgoing_only=True, promisc=False)
        made.complete()
    return opened
