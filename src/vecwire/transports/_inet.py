"""Sockets over IP: what gre and l2tpv3 share.

The socket is bound to ``src`` and connected to ``dst``: the kernel then delivers only what comes from there,
and reports what the peer's network says of earlier packets. Until it is connected anybody's packets would be
queued on it, and stay: a filter that drops all is in force until then, and what came before the filter is
thrown away.
"""

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable
from functools import partial

from vecwire import bpf
from vecwire.errors import PortError
from vecwire.transports._descriptor import Opening
from vecwire.transports._offload import Offload
from vecwire.transports._opened import Opened
from vecwire.transports._passed import Wrong, connected, take_socket, view
from vecwire.transports._refusal import refusal
from vecwire.transports._sockets import enlarge_buffers
from vecwire.wire.encap import Encapsulation

UDP_HEADER = 8
UDP_SEGMENT = 103  # linux/udp.h
UDP_GRO = 104
IPV6_HDRINCL = 36  # linux/in6.h
LONGEST_SEGMENT = 65000
Address = tuple[str, int] | tuple[str, int, int, int]


_PROHIBITED = "dst is an address for all, or a route prohibits it: ip route get DST"
_LINK_LOCAL = ipaddress.ip_network("fe80::/10")
_NO_ZONE = "an address of one link takes its interface: fe80::1%eth0"


def resolve(what: str, host: str, port: int | str | None, family: int) -> Address:
    """The first address of a host, by number or by name.

    Args:
        what: the option, "src" or "dst"; that of its port follows from it.
        host: the address or the name.
        port: a UDP port, by number or by its service's name; None for raw sockets, which have none.
        family: AF_INET or AF_INET6.

    Raises:
        PortError: if there is none, or no service of that name.
    """
    try:
        # The resolver does not know all protocols of raw sockets: it is asked for datagrams there too.
        found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_SERVICE:
            raise PortError(
                f"{what}port={port} is no service of UDP: {error.strerror}",
                remedy="check the name (services(5)), or give the port's number",
            ) from error
        version = "IPv6" if family == socket.AF_INET6 else "IPv4"
        raise PortError(
            f"{what}={host} has no {version} address: {error.strerror}",
            remedy="check the name, or give the address itself; v6=1 is for IPv6",
        ) from error
    address: Address = found[0][4]  # type: ignore[assignment]  # AF_INET and AF_INET6 only
    return address


def open_connected(
    *,
    src: str,
    dst: str,
    v6: bool,
    protocol: int,
    encapsulation: Encapsulation,
    srcport: int | str | None = None,
    dstport: int | str | None = None,
    trains: bool = False,
) -> Opened:
    """Opens a tunnel's socket: UDP where there are ports, else a raw one of ``protocol``.

    ``trains`` asks for several datagrams a message, where that is UDP.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if an address does not resolve, is not this host's or cannot be reached.
    """
    udp = srcport is not None
    family = socket.AF_INET6 if v6 else socket.AF_INET
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_RAW
    what = "a UDP socket" if udp else "a raw IP socket"
    opened = Opened(encapsulation=encapsulation)
    local, remote = resolve("src", src, srcport, family), resolve("dst", dst, dstport, family)
    with Opening() as made:
        try:
            tunnel = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError as error:
            raise refusal(error, f"open {what}", what) from error
        with tunnel:
            enlarge_buffers(tunnel, opened)
            if udp and trains:
                _enable_udp_offloads(tunnel, opened)
            opened.rx = opened.tx = made.descriptor(partial(os.dup, tunnel.fileno()), what)
            bpf.attach(tunnel.fileno(), bpf.drop_all())
            _attach(
                f"bind to {_named('src', src, srcport)}", tunnel.bind, local, "a UDP port" if udp else what
            )
            _attach(f"connect to {_named('dst', dst, dstport)}", tunnel.connect, remote, "")
            _throw_away(tunnel)
            bpf.detach(tunnel.fileno())
        made.complete()
    return opened


def _named(what: str, host: str, port: int | str | None) -> str:
    """An address as the spec has it."""
    return f"{what}={host}" if port is None else f"{what}={host},{what}port={port}"


def _attach(doing: str, call: Callable[[Address], None], address: Address, row: str) -> None:
    """Binds or connects.

    Raises:
        UnsupportedError: if this user may not.
        PortError: if the address is not this host's or cannot be reached.
    """
    try:
        call(address)
    except OSError as error:
        remedy = ""
        if error.errno == errno.EACCES and not row:
            remedy = _PROHIBITED
        elif error.errno == errno.EINVAL and ipaddress.ip_address(address[0]) in _LINK_LOCAL:
            remedy = _NO_ZONE  # ipv6(7): sin6_scope_id
        raise refusal(error, doing, row, remedy=remedy) from error


def take_connected(
    given: int | str, *, v6: bool, protocol: int, encapsulation: Encapsulation, trains: bool = False
) -> Opened:
    """The same with a socket that is connected already, which is what ``fd=`` names.

    Args:
        given: the descriptor.
        v6: whether the spec is of IPv6.
        protocol: the IP protocol; IPPROTO_UDP for a UDP socket, any other for a raw one.
        encapsulation: what stands in front of frames.
        trains: asks for several datagrams a message, where that is UDP.

    Raises:
        SpecError: if it is another descriptor, or not connected.
        PortError: if this process may have no more descriptors.
    """
    udp = protocol == socket.IPPROTO_UDP
    version = "IPv6" if v6 else "IPv4"
    what = f"a UDP socket of {version}" if udp else f"a raw socket of {version} and protocol {protocol}"
    opened = Opened(encapsulation=encapsulation)
    wrong = Wrong("fd", given)
    family, kind = (socket.AF_INET6 if v6 else socket.AF_INET), socket.SOCK_DGRAM if udp else socket.SOCK_RAW
    with Opening() as made:
        descriptor = take_socket(made, wrong, what, family, kind, protocol)
        if not connected(descriptor):
            raise wrong.error("has no peer: connect(2) it, so that nobody else's packets come in")
        with view(descriptor) as tunnel:
            if kind == socket.SOCK_RAW and _brings_own_header(tunnel, v6=v6):
                raise wrong.error("sends its own IP headers (IP_HDRINCL): pass one that does not")
            enlarge_buffers(tunnel, opened)
            if udp and trains:
                _enable_udp_offloads(tunnel, opened)
            elif udp:
                # It may have been on; what is not known there was never on.
                with contextlib.suppress(OSError):
                    tunnel.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 0)
        opened.rx = opened.tx = descriptor
        made.complete()
    return opened


def _brings_own_header(tunnel: socket.socket, *, v6: bool) -> bool:
    """Whether a raw socket's user writes the IP header (raw(7))."""
    level, option = (socket.IPPROTO_IPV6, IPV6_HDRINCL) if v6 else (socket.IPPROTO_IP, int(socket.IP_HDRINCL))
    try:
        return bool(tunnel.getsockopt(level, option))
    except OSError:
        # Before Linux 4.5 there was none for IPv6.
        return False


def _enable_udp_offloads(tunnel: socket.socket, opened: Opened) -> None:
    """Asks for datagrams in one piece, both ways (udp(7)); each way is done without where it is refused."""
    try:
        tunnel.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        opened.udp_gro = True
        opened.offloads.append(Offload.UDP_COALESCING)
    except OSError as error:
        opened.refuse(Offload.UDP_COALESCING, error)
    try:
        # Setting the option to 0 asks for nothing, and tells whether the kernel knows it.
        tunnel.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        opened.segment_limit = LONGEST_SEGMENT
        opened.offloads.append(Offload.UDP_SEGMENTATION)
    except OSError as error:
        opened.refuse(Offload.UDP_SEGMENTATION, error)


def _throw_away(tunnel: socket.socket) -> None:
    """Empties the queue of a socket that receives nothing more for now, and its reports of errors."""
    with contextlib.suppress(BlockingIOError):
        while True:
            with contextlib.suppress(ConnectionError):
                tunnel.recv(1)
