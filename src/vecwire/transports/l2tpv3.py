"""l2tpv3: Ethernet frames in L2TPv3 (RFC 3931), through a UDP socket or a raw one of IP protocol 115."""

import socket

from vecwire.spec import L2tpv3Spec
from vecwire.transports._inet import open_connected, take_connected
from vecwire.transports._opened import Opened
from vecwire.wire import encap

IPPROTO_L2TP = 115


def layout(spec: L2tpv3Spec) -> encap.Encapsulation:
    """What stands in front of a frame."""
    return encap.l2tpv3(
        rx_session=spec.rx_session,
        tx_session=spec.tx_session,
        rx_cookie=spec.rx_cookie,
        tx_cookie=spec.tx_cookie,
        cookie64=spec.cookie64,
        counter=spec.counter,
        pin_counter=spec.pin_counter,
        udp=spec.udp,
        ip_header=not spec.udp and not spec.v6,
    )


def open_l2tpv3(spec: L2tpv3Spec) -> Opened:
    """Opens the tunnel, or takes a socket that is connected already.

    Raises:
        SpecError: if a descriptor that was passed in is not such a socket.
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if an address is not to be had.
    """
    trains = spec.gro and spec.vec
    if spec.fd is not None:
        return take_connected(
            spec.fd,
            v6=spec.v6,
            protocol=socket.IPPROTO_UDP if spec.udp else IPPROTO_L2TP,
            encapsulation=layout(spec),
            trains=trains,
        )
    return open_connected(
        # Neither is left out where there is no descriptor.
        src=spec.src or "",
        dst=spec.dst or "",
        v6=spec.v6,
        protocol=0 if spec.udp else IPPROTO_L2TP,
        encapsulation=layout(spec),
        srcport=spec.srcport,
        dstport=spec.dstport,
        trains=trains,
    )
