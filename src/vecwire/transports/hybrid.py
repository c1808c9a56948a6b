"""hybrid: a tap to send, a packet socket on the tap's interface to receive.

What the host sends out of the tap is received from the packet socket, many frames a call, and nobody
reads the tap: a filter there drops what would only fill its queue. The packet socket wants just what the host
sends, and not what comes in through the tap, which is our own.
"""

from vecwire import bpf
from vecwire.spec import HybridSpec
from vecwire.transports._descriptor import Opening
from vecwire.transports._opened import Opened
from vecwire.transports._packet import open_receiver, take_receiver
from vecwire.transports._passed import Wrong
from vecwire.transports._tun import open_tap, take_tap


def open_hybrid(spec: HybridSpec) -> Opened:
    """Opens the tap, made if it is not there, and a packet socket on it, or takes both.

    Raises:
        SpecError: if a descriptor that was passed in is not such a tap or socket.
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if the tap is in use, or a filter is refused.
    """
    with Opening() as made:
        opened = Opened(tx_tun=True, auxdata=True)
        if spec.fd is not None and spec.tx_fd is not None:
            _take(made, opened, spec.fd, spec.tx_fd, gro=spec.gro)
        elif spec.ifname is not None:
            opened.tx = open_tap(made, opened, spec.ifname, gro=spec.gro)
            opened.filter(opened.tx, bpf.drop_all(), tap=True)
            ifname = opened.ifname or spec.ifname
            opened.rx = open_receiver(made, opened, ifname, outgoing_only=True, promisc=False)
        made.complete()
    return opened


def _take(made: Opening, opened: Opened, fd: int | str, tx_fd: int | str, *, gro: bool) -> None:
    """Takes a tap and a packet socket on its interface."""
    opened.tx = take_tap(made, opened, tx_fd, "tx_fd", gro=gro)
    opened.filter(opened.tx, bpf.drop_all(), tap=True)
    tap = opened.ifname
    opened.rx = take_receiver(made, opened, fd, outgoing_only=True, promisc=False)
    if opened.ifname != tap:
        raise Wrong("fd", fd).error(f"is bound to {opened.ifname}, and tx_fd is the tap {tap}")
