"""Descriptors that are passed in (``fd=``): which are refused and why, and whose they stay."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import socket
import struct
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.command import vecwire_command
from peers.frames import fill, frame, ours
from peers.net import Namespace, open_descriptors, veth, wait_until
from peers.ports import LINKS, passed
from vecwire.errors import SpecError
from vecwire.spec import parse
from vecwire.transports import hand_over
from vecwire.transports._passed import Wrong, number_of
from vecwire.transports._tun import (
    IFF_NO_PI,
    IFF_TAP,
    IFF_VNET_HDR,
    PATH,
    TUNGETVNETHDRSZ,
    TUNSETIFF,
    TUNSETVNETHDRSZ,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire.transports import TransportPort

IFF_TUN = 1
PATIENCE = 5.0
SESSIONS = "rx_session=1,tx_session=2"


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace, entered, with a veth pair."""
    with Namespace("passed", ipv6=False) as namespace, namespace.enter():
        veth((namespace, "left0"), (namespace, "right0"))
        yield namespace


def packet(protocol: int = 3, *, bound: bool = True, kind: int = socket.SOCK_RAW) -> socket.socket:
    """A packet socket on left0."""
    made = socket.socket(socket.AF_PACKET, kind, 0)
    if bound:
        made.bind(("left0", protocol))
    return made


def ring() -> socket.socket:
    """A packet socket whose frames come in a ring."""
    made = packet()
    made.setsockopt(263, 5, struct.pack("=IIII", 4096, 1, 2048, 2))  # SOL_PACKET, PACKET_RX_RING
    return made


def tunnel(family: int, kind: int, protocol: int, *, connect: bool = True) -> socket.socket:
    """A tunnel's socket."""
    made = socket.socket(family, kind, protocol)
    if connect:
        made.connect(("127.0.0.1", 1701))
    return made


def with_own_header() -> socket.socket:
    """A raw socket whose user writes IP headers."""
    made = tunnel(socket.AF_INET, socket.SOCK_RAW, 47)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
    return made


def orphan() -> socket.socket:
    """A socket whose peer has gone."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    return mine


def tap(flags: int | None, name: str = "tap0") -> int:
    """A descriptor of /dev/net/tun, attached with these flags."""
    fd = os.open(PATH, os.O_RDWR)
    if flags is not None:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("=16sH22x", name.encode(), flags))
    return fd


def a_file() -> int:
    """A descriptor of no use at all."""
    return os.open("/dev/null", os.O_RDWR)


#: A spec without its descriptor, what is passed, and a word of the error.
WRONG: dict[str, tuple[str, Callable[[], int | socket.socket], str]] = {
    "raw-file": ("raw", a_file, "is no socket, and must be a packet socket"),
    "raw-udp": (
        "raw",
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "is a datagram socket of IPv4 of protocol 17, and must be a packet socket",
    ),
    "raw-cooked": ("raw", lambda: packet(kind=socket.SOCK_DGRAM), "is a datagram socket of packet"),
    "raw-unbound": ("raw", lambda: packet(bound=False), "is bound to no interface"),
    "raw-deaf": ("raw", lambda: packet(0), "receives protocol 0x0000 alone"),
    "raw-one-protocol": ("raw", lambda: packet(0x0800), "receives protocol 0x0800 alone"),
    "raw-ring": ("raw", ring, "has a ring"),
    "tap-file": ("tap", a_file, "is no tap"),
    "tap-socket": ("tap", packet, "is no tap"),
    "tap-unattached": ("tap", lambda: tap(None), "is attached to no tap"),
    "tap-tun": ("tap", lambda: tap(IFF_TUN | IFF_NO_PI), "is a tun"),
    "tap-pi": ("tap", lambda: tap(IFF_TAP), "four octets in front"),
    "gre-udp": ("gre", lambda: tunnel(socket.AF_INET, socket.SOCK_DGRAM, 0), "must be a raw socket of IPv4"),
    "gre-l2tp": ("gre", lambda: tunnel(socket.AF_INET, socket.SOCK_RAW, 115), "of protocol 115, and must be"),
    "gre-unconnected": (
        "gre",
        lambda: tunnel(socket.AF_INET, socket.SOCK_RAW, 47, connect=False),
        "has no peer",
    ),
    "gre-own-header": ("gre", with_own_header, "IP_HDRINCL"),
    "gre-v6": (
        "gre,v6=1",
        lambda: tunnel(socket.AF_INET, socket.SOCK_RAW, 47),
        "must be a raw socket of IPv6",
    ),
    "udp-tcp": (f"l2tpv3,udp=1,{SESSIONS}", socket.socket, "is a stream socket of IPv4"),
    "udp-unconnected": (
        f"l2tpv3,udp=1,{SESSIONS}",
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "has no peer",
    ),
    "bess-stream": ("bess", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), "is a stream socket"),
    "bess-neither": (
        "bess",
        lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET),
        "neither listens nor is connected",
    ),
    "bess-orphan": ("bess", orphan, "its peer is gone"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_descriptor_is_told(case: str, host: Namespace) -> None:  # noqa: ARG001 # it is in force
    """What does not fit is an error of the spec, which says what is wrong with it; nothing is left."""
    text, make, told = WRONG[case]
    made = make()
    number = made if isinstance(made, int) else made.fileno()
    before = open_descriptors()
    with pytest.raises(SpecError) as caught:
        vecwire.open(f"{text},fd={number}")
    assert told in str(caught.value)
    assert caught.value.option == "fd"
    assert caught.value.text[caught.value.start : caught.value.end] == str(number)
    assert open_descriptors() == before
    if isinstance(made, int):
        os.close(made)
    else:
        made.close()


def test_two_descriptors_must_fit_together(host: Namespace) -> None:
    """What sends and what receives are of one interface, or the error says of which they are."""
    veth((host, "other0"), (host, "other1"))
    with packet() as left, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as other:
        other.bind(("other0", 0))
        with pytest.raises(SpecError, match="is bound to other0, and what receives to left0"):
            vecwire.open(f"raw,fd={left.fileno()},tx_fd={other.fileno()}")
        sending = tap(IFF_TAP | IFF_NO_PI)
        with pytest.raises(SpecError, match="is bound to left0, and tx_fd is the tap tap0"):
            vecwire.open(f"hybrid,fd={left.fileno()},tx_fd={sending}")
        os.close(sending)


def test_a_number_that_is_not_open_is_told() -> None:
    """A descriptor that nobody passed is an error of the spec, with its place."""
    with pytest.raises(SpecError, match="fd=1000000 is not open in this process"):
        vecwire.open("tap,fd=1000000")


@pytest.mark.parametrize("flags", [0, IFF_VNET_HDR])
@pytest.mark.parametrize("length", [10, 12])
def test_the_header_of_a_tap_is_asked_for(host: Namespace, flags: int, length: int) -> None:
    """A tap with a header of either length, or none, carries frames whole, and keeps its header."""
    fd = tap(IFF_TAP | IFF_NO_PI | flags)
    if flags:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("=i", length))
    host.up("tap0")
    with vecwire.open(f"tap,fd={fd}") as port, vecwire.open("raw,ifname=tap0") as other:
        assert ("virtio-net header" in port.info.offloads) == bool(flags)
        for sender, receiver in ((port, other), (other, port)):
            batch, got = sender.batch(), receiver.batch()
            fill(batch, [frame(1, 200)])
            assert sender.send(batch) == 1

            def came(receiver: vecwire.Port = receiver, got: vecwire.Batch = got) -> bool:
                receiver.recv(got)
                return any(bytes(each) == frame(1, 200) for each in got)

            wait_until(came, timeout=PATIENCE, what="the frame came")
    if flags:
        assert struct.unpack("=i", fcntl.ioctl(fd, TUNGETVNETHDRSZ, bytes(4)))[0] == length
    os.close(fd)


def test_what_is_passed_stays_its_owners(host: Namespace) -> None:  # noqa: ARG001 # it is in force
    """The port closes its duplicate alone, so that the same descriptor is opened again, or used otherwise."""
    with packet() as given:
        for _ in range(2):
            with vecwire.open(f"raw,fd={given.fileno()}") as port:
                assert given.fileno() not in port.info.descriptors.values()
                assert port.info.ifname == "left0"
        assert given.getsockname()[0] == "left0"


@pytest.mark.parametrize("same", [True, False])
def test_a_second_socket_that_nobody_reads_does_not_fill(host: Namespace, same: bool) -> None:  # noqa: ARG001
    """What sends, bound to all protocols, queues nothing, unless it is the very socket that receives."""
    with (
        packet() as first,
        first.dup() if same else packet() as second,
        vecwire.open("raw,ifname=right0") as far,
    ):
        text = f"raw,fd={first.fileno()},tx_fd={second.fileno()}"
        with vecwire.open(text) as port:
            batch, got = far.batch(), port.batch()
            fill(batch, [frame(1)])
            assert far.send(batch) == 1
            wait_until(lambda: port.recv(got), timeout=PATIENCE, what="the frame came")
            assert bytes(got[0]) == frame(1)
            assert not select.select([second], [], [], 0)[0]


def test_an_interface_that_goes_down_is_waited_for(host: Namespace) -> None:
    """A passed socket is used again once its interface is up again: it was never closed."""
    with (
        passed("raw,ifname=left0") as text,
        passed("raw,ifname=right0") as far,
        vecwire.open(text) as port,
        vecwire.open(far) as other,
        socketpair_port() as (inner, outer),
        vecwire.Cable(port, inner),
    ):
        host.ip("link set left0 down")
        # It is used again at once, and hears nothing until the interface is up.
        wait_until(lambda: port.stats.lost, timeout=PATIENCE, what="the loss is seen")
        host.ip("link set left0 up")
        batch, got = other.batch(), outer.batch()
        fill(batch, [frame(1)])

        def through() -> bool:
            other.send(batch)
            outer.recv(got)
            return any(ours(each) for each in got)

        wait_until(through, timeout=PATIENCE, what="frames flow again")


@contextlib.contextmanager
def socketpair_port() -> Iterator[tuple[TransportPort, TransportPort]]:
    """Two bess ports over a pair of sockets."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        one,
        two,
        vecwire.open(f"bess,fd={one.fileno()}") as inner,
        vecwire.open(f"bess,fd={two.fileno()}") as outer,
    ):
        # Each port has its own; the end of a port is to be seen at the other.
        one.close()
        two.close()
        yield inner, outer


@pytest.mark.parametrize("kind", ["raw", "tap", "bess"])
def test_what_cannot_come_back_is_told_once(
    kind: str, host: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    """A port whose interface or peer is gone stays down, says why, and is not tried again by time."""
    caplog.set_level(logging.WARNING)
    with contextlib.ExitStack() as stack:
        inner, outer = stack.enter_context(socketpair_port())
        if kind == "bess":
            other, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            text, gone = f"bess,fd={other.fileno()}", theirs.close
            stack.enter_context(other)
        else:
            text = stack.enter_context(passed(LINKS[kind]))
            host.ip(*(["link set tap0 up"] if kind == "tap" else []))
            gone = lambda: host.ip(f"link del {'left0' if kind == 'raw' else 'tap0'}")  # noqa: E731
        port = stack.enter_context(vecwire.open(text))
        cable = stack.enter_context(vecwire.Cable(port, inner))
        gone()
        batch = outer.batch()
        fill(batch, [frame(1)])

        def lost() -> bool:
            outer.send(batch)
            return port.hopeless

        wait_until(lost, timeout=PATIENCE, what="it is given up")
        patient = cable._engine._keeper._patients[port]
        wait_until(lambda: patient.due == float("inf"), timeout=PATIENCE, what="nobody tries again")
        assert not port.info.up
        assert "cannot be made again" in str(port.why)
        told = [record for record in caplog.records if "stays down" in record.getMessage()]
        assert len(told) == 1


@pytest.mark.needs("systemd-socket-activate")
def test_a_socket_of_systemd_is_found_by_its_name() -> None:
    """As systemd passes sockets, by LISTEN_FDS and LISTEN_FDNAMES, ``fd=NAME`` serves one."""
    cable = vecwire_command("cable", "bess,fd=guest", "bess,listen=@end")
    activate = ["systemd-socket-activate", "--seqpacket", "--fdname=guest", "--listen=@guest"]
    kept = [f"--setenv=PYTHONPATH={os.environ.get('PYTHONPATH', '')}"]
    with (
        Namespace("listen", ipv6=False) as namespace,
        namespace.enter(),
        namespace.popen([*activate, *kept, *cable], name="cable") as running,
    ):
        running.wait_for_text("Listening on")
        # It starts the cable for the first client.
        with vecwire.open("bess,dst=@guest") as guest:
            running.wait_for_text("ready\n", timeout=20)
            with vecwire.open("bess,dst=@end") as end:
                batch, got = guest.batch(), end.batch()
                fill(batch, [frame(5)])

                def came() -> bool:
                    guest.send(batch)
                    return bool(end.recv(got))

                wait_until(came, timeout=PATIENCE, what="the frame came")
                assert bytes(got[0]) == frame(5)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "no descriptors with names were passed"),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "guest"}, "no descriptors with names"),
        ({"LISTEN_PID": "own", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "other:guest"}, "is none of the names"),
        ({"LISTEN_PID": "own", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "guest:guest"}, "several descriptors"),
    ],
)
def test_a_name_that_systemd_did_not_pass_is_told(environment: dict[str, str], told: str) -> None:
    """A name is looked for among those of this process alone, and must be one descriptor's."""
    here = {name: str(os.getpid()) if value == "own" else value for name, value in environment.items()}
    with pytest.raises(SpecError, match=told):
        number_of(Wrong("fd", "guest"), here)


def test_opening_for_another_leaves_the_descriptors_alone(host: Namespace) -> None:  # noqa: ARG001
    """What is handed over is inherited over exec, says the namespace no more, and is no port's."""
    before = set(open_descriptors())
    spec = hand_over(parse("raw,ifname=left0,depth=8"))
    assert spec.netns is None
    numbers = sorted(set(map(int, open_descriptors())) - set(map(int, before)))
    assert sorted(int(each) for each in (spec.fd, spec.tx_fd)) == numbers  # type: ignore[arg-type, attr-defined]
    assert "depth=8" in str(spec)
    assert "ifname" not in str(spec)
    for number in numbers:
        assert os.get_inheritable(number)
        os.close(number)
