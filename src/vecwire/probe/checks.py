"""The capabilities that vecwire can use, each with the check that tries it: a table, and what it needs.

A check returns a few words on what it found, or raises the OSError of the kernel. None leaves anything
behind: sockets and taps are closed, names are the kernel's to choose, packets stay on a loopback.
"""

import fcntl
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vecwire.transports import _packet, _sockets, _tun
from vecwire.transports._netns import enter
from vecwire.transports._offload import Offload
from vecwire.transports._opened import Opened

IPPROTO_GRE = 47
IPPROTO_L2TP = 115
SOL_UDP = 17
UDP_SEGMENT = 103  # linux/udp.h
UDP_GRO = 104
_SEGMENT = 100
_SEGMENTS = 4
_PATIENCE = 2.0  # seconds; on a loopback what is sent is there at once, or not at all
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that this host and user may have.

    Attributes:
        name: Its name.
        meaning: What it is good for.
        row: Where the table of remedies has it.
        check: Tries it.
        needs: The capability without which trying makes no sense.
    """

    name: str
    meaning: str
    row: str
    check: Callable[[], str]
    needs: str | None = None


def _packet_option(option: int) -> Callable[[], str]:
    def check() -> str:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
            made.setsockopt(_packet.SOL_PACKET, option, 1)
        return ""

    return check


def _socket(family: int, kind: int, protocol: int = 0) -> Callable[[], str]:
    def check() -> str:
        socket.socket(family, kind, protocol).close()
        return ""

    return check


def _open_tun() -> int:
    return os.open(_tun.PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _tun_device() -> str:
    os.close(_open_tun())
    return ""


def _tap(*offloads: int) -> Callable[[], str]:
    """Makes a tap, which is gone when its descriptor is closed, and asks it for offloads."""

    def check() -> str:
        fd = _open_tun()
        try:
            flags = _tun.IFF_TAP | _tun.IFF_NO_PI | (_tun.IFF_VNET_HDR if offloads else 0)
            fcntl.ioctl(fd, _tun.TUNSETIFF, struct.pack("=16sH22x", b"vecwire%d", flags))
            for bits in offloads:
                fcntl.ioctl(fd, _tun.TUNSETOFFLOAD, bits)
        finally:
            os.close(fd)
        return ""

    return check


def _udp_pair() -> tuple[socket.socket, socket.socket]:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((_LOOPBACK, 0))
    receiver.settimeout(_PATIENCE)
    sender.connect(receiver.getsockname())
    return sender, receiver


def _send_segments(sender: socket.socket) -> None:
    control = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", _SEGMENT))]
    sender.sendmsg([bytes(_SEGMENT * _SEGMENTS)], control)


def _udp_gso() -> str:
    sender, receiver = _udp_pair()
    with sender, receiver:
        _send_segments(sender)
        lengths = [len(receiver.recv(0xFFFF)) for _ in range(_SEGMENTS)]
    if lengths != [_SEGMENT] * _SEGMENTS:
        raise OSError(0, f"{_SEGMENTS} segments of {_SEGMENT} octets came as {lengths}")
    return ""


def _udp_gro() -> str:
    sender, receiver = _udp_pair()
    with sender, receiver:
        receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
        _send_segments(sender)
        data, control, _, _ = receiver.recvmsg(0xFFFF, socket.CMSG_SPACE(4))
    if len(data) != _SEGMENT * _SEGMENTS or not control:
        raise OSError(0, f"{_SEGMENTS} segments of {_SEGMENT} octets came one by one")
    return ""


def _seqpacket() -> str:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        near.send(b"a")
        near.send(b"bc")
        if far.recv(8) != b"a":
            raise OSError(0, "records came joined")
    return ""


def _buffers() -> str:
    opened = Opened()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        _sockets.enlarge_buffers(made, opened)
    if opened.refused:
        raise OSError(0, "; ".join(f"{what} {why}" for what, why in opened.refused.items()))
    return f"{_sockets.BUFFER // 2**20} MiB each"


def _setns() -> str:
    fd = os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(fd)  # the one it is in: nothing changes, and the kernel's answer is the same
    finally:
        os.close(fd)
    return ""


_USO = _tun.TCP | _tun.TUN_F_USO4 | _tun.TUN_F_USO6

#: What is tried inside a network namespace of the probe's own, where it can have one.
CAPABILITIES: tuple[Capability, ...] = (
    Capability(
        "packet sockets", "raw and hybrid", "a packet socket", _socket(socket.AF_PACKET, socket.SOCK_RAW)
    ),
    Capability(
        "packet socket vnet header",
        "super-frames and unfinished checksums on raw",
        Offload.VNET_HEADER,
        _packet_option(_packet.PACKET_VNET_HDR),
        "packet sockets",
    ),
    Capability(
        Offload.IGNORE_OUTGOING,
        "own frames do not come back on raw",
        Offload.IGNORE_OUTGOING,
        _packet_option(_packet.PACKET_IGNORE_OUTGOING),
        "packet sockets",
    ),
    Capability(
        Offload.QDISC_BYPASS,
        "frames of raw leave at once",
        Offload.QDISC_BYPASS,
        _packet_option(_packet.PACKET_QDISC_BYPASS),
        "packet sockets",
    ),
    Capability("tun device", "tap and hybrid", "/dev/net/tun", _tun_device),
    Capability("making a tap", "a tap that is not there yet", "the tap", _tap(), "tun device"),
    Capability(
        "tap vnet header",
        "unfinished checksums on tap",
        Offload.VNET_HEADER,
        _tap(_tun.TUN_F_CSUM),
        "making a tap",
    ),
    Capability(
        "tap tcp super-frames",
        "64 KB of TCP a frame",
        Offload.TCP_SUPER_FRAMES,
        _tap(_tun.TCP),
        "tap vnet header",
    ),
    Capability(
        "tap udp super-frames",
        "64 KB of UDP a frame",
        Offload.UDP_SUPER_FRAMES,
        _tap(_USO),
        "tap tcp super-frames",
    ),
    Capability(
        "gre over IPv4", "gre", "a raw IP socket", _socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_GRE)
    ),
    Capability(
        "gre over IPv6",
        "gre, v6=1",
        "a raw IP socket",
        _socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_GRE),
    ),
    Capability(
        "l2tp over IPv4", "l2tpv3", "a raw IP socket", _socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_L2TP)
    ),
    Capability(
        "l2tp over IPv6",
        "l2tpv3, v6=1",
        "a raw IP socket",
        _socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_L2TP),
    ),
    Capability("udp over IPv4", "l2tpv3, udp=1", "a UDP socket", _socket(socket.AF_INET, socket.SOCK_DGRAM)),
    Capability(
        "udp over IPv6", "l2tpv3, udp=1, v6=1", "a UDP socket", _socket(socket.AF_INET6, socket.SOCK_DGRAM)
    ),
    Capability(
        Offload.UDP_SEGMENTATION,
        "fewer calls to send, UDP GSO",
        Offload.UDP_SEGMENTATION,
        _udp_gso,
        "udp over IPv4",
    ),
    Capability(
        Offload.UDP_COALESCING,
        "fewer calls to receive, UDP GRO",
        Offload.UDP_COALESCING,
        _udp_gro,
        "udp over IPv4",
    ),
    Capability("unix seqpacket", "bess", "a Unix socket", _seqpacket),
    Capability("large buffers", "bursts without loss", Offload.RECEIVE_BUFFER, _buffers),
    Capability("entering namespaces", "netns=", "the network namespace", _setns),
)
