"""What the kernel's refusals to open a transport mean, and what to do about each: one table."""

import contextlib
import errno
from collections.abc import Iterator

from vecwire.errors import PortError, UnsupportedError, VecwireError
from vecwire.transports._offload import Offload

PRIVILEGES = "run as root, or in a user namespace of your own: unshare --user --map-root-user --net"
IN_CONTAINER = "run as root; in a container, let its seccomp profile allow unshare(2)"
REMEDIES: dict[str, dict[int, str]] = {
    "a packet socket": {
        errno.EPERM: f"{PRIVILEGES}; CAP_NET_RAW is needed",
        errno.EACCES: f"{PRIVILEGES}; CAP_NET_RAW is needed",
        errno.EAFNOSUPPORT: "load the module af_packet: modprobe af_packet",
    },
    "a raw IP socket": {
        errno.EPERM: f"{PRIVILEGES}; CAP_NET_RAW is needed; or use l2tpv3 with udp=1, which needs nothing",
        errno.EACCES: f"{PRIVILEGES}; CAP_NET_RAW is needed; or use l2tpv3 with udp=1, which needs nothing",
        errno.EAFNOSUPPORT: "IPv6 is off on this host: leave v6 out, or switch it on",
        errno.EPROTONOSUPPORT: "this kernel has no raw IP sockets",
    },
    "a UDP socket": {
        errno.EAFNOSUPPORT: "IPv6 is off on this host: leave v6 out, or switch it on",
    },
    "a UDP port": {
        errno.EACCES: (
            "run as root, or choose a srcport from sysctl net.ipv4.ip_unprivileged_port_start on; "
            "CAP_NET_BIND_SERVICE is needed below"
        ),
    },
    "/dev/net/tun": {
        errno.ENOENT: "load the module tun: modprobe tun; give a container the device: --device /dev/net/tun",
        errno.ENODEV: "load the module tun: modprobe tun",
        errno.ENXIO: "load the module tun: modprobe tun",
        errno.EPERM: "give the user access: chmod 0666 /dev/net/tun, or allow the device in the container",
        errno.EACCES: "give the user access: chmod 0666 /dev/net/tun, or allow the device in the container",
    },
    "the tap": {
        errno.EPERM: (
            "run as root, or let root make it for you: ip tuntap add dev NAME mode tap user USER; "
            "CAP_NET_ADMIN is needed to make one"
        ),
        errno.EACCES: "run as root: CAP_NET_ADMIN is needed",
    },
    Offload.UDP_SEGMENTATION: {errno.ENETUNREACH: "set the loopback up: ip link set lo up"},
    Offload.UDP_COALESCING: {errno.ENETUNREACH: "set the loopback up: ip link set lo up"},
    "a Unix socket": {
        errno.EPROTONOSUPPORT: "this kernel has no SEQPACKET over Unix sockets",
    },
    "a veth pair": {
        errno.EOPNOTSUPP: "load the module veth: modprobe veth",
        errno.EPERM: "run as root: CAP_NET_ADMIN is needed",
    },
    "a network namespace": {
        errno.EPERM: PRIVILEGES,
        errno.ENOSPC: "as root: sysctl -w user.max_net_namespaces=10000",
        errno.EINVAL: "use a kernel with CONFIG_NET_NS",
    },
    "a user namespace": {
        errno.EPERM: IN_CONTAINER,
        errno.EACCES: IN_CONTAINER,
        errno.ENOSPC: "as root: sysctl -w user.max_user_namespaces=10000",
        errno.EUSERS: "user namespaces are nested too deep: begin further out",
        errno.EINVAL: "use a kernel with CONFIG_USER_NS",
    },
    "the network namespace": {
        errno.EACCES: "run as root: CAP_SYS_ADMIN is needed to enter a network namespace",
        errno.EPERM: "run as root: CAP_SYS_ADMIN is needed to enter a network namespace",
    },
}
#: What to do about what a port can work without, by the name under which it notes it as refused.
WITHOUT: dict[str, str] = {
    Offload.RECEIVE_BUFFER: "sysctl -w net.core.rmem_max=4194304, or run with CAP_NET_ADMIN",
    Offload.SEND_BUFFER: "sysctl -w net.core.wmem_max=4194304, or run with CAP_NET_ADMIN",
    Offload.VNET_HEADER: "use a kernel whose tun or packet sockets have it",
    Offload.UDP_SUPER_FRAMES: "Linux 6.2 and later have them; until then UDP is cut before it gets here",
    Offload.TCP_SUPER_FRAMES: "use a kernel whose tun has TUNSETOFFLOAD",
    Offload.CHECKSUM: "use a kernel whose tun has TUNSETOFFLOAD",
    Offload.SUPER_FRAMES: "ethtool -K DEVICE tso on; until then they are cut before they are sent",
    Offload.UDP_SEGMENTATION: "Linux 4.18 and later have it; until then every segment is sent on its own",
    Offload.UDP_COALESCING: "Linux 5.0 and later have it; until then every segment is received on its own",
    Offload.QDISC_BYPASS: "Linux 3.14 and later have it; until then frames are queued",
    Offload.IGNORE_OUTGOING: "Linux 4.20 and later have it; until then a filter does the same",
    Offload.KERNEL_FILTER: "sysctl -w net.core.optmem_max=131072; until then the port judges frames",
    Offload.PROMISCUOUS: "run with CAP_NET_RAW; until then only frames for the interface come in",
    Offload.TIMESTAMPS: "use a kernel whose sockets have SO_TIMESTAMPNS; until then no frame has a time",
}
#: The remedies for what is the world's fault, not this user's or host's.
WORLD: dict[int, str] = {
    errno.EACCES: "let this user in: namei -l PATH shows the modes of it and of the folders on the way",
    errno.ENOTDIR: "what stands before the last / must be a folder",
    errno.EROFS: "that file system is read-only: choose another path",
    errno.EADDRINUSE: "something else has that address: choose another port or path, or end it",
    errno.EADDRNOTAVAIL: "src must be an address of this host, in the namespace of netns=: ip address",
    errno.EBUSY: "another process has it open: end it, or choose another name",
    errno.ENODEV: "look for the right name with: ip link",
    errno.ENOENT: "check the name and the path",
    errno.ECONNREFUSED: "nobody listens there: start the server first",
    errno.ENETUNREACH: "there is no route to dst: ip route get DST",
    errno.EHOSTUNREACH: "there is no route to dst: ip route get DST",
}


def refusal(error: OSError, doing: str, what: str, *, remedy: str = "") -> PortError | UnsupportedError:
    """The error to raise where the kernel refused: not allowed or supported here, or the world's fault.

    Args:
        error: what the kernel said.
        doing: what was tried, as in ``cannot {doing}``.
        what: the row of the table.
        remedy: what to do, where it is known better than in the tables.
    """
    number = error.errno or 0
    if number in REMEDIES.get(what, {}):
        return UnsupportedError(f"cannot {doing}", errno=number, remedy=remedy or REMEDIES[what][number])
    return PortError(f"cannot {doing}", errno=number or None, remedy=remedy or WORLD.get(number, ""))


@contextlib.contextmanager
def refusals(doing: str, what: str = "") -> Iterator[None]:
    """Has what the kernel refuses inside be raised as ``refusal`` tells it, where it is not told better."""
    try:
        yield
    except VecwireError:
        raise
    except OSError as error:
        raise refusal(error, doing, what) from error


def missing_interface(ifname: str) -> PortError:
    """The error to raise where there is no such network interface."""
    return PortError(
        f"there is no network interface {ifname}",
        errno=errno.ENODEV,
        remedy="look for the right name with: ip link",
    )
