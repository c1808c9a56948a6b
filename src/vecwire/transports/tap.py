"""tap: the other side of a tap interface, through /dev/net/tun."""

from vecwire.spec import TapSpec
from vecwire.transports._descriptor import Opening
from vecwire.transports._opened import Opened
from vecwire.transports._tun import open_tap, take_tap


def open_tap_port(spec: TapSpec) -> Opened:
    """Opens the tap, made if it is not there, or takes one that is attached already.

    Raises:
        SpecError: if a descriptor that was passed in is no such tap.
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if the tap is in use, or the name is another interface's.
    """
    with Opening() as made:
        opened = Opened(rx_tun=True, tx_tun=True)
        if spec.fd is not None:
            opened.rx = opened.tx = take_tap(made, opened, spec.fd, "fd", gro=spec.gro)
        elif spec.ifname is not None:
            opened.rx = opened.tx = open_tap(made, opened, spec.ifname, gro=spec.gro)
        opened.rx_vnet = opened.tx_vnet
        made.complete()
    return opened
