"""Packet sockets (packet(7)): what raw and hybrid share.

A socket is made with protocol 0, so that nothing is queued on it before it is bound; options and filter come
next; binding to one interface then starts it with all of them in force. Made with ``htons(ETH_P_ALL)`` it
would receive from every interface until it is bound, and keep those frames.

One socket receives and another sends, bound with protocol 0, so that it never queues anything. A socket that
an epoll set watches for frames is woken for each one that it has sent, too (sock_def_write_space,
net/core/sock.c): the one that sends is watched only while there is no room.
"""

import array
import errno
import fcntl
import os
import socket
import struct
from functools import partial

from vecwire import bpf
from vecwire.transports._descriptor import Descriptor, Opening
from vecwire.transports._offload import Offload
from vecwire.transports._opened import GSO_TCP, GSO_UDP, Opened
from vecwire.transports._passed import LOST, Wrong, take_socket, view
from vecwire.transports._refusal import missing_interface, refusal
from vecwire.transports._sockets import enlarge_buffers
from vecwire.wire.vnet import SHORT

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23
PACKET_MR_PROMISC = 1
ETH_P_ALL = 3
SIOCETHTOOL = 0x8946
SIOCGIFINDEX = 0x8933
ETHTOOL_GTSO = 0x0000001E
#: The release from which packet sockets take UDP super-frames (include/linux/virtio_net.h).
FIRST_WITH_USO = (6, 2)


def takes_udp_super_frames() -> bool:
    """Whether this kernel takes UDP super-frames on a packet socket; there is no way to ask it."""
    numbers = os.uname().release.split("-", maxsplit=1)[0].split(".")
    return tuple(int(number) for number in numbers[:2] if number.isdigit()) >= FIRST_WITH_USO


def interface_index(ifname: str) -> int:
    """The index of a network interface.

    Raises:
        PortError: if there is none of that name.
    """
    try:
        return socket.if_nametoindex(ifname)
    except OSError as error:
        raise missing_interface(ifname) from error


def open_receiver(
    made: Opening,
    opened: Opened,
    ifname: str,
    *,
    outgoing_only: bool,
    promisc: bool,
) -> Descriptor:
    """Opens a packet socket that receives from an interface.

    Args:
        made: where the descriptor is owned until the opener is done.
        opened: what is noted on.
        ifname: the interface.
        outgoing_only: whether only frames that this host sends are wanted, or all but those.
        promisc: whether frames for every address are wanted.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if there is no such interface.
    """
    opened.ifname = ifname
    opened.ifindex = interface_index(ifname)
    with _packet_socket() as made_socket:
        descriptor = made.descriptor(partial(os.dup, made_socket.fileno()), f"packet socket on {ifname}")
        _set_up_receiver(made_socket, descriptor, opened, outgoing_only=outgoing_only)
        _bind(made_socket, ifname, ETH_P_ALL)
        if promisc:
            _receive_all(made_socket, opened)
    return descriptor


def take_receiver(
    made: Opening, opened: Opened, given: int | str, *, outgoing_only: bool, promisc: bool
) -> Descriptor:
    """The same with a packet socket that is bound already, which is what ``fd=`` names.

    Raises:
        SpecError: if it is another descriptor, or bound to no interface, or not to all protocols.
        PortError: if this process may have no more descriptors.
    """
    wrong = Wrong("fd", given)
    descriptor = _take(made, wrong, "a packet socket that is bound to an interface")
    with view(descriptor) as taken:
        opened.ifname, opened.ifindex, protocol = _bound(taken, wrong)
        if protocol != ETH_P_ALL:
            raise wrong.error(f"receives protocol {protocol:#06x} alone: bind it to ETH_P_ALL")
        _set_up_receiver(taken, descriptor, opened, outgoing_only=outgoing_only)
        if promisc:
            _receive_all(taken, opened)
    return descriptor


def take_sender(made: Opening, opened: Opened, given: int | str, option: str) -> Descriptor:
    """A packet socket that is bound already, to send past the interface's queueing discipline.

    Raises:
        SpecError: if it is another descriptor, or bound to another interface than what receives.
        PortError: if this process may have no more descriptors.
    """
    wrong = Wrong(option, given)
    descriptor = _take(made, wrong, "a packet socket that is bound to an interface")
    with view(descriptor) as taken:
        ifname, ifindex, protocol = _bound(taken, wrong)
        if ifindex != opened.ifindex:
            raise wrong.error(f"is bound to {ifname}, and what receives to {opened.ifname}")
        _set_up_sender(taken, opened, ifname)
        if protocol and not _is_same(descriptor, opened.rx):
            # Nobody reads it.
            opened.filter(descriptor, bpf.drop_all())
    return descriptor


def _is_same(one: Descriptor, other: Descriptor | None) -> bool:
    """Whether two descriptors are of one socket."""
    return other is not None and os.path.sameopenfile(one.fileno(), other.fileno())


def bound_index(descriptor: Descriptor) -> int:
    """The index of the interface that a packet socket is bound to; 0 or less once it is gone."""
    with view(descriptor) as each:
        ifname: str = each.getsockname()[0]
        return _index(each, ifname) if ifname else 0


def open_sender(made: Opening, opened: Opened, ifname: str) -> Descriptor:
    """Opens a packet socket that sends to an interface, past its queueing discipline, and receives nothing.

    Args:
        made: where the descriptor is owned until the opener is done.
        opened: what is noted on.
        ifname: the interface.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if there is no such interface.
    """
    with _packet_socket() as made_socket:
        _set_up_sender(made_socket, opened, ifname)
        descriptor = made.descriptor(
            partial(os.dup, made_socket.fileno()), f"sending packet socket on {ifname}"
        )
        _bind(made_socket, ifname, 0)
    return descriptor


def _set_up_receiver(
    made: socket.socket, descriptor: Descriptor, opened: Opened, *, outgoing_only: bool
) -> None:
    """Sets the options of a socket that receives, and the filter that its guard is."""
    opened.rx_vnet = _enable_vnet(made, opened)
    made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    enlarge_buffers(made, opened)
    opened.guard = bpf.only(outgoing=True) if outgoing_only else _ignore_outgoing(made, opened)
    if opened.guard:
        opened.filter(descriptor, opened.guard + bpf.accept_all())


def _set_up_sender(made: socket.socket, opened: Opened, ifname: str) -> None:
    """Sets the options of a socket that sends."""
    opened.tx_vnet = _enable_vnet(made, opened)
    if opened.tx_vnet:
        _note_super_frames(made, opened, ifname)
    try:
        made.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        opened.offloads.append(Offload.QDISC_BYPASS)
    except OSError as error:
        opened.refuse(Offload.QDISC_BYPASS, error)
    enlarge_buffers(made, opened)


def _receive_all(made: socket.socket, opened: Opened) -> None:
    """Asks for frames for every address."""
    request = struct.pack("=iHH8x", opened.ifindex, PACKET_MR_PROMISC, 0)
    try:
        made.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
    except OSError as error:
        opened.refuse(Offload.PROMISCUOUS, error)


def _take(made: Opening, wrong: Wrong, what: str) -> Descriptor:
    """A packet socket that was passed in and receives by recvmsg(2)."""
    descriptor = take_socket(made, wrong, what, socket.AF_PACKET, socket.SOCK_RAW)
    with view(descriptor) as taken:
        try:
            taken.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise wrong.error("has a ring (PACKET_RX_RING): pass one without") from None
    return descriptor


def _bound(taken: socket.socket, wrong: Wrong) -> tuple[str, int, int]:
    """The interface that a packet socket is bound to, its index, and the protocol.

    The socket itself is asked: its namespace may be another than this process's.
    """
    ifname, protocol = taken.getsockname()[:2]
    if not ifname:
        raise wrong.error(f"is bound to no interface, or that is gone: {LOST}")
    return ifname, _index(taken, ifname), protocol


def _index(asked: socket.socket, ifname: str) -> int:
    """The index of an interface of the namespace that a socket is in."""
    request = struct.pack("16si20x", ifname.encode(), 0)
    answer = fcntl.ioctl(asked, SIOCGIFINDEX, request)
    index: int = struct.unpack_from("i", answer, 16)[0]
    return index


def _packet_socket() -> socket.socket:
    """A packet socket that is deaf until it is bound."""
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        raise refusal(error, "open a packet socket", "a packet socket") from error


def _bind(made: socket.socket, ifname: str, protocol: int) -> None:
    try:
        made.bind((ifname, protocol))
    except OSError as error:
        raise refusal(error, f"bind a packet socket to {ifname}", "a packet socket") from error


def _enable_vnet(made: socket.socket, opened: Opened) -> int:
    """Asks for virtio-net headers; how long they are, 0 where the kernel refuses.

    Without them super-frames and unfinished checksums cannot be told.
    """
    try:
        made.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    except OSError as error:
        # One that was passed in may have them already.
        if not _has_vnet(made):
            opened.refuse(Offload.VNET_HEADER, error)
            return 0
    if Offload.VNET_HEADER not in opened.offloads:
        opened.offloads.append(Offload.VNET_HEADER)
    return SHORT


def _has_vnet(made: socket.socket) -> bool:
    """Whether frames of a socket have virtio-net headers."""
    try:
        return bool(made.getsockopt(SOL_PACKET, PACKET_VNET_HDR))
    except OSError:
        return False


def _note_super_frames(made: socket.socket, opened: Opened, ifname: str) -> None:
    """Notes which super-frames an interface takes."""
    if not _segments(made, ifname):
        # Past the queueing discipline the kernel cuts nothing: see ``uncut`` in path/send.py.
        opened.refused[Offload.SUPER_FRAMES] = f"{ifname} does not segment: ethtool -K {ifname} tso on"
        return
    opened.gso = GSO_TCP
    opened.offloads.append(Offload.TCP_SUPER_FRAMES)
    if takes_udp_super_frames():
        opened.gso |= GSO_UDP
        opened.offloads.append(Offload.UDP_SUPER_FRAMES)


def _segments(made: socket.socket, ifname: str) -> bool:
    """Whether an interface cuts TCP super-frames itself (linux/ethtool.h); False where it does not say."""
    value = array.array("I", [ETHTOOL_GTSO, 0])
    request = struct.pack("16sP", ifname.encode(), value.buffer_info()[0])
    try:
        fcntl.ioctl(made, SIOCETHTOOL, request)
    except OSError:
        return False
    return bool(value[1])


def _ignore_outgoing(made: socket.socket, opened: Opened) -> bpf.Program:
    """Has frames that this host sends not come back; the guard of the filter that does it where need be."""
    try:
        made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        opened.offloads.append(Offload.IGNORE_OUTGOING)
    except OSError as error:
        # Before Linux 4.20: a filter tells them, later and at more cost.
        opened.refuse(Offload.IGNORE_OUTGOING, error)
        return bpf.only(outgoing=False)
    return ()
