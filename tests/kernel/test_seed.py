"""What the UML driver's user half gets wrong, done right: one or more tests for each of its 18 known errors.

The numbers are those of the table in ``docs/seed.md``. Rows that concern text alone (1, 2, 12, 13, 15) have
their tests with the spec's; here are those that take a kernel to show.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import LEFT, RIGHT, fill, frame, mac, ones_complement_sum, ours, rejoin, super_frame
from peers.net import Namespace, open_descriptors, veth, wait_until
from peers.ports import LEFT4, RIGHT4, TRANSPORTS, joined
from vecwire import PortError, bpf
from vecwire.transports import _packet, _tun
from vecwire.transports._offload import Offload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Port

PATIENCE = 5.0
ETH_P_ALL = 3
TUNGETVNETHDRSZ = 0x800454D7
L2TP = "l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.2,srcport=1701,dstport=1702,rx_session=1,tx_session=2"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in, with a quiet veth pair ``left0`` and ``right0``."""
    with Namespace("seed", ipv6=False) as made, made.enter():
        made.ip(f"addr add {RIGHT4}/8 dev lo")
        veth((made, "left0"), (made, "right0"))
        yield made


def received(port: Port) -> list[bytes]:
    """Our frames that wait at a port, all of them."""
    batch = port.batch()
    found: list[bytes] = []
    while port.recv(batch):
        found += [bytes(each) for each in batch if ours(each)]
    return found


def received_in_time(port: Port, count: int = 1) -> list[bytes]:
    """Our frames, once there are ``count`` of them."""
    found: list[bytes] = []

    def enough() -> bool:
        found.extend(received(port))
        return len(found) >= count

    wait_until(enough, timeout=PATIENCE, what=f"{count} frames came")
    return found


def send(port: Port, *frames: bytes) -> int:
    """Sends frames as one batch."""
    batch = port.batch()
    fill(batch, list(frames))
    return port.send(batch)


def packet_sockets() -> list[tuple[int, int]]:
    """The packet sockets of the namespace: the protocol that each is bound to, and octets queued on it."""
    lines = Path("/proc/thread-self/net/packet").read_text(encoding="ascii").splitlines()[1:]
    return [(int(line.split()[3], 16), int(line.split()[6])) for line in lines]


def plain_packet_socket(ifname: str) -> socket.socket:
    """A packet socket that is no port of ours."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((ifname, 0))
    return made


# Row 3: a failure is an exception that carries the errno, whatever the errno.


def test_row_3_a_failure_names_its_errno(namespace: Namespace) -> None:
    """A missing interface is ENODEV, a tap that is none EINVAL, an address that is not ours EADDRNOTAVAIL."""
    for spec, number in (
        ("raw,ifname=absent0", errno.ENODEV),
        ("tap,ifname=left0", errno.EINVAL),
        ("gre,src=10.99.99.99,dst=127.0.0.2", errno.EADDRNOTAVAIL),
        ("bess,dst=@nobody", errno.ECONNREFUSED),
        ("tap,ifname=tap0,netns=absent", errno.ENOENT),
    ):
        with pytest.raises(PortError) as caught:
            vecwire.open(spec)
        assert caught.value.errno == number, spec
        assert caught.value.remedy, spec
    assert namespace.path.exists()


# Row 4: every failing path gives back all that it had.


@pytest.mark.parametrize(
    "spec",
    [
        "raw,ifname=absent0",
        "raw,ifname=left0,bpffile=BAD",
        "raw,ifname=left0,bpffile=absent",
        "tap,ifname=left0",
        "tap,ifname=tap0,bpffile=BAD",
        "hybrid,ifname=left0",
        "hybrid,ifname=tap0,bpffile=BAD",
        "gre,src=127.0.0.1,dst=no-such-host.invalid",
        "gre,src=10.99.99.99,dst=127.0.0.2",
        "gre,src=127.0.0.1,dst=10.99.99.99,bpffile=BAD",
        "l2tpv3,src=127.0.0.1,dst=127.0.0.2,rx_session=1,tx_session=2,bpffile=BAD",
        L2TP + ",bpffile=BAD",
        L2TP.replace("srcport=1701", "srcport=1703"),
        "bess,dst=@nobody",
        "bess,dst=/nonexistent/path,src=OWN",
        "bess,listen=TAKEN",
        "bess,listen=FILE",
    ],
)
def test_row_4_a_failing_open_leaves_nothing(spec: str, namespace: Namespace, tmp_path: Path) -> None:
    """Each failing path of opening leaves descriptors, interfaces and paths as they were."""
    bad = tmp_path / "bad"
    bad.write_bytes(bpf.pack((bpf.Instruction(0xFFFF, 0, 0, 0),)))
    file = tmp_path / "file"
    file.write_text("not a socket", encoding="ascii")
    taken, own = tmp_path / "taken", tmp_path / "own"
    for word, path in (("BAD", bad), ("FILE", file), ("TAKEN", taken), ("OWN", own)):
        spec = spec.replace(word, str(path))
    busy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with busy, server:
        busy.bind((LEFT4, 1703))
        server.bind(str(taken))
        server.listen(8)
        links = link_names(namespace)
        before = open_descriptors()
        for _ in range(20):
            with pytest.raises(PortError):
                vecwire.open(spec)
        assert open_descriptors() == before
        assert link_names(namespace) == links
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "file", "taken"]


def link_names(namespace: Namespace) -> list[str]:
    """The links of a namespace."""
    return sorted(line.split(":")[1] for line in namespace.run(["ip", "-o", "link"]).stdout.splitlines())


def test_row_4_a_server_removes_its_path(tmp_path: Path) -> None:
    """A listening port removes its path at close, and takes over one that a killed server has left."""
    path = tmp_path / "server"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as killed:
        killed.bind(str(path))
    assert path.exists()
    with vecwire.open(f"bess,listen={path}"), vecwire.open(f"bess,dst={path}") as client:
        assert client.info.up
    assert not path.exists()


# Row 5: nothing of another interface is ever received.


class Flood:
    """Sends frames out of an interface, without end, from a thread."""

    def __init__(self, ifname: str) -> None:
        self._socket = plain_packet_socket(ifname)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                self._socket.send(frame(5))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


def test_row_5_no_frame_of_another_interface_is_received(namespace: Namespace) -> None:
    """While another interface is flooded, a port that is opened on a quiet one receives nothing."""
    veth((namespace, "other0"), (namespace, "other1"))
    with Flood("other0"):
        for _ in range(30):
            with vecwire.open("raw,ifname=left0") as port:
                assert received(port) == []


def test_row_5_the_kernel_does_queue_them_otherwise(namespace: Namespace) -> None:
    """A packet socket that is made with a protocol keeps frames of other interfaces over its bind."""
    veth((namespace, "other0"), (namespace, "other1"))
    with (
        Flood("other0"),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as naive,
    ):
        assert select.select([naive], [], [], PATIENCE)[0]
        naive.bind(("left0", ETH_P_ALL))
        assert ours(naive.recv(2048))


# Row 6: no descriptor of a port queues what nobody reads.


def ip_frame(number: int) -> bytes:
    """A frame that says it holds IPv4."""
    return frame(number)[:12] + b"\x08\x00" + frame(number)[14:]


def test_row_6_no_socket_of_a_raw_port_fills_unread(namespace: Namespace) -> None:
    """After IPv4 frames are received, nothing is queued on any packet socket of the port."""
    with vecwire.open("raw,ifname=left0") as port, vecwire.open("raw,ifname=right0") as peer:
        send(peer, *(ip_frame(i) for i in range(10)))
        batch = port.batch()
        wait_until(lambda: port.recv(batch), timeout=PATIENCE, what="frames came")
        received(port)
        received(peer)
        assert [queued for _, queued in packet_sockets()] == [
            0
        ] * 4  # each port has one that receives and one that sends
    assert namespace.path.exists()


def test_row_6_nobody_has_to_read_the_tap_of_a_hybrid(namespace: Namespace) -> None:
    """What a host sends through a hybrid port's tap is received once, and does not fill the tap's queue."""
    with vecwire.open("hybrid,ifname=tap0") as port:
        namespace.up("tap0", "10.7.0.1/24")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
            host.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for _ in range(10):
                host.sendto(b"hello", ("10.7.0.255", 9))
        batch = port.batch()
        seen = 0

        def all_came() -> bool:
            nonlocal seen
            port.recv(batch)
            seen += sum(bytes(each)[:6] == b"\xff" * 6 for each in batch)
            return seen >= 10

        wait_until(all_came, timeout=PATIENCE, what="the broadcasts came")
        assert seen == 10
        assert not select.select([port.info.descriptors["tx"]], [], [], 0)[0]


# Row 7: own frames do not come back, and sending skips the queueing discipline.


def test_row_7_own_frames_do_not_come_back(namespace: Namespace) -> None:
    """A raw port receives none of the frames that it sends, nor those that its host sends."""
    with vecwire.open("raw,ifname=left0") as port, vecwire.open("raw,ifname=right0") as peer:
        assert send(port, *(frame(i) for i in range(10))) == 10
        assert len(received_in_time(peer, 10)) == 10
        with plain_packet_socket("left0") as host:
            host.send(frame(99))
        assert received_in_time(peer) == [frame(99)]
        assert received(port) == []
        assert "qdisc bypass" in port.info.offloads
        with socket.socket(fileno=os.dup(port.info.descriptors["tx"])) as view:
            assert view.getsockopt(_packet.SOL_PACKET, _packet.PACKET_QDISC_BYPASS) == 1
    assert namespace.path.exists()


def test_row_7_older_kernels_are_helped_by_a_filter(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel cannot ignore outgoing frames, that is reported, and a filter does it."""
    monkeypatch.setattr(_packet, "PACKET_IGNORE_OUTGOING", 9999)
    with vecwire.open("raw,ifname=left0") as port, vecwire.open("raw,ifname=right0") as peer:
        assert "ignore outgoing" in port.info.refused
        with plain_packet_socket("left0") as host:
            host.send(frame(99))
        assert received_in_time(peer) == [frame(99)]
        assert received(port) == []
        send(peer, frame(1))
        assert received_in_time(port) == [frame(1)]
    assert namespace.path.exists()


def test_row_7_a_hybrid_port_does_not_receive_what_it_sends(namespace: Namespace) -> None:
    """Frames that a hybrid port writes into its tap do not come back through its packet socket."""
    with vecwire.open("hybrid,ifname=tap0") as port:
        namespace.up("tap0")
        with plain_packet_socket("tap0") as witness:
            witness.bind(("tap0", ETH_P_ALL))
            witness.settimeout(PATIENCE)
            send(port, frame(1))
            assert ours(witness.recv(2048))
        assert received(port) == []


# Row 8: what was cut is not delivered.


def test_row_8_a_cut_frame_is_dropped_and_counted(namespace: Namespace) -> None:
    """A frame longer than its slot is a counted drop, on a packet socket and on a tap; the next is good."""
    for spec in ("raw,ifname=right0", "tap,ifname=tap0"):
        with vecwire.open(spec) as port:
            sender = "left0"
            if spec.startswith("tap"):
                namespace.up("tap0")
                sender = "tap0"
            batch = vecwire.Batch(depth=4, size=100)
            with plain_packet_socket(sender) as host:
                host.send(frame(1, 1000))
                host.send(frame(2))
            good: list[bytes] = []

            def came(
                port: Port = port, batch: vecwire.Batch = batch, good: list[bytes] = good
            ) -> list[bytes]:
                port.recv(batch)
                good += [bytes(each) for each in batch if ours(each)]
                return good

            assert wait_until(came, timeout=PATIENCE, what="the second frame came") == [frame(2)], spec
            assert port.stats.rx_truncated == 1, spec


# Row 9: the end of a record stream is an end, not frames.


def test_row_9_the_end_of_a_client_is_seen_once(tmp_path: Path) -> None:
    """A client that goes is one loss, delivers no frame, and the next client is served."""
    with vecwire.open(f"bess,listen={tmp_path}/s") as server:
        for number in range(3):
            with vecwire.open(f"bess,dst={tmp_path}/s") as client:
                send(client, frame(number))
                assert received_in_time(server) == [frame(number)]
                assert send(server, frame(100 + number)) == 1
                assert received_in_time(client) == [frame(100 + number)]
            for _ in range(5):
                assert received(server) == []
            assert server.stats.lost == number + 1
            assert not server.info.up


def test_row_9_a_client_waits_for_its_server(tmp_path: Path) -> None:
    """A connected port whose server ends drops what it cannot send, and goes on when a server is back."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(vecwire.open(f"bess,listen={tmp_path}/s"))
        client = stack.enter_context(vecwire.open(f"bess,dst={tmp_path}/s"))
        received(server)
        server.close()
        received(client)
        send(client, frame(1))
        assert not client.info.up
        assert not client.wait(0.0)
        again = stack.enter_context(vecwire.open(f"bess,listen={tmp_path}/s"))

        def passed() -> bool:
            received(client)
            again.recv(again.batch(1))
            return client.info.up and again.info.up

        wait_until(passed, timeout=PATIENCE, what="the client is connected again")
        send(client, frame(2))
        assert received_in_time(again) == [frame(2)]
        assert client.stats.recovered == 1


# Row 10: no error of sending outlives its frame.


def test_row_10_a_frame_too_long_is_dropped_alone(namespace: Namespace) -> None:
    """A frame above the link's MTU is one counted drop; those before and after it pass."""
    with vecwire.open("raw,ifname=left0") as port, vecwire.open("raw,ifname=right0") as peer:
        assert send(port, frame(1), frame(2, 3000), frame(3)) == 3
        assert received_in_time(peer, 2) == [frame(1), frame(3)]
        assert port.stats.tx_too_big == 1
    assert namespace.path.exists()


def test_row_10_an_interface_that_goes_down_comes_back(namespace: Namespace) -> None:
    """Frames for an interface that is down are counted drops, and pass again when it is up."""
    for spec in ("raw,ifname=left0", "tap,ifname=tap0", "hybrid,ifname=tap0"):
        link = spec.split("=")[1]
        with vecwire.open(spec) as port:
            namespace.up(link)
            namespace.ip(f"link set {link} down")
            received(port)
            assert send(port, frame(1), frame(2)) == 2
            assert port.stats.tx_down == 2, spec
            namespace.up(link)
            if link == "left0":
                namespace.wait_carrier("right0")
            sent = port.stats.tx_frames
            assert send(port, frame(3)) == 1
            assert port.stats.tx_frames == sent + 1, spec


def test_row_10_a_peer_that_is_not_there_yet_is_no_error(namespace: Namespace) -> None:
    """Frames to a port that nobody has are noted as unreachable, and pass once somebody has it."""
    with vecwire.open(L2TP) as port:
        for number in range(5):
            assert send(port, frame(number)) == 1
            received(port)
        assert port.stats.unreachable > 0
        other = "l2tpv3,udp=1,src=127.0.0.2,dst=127.0.0.1,srcport=1702,dstport=1701,rx_session=2,tx_session=1"
        with vecwire.open(other) as peer:
            send(port, frame(9))
            assert received_in_time(peer) == [frame(9)]
    assert namespace.path.exists()


# Rows 11 and 14: what arrives on a tunnel is judged before it is believed.


def ipv4(protocol: int, body: bytes, *, options: bytes = b"", source: str = RIGHT4) -> bytes:
    """A whole IPv4 packet to the left end."""
    size = 5 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x40 | size, 0, size * 4 + len(body), 1, 0, 64, protocol, 0),
        *(socket.inet_aton(source), socket.inet_aton(LEFT4)),
    )
    head += options
    return head[:10] + struct.pack("!H", ~ones_complement_sum(head) & 0xFFFF) + head[12:] + body


@contextlib.contextmanager
def packet_sender() -> Iterator[socket.socket]:
    """A raw socket that sends whole IPv4 packets."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        yield sender


@pytest.mark.usefixtures("namespace")
def test_row_11_options_of_ip_are_stepped_over_and_runts_counted() -> None:
    """A GRE packet behind IP options is delivered right; one cut short anywhere is a counted runt."""
    with vecwire.open("gre,src=127.0.0.1,dst=127.0.0.2") as port, packet_sender() as sender:
        gre = b"\x00\x00\x65\x58" + frame(1)
        sender.sendto(ipv4(47, gre, options=b"\x01" * 8), (LEFT4, 0))
        assert received_in_time(port) == [frame(1)]
        for cut in range(18):
            sender.sendto(ipv4(47, gre[:cut]), (LEFT4, 0))
        sender.sendto(ipv4(47, gre), (LEFT4, 0))
        assert received_in_time(port) == [frame(1)]
        assert port.stats.rx_runt == 18


@pytest.mark.usefixtures("namespace")
def test_row_14_only_the_peer_is_heard_and_its_first_word_is_read() -> None:
    """Another source with the right session is not heard; a wrong version, session or control is counted."""
    good = struct.pack("!HHI", 3, 0, 1) + frame(1)
    with vecwire.open(L2TP) as port, contextlib.ExitStack() as stack:

        def bound(host: str, number: int) -> socket.socket:
            made = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made.bind((host, number))
            return made

        peer, stranger = bound(RIGHT4, 1702), bound("127.0.0.3", 1702)
        same_host = bound(RIGHT4, 1703)
        for source in (stranger, same_host):
            # Nobody else is delivered to the connected socket: the kernel may answer with an error.
            with contextlib.suppress(ConnectionRefusedError):
                source.sendto(good, (LEFT4, 1701))
        for packet in (
            struct.pack("!HHI", 2, 0, 1) + frame(2),
            struct.pack("!HHI", 0x8003, 0, 1) + frame(3),
            struct.pack("!HHI", 3, 0, 9) + frame(4),
            struct.pack("!HHI", 3, 0, 0) + frame(5),
            good,
        ):
            peer.sendto(packet, (LEFT4, 1701))
        assert received_in_time(port) == [frame(1)]
        stats = port.stats
        assert (stats.rx_frames, stats.rx_bad_header, stats.rx_control, stats.rx_bad_session) == (1, 1, 2, 1)


@pytest.mark.usefixtures("namespace")
def test_row_14_what_came_before_the_connection_is_thrown_away() -> None:
    """Packets that strangers send while a tunnel is being opened are never delivered."""
    gre = ipv4(47, b"\x00\x00\x65\x58" + frame(1), source="127.0.0.3")
    stop = threading.Event()

    def flood() -> None:
        with packet_sender() as sender:
            while not stop.is_set():
                sender.sendto(gre, (LEFT4, 0))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(50):
            with vecwire.open("gre,src=127.0.0.1,dst=127.0.0.2") as port:
                assert received(port) == []
    finally:
        stop.set()
        thread.join()


# Row 16: what the host refuses is noticed, reported, and done without.


def test_row_16_offloads_are_lowered_and_reported(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel refuses offloads of a tap, fewer are asked for, and what was refused is told."""
    monkeypatch.setattr(
        _tun,
        "OFFLOADS",
        (
            (0x4000_0000, Offload.UDP_SUPER_FRAMES),
            (0x2000_0000, Offload.TCP_SUPER_FRAMES),
            (1, Offload.CHECKSUM),
        ),
    )
    with vecwire.open("tap,ifname=tap0") as port:
        namespace.up("tap0")
        assert set(port.info.refused) == {"udp super-frames", "tcp super-frames"}
        assert "checksum" in port.info.offloads
        assert send(port, frame(1)) == 1


def test_row_16_the_length_of_the_header_is_set(namespace: Namespace) -> None:
    """A persistent tap whose last user had headers of 12 octets is used with those of 10."""
    namespace.tap("tap0")
    fd = os.open(_tun.PATH, os.O_RDWR)
    try:
        flags = _tun.IFF_TAP | _tun.IFF_NO_PI | _tun.IFF_VNET_HDR
        fcntl.ioctl(fd, _tun.TUNSETIFF, struct.pack("=16sH22x", b"tap0", flags))
        fcntl.ioctl(fd, _tun.TUNSETVNETHDRSZ, struct.pack("=i", 12))
    finally:
        os.close(fd)
    with vecwire.open("tap,ifname=tap0") as port, vecwire.open("raw,ifname=tap0") as peer:
        size = struct.unpack("=i", fcntl.ioctl(port.info.descriptors["rx"], TUNGETVNETHDRSZ, bytes(4)))[0]
        assert size == 10
        send(port, frame(1))
        assert received_in_time(peer) == [frame(1)]


# Row 17: a header is read to its end, whatever its flags say.


@pytest.mark.parametrize("flags", [0, 2], ids=["checksum unknown", "DATA_VALID"])
def test_row_17_a_verified_super_frame_is_a_super_frame_still(flags: int) -> None:
    """Marked DATA_VALID or not, a super-frame leaves a tunnel as segments, whole and with right checksums."""
    built, header, payload = super_frame(octets=10_000)
    marked = vecwire.Vnet(flags, header.gso_type, header.hdr_len, header.gso_size)
    with joined("l2tpv3-udp") as ends:
        out = ends.left.batch()
        out.append(built, marked)
        assert ends.left.send(out) == 1
        batch = ends.right.batch()
        found: list[tuple[bytes, vecwire.Vnet]] = []

        def whole() -> bool:
            ends.right.recv(batch)
            found.extend((bytes(batch[i]), batch.vnet(i)) for i in range(len(batch)))
            return len(found) >= 8

        wait_until(whole, timeout=PATIENCE, what="all segments came")
        assert len(found) == 8
        assert rejoin(found) == payload
        assert ends.left.stats.tx_split == 1


# Row 18: the own-MAC filter is a program of six instructions that is attached, replaced and detached.


def test_row_18_the_program_is_that_of_the_driver() -> None:
    """The filter compares the source's last four octets, then its first two, in six instructions."""
    assert bpf.own_mac("02:00:00:00:00:aa") == (
        (0x20, 0, 0, 8),
        (0x15, 0, 3, 0x000000AA),
        (0x28, 0, 0, 6),
        (0x15, 0, 1, 0x0200),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0x40000),
    )


REAL = [kind for kind in TRANSPORTS if kind != "memory"]


@pytest.mark.parametrize("kind", REAL)
def test_row_18_own_frames_are_filtered_on_every_transport(kind: str) -> None:
    """With ``mac=``, frames from that source are not received, and all others are."""
    with joined(kind, f",mac={LEFT}") as ends:
        for sender, receiver, other in ((ends.left, ends.right, "cc"), (ends.right, ends.left, "dd")):
            # The last octets and the first are compared apart; no address is seen on both sides of a bridge.
            near = f"06:00:00:00:00:{other}"
            frames = [frame(1), frame(2, source=near), frame(3), frame(4, source=f"02:00:00:01:00:{other}")]
            send(sender, *(each.replace(mac(RIGHT), b"\xff" * 6, 1) for each in frames))
            passed = [each.replace(mac(RIGHT), b"\xff" * 6, 1) for each in (frames[1], frames[3])]
            assert received_in_time(receiver, 2) == passed


@pytest.mark.parametrize("kind", REAL)
def test_row_18_a_file_of_instructions_is_attached(kind: str, tmp_path: Path) -> None:
    """With ``bpffile=``, what the program refuses is not received; a program may be replaced at run time."""
    program = tmp_path / "none.bpf"
    program.write_bytes(bpf.pack(bpf.drop_all()))
    with joined(kind, f",bpffile={program},bpfflash=1") as ends:
        send(ends.left, frame(1))
        send(ends.right, frame(1))
        assert received(ends.left) == []
        ends.left.attach_filter(None)  # type: ignore[attr-defined]  # of transports, not of the contract
        send(ends.right, frame(2))
        assert received_in_time(ends.left) == [frame(2)]
        assert received(ends.right) == []


@pytest.mark.usefixtures("namespace")
def test_row_18_a_filter_is_detached_at_close() -> None:
    """A descriptor that outlives its port has no filter any more."""
    with vecwire.open(f"raw,ifname=left0,mac={LEFT}") as port, vecwire.open("raw,ifname=right0") as peer:
        kept = os.dup(port.info.descriptors["rx"])
        try:
            port.close()
            send(peer, frame(7))
            assert select.select([kept], [], [], PATIENCE)[0]
            octets = os.read(kept, 4096)
            assert octets[10:] == frame(7)
        finally:
            os.close(kept)


@pytest.mark.usefixtures("namespace")
def test_a_filter_is_replaced_only_where_the_spec_says_so() -> None:
    """Without ``bpfflash=1`` a running port takes no new filter, and says what would allow it."""
    with vecwire.open("raw,ifname=left0") as port, pytest.raises(PortError) as caught:
        port.attach_filter(None)
    assert "bpfflash=1" in caught.value.remedy
