"""The kernel as a VLAN tagger that is none of vecwire: frames leave a link tagged, and must come tagged.

Theory of operation. Two eBPF programs at a link's queueing discipline `clsact`, as a driver would have them
for a port-based VLAN. One puts a tag into each frame that the host sends, before the link sees it; the other
takes it out of each frame that arrives, and drops frames that come with another tag or with none. So the
host's protocols know nothing of tags, whatever they exchange has crossed the wire with one, and super-frames
are tagged whole. VLAN devices would do the same where the kernel has them; this needs CONFIG_BPF_SYSCALL and
CONFIG_NET_CLS_BPF.

The instructions are eBPF's (RFC 9669); helpers and the context are those of linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys
from typing import TYPE_CHECKING

from pyroute2 import IPRoute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peers.net import Namespace

# bpf(2): the call's number, its command, and the type of programs of traffic control.
_BPF = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _SCHED_CLS = 5, 3
# Helpers, by number, and where the tag of a frame stands in `struct __sk_buff`.
_VLAN_PUSH, _VLAN_POP, _VLAN_TCI = 18, 19, 24
_PASS, _DROP = 0, 2  # TC_ACT_OK, TC_ACT_SHOT: linux/pkt_cls.h
_EGRESS, _INGRESS = 0xFFFFFFF3, 0xFFFFFFF2  # TC_H_MIN_EGRESS, TC_H_MIN_INGRESS of clsact
_ETHERTYPE = socket.htons(0x8100)
_libc = ctypes.CDLL(None, use_errno=True)


def _set(register: int, value: int) -> tuple[int, int, int, int]:
    return 0xB7, register, 0, value


def _copy(register: int, source: int) -> tuple[int, int, int, int]:
    return 0xBF, register | source << 4, 0, 0


def _call(helper: int) -> tuple[int, int, int, int]:
    return 0x85, 0, 0, helper


_EXIT = (0x95, 0, 0, 0)


def _putting(tci: int) -> list[tuple[int, int, int, int]]:
    return [_set(2, _ETHERTYPE), _set(3, tci), _call(_VLAN_PUSH), _set(0, _PASS), _EXIT]


def _taking(tci: int) -> list[tuple[int, int, int, int]]:
    return [
        (0x61, 2 | 1 << 4, _VLAN_TCI, 0),  # what follows needs r1 as it is: the frame
        (0x55, 2, 3, tci),  # another tag: three instructions ahead
        _call(_VLAN_POP),
        _set(0, _PASS),
        _EXIT,
        _set(0, _DROP),
        _EXIT,
    ]


def tag(namespace: Namespace, link: str, tci: int) -> None:
    """Has the kernel tag all that leaves a link, and drop all that arrives without that tag.

    Args:
        namespace: Where the link is.
        link: Its name.
        tci: Priority and VLAN of the tag, 16 bits (IEEE 802.1Q, 9.6); not 0.
    """
    with namespace.enter(), IPRoute() as route:
        [index] = route.link_lookup(ifname=link)
        route.tc("add", "clsact", index)
        for parent, program in ((_EGRESS, _putting(tci)), (_INGRESS, _taking(tci))):
            descriptor = _load(program)
            try:
                route.tc(
                    "add-filter",
                    *("bpf", index),
                    fd=descriptor,
                    name="vlan",
                    parent=parent,
                    direct_action=True,
                )
            finally:
                os.close(descriptor)


def untag(namespace: Namespace, link: str) -> None:
    """Ends what `tag` has begun: frames leave and come without a tag again."""
    with namespace.enter(), IPRoute() as route:
        [index] = route.link_lookup(ifname=link)
        route.tc("del", "clsact", index)


def _load(program: Iterable[tuple[int, int, int, int]]) -> int:
    """Has the kernel verify a program; its descriptor.

    Raises:
        OSError: It refuses it; the text holds what the verifier says.
    """
    assert sys.byteorder == "little", "the registers of an instruction are laid out so"
    code = b"".join(struct.pack("=BBhi", *each) for each in program)
    instructions, licence, log = (
        ctypes.create_string_buffer(code, len(code)),
        ctypes.create_string_buffer(b"BSD"),
        ctypes.create_string_buffer(1 << 16),
    )
    attributes = struct.pack(
        "=IIQQIIQ",
        *(_SCHED_CLS, len(code) // 8, ctypes.addressof(instructions), ctypes.addressof(licence)),
        *(1, len(log), ctypes.addressof(log)),
    )
    descriptor: int = _libc.syscall(
        _BPF[platform.machine()], _PROG_LOAD, ctypes.create_string_buffer(attributes), len(attributes)
    )
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"the kernel takes no eBPF program: {log.value.decode()}")
    return descriptor
