"""The contract of a port, over every transport and over the fake: one suite, the same for all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import fill, frame, ours, rejoin, super_frame
from peers.net import Namespace, open_descriptors, veth, wait_until
from peers.ports import PASSED, TRANSPORTS, WRAPPED, Joined, joined
from vecwire import Batch, ClosedError, Port, PortError, Vnet
from vecwire.wire.counters import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 5.0


#: Ports whose frames are judged one by one, and so seldom lost that it never happens here.
IMPAIRED = tuple(f"{kind},loss=0.0000001%" for kind in ("raw", "tap", "l2tpv3-udp", "bess"))


@pytest.fixture(params=[*TRANSPORTS, *IMPAIRED, *PASSED, *WRAPPED])
def ends(request: pytest.FixtureRequest) -> Iterator[Joined]:
    """Two joined ports of each kind in turn."""
    kind, comma, options = request.param.partition(",")
    with joined(kind, comma + options) as both:
        yield both


@pytest.fixture(params=["left", "right"])
def path(request: pytest.FixtureRequest, ends: Joined) -> tuple[Port, Port]:
    """A sender and a receiver, in both directions."""
    return (ends.left, ends.right) if request.param == "left" else (ends.right, ends.left)


def send_all(port: Port, frames: list[bytes]) -> None:
    """Sends frames, a batch at a time, waiting for room where there is none."""
    batch = port.batch()
    while frames:
        fill(batch, frames[: batch.depth])
        frames = frames[batch.depth :]
        first = 0
        while first < len(batch):
            done = port.send(batch, first)
            first += done
            if not done:
                assert port.wait(PATIENCE, write=True), "there is never room to send"


def counted(port: Port) -> dict[str, int]:
    """The counters that have moved."""
    return {name: value for name, value in port.stats.counters.items() if value}


def collect(port: Port, count: int, batch: Batch | None = None) -> list[bytes]:
    """Receives until there are `count` frames of ours."""
    batch = port.batch() if batch is None else batch
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} frames came: {counted(port)}"
        if not port.recv(batch):
            port.wait(0.2)
        found += [bytes(each) for each in batch if ours(each)]
    return found


def test_frames_arrive_as_they_were_sent(path: tuple[Port, Port]) -> None:
    """Frames of every length arrive in order, octet for octet."""
    sender, receiver = path
    frames = [frame(i, length) for i, length in enumerate([60, 61, 64, 128, 590, 1000, 1499, 1500, 1514])]
    send_all(sender, list(frames))
    assert collect(receiver, len(frames)) == frames


def test_more_frames_than_a_batch_arrive_in_order(path: tuple[Port, Port]) -> None:
    """Several batches' worth of frames keep their order and none is lost where the sender is not too fast."""
    sender, receiver = path
    frames = [frame(i, 100) for i in range(200)]
    got: list[bytes] = []
    for start in range(0, len(frames), 8):
        send_all(sender, frames[start : start + 8])
        got += collect(receiver, 8)
    assert got == frames


def test_nothing_waiting_is_zero_frames(path: tuple[Port, Port]) -> None:
    """Receiving where nothing waits gives 0, at once, and leaves the batch empty."""
    _, receiver = path
    batch = receiver.batch()
    wait_until(lambda: receiver.recv(batch) == 0, timeout=PATIENCE, what="the link is quiet")
    assert len(batch) == 0


def test_an_empty_batch_sends_nothing(path: tuple[Port, Port]) -> None:
    """Sending an empty batch is done with 0 frames and makes no count move."""
    sender, _ = path
    assert sender.send(sender.batch()) == 0
    assert sender.stats.tx_frames == 0


def test_waiting_ends_with_a_frame_or_with_the_time(path: tuple[Port, Port]) -> None:
    """``wait`` is False when nothing came in time and True when a frame did."""
    sender, receiver = path
    batch = receiver.batch()
    wait_until(lambda: receiver.recv(batch) == 0, timeout=PATIENCE, what="the link is quiet")
    assert not receiver.wait(0.0)
    send_all(sender, [frame(1)])
    assert receiver.wait(PATIENCE)
    assert collect(receiver, 1) == [frame(1)]
    assert sender.wait(PATIENCE, write=True)


def test_the_descriptor_tells_of_frames(path: tuple[Port, Port]) -> None:
    """``fileno`` is readable when frames wait, and not when none do."""
    sender, receiver = path
    batch = receiver.batch()
    wait_until(lambda: receiver.recv(batch) == 0, timeout=PATIENCE, what="the link is quiet")
    descriptor = receiver.fileno()
    assert select.select([descriptor], [], [], 0)[0] == []
    send_all(sender, [frame(1)])
    assert select.select([descriptor], [], [], PATIENCE)[0] == [descriptor]
    collect(receiver, 1)
    assert receiver.fileno() == descriptor


def test_a_runt_is_a_counted_drop(path: tuple[Port, Port]) -> None:
    """A frame shorter than its header is counted and dropped; those beside it pass."""
    sender, receiver = path
    batch = sender.batch()
    fill(batch, [frame(1), frame(2, 13), frame(3)])
    assert sender.send(batch) == 3
    assert collect(receiver, 2) == [frame(1), frame(3)]
    assert sender.stats.tx_runt == 1


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_frame_longer_than_its_slot_is_a_counted_drop(kind: str) -> None:
    """A frame that does not fit the slot is never delivered cut: it is counted, and the next one is good."""
    with joined(kind, ",gro=0") as ends:
        for sender, receiver in ((ends.left, ends.right), (ends.right, ends.left)):
            before = receiver.stats.rx_truncated
            send_all(sender, [frame(1, 1400), frame(2, 100)])
            assert collect(receiver, 1, Batch(8, size=600)) == [frame(2, 100)]
            assert receiver.stats.rx_truncated > before


def test_slots_too_short_for_a_port_are_refused() -> None:
    """A port that receives many datagrams in one piece refuses a batch that would cut them."""
    with joined("l2tpv3-udp") as ends, pytest.raises(ValueError, match="gro=0"):
        ends.left.recv(Batch(8, size=600))


def test_frames_and_octets_are_counted(path: tuple[Port, Port]) -> None:
    """Both ends count the frames and octets that passed, encapsulation left out."""
    sender, receiver = path
    frames = [frame(i, 200) for i in range(10)]
    before = receiver.stats
    send_all(sender, list(frames))
    collect(receiver, len(frames))
    assert (sender.stats.tx_frames, sender.stats.tx_octets) == (10, 2000)
    passed = receiver.stats - before
    assert passed.rx_frames >= 10
    assert passed.rx_octets >= 2000
    assert set(receiver.stats.counters) == set(MEANINGS)


def test_a_frame_can_be_rewritten_where_it_lies(path: tuple[Port, Port]) -> None:
    """A received batch, edited in place, is sent with the edit."""
    sender, receiver = path
    send_all(sender, [frame(1, 100)])
    batch = receiver.batch()
    collect_into(receiver, batch)
    place = next(i for i, each in enumerate(batch) if ours(each))
    batch[place][50:54] = b"EDIT"
    assert receiver.send(batch, place) >= 1
    echoed = collect(sender, 1)[0]
    assert echoed[50:54] == b"EDIT"
    assert echoed[:50] == frame(1, 100)[:50]


def collect_into(port: Port, batch: Batch) -> None:
    """Receives until the batch holds a frame of ours."""

    def received() -> bool:
        port.recv(batch)
        return any(ours(each) for each in batch)

    wait_until(received, timeout=PATIENCE, what="a frame came")


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("vlan", [None, 42], ids=["untagged", "vlan"])
def test_a_super_frame_loses_nothing(path: tuple[Port, Port], ipv6: bool, vlan: int | None) -> None:
    """A TCP super-frame arrives as one, or as segments, with the same payload and right checksums."""
    sender, receiver = path
    octets, header, payload = super_frame(20_000, ipv6=ipv6, vlan=vlan)
    out = sender.batch()
    out.append(octets, header)
    assert sender.send(out) == 1
    batch = receiver.batch()
    found: list[tuple[bytes, Vnet]] = []
    deadline = time.monotonic() + PATIENCE
    tag = octets[12:16] if vlan is not None else octets[12:14]
    while sum(len(each) for each, _ in found) < len(payload):
        assert time.monotonic() < deadline, "the super-frame did not arrive whole"
        if not receiver.recv(batch):
            receiver.wait(0.2)
        found += [
            (bytes(each), batch.vnet(place))
            for place, each in enumerate(batch)
            if bytes(each)[12 : 12 + len(tag)] == tag and bytes(each)[:6] == octets[:6]
        ]
    assert rejoin(found) == payload


def test_an_unfinished_checksum_is_finished_or_told(path: tuple[Port, Port]) -> None:
    """A frame that lacks its checksum arrives with it, or with a header that says that it lacks it."""
    sender, receiver = path
    octets, header, payload = super_frame(1000)
    out = sender.batch()
    out.append(octets, Vnet(header.flags, 0, 0, 0, header.csum_start, header.csum_offset))
    assert sender.send(out) == 1
    batch = receiver.batch()
    found: list[tuple[bytes, Vnet]] = []

    def received() -> bool:
        receiver.recv(batch)
        found.extend(
            (bytes(batch[i]), batch.vnet(i)) for i in range(len(batch)) if bytes(batch[i])[:14] == octets[:14]
        )
        return bool(found)

    wait_until(received, timeout=PATIENCE, what="the frame came")
    assert rejoin(found) == payload


def test_offloads_that_lie_are_counted_drops(path: tuple[Port, Port]) -> None:
    """A header whose offsets lie outside the frame is a counted drop, and the next frame passes."""
    sender, receiver = path
    out = sender.batch()
    out.append(frame(1), Vnet(flags=1, csum_start=60, csum_offset=6))
    out.append(frame(2), Vnet(gso_type=1, gso_size=0))
    out.append(frame(3), Vnet(gso_type=77, gso_size=100))
    out.append(frame(4))
    assert sender.send(out) == 4
    assert sender.stats.tx_bad_offload == 3
    assert collect(receiver, 1) == [frame(4)]


def test_a_sender_never_blocks(ends: Joined) -> None:
    """With nobody reading, ``send`` returns at once, takes no more in the end or drops, and goes on later."""
    batch = ends.left.batch()
    fill(batch, [frame(i, 1000) for i in range(batch.depth)])
    stalled = False
    for _ in range(100):
        if ends.left.send(batch) < len(batch):
            stalled = True
            break
    assert stalled == ends.blocking
    receiving = ends.right.batch()
    wait_until(lambda: ends.right.recv(receiving) == 0, timeout=PATIENCE, what="all is read")
    send_all(ends.left, [frame(999)])
    assert collect(ends.right, 1)[-1] == frame(999)


@pytest.mark.parametrize("kind", ["bess", "memory", "impaired:memory"])
def test_nothing_is_taken_while_the_peer_is_away(kind: str) -> None:
    """Once the other end is closed, ``send`` takes no frame and there is no room to wait for."""
    with joined(kind) as ends:
        batch = ends.left.batch()
        ends.right.close()
        ends.left.recv(batch)
        fill(batch, [frame(1)])
        assert ends.left.send(batch) == 0
        assert not ends.left.wait(0.0, write=True)
        assert not ends.left.info.up


def test_a_signal_interrupts_nothing(path: tuple[Port, Port]) -> None:
    """Signals that arrive all the time neither raise nor lose a frame."""
    sender, receiver = path
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        got: list[bytes] = []
        for start in range(0, 160, 16):
            send_all(sender, [frame(i) for i in range(start, start + 16)])
            got += collect(receiver, 16)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert got == [frame(i) for i in range(160)]


def test_a_closed_port_says_so(ends: Joined) -> None:
    """After ``close`` every call raises ``ClosedError``; closing again does no harm, counters can be read."""
    batch = ends.left.batch()
    ends.left.close()
    ends.left.close()
    assert ends.left.closed
    calls: tuple[Callable[[], object], ...] = (
        lambda: ends.left.recv(batch),
        lambda: ends.left.send(batch),
        lambda: ends.left.wait(0),
        ends.left.fileno,
    )
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    assert ends.left.stats.rx_frames >= 0
    assert not ends.left.info.up


def test_descriptors_are_private_and_never_block(ends: Joined) -> None:
    """Every descriptor is close-on-exec and non-blocking."""
    for port in (ends.left, ends.right):
        assert port.info.descriptors
        for descriptor in port.info.descriptors.values():
            assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK
        assert port.info.up


@pytest.mark.parametrize("kind", [each for each in (*TRANSPORTS, *PASSED) if each != "memory"])
def test_vec_0_moves_one_frame_a_call(kind: str) -> None:
    """With ``vec=0`` every system call moves one frame, and all of them arrive."""
    with joined(kind, ",vec=0") as ends:
        frames = [frame(i) for i in range(20)]
        send_all(ends.left, list(frames))
        assert collect(ends.right, 20) == frames
        assert ends.left.stats.tx_calls == ends.left.stats.tx_frames == 20
        assert ends.right.stats.rx_calls >= 20


@pytest.mark.parametrize("kind", [*TRANSPORTS, *PASSED, *WRAPPED])
def test_opening_and_closing_leaves_no_descriptor(kind: str) -> None:
    """A pair that is opened, used and closed leaves as many descriptors open as there were."""
    with joined(kind):
        pass
    before = open_descriptors()
    for _ in range(3):
        with joined(kind) as ends:
            ends.left.fileno()
            with contextlib.suppress(BlockingIOError):
                send_all(ends.left, [frame(1)])
    assert open_descriptors() == before


@pytest.mark.parametrize("kind", ["bess", "l2tpv3-udp", "raw"])
def test_one_thread_may_receive_while_another_sends(kind: str) -> None:
    """Reader and writer of one port do not disturb each other: every frame comes, in order."""
    with joined(kind) as ends:
        wanted = [frame(i, 200) for i in range(3000)]
        got: dict[str, list[bytes]] = {"left": [], "right": []}

        def read(name: str, port: Port) -> None:
            with contextlib.suppress(AssertionError):
                got[name] = collect(port, len(wanted))

        readers = [
            threading.Thread(target=read, args=(name, port))
            for name, port in (("left", ends.left), ("right", ends.right))
        ]
        for reader in readers:
            reader.start()
        writer = threading.Thread(target=send_all, args=(ends.right, list(wanted)))
        writer.start()
        send_all(ends.left, list(wanted))
        for thread in (writer, *readers):
            thread.join()
        for each in got.values():
            assert each == sorted(each, key=wanted.index)
            assert len(each) >= len(wanted) * (1 if kind == "bess" else 0.5)


@pytest.mark.parametrize("kind", ["bess", "l2tpv3-udp"])
def test_two_threads_that_send_through_one_port_are_told(kind: str) -> None:
    """However many threads send through one port, memory stays whole: the second one gets an error."""
    with joined(kind) as ends:
        told: list[PortError] = []
        stop = time.monotonic() + 1

        def hammer() -> None:
            batch = ends.left.batch()
            fill(batch, [frame(i, 1000) for i in range(batch.depth)])
            while time.monotonic() < stop:
                try:
                    ends.left.send(batch)
                except PortError as error:
                    told.append(error)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(error.errno == errno.EBUSY for error in told)
        batch = ends.right.batch()
        wait_until(lambda: ends.right.recv(batch) == 0, timeout=PATIENCE, what="all is read")
        send_all(ends.left, [frame(7)])
        assert collect(ends.right, 1)[-1] == frame(7)


def test_the_descriptor_of_a_lost_port_tells_when_to_try_again() -> None:
    """Whoever only looks at ``fileno`` brings a port back whose interface is made again."""
    with Namespace("lost", ipv6=False) as namespace, namespace.enter():
        veth((namespace, "left0"), (namespace, "right0"))
        with vecwire.open("raw,ifname=left0") as port:
            batch, descriptor = port.batch(), port.fileno()

            def looked_at() -> bool:
                if select.select([descriptor], [], [], PATIENCE)[0]:
                    port.recv(batch)
                return port.info.up

            namespace.ip("link del left0")
            wait_until(lambda: not looked_at(), timeout=PATIENCE, what="the loss is seen")
            assert not looked_at()
            veth((namespace, "left0"), (namespace, "right0"))
            wait_until(looked_at, timeout=PATIENCE, what="it is back")
            assert port.fileno() == descriptor
