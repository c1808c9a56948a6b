"""raw: the frames of a network interface, through two packet sockets.

One receives. The other sends past the queueing discipline, so that its frames do not come back, and has no
queue that could fill unread.
"""

from vecwire.spec import RawSpec
from vecwire.transports._descriptor import Opening
from vecwire.transports._opened import Opened
from vecwire.transports._packet import open_receiver, open_sender, take_receiver, take_sender


def open_raw(spec: RawSpec) -> Opened:
    """Opens the interface, or takes sockets that are bound to it already.

    Raises:
        SpecError: if a descriptor that was passed in is not such a socket.
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if there is no such interface.
    """
    with Opening() as made:
        opened = Opened(auxdata=True)
        if spec.fd is not None:
            opened.rx = take_receiver(made, opened, spec.fd, outgoing_only=False, promisc=spec.promisc)
            second, option = (spec.fd, "fd") if spec.tx_fd is None else (spec.tx_fd, "tx_fd")
            opened.tx = take_sender(made, opened, second, option)
        elif spec.ifname is not None:
            opened.rx = open_receiver(made, opened, spec.ifname, outgoing_only=False, promisc=spec.promisc)
            opened.tx = open_sender(made, opened, spec.ifname)
        if not spec.gro:
            opened.gso = 0
        made.complete()
    return opened
