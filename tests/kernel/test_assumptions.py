"""What vecwire takes for granted about Linux, shown with bare system calls and no code of vecwire's.

Each test is one row of ``docs/kernel.md``. If a kernel behaves otherwise, these fail first and say what to
look at.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame, ours, super_frame
from peers.net import Namespace, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 5.0
ETH_P_ALL = 3
SOL_PACKET = 263
SOL_UDP = 17
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23
SO_ATTACH_FILTER = 26
TUNSETIFF = 0x400454CA
TUNATTACHFILTER = 0x401054D5
UDP_SEGMENT = 103
UDP_GRO = 104
TP_STATUS_VLAN_VALID = 1 << 4
TAP = 0x0002 | 0x1000  # IFF_TAP, IFF_NO_PI
TAGGED = frame(1)[:12] + struct.pack("!HH", 0x8100, 42) + frame(1)[12:]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in, with a quiet veth pair ``left0`` and ``right0``."""
    with Namespace("assume", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "right0"))
        yield made


def packet_socket(ifname: str, protocol: int = ETH_P_ALL) -> socket.socket:
    """A packet socket that is bound to an interface, and does not wait for ever."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((ifname, protocol))
    made.settimeout(PATIENCE)
    return made


def udp_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A bound UDP socket that does not wait for ever."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, port))
    made.settimeout(PATIENCE)
    return made


@contextlib.contextmanager
def tap(namespace: Namespace, name: str = "tap0") -> Iterator[int]:
    """The descriptor of a tap that is up; it does not block."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("=16sH22x", name.encode(), TAP))
        namespace.up(name)
        yield fd
    finally:
        os.close(fd)


def refusal(call: Callable[[], object]) -> int:
    """The errno that a call fails with; 0 where it does not."""
    try:
        call()
    except OSError as error:
        return error.errno or 0
    return 0


def readable(source: int | socket.socket, seconds: float = PATIENCE) -> bool:
    """Whether there is something to read, at once or within some seconds."""
    return bool(select.select([source], [], [], seconds)[0])


def program(*rows: tuple[int, int, int, int]) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """A ``struct sock_fprog`` of some instructions, and the memory it points to."""
    octets = b"".join(struct.pack("=HBBI", *row) for row in rows)
    instructions = ctypes.create_string_buffer(octets, len(octets))
    return struct.pack("@HP", len(rows), ctypes.addressof(instructions)), instructions


def drop_all() -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """One that drops everything."""
    return program((0x06, 0, 0, 0))


def tagged_alone() -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """One that accepts frames with a tag beside them (SKF_AD_VLAN_TAG_PRESENT), and no others."""
    return program((0x20, 0, 0, 0xFFFFF000 + 48), (0x15, 1, 0, 0), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))


# Packet sockets.


@pytest.mark.usefixtures("namespace")
def test_a_packet_socket_of_protocol_0_is_deaf_until_it_is_bound() -> None:
    """Made with protocol 0, it queues nothing before bind(2); made with ETH_P_ALL, it does."""
    deaf = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    hearing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with deaf, hearing, packet_socket("left0", 0) as sender:
        sender.send(frame(1))
        assert readable(hearing)
        assert not readable(deaf, 0)


@pytest.mark.usefixtures("namespace")
def test_a_frame_that_was_queued_survives_bind() -> None:
    """What a socket has queued from one interface is still there once it is bound to another."""
    hearing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with hearing, packet_socket("left0", 0) as sender:
        sender.send(frame(1))
        assert readable(hearing)
        hearing.bind(("lo", ETH_P_ALL))
        assert ours(hearing.recv(2048))


@pytest.mark.usefixtures("namespace")
def test_a_socket_bound_with_protocol_0_queues_nothing() -> None:
    """A packet socket that only sends, bound with protocol 0, receives no frame; with IPv4's it does."""
    packet = frame(1)[:12] + struct.pack("!H", 0x0800) + frame(1)[14:]
    with (
        packet_socket("right0", 0) as quiet,
        packet_socket("right0", 0x0800) as filling,
        packet_socket("left0", 0) as sender,
    ):
        sender.send(packet)
        assert readable(filling)
        assert not readable(quiet, 0)


@pytest.mark.usefixtures("namespace")
def test_outgoing_frames_come_back_unless_they_are_ignored() -> None:
    """A bound packet socket sees what its host sends; with PACKET_IGNORE_OUTGOING it does not."""
    with (
        packet_socket("left0") as plain,
        packet_socket("left0") as ignoring,
        packet_socket("left0", 0) as sender,
    ):
        ignoring.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sender.send(frame(1))
        assert ours(plain.recv(2048))
        assert not readable(ignoring, 0)


@pytest.mark.usefixtures("namespace")
def test_a_vlan_tag_arrives_beside_the_frame() -> None:
    """The tag is not in the octets that are received, but in PACKET_AUXDATA, marked as valid."""
    with packet_socket("right0") as receiver, packet_socket("left0", 0) as sender:
        receiver.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sender.send(TAGGED)
        octets, control, _, _ = receiver.recvmsg(2048, 256)
        assert octets == frame(1)
        data = next(data for level, kind, data in control if (level, kind) == (SOL_PACKET, PACKET_AUXDATA))
        status, *_, tci, tpid = struct.unpack("=IIIHHHH", data)
        assert status & TP_STATUS_VLAN_VALID
        assert (tci, tpid) == (42, 0x8100)


@pytest.mark.usefixtures("namespace")
def test_a_filter_sees_the_frame_without_its_tag_and_is_told_of_it() -> None:
    """To a filter the octets are those of the untagged frame; SKF_AD_VLAN_TAG_PRESENT tells the two apart."""
    with packet_socket("right0") as receiver, packet_socket("left0", 0) as sender:
        fprog, _kept = tagged_alone()
        receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
        sender.send(frame(1))
        sender.send(TAGGED)
        assert receiver.recv(2048) == frame(1)
        assert not readable(receiver, 0)
        fprog, _kept = program((0x80, 0, 0, 0), (0x15, 0, 1, 60), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
        receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
        sender.send(TAGGED)
        assert len(TAGGED) == 64
        assert readable(receiver)


@pytest.mark.usefixtures("namespace")
def test_a_filter_cuts_the_frame_to_what_it_returns() -> None:
    """A program that returns 20 has the socket receive 20 octets of the frame."""
    with packet_socket("right0") as receiver, packet_socket("left0", 0) as sender:
        fprog, _kept = program((0x06, 0, 0, 20))
        receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
        sender.send(frame(1))
        assert receiver.recv(2048) == frame(1)[:20]


def test_a_packet_socket_revives_with_its_interface(namespace: Namespace) -> None:
    """When its interface goes down a socket reports ENETDOWN once, and receives again once it is up."""
    with packet_socket("right0") as receiver, packet_socket("left0", 0) as sender:
        namespace.ip("link set right0 down")
        with pytest.raises(OSError, match="down") as caught:
            receiver.recv(2048)
        assert caught.value.errno == errno.ENETDOWN
        assert not readable(receiver, 0)
        namespace.up("right0")
        namespace.wait_carrier("left0")
        sender.send(frame(2))
        assert receiver.recv(2048) == frame(2)


def test_a_full_queue_is_enobufs_and_polls_as_writable(namespace: Namespace) -> None:
    """Past the queueing discipline a full interface refuses with ENOBUFS, while poll(2) promises room."""
    with tap(namespace) as fd, packet_socket("tap0", 0) as sender:
        sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        sender.setblocking(False)

        def refused() -> int:
            return refusal(lambda: sender.send(frame(1)))

        assert wait_until(refused, timeout=PATIENCE, what="the queue is full", interval=0) == errno.ENOBUFS
        assert select.select([], [sender], [], 0)[1]
        assert os.read(fd, 2048)


def test_past_the_queue_a_super_frame_that_the_interface_cannot_cut_is_enobufs(namespace: Namespace) -> None:
    """With the bypass it is refused each time; without it the kernel cuts it into frames."""
    namespace.offloads("left0", tso=False)
    built, header, _ = super_frame()
    with packet_socket("left0", 0) as sender, packet_socket("right0") as receiver:
        sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        assert sender.send(header.pack() + built) == len(built) + 10
        assert len(receiver.recv(65536)) < len(built)
        sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        octets = header.pack() + built
        assert {refusal(lambda: sender.send(octets)) for _ in range(10)} == {errno.ENOBUFS}


# Cut frames.


@pytest.mark.usefixtures("namespace")
def test_a_socket_marks_what_it_cuts() -> None:
    """Packet, UDP and record sockets give a message that is too long for its buffer with MSG_TRUNC set."""
    records, record_sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        packet_socket("right0") as packets,
        packet_socket("left0", 0) as packet_sender,
        udp_socket() as datagrams,
        udp_socket() as datagram_sender,
        records,
        record_sender,
    ):
        datagram_sender.connect(datagrams.getsockname())
        for receiver, sender in (
            (packets, packet_sender),
            (datagrams, datagram_sender),
            (records, record_sender),
        ):
            sender.send(frame(1))
            octets, _, flags, _ = receiver.recvmsg(20)
            assert (len(octets), bool(flags & socket.MSG_TRUNC)) == (20, True)


def test_a_tap_cuts_without_a_mark(namespace: Namespace) -> None:
    """A read that is shorter than the frame is filled to its end, and the rest of the frame is gone."""
    with tap(namespace) as fd, packet_socket("tap0", 0) as sender:
        sender.send(frame(1))
        sender.send(frame(2))
        assert os.read(fd, 20) == frame(1)[:20]
        assert os.read(fd, 2048) == frame(2)


# Taps.


def test_a_taps_filter_runs_on_what_is_read(namespace: Namespace) -> None:
    """With a filter that drops all, nothing reaches a tap's queue, and writing into the tap still works."""
    with tap(namespace) as fd, packet_socket("tap0") as host:
        fprog, _kept = drop_all()
        fcntl.ioctl(fd, TUNATTACHFILTER, fprog)
        host.send(frame(1))
        assert not readable(fd, 0)
        os.write(fd, frame(2))
        assert host.recv(2048) == frame(2)


def test_a_taps_filter_is_told_of_a_tag_beside_the_frame(namespace: Namespace) -> None:
    """A tag that a bridge has taken out is beside the frame for the filter, and inside when it is read."""
    with tap(namespace) as fd:
        namespace.bridge("bridge0", "tap0", "left0")
        fprog, _kept = tagged_alone()
        fcntl.ioctl(fd, TUNATTACHFILTER, fprog)
        with packet_socket("right0", 0) as far:
            far.send(frame(1))
            far.send(TAGGED)
        assert readable(fd)
        assert os.read(fd, 2048) == TAGGED
        assert not readable(fd, 0)


def test_a_deleted_tap_is_ebadfd(namespace: Namespace) -> None:
    """The descriptor of a tap whose interface was deleted fails with EBADFD in both directions."""
    with tap(namespace) as fd:
        namespace.ip("link del tap0")
        for call in (lambda: os.read(fd, 2048), lambda: os.write(fd, frame(1))):
            with pytest.raises(OSError, match="descriptor in bad state") as caught:
                call()
            assert caught.value.errno == errno.EBADFD


def test_a_descriptor_stays_in_the_namespace_that_it_was_made_in() -> None:
    """A tap opened in one namespace stays there when its thread goes elsewhere."""
    with Namespace("inside", ipv6=False) as inside:
        with inside.enter():
            made = tap(inside)
            fd = made.__enter__()
        try:
            os.write(fd, frame(1))
            assert inside.link("tap0")["stats64"]["rx"]["packets"] == 1
        finally:
            made.__exit__(None, None, None)


# Sockets over IP.


@pytest.mark.usefixtures("namespace")
def test_strangers_are_queued_between_bind_and_connect() -> None:
    """What a stranger sends to a bound socket is still there after connect(2); what he sends later is not."""
    with udp_socket() as receiver, udp_socket("127.0.0.2") as peer, udp_socket("127.0.0.3") as stranger:
        stranger.sendto(b"early", receiver.getsockname())
        assert readable(receiver)
        receiver.connect(peer.getsockname())
        with contextlib.suppress(ConnectionRefusedError):
            stranger.sendto(b"late", receiver.getsockname())
        peer.sendto(b"peer", receiver.getsockname())
        assert [receiver.recv(64), receiver.recv(64)] == [b"early", b"peer"]


@pytest.mark.usefixtures("namespace")
def test_a_filter_that_drops_all_closes_that_gap() -> None:
    """With a filter that drops all attached before bind(2), nothing is queued."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, udp_socket("127.0.0.3") as stranger:
        fprog, _kept = drop_all()
        receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
        receiver.bind(("127.0.0.1", 0))
        stranger.sendto(b"early", receiver.getsockname())
        assert not readable(receiver, 0)


@pytest.mark.usefixtures("namespace")
def test_an_icmp_error_is_reported_once_and_ends_nothing() -> None:
    """A connected UDP socket gives ECONNREFUSED once for a port that nobody has, and then works."""
    with udp_socket() as near:
        with udp_socket("127.0.0.2") as gone:
            address = gone.getsockname()
        near.connect(address)
        near.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            near.recv(64)
        with udp_socket(*address) as back:
            near.send(b"hello")
            assert back.recv(64) == b"hello"


def test_a_raw_socket_gives_the_header_of_ipv4_and_not_of_ipv6() -> None:
    """IP protocol 115 arrives behind its IPv4 header on a raw IPv4 socket, and bare on a raw IPv6 one."""
    with Namespace("raw") as namespace, namespace.enter():
        for family, address, first in ((socket.AF_INET, "127.0.0.1", 20), (socket.AF_INET6, "::1", 0)):
            with socket.socket(family, socket.SOCK_RAW, 115) as receiver:
                receiver.settimeout(PATIENCE)
                receiver.bind((address, 0))
                receiver.sendto(frame(1), (address, 0))
                assert receiver.recv(2048)[first:] == frame(1)


def test_an_ipv6_address_can_be_used_only_after_its_duplicate_detection() -> None:
    """A new IPv6 address refuses bind(2) with EADDRNOTAVAIL at first, and takes it a little later."""
    with Namespace("late") as namespace, namespace.enter():
        veth((namespace, "left0"), (namespace, "right0"))
        namespace.sysctl("ipv6/conf/left0/accept_dad", "1")
        namespace.ip("addr add fd00::1/64 dev left0")

        def bind() -> int:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as made:
                return refusal(lambda: made.bind(("fd00::1", 0)))

        assert bind() == errno.EADDRNOTAVAIL
        wait_until(lambda: bind() == 0, timeout=PATIENCE, what="the address can be used")


# Many datagrams in one piece.


@pytest.mark.usefixtures("namespace")
def test_udp_segments_arrive_in_one_piece_with_their_size_beside_them() -> None:
    """What UDP_SEGMENT sends as one message, UDP_GRO gives in one buffer, and says where to cut it."""
    with udp_socket() as receiver, udp_socket() as sender:
        receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
        sender.connect(receiver.getsockname())
        sender.sendmsg([bytes(250)], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", 100))])
        octets, control, _, _ = receiver.recvmsg(65535, 64)
        assert len(octets) == 250
        assert (SOL_UDP, UDP_GRO, struct.pack("=i", 100)) in control


def test_udp_segments_longer_than_the_path_are_refused(namespace: Namespace) -> None:
    """UDP_SEGMENT of more octets than the path's MTU is refused, and sending plainly still works."""
    with Namespace("far", ipv6=False) as far:
        veth((namespace, "wan0"), (far, "wan0"), addresses_a=["10.4.0.1/24"], addresses_b=["10.4.0.2/24"])
        with udp_socket("10.4.0.1") as sender:
            sender.connect(("10.4.0.2", 9))
            with pytest.raises(OSError, match=r"Invalid argument|too long") as caught:
                sender.sendmsg([bytes(6000)], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", 2000))])
            assert caught.value.errno in {errno.EINVAL, errno.EMSGSIZE}
            assert sender.send(bytes(2000)) == 2000


# Waiting.


def test_an_event_descriptor_wakes_an_epoll_set_from_another_thread() -> None:
    """A write to an eventfd(2) in one thread ends epoll_wait(2) in another, which needs no timer."""
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        with select.epoll() as waiting:
            waiting.register(event, select.EPOLLIN)
            thread = threading.Thread(target=os.eventfd_write, args=(event, 1))
            thread.start()
            found = waiting.poll(PATIENCE)
            thread.join()
        assert found == [(event, select.EPOLLIN)]
    finally:
        os.close(event)
