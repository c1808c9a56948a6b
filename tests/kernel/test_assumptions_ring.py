"""What vecwire takes for granted about rings of packet sockets and what they see, with bare system calls."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import select
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame, ours
from peers.net import Namespace, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 5.0
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
PACKET_QDISC_BYPASS = 20
SO_ATTACH_FILTER = 26
TPACKET_V3 = 2
BLOCK = 1 << 16
BLOCKS = 2
TP_STATUS_USER, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1, 1 << 4, 1 << 6
TAGGED = frame(1)[:12] + struct.pack("!HH", 0x88A8, 42) + frame(1)[12:]


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in, with a quiet veth pair ``left0`` and ``right0``."""
    with Namespace("assume", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "right0"), mtu=9000)
        yield made


def packet_socket(ifname: str, protocol: int = 0) -> socket.socket:
    """A packet socket that is bound to an interface, and does not wait for ever."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((ifname, protocol))
    made.settimeout(PATIENCE)
    return made


class Ring:
    """A receiver at the right end with a ring of two blocks of 64 KB, handed over after some milliseconds."""

    def __init__(self, socket_: socket.socket, retire: int) -> None:
        self.socket = socket_
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        request = struct.pack("=7I", BLOCK, BLOCKS, 2048, BLOCK * BLOCKS // 2048, retire, 0, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        self.memory = mmap.mmap(self.socket.fileno(), BLOCK * BLOCKS)
        self.socket.bind(("right0", ETH_P_ALL))

    def frames(self, block: int) -> list[tuple[int, int, int, int, bytes]]:
        """Of each frame of a block that is the user's: status, length, tag, its type, octets."""
        start = block * BLOCK
        status, count, offset = struct.unpack_from("=III", self.memory, start + 8)
        found, at = [], start + offset
        for _ in range(count if status & TP_STATUS_USER else 0):
            following, _, _, kept, length, marks, place = struct.unpack_from("=IIIIIIH", self.memory, at)
            _, tci, tpid = struct.unpack_from("=IIH", self.memory, at + 28)
            octets = self.memory[at + place : at + place + kept]
            if ours(octets):
                found.append((marks, length, tci, tpid, octets))
            at += following
        return found

    def statistics(self) -> tuple[int, int]:
        """Frames, and drops, since it was asked last."""
        frames, drops = struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return frames, drops


@contextlib.contextmanager
def ring(retire: int = 10) -> Iterator[tuple[Ring, socket.socket]]:
    """A ring, and who sends to it."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as receiver,
        packet_socket("left0") as sender,
    ):
        made = Ring(receiver, retire)
        try:
            yield made, sender
        finally:
            made.memory.close()


def test_a_block_is_handed_over_when_its_time_is_over() -> None:
    """One short frame fills no block; it is the reader's all the same, who is woken."""
    with ring() as (receiver, sender):
        sender.send(frame(1))
        assert select.select([receiver.socket], [], [], PATIENCE)[0]
        wait_until(lambda: receiver.frames(0), timeout=PATIENCE, what="the block is handed over")
        assert [octets for *_, octets in receiver.frames(0)] == [frame(1)]


def test_a_full_ring_counts_what_it_drops() -> None:
    """What was sent is what fitted and what is counted as dropped; reading the count sets it to zero."""
    count = 400
    with ring() as (receiver, sender):
        for number in range(count):
            sender.send(frame(number, 1000))
        frames, drops = receiver.statistics()
        assert 0 < drops < count
        assert frames >= count  # of all, dropped ones too
        wait_until(
            lambda: all(receiver.frames(block) for block in range(BLOCKS)),
            timeout=PATIENCE,
            what="all blocks are handed over",
        )
        assert sum(len(receiver.frames(block)) for block in range(BLOCKS)) == count - drops
        assert receiver.statistics() == (0, 0)


def test_a_tag_is_in_the_header_of_a_frame() -> None:
    """The octets are those of the untagged frame; tag and type stand in front, marked as valid."""
    with ring() as (receiver, sender):
        sender.send(TAGGED)
        wait_until(lambda: receiver.frames(0), timeout=PATIENCE, what="the block is handed over")
        ((marks, _, tci, tpid, octets),) = receiver.frames(0)
        assert marks & TP_STATUS_VLAN_VALID
        assert marks & TP_STATUS_VLAN_TPID_VALID
        assert (tci, tpid, octets) == (42, 0x88A8, frame(1))


def test_a_frame_is_as_long_as_its_block_allows() -> None:
    """One longer than the frames of the request is whole; one that a filter cuts says how long it was."""
    with ring() as (receiver, sender):
        sender.send(frame(1, 9000))
        wait_until(lambda: receiver.frames(0), timeout=PATIENCE, what="the block is handed over")
        assert [(length, octets) for _, length, _, _, octets in receiver.frames(0)] == [
            (9000, frame(1, 9000))
        ]
        cut = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 100), 8)
        program = struct.pack("@HP", 1, ctypes.addressof(cut))
        receiver.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        sender.send(frame(2, 9000))
        wait_until(lambda: receiver.frames(1), timeout=PATIENCE, what="the block is handed over")
        assert [(length, octets) for _, length, _, _, octets in receiver.frames(1)] == [
            (9000, frame(2, 9000)[:100])
        ]


def test_past_the_queue_a_frame_is_invisible_where_it_leaves() -> None:
    """A packet socket on the same interface sees what is queued, and not what PACKET_QDISC_BYPASS sends."""
    with packet_socket("left0", ETH_P_ALL) as watching, packet_socket("left0") as sender:
        sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        sender.send(frame(1))
        sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 0)
        sender.send(frame(2))
        assert watching.recv(2048) == frame(2)
