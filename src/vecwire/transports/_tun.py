"""/dev/net/tun (Documentation/networking/tuntap.rst): what tap and hybrid share.

Each step is tried and its result kept: the virtio-net header, its length, and the most offloads that this
kernel takes. What is refused is reported, and the port works without it.
"""

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
from vecwire.transports._passed import LOST, Wrong, take
from vecwire.transports._refusal import refusal
from vecwire.wire.vnet import LONG, SHORT

PATH = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNGETFEATURES = 0x800454CF
TUNSETOFFLOAD = 0x400454D0
TUNGETIFF = 0x800454D2
TUNGETVNETHDRSZ = 0x800454D7
TUNSETVNETHDRSZ = 0x400454D8
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_DETACH_QUEUE = 0x0400
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02
TUN_F_TSO6 = 0x04
TUN_F_TSO_ECN = 0x08
TUN_F_USO4 = 0x20
TUN_F_USO6 = 0x40
TCP = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
#: What is asked for, the most first, and its name.
OFFLOADS: tuple[tuple[int, Offload], ...] = (
    (TCP | TUN_F_USO4 | TUN_F_USO6, Offload.UDP_SUPER_FRAMES),
    (TCP, Offload.TCP_SUPER_FRAMES),
    (TUN_F_CSUM, Offload.CHECKSUM),
)


def open_tap(made: Opening, opened: Opened, ifname: str, *, gro: bool) -> Descriptor:
    """Opens a tap, made if it is not there.

    Args:
        made: where the descriptor is owned until the opener is done.
        opened: what is noted on.
        ifname: the interface; one ``%d`` is numbered by the kernel.
        gro: whether super-frames may come.

    Raises:
        UnsupportedError: if this user may not, or this kernel cannot.
        PortError: if the tap is in use, or the name is another interface's.
    """
    try:
        descriptor = made.descriptor(
            partial(os.open, PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), f"tap {ifname}"
        )
    except OSError as error:
        raise refusal(error, f"open {PATH}", "/dev/net/tun") from error
    fd = descriptor.fileno()
    features = struct.unpack("=I", fcntl.ioctl(fd, TUNGETFEATURES, bytes(4)))[0]
    vnet = bool(features & IFF_VNET_HDR)
    flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0)
    opened.ifname = _select(fd, ifname, flags)
    opened.ifindex = socket.if_nametoindex(opened.ifname)
    if not vnet:
        opened.refused[Offload.VNET_HEADER] = "this kernel's tun has none"
        return descriptor
    opened.offloads.append(Offload.VNET_HEADER)
    # A persistent tap keeps the length that its last user set.
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("=i", SHORT))
    opened.tx_vnet = SHORT
    _set_offloads(fd, opened, gro=gro)
    return descriptor


def take_tap(made: Opening, opened: Opened, given: int | str, option: str, *, gro: bool) -> Descriptor:
    """A tap's descriptor that is attached already, which is what ``fd=`` names.

    Raises:
        SpecError: if it is another descriptor, or attached to no tap, or with the header of IFF_NO_PI.
        PortError: if this process may have no more descriptors.
    """
    wrong = Wrong(option, given)
    descriptor = take(made, wrong, "a tap")
    fd = descriptor.fileno()
    try:
        answer = fcntl.ioctl(fd, TUNGETIFF, bytes(40))
    except OSError as error:
        if error.errno == errno.EBADFD:
            raise wrong.error(f"is attached to no tap (TUNSETIFF), or that is gone: {LOST}") from None
        raise wrong.error("is no tap, and must be /dev/net/tun, attached by TUNSETIFF") from None
    name, flags = struct.unpack_from("=16sH", answer)
    if not flags & IFF_TAP:
        raise wrong.error("is a tun, without Ethernet headers: attach it with IFF_TAP")
    if flags & IFF_DETACH_QUEUE:
        raise wrong.error("has its queue detached: attach it with IFF_ATTACH_QUEUE")
    if not _without_information(fd):
        raise wrong.error("has four octets in front of each frame: attach it with IFF_NO_PI")
    opened.ifname = name.split(b"\0", 1)[0].decode()
    if flags & IFF_VNET_HDR:
        opened.offloads.append(Offload.VNET_HEADER)
        opened.tx_vnet = _header_length(fd)
        _set_offloads(fd, opened, gro=gro)
    else:
        opened.refused[Offload.VNET_HEADER] = "the descriptor was attached without IFF_VNET_HDR"
    return descriptor


def _without_information(fd: int) -> bool:
    """Whether a tap's frames have no ``struct tun_pi`` in front.

    What TUNGETIFF tells with the bit of IFF_NO_PI is also that there is no filter (IFF_NOFILTER has the same
    value): while there is one, it means what it says.
    """
    bpf.attach(fd, bpf.accept_all(), tap=True)
    try:
        flags: int = struct.unpack_from("=16sH", fcntl.ioctl(fd, TUNGETIFF, bytes(40)))[1]
    finally:
        bpf.detach(fd, tap=True)
    return bool(flags & IFF_NO_PI)


def _header_length(fd: int) -> int:
    """The length of a tap's virtio-net header: what its owner chose, if that is one of the two known."""
    length: int = struct.unpack("=i", fcntl.ioctl(fd, TUNGETVNETHDRSZ, bytes(4)))[0]
    if length not in {SHORT, LONG}:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("=i", SHORT))
        return SHORT
    return length


def _select(fd: int, ifname: str, flags: int) -> str:
    """Makes the descriptor that of a tap; gives the name that the kernel chose."""
    first: OSError | None = None
    for extra in (0, IFF_MULTI_QUEUE):
        # A tap that was made with several queues is attached to as one of them, and only so.
        request = struct.pack("=16sH22x", ifname.encode(), flags | extra)
        try:
            chosen = fcntl.ioctl(fd, TUNSETIFF, request)
        except OSError as error:
            first = first or error
        else:
            return bytes(chosen[:16]).split(b"\0", 1)[0].decode()
    refused = first or OSError(errno.EINVAL, "")
    raise refusal(
        refused,
        f"attach to the tap {ifname}",
        "the tap",
        remedy="that name belongs to an interface that is no tap" if refused.errno == errno.EINVAL else "",
    )


def _set_offloads(fd: int, opened: Opened, *, gro: bool) -> None:
    """Has the kernel leave checksums and segmentation to us, as far as it can and ``gro`` wants."""
    # A write takes super-frames whatever is set here; what is set is what a read may give.
    opened.gso = (GSO_TCP | GSO_UDP) if gro else 0
    wanted = OFFLOADS if gro else OFFLOADS[-1:]
    for bits, name in wanted:
        try:
            fcntl.ioctl(fd, TUNSETOFFLOAD, bits)
        except OSError as error:
            opened.refuse(name, error)
            if bits & TUN_F_USO4:
                opened.gso &= ~GSO_UDP
            continue
        granted = [row_name for row_bits, row_name in OFFLOADS if row_bits & bits == row_bits]
        opened.offloads += reversed(granted)
        return
