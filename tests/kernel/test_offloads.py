"""UDP_SEGMENT and UDP_GRO under L2TPv3: what arrives, what the kernel refuses, and what is said of it."""

from __future__ import annotations

import ctypes
import errno
import platform
import select
import socket
import struct
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oracle import internet
from oracle.shapes import SHAPES, asking
from oracle.streams import STREAM
from peers.accounting import accounted
from peers.frames import fill, frame
from peers.net import wait_until
from peers.wan import PATIENCE, TO_FAR, Wan, datagrams, inside, routed, send_train, shrink, wan
from vecwire import Batch
from vecwire.path.channel import Channel
from vecwire.wire import encap
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vecwire.transports import TransportPort

UDP_GRO = 104
SO_NO_CHECK = 11
#: A slow link with a queue that is never full: the socket waits, nothing is dropped.
TBF = ("rate", "300mbit", "burst", "16kb", "limit", "50mb")
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SENDMMSG = {"x86_64": 307, "aarch64": 269}


@pytest.fixture
def link() -> Iterator[Wan]:
    """A link of MTU 1500."""
    with wan() as made:
        yield made


def numbered(lengths: Sequence[int]) -> list[bytes]:
    """Frames of these lengths, told apart by their numbers."""
    return [frame(number, length) for number, length in enumerate(lengths)]


def send_batch(port: TransportPort, batch: Batch) -> None:
    """Sends a batch to its end, and what is held of it, waiting for room where there is none."""
    first = 0
    while first < len(batch) or port.channel.held:
        first += port.send(batch, first)
        if first < len(batch) or port.channel.held:
            assert port.wait(PATIENCE, write=True), "there is never room to send"


def send_all(port: TransportPort, frames: Sequence[bytes]) -> None:
    """Sends frames as one batch."""
    batch = port.batch(len(frames))
    fill(batch, list(frames))
    send_batch(port, batch)


def collect(port: TransportPort, count: int, batch: Batch | None = None) -> list[bytes]:
    """Receives until there are `count` frames."""
    batch = port.batch() if batch is None else batch
    found: list[bytes] = []

    def enough() -> bool:
        port.recv(batch)
        found.extend(bytes(each) for each in batch)
        return len(found) >= count

    wait_until(enough, timeout=PATIENCE, what=f"{count} frames came")
    return found


def slots_of(batch: Batch) -> list[int]:
    """The slot that each frame of a batch lies in."""
    stride = batch.data.nbytes // batch.depth
    return [start // stride for start in batch.starts]


# Sending: packets of one length leave in one message.


@pytest.mark.parametrize(
    ("lengths", "trains"),
    [
        ([100] * 10, 1),
        ([100] * 10 + [60], 1),
        ([100] * 10 + [60] * 5, 2),
        ([100] * 3 + [200] * 5 + [100], 2),
        ([60, 61, 62, 63], 0),
        ([63, 62, 61, 60], 2),
        ([14, 1400, 14], 1),
        ([64] * 64, 1),
        ([64] * 65, 1),
        ([64] * 192, 3),
        ([1450] * 44, 1),
        ([1450] * 45, 1),
        ([1400] * 100, 3),
    ],
)
def test_trains_arrive_as_the_frames_that_they_are(link: Wan, lengths: list[int], trains: int) -> None:
    """Packets of one length share a message, a shorter one ends it, a longer one begins anew; all arrive."""
    far, port = link.far_socket(), link.near_port(",depth=256")
    frames = numbered(lengths)
    send_all(port, frames)
    assert datagrams(far, len(frames)) == [TO_FAR + each for each in frames]
    stats = port.stats
    assert (stats.tx_frames, stats.tx_trains, stats.tx_calls) == (len(frames), trains, 1)
    assert stats.tx_octets == sum(lengths)
    assert accounted(stats) == len(frames)


def test_messages_are_as_long_as_the_kernel_takes(link: Wan) -> None:
    """A receiver that takes whole messages sees at most 64 datagrams and 65507 octets in each."""
    far, port = link.far_socket(), link.near_port(",depth=256")
    far.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    send_all(port, numbered([100] * 100 + [1400] * 100))
    counts, longest = [], 0
    for _ in range(5):
        octets, control, _, _ = far.recvmsg(1 << 17, 64)
        counts.append(-(-len(octets) // struct.unpack("=i", control[0][2])[0]))
        longest = max(longest, len(octets))
    assert counts == [64, 36, 46, 46, 8]
    assert longest <= 65507


@pytest.mark.parametrize("name", SHAPES)
def test_segments_of_a_super_frame_travel_together(link: Wan, name: str) -> None:
    """A super-frame of any shape leaves in one message, and arrives as its segments."""
    far, port = link.far_socket(), link.near_port()
    segment = internet.located(replace(SHAPES[name], payload=STREAM[:40_000]))
    octets, asked = internet.build(segment, partial=True), asking(segment, 1200)
    batch = port.batch()
    batch.append(octets, asked)
    send_batch(port, batch)
    expected = segments(octets, asked)
    assert expected is not None
    assert datagrams(far, 34) == [TO_FAR + each for each in expected]
    stats = port.stats
    assert (stats.tx_split, stats.tx_segments, stats.tx_trains) == (1, 34, 1)
    assert accounted(stats) == 1


def test_trains_that_must_wait_leave_once(link: Wan) -> None:
    """Behind a slow link, with hardly a buffer, frames and segments leave once, in order, counted on."""
    link.near.run(["tc", "qdisc", "add", "dev", "wan0", "root", "tbf", *TBF])
    far, port = link.far_socket(), link.near_port(",counter=1")
    shrink(port)
    expected: list[bytes] = []
    offered = 0
    for number in range(4):
        batch = port.batch()
        for name in ("tcp4", "udp4", "tcp6"):
            segment = internet.located(replace(SHAPES[name], payload=STREAM[number : 30_000 + number]))
            octets, asked = internet.build(segment, partial=True), asking(segment, 1000)
            batch.append(octets, asked)
            expected += segments(octets, asked) or []
            plain = [frame(number, length) for length in (700, 700, 700, 650, 1400, 60, 60)]
            batch.extend(plain)
            expected += plain
        offered += len(batch)
        send_batch(port, batch)
    came = datagrams(far, len(expected))
    assert [each[12:] for each in came] == expected
    numbers = [struct.unpack_from("!I", each, 8)[0] for each in came]
    assert numbers == list(range(1, len(expected) + 1))
    stats = port.stats
    assert stats.tx_stalls > 3
    assert stats.tx_trains > 12
    assert accounted(stats) == offered


# Sending: what the kernel refuses is done without, and told.


def test_segments_above_the_mtu_leave_one_by_one(link: Wan) -> None:
    """Where packets are longer than the link's MTU they leave by themselves, in fragments; none is lost."""
    link.near.ip("link set wan0 mtu 1000")
    far, port = link.far_socket(), link.near_port(",counter=1")
    assert port.info.refused == {}
    frames = numbered([300] * 5 + [1200] * 20 + [300] * 20)
    send_all(port, frames)
    came = datagrams(far, len(frames))
    assert [each[12:] for each in came] == frames
    assert [struct.unpack_from("!I", each, 8)[0] for each in came] == list(range(1, len(frames) + 1))
    stats = port.stats
    assert (stats.downgrades, stats.tx_dropped, stats.tx_trains) == (1, 0, 2)
    assert accounted(stats) == len(frames)
    said = {"udp segmentation": "packets longer than 1211 octets leave one by one"}
    assert port.info.refused == said
    assert "udp segmentation" in port.info.offloads
    # It stays so, and nothing more is refused: the kernel is not asked again for what it cannot do.
    send_all(port, frames)
    assert [each[12:] for each in datagrams(far, len(frames))] == frames
    assert (port.stats.downgrades, port.info.refused) == (1, said)


def test_super_frames_above_the_mtu_leave_one_by_one(link: Wan) -> None:
    """A super-frame that is refused in the middle of a batch is taken up where it was, its segments alone."""
    link.near.ip("link set wan0 mtu 1000")
    far, port = link.far_socket(), link.near_port()
    segment = internet.located(replace(SHAPES["tcp4"], payload=STREAM[:58_900]))
    octets, asked = internet.build(segment, partial=True), asking(segment, 1400)
    batch = port.batch()
    for number in range(4):
        batch.append(frame(number, 200))
        batch.append(octets, asked)
    send_batch(port, batch)
    cut = segments(octets, asked) or []
    expected = [each for number in range(4) for each in (frame(number, 200), *cut)]
    assert datagrams(far, len(expected)) == [TO_FAR + each for each in expected]
    stats = port.stats
    assert (stats.tx_split, stats.downgrades, stats.tx_dropped) == (4, 1, 0)
    assert accounted(stats) == 8


def test_a_socket_without_checksums_sends_one_by_one(link: Wan) -> None:
    """Where the kernel refuses trains of any length (EINVAL), every packet leaves by itself in the end."""
    far, port = link.far_socket(), link.near_port()
    with inside(port) as found:
        found.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    frames = numbered([100] * 5 + [90] * 5 + [80, 70])
    send_all(port, frames)
    assert datagrams(far, len(frames)) == [TO_FAR + each for each in frames]
    assert (port.stats.tx_trains, port.stats.tx_dropped, port.stats.downgrades) == (0, 0, 3)
    assert port.info.refused == {"udp segmentation": "packets longer than 87 octets leave one by one"}


def refuse_single_messages(error: int) -> None:
    """Has this thread's `sendmmsg` of one message fail from now on (seccomp(2)), as a device might."""
    load, equal, answer = 0x20, 0x15, 0x06
    count = 32 if sys.byteorder == "little" else 36
    program = b"".join(
        struct.pack("=HBBI", *each)
        for each in (
            (load, 0, 0, 0),
            (equal, 0, 3, SENDMMSG[platform.machine()]),
            (load, 0, 0, count),
            (equal, 0, 1, 1),
            (answer, 0, 0, 0x00050000 | error),
            (answer, 0, 0, 0x7FFF0000),
        )
    )
    kept = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described) == 0


@pytest.mark.skipif(platform.machine() not in SENDMMSG, reason="the number of sendmmsg is not known here")
def test_a_device_without_checksums_gets_every_packet_alone(link: Wan) -> None:
    """Where the kernel says EIO to a train, no packet leaves with others any more, and none is lost."""
    far, port = link.far_socket(), link.near_port(",counter=1")
    frames = numbered([100] * 20)
    failed: list[BaseException] = []

    def send() -> None:
        try:
            refuse_single_messages(errno.EIO)
            send_all(port, frames)
        except BaseException as error:  # noqa: BLE001 told to the test's own thread
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert failed == []
    assert [each[8:12] for each in datagrams(far, 20)] == [struct.pack("!I", each + 1) for each in range(20)]
    assert (port.stats.downgrades, port.stats.tx_trains, port.stats.tx_dropped) == (1, 0, 0)
    assert port.info.refused == {"udp segmentation": "packets leave one by one"}
    assert "udp segmentation" not in port.info.offloads


@pytest.mark.parametrize("lengths", [[200] * 10, [200]], ids=["train", "alone"])
def test_a_report_about_an_earlier_packet_is_no_refusal(lengths: list[int]) -> None:
    """A router's word that an earlier packet was too long neither loses a short one nor turns trains off."""
    with routed(1400) as link:
        far, port = link.far_socket(), link.near_port()
        send_all(port, numbered([1420]))
        watch = select.poll()
        watch.register(port.info.descriptors["tx"], 0)
        assert watch.poll(PATIENCE * 1000), "the router has told"
        frames = numbered(lengths)
        send_all(port, frames)
        assert datagrams(far, len(frames)) == [TO_FAR + each for each in frames]
        stats = port.stats
        assert (stats.unreachable, stats.downgrades, stats.tx_dropped) == (1, 0, 0)
        # Now that the kernel knows the path, a train of long packets is refused, and they leave in fragments.
        frames = numbered([1420] * 10)
        send_all(port, frames)
        assert datagrams(far, len(frames)) == [TO_FAR + each for each in frames]
        assert (port.stats.downgrades, port.stats.tx_dropped) == (1, 0)


# Receiving: many frames in one piece.


def test_pieces_come_out_as_frames(link: Wan) -> None:
    """Datagrams that arrive in one piece are frames of their own, in order, in one slot, many a call."""
    near, port = link.near_socket(), link.far_port()
    frames = numbered([100] * 63 + [60] + [1400] * 40 + [70] * 2)
    for part, size in ((frames[:64], 108), (frames[64:104], 1408), (frames[104:], 78)):
        send_train(near, (TO_FAR + each for each in part), size)
    batch = port.batch()
    assert collect(port, len(frames), batch) == frames
    assert slots_of(batch) == [0] * 64 + [1] * 40 + [2] * 2
    assert (port.stats.rx_frames, port.stats.rx_calls) == (len(frames), 1)


def test_pieces_fit_a_batch_of_one_slot(link: Wan) -> None:
    """With `depth=1` a piece of 64 datagrams is 64 frames, and the next one waits for the next call."""
    near, port = link.near_socket(), link.far_port(",depth=1")
    frames = numbered([100] * 128)
    for part in (frames[:64], frames[64:]):
        send_train(near, (TO_FAR + each for each in part), 108)
    batch = port.batch()
    assert port.recv(batch) == 64
    assert [bytes(each) for each in batch] == frames[:64]
    assert collect(port, 64, batch) == frames[64:]


def test_a_bad_datagram_spoils_no_piece(link: Wan) -> None:
    """What is foreign or malformed inside a piece is counted by its reason; the rest of it is delivered."""
    near, port = link.near_socket(), link.far_port(",rx_cookie=7,tx_cookie=7")
    good = numbered([100] * 8)
    head = TO_FAR + struct.pack("!I", 7)
    pieces = [head + each for each in good]
    pieces.insert(1, struct.pack("!HHI", 3, 0, 5) + bytes(104))
    pieces.insert(3, struct.pack("!HHI", 2, 0, 0xFFFFFFFE) + bytes(104))
    pieces.insert(5, struct.pack("!HHI", 0xC803, 0, 0) + bytes(104))
    pieces.insert(7, TO_FAR + struct.pack("!I", 8) + bytes(100))
    pieces.append(head + b"short")
    send_train(near, pieces, 112)
    assert collect(port, len(good)) == good
    counted = {name: value for name, value in port.stats.counters.items() if value and name.startswith("rx_")}
    assert counted == {
        "rx_frames": 8,
        "rx_octets": 800,
        "rx_calls": 1,
        "rx_most": 8,
        "rx_bad_session": 1,
        "rx_bad_header": 1,
        "rx_control": 1,
        "rx_bad_cookie": 1,
        "rx_runt": 1,
    }


def test_frames_of_a_piece_are_sent_on_behind_longer_headers(link: Wan) -> None:
    """Headers longer than the room between the frames of a piece overwrite none of its frames."""
    near, port = link.near_socket(), link.far_port()
    frames = numbered([100] * 20)
    send_train(near, (TO_FAR + each for each in frames), 108)
    batch = port.batch()
    assert collect(port, len(frames), batch) == frames
    layout = encap.l2tpv3(
        rx_session=1, tx_session=2, tx_cookie=1 << 60, cookie64=True, counter=True, udp=True
    )
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.setblocking(False)
        there.settimeout(PATIENCE)
        channel = Channel()
        channel.attach(here.fileno(), here.fileno(), encapsulation=layout)
        assert channel.send(batch) == len(frames)
        assert [there.recv(1 << 16)[layout.tx_length :] for _ in frames] == frames
    assert [bytes(each) for each in batch] == frames


def test_a_full_table_takes_no_more(link: Wan) -> None:
    """Frames of a piece beyond those that a batch holds are counted; one more appended is refused."""
    near, far = link.near_socket(), link.far_socket()
    far.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    frames = numbered([100] * 10)
    send_train(near, (TO_FAR + each for each in frames), 108)
    layout = encap.l2tpv3(rx_session=0xFFFFFFFE, tx_session=1, udp=True)
    channel, batch = Channel(), Batch(2, frames_per_slot=2)
    channel.attach(far.fileno(), far.fileno(), encapsulation=layout, udp_gro=True)
    wait_until(lambda: channel.recv(batch), timeout=PATIENCE, what="the piece came")
    assert [bytes(each) for each in batch] == frames[:4]
    assert channel.counters()["rx_truncated"] == 6
    with pytest.raises(ValueError, match="4 frames"):
        batch.append(frames[4])
    assert [bytes(each) for each in batch] == frames[:4]


def test_a_batch_of_one_frame_a_slot_is_refused(link: Wan) -> None:
    """A port that receives pieces takes no batch that would lose all but the first frames of them."""
    port = link.far_port()
    with pytest.raises(ValueError, match=r"batch\(\)"):
        port.recv(Batch(8))


# Turned off.

OWN = "02:00:00:00:00:99"


@pytest.mark.parametrize(
    ("options", "segmentation", "gro"),
    [
        ("", True, True),
        (",gro=0", False, False),
        (",vec=0", False, False),
        (f",mac={OWN}", True, True),
        (",bpfflash=1", True, True),
        (",bpffile={}", True, True),
    ],
)
def test_options_turn_off_what_they_must(
    link: Wan, tmp_path: Path, options: str, segmentation: bool, gro: bool
) -> None:
    """`gro=0` and `vec=0` move single datagrams; a filter keeps no piece from coming whole; all arrive."""
    program = tmp_path / "accept.bpf"
    program.write_bytes(struct.pack("=HBBI", 6, 0, 0, 0xFFFFFFFF))
    near, port = link.near_socket(), link.far_port(options.format(program))
    offloads = set(port.info.offloads)
    assert ("udp segmentation" in offloads, "udp coalescing" in offloads) == (segmentation, gro)
    frames = numbered([100] * 20)
    send_all(port, frames)
    assert [each[8:] for each in datagrams(near, 20)] == frames
    assert (port.stats.tx_trains > 0) == segmentation
    mine = frame(7, 100, source=OWN)
    send_train(near, (TO_FAR + each for each in (frames[0], mine, *frames[1:])), 108)
    filtered = "mac" in options
    wanted = frames if filtered else [frames[0], mine, *frames[1:]]
    batch = port.batch()
    assert collect(port, len(wanted), batch) == wanted
    if port.spec.vec:
        assert len(set(slots_of(batch))) == (1 if gro else len(wanted))
