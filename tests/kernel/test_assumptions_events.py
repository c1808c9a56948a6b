"""What vecwire takes for granted about the kernel's events, shown with bare system calls as the rest is.

Each test is one row of ``docs/kernel.md``, as those of ``test_assumptions.py`` are.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.frames import frame
from peers.net import PREFIX, Namespace, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 5.0
RTMGRP_LINK = 0x1
RTMGRP_IPV4_ROUTE = 0x40
RTM_DELLINK = 17
RTM_NEWROUTE = 24
AF_BRIDGE = 7


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("assume", ipv6=False) as made, made.enter():
        yield made


@pytest.fixture
def named() -> Iterator[Path]:
    """The path of a namespace that is not there yet; gone after the test."""
    name = f"{PREFIX}-{os.getpid()}-assume-events"
    yield Path("/run/netns", name)
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def netlink(groups: int, *, octets: int = 0) -> socket.socket:
    """A netlink socket that hears of groups and does not wait; its buffer as small as it may be."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    if octets:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
    made.bind((0, groups))
    return made


def queued(heard: socket.socket) -> list[tuple[int, int]]:
    """The type and the address family of each message that waits in a netlink socket."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            data = heard.recv(65536)
        except BlockingIOError:
            return found
        found.append((struct.unpack_from("=H", data, 4)[0], data[16]))


def test_a_mount_is_told_to_poll_once(named: Path) -> None:
    """The table of mounts has an urgent event after a namespace is mounted, and whoever polls takes it."""
    with Path("/proc/self/mountinfo").open("rb") as mounts, select.epoll() as inner, select.epoll() as outer:
        inner.register(mounts, select.EPOLLPRI)
        outer.register(inner, select.EPOLLIN)
        assert outer.poll(0) == []
        subprocess.run(["ip", "netns", "add", named.name], check=True)
        assert outer.poll(PATIENCE) == [(inner.fileno(), select.EPOLLIN)]
        assert inner.poll(0) == []
        subprocess.run(["ip", "netns", "del", named.name], check=True)
        assert inner.poll(PATIENCE)[0][1] & select.EPOLLPRI


def test_namespaces_are_on_one_file_system(named: Path) -> None:
    """The file that a namespace is mounted on later has another device number than any namespace."""
    own = Path("/proc/self/ns/net").stat()
    named.parent.mkdir(exist_ok=True)
    named.touch()
    assert named.stat().st_dev != own.st_dev
    named.unlink()
    subprocess.run(["ip", "netns", "add", named.name], check=True)
    assert named.stat().st_dev == own.st_dev
    assert named.stat().st_ino != own.st_ino


def test_a_netlink_socket_keeps_its_namespace(namespace: Namespace) -> None:
    """The interfaces of a deleted namespace are there until its last socket is closed."""
    with Namespace("kept", ipv6=False) as kept:
        with kept.enter():
            heard = netlink(0)
        with heard:
            namespace.ip(f"link add near0 type veth peer name far0 netns {kept.name}")
            kept.close()
            assert socket.if_nametoindex("near0")
    wait_until(
        lambda: "near0" not in [name for _, name in socket.if_nameindex()],
        timeout=PATIENCE,
        what="near0 goes",
    )


def test_binding_a_netlink_socket_again_changes_its_groups(namespace: Namespace) -> None:
    """Bound again to the address that it has, a socket hears of the new groups and of no others."""
    with netlink(RTMGRP_LINK) as heard:
        heard.bind((heard.getsockname()[0], RTMGRP_IPV4_ROUTE))
        namespace.ip("link add dev0 type bridge", "addr add 10.5.0.1/24 dev lo")
        assert {kind for kind, _ in queued(heard)} == {RTM_NEWROUTE}


def test_leaving_a_bridge_is_told_as_a_link_deleted(namespace: Namespace) -> None:
    """RTM_DELLINK of the family AF_BRIDGE says that a port left its bridge: the interface is still there."""
    namespace.ip("link add br0 type bridge", "link add near0 type veth peer name far0")
    namespace.ip("link set near0 master br0")
    with netlink(RTMGRP_LINK) as heard:
        namespace.ip("link set near0 nomaster")
        assert {family for kind, family in queued(heard) if kind == RTM_DELLINK} == {AF_BRIDGE}
    assert socket.if_nametoindex("near0")


def test_an_overrun_netlink_socket_loses_news_until_it_is_empty(namespace: Namespace) -> None:
    """ENOBUFS is told once; what comes before the last message was read is lost without a word."""
    with netlink(RTMGRP_IPV4_ROUTE, octets=1) as heard:
        namespace.ip(*(f"route add 10.6.{n}.0/24 dev lo" for n in range(100)))
        with pytest.raises(OSError, match="buffer space") as caught:
            heard.recv(65536)
        assert caught.value.errno == errno.ENOBUFS
        heard.recv(65536)
        namespace.ip("route del 10.6.1.0/24 dev lo")
        assert {kind for kind, _ in queued(heard)} <= {RTM_NEWROUTE}
        namespace.ip("route del 10.6.2.0/24 dev lo")
        assert len(queued(heard)) == 1


def test_a_socket_in_an_epoll_set_is_woken_for_each_frame_that_it_sends(namespace: Namespace) -> None:
    """Each frame that has left is one more event of room, though there was room all the time."""
    veth((namespace, "left0"), (namespace, "right0"))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender, select.epoll() as watch:
        sender.bind(("left0", 0))
        watch.register(sender, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        assert watch.poll(PATIENCE)
        for number in range(3):
            assert not watch.poll(0)
            sender.send(frame(number))
            assert watch.poll(PATIENCE) == [(sender.fileno(), select.EPOLLOUT)]
