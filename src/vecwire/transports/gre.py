"""gre: Ethernet frames in GRE (RFC 2784, RFC 2890), through a raw socket of IP protocol 47."""

import socket

from vecwire.spec import GreSpec
from vecwire.transports._inet import open_connected
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
    """Opens the tunnel.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if an address is not to be had.
    """
    return open_connected(
        src=spec.src,
        dst=spec.dst,
        v6=spec.v6,
        protocol=socket.IPPROTO_GRE,
        encapsulation=layout(spec),
    )
