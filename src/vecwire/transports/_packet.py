"""Packet sockets (packet(7)): what raw and hybrid share.

A socket is made with protocol 0, so that nothing is queued on it before it is bound; options and filter come
next; binding to one interface then starts it with all of them in force. Made with ``htons(ETH_P_ALL)`` it
would receive from every interface until it is bound, and keep those frames.

One socket receives and another sends, bound with protocol 0, so that it never queues anything. A socket that
an epoll set watches for frames is woken for each one that it has sent, too (sock_def_write_space,
net/core/sock.c): the one that sends is watched only while there is no room.
"""

import array
import fcntl
import os
import socket
import struct

from vecwire import bpf
from vecwire.transports._descriptor import Descriptor, Opening
from vecwire.transports._opened import GSO_TCP, GSO_UDP, SUPER_FRAMES, Opened
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
ETHTOOL_GTSO = 0x0000001E
VNET = "virtio-net header"
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
        opened.rx_vnet = _enable_vnet(made_socket, opened)
        made_socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        enlarge_buffers(made_socket, opened)
        opened.guard = bpf.only(outgoing=True) if outgoing_only else _ignore_outgoing(made_socket, opened)
        descriptor = made.descriptor(os.dup(made_socket.fileno()), f"packet socket on {ifname}")
        if opened.guard:
            opened.filter(descriptor, opened.guard + bpf.accept_all())
        _bind(made_socket, ifname, ETH_P_ALL)
        if promisc:
            request = struct.pack("=iHH8x", opened.ifindex, PACKET_MR_PROMISC, 0)
            try:
                made_socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
            except OSError as error:
                opened.refuse("promiscuous mode", error)
    return descriptor


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
        opened.tx_vnet = _enable_vnet(made_socket, opened)
        if opened.tx_vnet:
            _note_super_frames(made_socket, opened, ifname)
        try:
            made_socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            opened.offloads.append("qdisc bypass")
        except OSError as error:
            opened.refuse("qdisc bypass", error)
        enlarge_buffers(made_socket, opened)
        descriptor = made.descriptor(os.dup(made_socket.fileno()), f"sending packet socket on {ifname}")
        _bind(made_socket, ifname, 0)
    return descriptor


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
        opened.refuse(VNET, error)
        return 0
    if VNET not in opened.offloads:
        opened.offloads.append(VNET)
    return SHORT


def _note_super_frames(made: socket.socket, opened: Opened, ifname: str) -> None:
    """Notes which super-frames an interface takes."""
    if not _segments(made, ifname):
        # Past the queueing discipline the kernel cuts nothing: see ``uncut`` in path/send.py.
        opened.refused[SUPER_FRAMES] = f"{ifname} does not segment: ethtool -K {ifname} tso on"
        return
    opened.gso = GSO_TCP
    opened.offloads.append("tcp super-frames")
    if takes_udp_super_frames():
        opened.gso |= GSO_UDP
        opened.offloads.append("udp super-frames")


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
        opened.offloads.append("ignore outgoing")
    except OSError as error:
        # Before Linux 4.20: a filter tells them, later and at more cost.
        opened.refuse("ignore outgoing", error)
        return bpf.only(outgoing=False)
    return ()
