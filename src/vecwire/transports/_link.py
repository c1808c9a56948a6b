"""What the link that a port stands on takes: the MTU of its interface, or else the spec's."""

import fcntl
import socket
import struct

from vecwire.errors import VecwireError
from vecwire.transports import _netns
from vecwire.transports._port import TransportPort

SIOCGIFMTU = 0x8921  # netdevice(7)


def link_mtu(port: TransportPort) -> int:
    """The longest packet that leaves through a port whole, in octets."""
    ifname = port.info.ifname
    if ifname is None:
        return port.info.mtu
    try:
        return _netns.inside(port.spec.netns, lambda: _interface_mtu(ifname))
    except (OSError, VecwireError):  # it has gone just now
        return port.info.mtu


def _interface_mtu(ifname: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        told = fcntl.ioctl(asking, SIOCGIFMTU, struct.pack("16si12x", ifname.encode(), 0))
    mtu: int = struct.unpack_from("i", told, 16)[0]
    return mtu
