"""gre: Ethernet frames in GRE (RFC 2784, RFC 2890), through a raw socket of IP protocol 47."""

import socket

from vecwire.spec import GreSpec
from vecwire.transports._inet import open_connected, take_connected
from vecwire.transports._opened import Opened
from vecwire.wire import encap


def layout(spec: GreSpec) -> encap.Encapsulation:
    """What stands in front of a frame."""
    return encap.gre(
        rx_key=spec.rx_key,
        tx_key=spec.tx_key,
        sequence=spec.sequence,
        pin_sequence=spec.pin_sequence,
        ip_header=not spec.v6,
    )


def open_gre(spec: GreSpec) -> Opened:
    """Opens the tunnel, or takes a socket that is connected already.

    Raises:
        SpecError: if a descriptor that was passed in is not such a socket.
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if an address is not to be had.
    """
    if spec.fd is not None:
        return take_connected(
            spec.fd,
            v6=spec.v6,
            protocol=socket.IPPROTO_GRE,
            encapsulation=layout(spec),
        )
    return open_connected(
        # Neither is left out where there is no descriptor.
        src=spec.src or "",
        dst=spec.dst or "",
        v6=spec.v6,
        protocol=socket.IPPROTO_GRE,
        encapsulation=layout(spec),
    )
