"""raw: the frames of a network interface, through one packet socket.

One socket serves both directions: as the receiver that it is, it has no queue that fills unread, and as the
sender it bypasses the queueing discipline, so that its own frames do not come back to it.
"""

from vecwire.spec import RawSpec
from vecwire.transports._descriptor import Opening
from vecwire.transports._opened import Opened
from vecwire.transports._packet import open_packet_socket


def open_raw(spec: RawSpec) -> Opened:
    """Opens the interface.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if there is no such interface.
    """
    with Opening() as made:
        opened = Opened(auxdata=True)
        opened.rx = open_packet_socket(made, opened, spec.ifname, outgoing_only=False, promisc=spec.promisc)
        opened.tx = opened.rx
        if not spec.gro:
            opened.gso = 0
        made.complete()
    return opened
