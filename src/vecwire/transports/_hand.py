"""Opening for somebody else: descriptors that outlive exec(2), and the spec that takes them."""

import os

from vecwire.spec import Spec
from vecwire.transports._refusal import refusals
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
    try:
        found = (opened.listener or opened.rx, opened.tx)
        owned = list(dict.fromkeys(each for each in found if each is not None))
        with refusals(f"hand over {spec.public}", spec.transport):
            for each in owned:
                os.set_inheritable(each.fileno(), True)
        handed = spec.handed(*(each.fileno() for each in owned))
    except BaseException:
        opened.close()
        raise
    # Nothing fails from here on.
    for each in owned:
        each.release()
    for entry in opened.entries:
        entry.leave()
    return handed
