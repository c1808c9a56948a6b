"""Opening for somebody else: descriptors that outlive exec(2), and the spec that takes them."""

import os

from vecwire.spec import Spec
from vecwire.transports._table import open_transport


def hand_over(spec: Spec) -> Spec:
    """Opens what a spec says, and keeps it open for programs that this process becomes or starts.

    The descriptors are inherited over exec(2), and are the caller's to close. What only a port undoes at its
    end is left, as the path of a bess server.

    Args:
        spec: what to open.

    Returns:
        The spec that takes the open descriptors by their numbers.

    Raises:
        SpecError: if a descriptor that was passed in is not what the spec needs.
        UnsupportedError: if this user may not, or this host cannot.
        PortError: if the interface, the address or the peer is not there.
    """
    opened = open_transport(spec)
    owned = [each for each in (opened.listener or opened.rx, opened.tx) if each is not None]
    numbers = [each.release() for each in dict.fromkeys(owned)]
    for number in numbers:
        os.set_inheritable(number, True)
    return spec.handed(*numbers)
