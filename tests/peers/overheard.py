"""What a plain packet socket hears on a link: whether frames are tagged, and how long they are."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peers.wan import SO_RCVBUFFORCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.net import Namespace

ETH_P_ALL, ETH_P_8021Q = 3, 0x8100
SOL_PACKET, PACKET_AUXDATA = 263, 8
#: `struct tpacket_auxdata` of linux/if_packet.h: status, length, captured, mac, net, tci, ethertype.
AUXDATA = struct.Struct("=IIIHHHH")
#: TP_STATUS_VLAN_VALID.
VLAN_VALID = 1 << 4
ETHERTYPES = (b"\x08\x00", b"\x86\xdd", b"\x08\x06")
#: Octets of a frame in front of its ethertype, and up to the end of a tag and the ethertype behind it.
ADDRESSES, TAGGED = 12, 18


@dataclass
class Overheard:
    """What was heard.

    Attributes:
        tagged: frames with the tag.
        untagged: frames that hold IP or ARP without it.
        longest: octets of the longest frame, as long as it came by: a super-frame is one.
    """

    tagged: int = 0
    untagged: int = 0
    longest: int = 0


@contextlib.contextmanager
def overheard(namespace: Namespace, link: str, tci: int, inside: int = 0) -> Iterator[Overheard]:
    """Listens on a link while the context lasts; what was heard is complete when it has ended.

    Args:
        namespace: Where the link is.
        link: Its name.
        tci: The tag that frames should have.
        inside: Octets in front of a frame on this link, where it is a tunnel's.
    """
    found = Overheard()
    with namespace.enter():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with listener:
        listener.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        listener.bind((link, ETH_P_ALL))
        ending = threading.Event()
        thread = threading.Thread(target=_listen, args=(listener, ending, inside, tci, found))
        thread.start()
        try:
            yield found
        finally:
            ending.set()
            thread.join()


def _listen(
    listener: socket.socket, ending: threading.Event, inside: int, tci: int, found: Overheard
) -> None:
    listener.settimeout(0.02)
    head = bytearray(inside + TAGGED)
    place = inside + ADDRESSES
    tag = struct.pack("!HH", ETH_P_8021Q, tci)
    while True:
        try:
            length, control, _, _ = listener.recvmsg_into([head], 64, socket.MSG_TRUNC)
        except TimeoutError:
            if ending.is_set():
                return
            continue
        found.longest = max(found.longest, length)
        if length < len(head):
            continue
        # The kernel has taken the tag of the outermost frame out, and tells it beside.
        status, *_, beside, _ = AUXDATA.unpack_from(control[0][2])
        if head[place : place + 4] == tag or (
            not inside and (status & VLAN_VALID, beside) == (VLAN_VALID, tci)
        ):
            found.tagged += 1
        elif bytes(head[place : place + 2]) in ETHERTYPES:
            found.untagged += 1
