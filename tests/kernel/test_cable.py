"""A cable between any two transports: TCP of two kernels passes, whole, with no bad checksum and no stall."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.accounting import cable
from peers.frames import fill, frame, rejoin, super_frame
from peers.hosts import ATTACHED_BY, MTU, assert_healthy, attached, cabled, transfer
from peers.net import Namespace, open_descriptors, veth, wait_until
from vecwire import ClosedError, PortError, Vnet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Port

PATIENCE = 5.0
OCTETS = 4 * 1024 * 1024


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(ATTACHED_BY, 2)))
def test_tcp_passes_whole_between_any_two_transports(a: str, b: str) -> None:
    """TCP passes both ways, octet for octet, with no bad checksum and no storm of retransmissions."""
    with cabled(a, b) as (left, right, _):
        transfer(left, right, "10.9.0.2", OCTETS)
        transfer(right, left, "10.9.0.1", OCTETS)
        assert_healthy(left, right)


@pytest.mark.parametrize(("a", "b"), [("tap", "raw"), ("raw", "l2tpv3"), ("hybrid", "bess"), ("tap", "gre")])
@pytest.mark.parametrize("options", ["", ",gro=0", ",vec=0", ",depth=1"])
def test_options_change_how_frames_move_not_what_arrives(a: str, b: str, options: str) -> None:
    """Without super-frames, one frame a call or a batch of one: TCP over IPv6 passes all the same."""
    with cabled(a, b, options=options) as (left, right, _):
        left.namespace.wait_reachable("fd09::2")
        transfer(left, right, "fd09::2", OCTETS // 2)
        transfer(right, left, "fd09::1", OCTETS // 2)
        assert_healthy(left, right)


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("octets", [500, 30_000], ids=["frame", "super-frame"])
def test_vlan_tags_that_the_kernel_takes_out_are_put_back(pair: Namespace, octets: int, ipv6: bool) -> None:
    """Tagged frames and super-frames pass a cable of two packet sockets with their tags and checksums."""
    built, header, payload = super_frame(octets, ipv6=ipv6, vlan=42)
    if octets < header.gso_size:
        header = Vnet(header.flags, 0, 0, 0, header.csum_start, header.csum_offset)
    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=left1") as near,
        vecwire.open("raw,ifname=right1") as far,
        cable(a, b),
    ):
        out, batch = near.batch(), far.batch()
        out.append(built, header)
        near.send(out)
        found: list[tuple[bytes, Vnet]] = []

        def whole() -> bool:
            far.recv(batch)
            found.extend((bytes(batch[i]), batch.vnet(i)) for i in range(len(batch)))
            return sum(len(each) for each, _ in found) >= len(payload)

        wait_until(whole, timeout=PATIENCE, what="all came")
        assert all(each[:16] == built[:16] for each, _ in found)
        assert rejoin(found) == payload
        assert a.stats.rx_vlan > 0
        assert far.stats.rx_vlan > 0
    assert pair.path.exists()


def test_jumbo_frames_pass() -> None:
    """With an inner MTU of 9000, TCP passes between a tap and a record socket."""
    with cabled("tap", "bess", mtu=9000) as (left, right, _):
        assert left.namespace.ping("10.9.0.2", size=8972).lost == 0
        transfer(left, right, "10.9.0.2", OCTETS)
        assert_healthy(left, right)


# Ports that go away and come back, under a running cable.


@pytest.fixture
def pair() -> Iterator[Namespace]:
    """A namespace that the test is in, with the veth pairs left0-left1 and right0-right1."""
    with Namespace("cable", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "left1"))
        veth((made, "right0"), (made, "right1"))
        yield made


def send(port: Port, *frames: bytes) -> None:
    """Sends frames as one batch."""
    batch = port.batch()
    fill(batch, list(frames))
    port.send(batch)


def passes(source: Port, sink: Port, number: int) -> bool:
    """Whether a frame passes from one port to another now."""
    send(source, frame(number))
    batch = sink.batch()
    if not sink.wait(0.1):
        return False
    sink.recv(batch)
    return any(bytes(each) == frame(number) for each in batch)


def test_an_interface_that_is_deleted_and_made_again_heals(pair: Namespace) -> None:
    """A cable whose interface vanishes goes on once one of that name is there, without help."""
    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=right1") as far,
        cable(a, b),
    ):
        with vecwire.open("raw,ifname=left1") as near:
            wait_until(lambda: passes(near, far, 1), timeout=PATIENCE, what="frames pass")
        pair.ip("link del left0")
        wait_until(lambda: not a.info.up, timeout=PATIENCE, what="the loss is seen")
        veth((pair, "left0"), (pair, "left1"))
        with vecwire.open("raw,ifname=left1") as near:
            wait_until(lambda: passes(near, far, 2), timeout=PATIENCE, what="frames pass again")
            wait_until(lambda: passes(far, near, 3), timeout=PATIENCE, what="both ways")
        assert a.stats.recovered >= 1
        assert b.stats.lost == 0


def test_an_interface_that_goes_down_and_up_heals(pair: Namespace) -> None:
    """A cable goes on when an interface is up again, with the same socket."""
    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=left1") as near,
        vecwire.open("raw,ifname=right1") as far,
        cable(a, b),
    ):
        before = a.info.descriptors
        pair.ip("link set left0 down")
        pair.ip("link set left0 up")
        wait_until(lambda: passes(near, far, 1), timeout=PATIENCE, what="frames pass again")
        assert a.info.descriptors == before


def test_a_deleted_tap_is_made_again(pair: Namespace) -> None:
    """A cable whose tap is deleted makes it again and goes on."""
    with (
        vecwire.open("tap,ifname=tap0") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=right1") as far,
        cable(a, b),
    ):
        pair.up("tap0")
        pair.ip("link del tap0")
        wait_until(lambda: a.stats.recovered == 1 and a.info.up, timeout=PATIENCE, what="the tap is back")
        pair.up("tap0")
        with vecwire.open("raw,ifname=tap0") as near:
            wait_until(lambda: passes(near, far, 1), timeout=PATIENCE, what="frames pass again")


@pytest.mark.usefixtures("pair")
def test_the_next_client_is_served_by_a_running_cable() -> None:
    """A cable with a listening end serves one client after the other, and drops what comes in between."""
    with (
        vecwire.open("bess,listen=@guest") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=right1") as far,
        cable(a, b),
    ):
        for number in range(3):
            with vecwire.open("bess,dst=@guest") as guest:
                wait_until(lambda: a.info.up, timeout=PATIENCE, what="the client is served")
                wait_until(lambda: passes(guest, far, 1), timeout=PATIENCE, what="frames pass")
                wait_until(lambda: passes(far, guest, 2), timeout=PATIENCE, what="both ways")
            wait_until(lambda: not a.info.up, timeout=PATIENCE, what="the client has gone")
            dropped = a.stats.tx_down
            send(far, frame(3))
            wait_until(lambda: a.stats.tx_down > dropped, timeout=PATIENCE, what="a frame is dropped")  # noqa: B023
            assert a.stats.lost == number + 1


# Back-pressure.


@pytest.mark.usefixtures("pair")
def test_a_peer_that_never_reads_holds_up_nobody_else() -> None:
    """Frames for a client that does not read are held, then dropped and counted; the other way is free."""
    with (
        vecwire.open("bess,listen=@guest,depth=8") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("bess,dst=@guest") as guest,
        vecwire.open("raw,ifname=right1") as far,
        cable(a, b),
    ):
        wait_until(lambda: a.info.up, timeout=PATIENCE, what="the client is served")

        def overflown() -> bool:
            send(far, *(frame(i, 1400) for i in range(32)))
            return a.stats.tx_full > 0

        wait_until(overflown, timeout=PATIENCE, what="frames are dropped")
        wait_until(lambda: passes(guest, far, 1), timeout=PATIENCE, what="the other way is free")
        stats = a.stats
        assert stats.tx_held >= 8
        assert b.stats.rx_frames == stats.tx_frames + stats.tx_full + a.channel.held
        # What was held leaves in order once there is room, and what comes after it follows.
        batch = guest.batch()
        seen: list[bytes] = []

        def emptied() -> bool:
            if guest.recv(batch):
                seen.extend(bytes(each) for each in batch)
            return a.channel.held == 0 and not guest.wait(0.05)

        wait_until(emptied, timeout=PATIENCE, what="all that was held has left")
        assert len(seen) == a.stats.tx_frames
        wait_until(lambda: passes(far, guest, 77), timeout=PATIENCE, what="new frames follow")


# Who may do what with a port that is in a cable.


@pytest.mark.usefixtures("pair")
def test_a_port_in_a_cable_is_its_own() -> None:
    """While a cable runs, nobody else may receive, send, join or close its ports; afterwards anybody may."""
    with vecwire.open("raw,ifname=left0") as a, vecwire.open("raw,ifname=right0") as b:
        batch = a.batch()
        cable = vecwire.Cable(a, b).start()
        try:
            for call in (
                lambda: a.recv(batch),
                lambda: a.send(batch),
                a.close,
                vecwire.Cable(a, b).start,
            ):
                with pytest.raises(PortError) as caught:
                    call()
                assert "cable" in str(caught.value).lower()
        finally:
            cable.stop()
        assert a.recv(batch) == 0
        assert not cable.running
        with vecwire.Cable(a, b) as again:
            assert again.running


@pytest.mark.usefixtures("pair")
def test_a_cable_needs_two_open_ports() -> None:
    """A cable of one port with itself, of a closed port or with a negative poll is refused."""
    with vecwire.open("raw,ifname=left0") as a, vecwire.open("raw,ifname=right0") as b:
        with pytest.raises(PortError):
            vecwire.Cable(a, a)
        with pytest.raises(ValueError, match="poll"):
            vecwire.Cable(a, b, poll=-1)
        b.close()
        with pytest.raises(ClosedError):
            vecwire.Cable(a, b)


@pytest.mark.usefixtures("pair")
def test_a_stopped_cable_leaves_nothing() -> None:
    """Starting and stopping leaves no thread and no descriptor; doing either twice does no harm."""
    with vecwire.open("raw,ifname=left0") as a, vecwire.open("raw,ifname=right0") as b:
        vecwire.Cable(a, b).start().stop()
        # What earlier tests have left to be collected would go meanwhile.
        gc.collect()
        threads, descriptors = threading.active_count(), open_descriptors()
        for _ in range(20):
            cable = vecwire.Cable(a, b)
            cable.start().start()
            cable.stop()
            cable.stop()
        del cable
        assert threading.active_count() == threads
        assert open_descriptors() == descriptors


@pytest.mark.usefixtures("pair")
def test_an_idle_cable_sleeps() -> None:
    """A cable with nothing to do is not woken, whether its peers are there or not."""
    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open("bess,listen=@nobody") as b,
        cable(a, b) as joined,
    ):
        with socket.socket() as quiet:
            quiet.settimeout(0.5)
            quiet.bind(("127.0.0.1", 0))
            quiet.listen()
            before = joined.wakeups
            with pytest.raises(TimeoutError):
                quiet.accept()
        assert joined.wakeups - before <= 1


@pytest.mark.parametrize("poll", [0, 200])
def test_polling_changes_nothing_that_arrives(poll: int) -> None:
    """A cable that looks again before it sleeps passes the same."""
    with (
        attached("tap") as left,
        attached("raw") as right,
        vecwire.open(left.spec) as first,
        vecwire.open(right.spec) as second,
        cable(first, second, poll=poll),
    ):
        left.configure(1, MTU)
        right.configure(2, MTU)
        left.namespace.wait_reachable("10.9.0.2")
        transfer(left, right, "10.9.0.2", OCTETS)
        assert_healthy(left, right)


# Interfaces that cannot cut super-frames: past the queueing discipline nobody else does.


@pytest.mark.parametrize("moment", ["before", "while"])
def test_super_frames_leave_where_the_interface_cannot_cut_them(pair: Namespace, moment: str) -> None:
    """Where an interface does not segment, or stops to, super-frames leave as segments, and that is told."""
    built, header, payload = super_frame()
    if moment == "before":
        pair.offloads("left0", tso=False)
    with vecwire.open("raw,ifname=left0") as a, vecwire.open("raw,ifname=left1") as near:
        assert ("super-frames" in a.info.refused) == (moment == "before")
        pair.offloads("left0", tso=False)
        out, batch = a.batch(), near.batch()
        out.append(built, header)
        wait_until(lambda: a.send(out), timeout=PATIENCE, what="it is sent")
        found: list[tuple[bytes, Vnet]] = []

        def whole() -> bool:
            near.recv(batch)
            found.extend((bytes(batch[i]), batch.vnet(i)) for i in range(len(batch)))
            return sum(len(each) for each, _ in found) >= len(payload)

        wait_until(whole, timeout=PATIENCE, what="all came")
        assert rejoin(found) == payload
        assert (a.stats.tx_split, a.stats.downgrades) == (1, 0 if moment == "before" else 1)
        assert "super-frames" in a.info.refused


# What lasts: a peer that is not there yet, an interface without a carrier, no descriptors.


def test_a_tunnel_whose_peer_is_not_there_is_not_lost(pair: Namespace) -> None:
    """However many ICMP errors come back, the socket stays the same, and works once the peer is there."""
    pair.ip("addr add 127.0.0.2/8 dev lo")
    ends = [
        f"l2tpv3,udp=1,src=127.0.0.{mine},dst=127.0.0.{other},srcport=170{mine},dstport=170{other}"
        f",rx_session={mine},tx_session={other}"
        for mine, other in ((1, 2), (2, 1))
    ]
    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open(ends[0]) as b,
        vecwire.open("raw,ifname=left1") as near,
        vecwire.Cable(a, b),
    ):

        def refused() -> bool:
            send(near, frame(1))
            return b.stats.unreachable > 250

        wait_until(refused, timeout=PATIENCE, what="errors come back", interval=0.001)
        assert b.stats.lost == 0
        with vecwire.open(ends[1]) as far:
            wait_until(lambda: passes(near, far, 2), timeout=PATIENCE, what="frames pass")


def test_an_interface_without_a_carrier_costs_little_and_is_used_whole_again(pair: Namespace) -> None:
    """What is held for it is tried less and less often and given up; super-frames leave whole afterwards."""
    built, header, _ = super_frame()
    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=left1") as near,
        vecwire.Cable(a, b),
    ):
        out = near.batch()
        out.append(built, header)
        pair.ip("link set right1 down")
        near.send(out)
        wait_until(lambda: b.stats.tx_stalls, timeout=PATIENCE, what="the frame is held")
        wait_until(lambda: b.stats.tx_down, timeout=PATIENCE, what="the frame is given up")
        assert b.channel.held == 0
        assert b.stats.tx_stalls < 200
        pair.ip("link set right1 up")
        pair.wait_carrier("right0")

        def whole() -> bool:
            near.send(out)
            return b.stats.tx_super > 0

        wait_until(whole, timeout=PATIENCE, what="a super-frame leaves whole")
        assert b.stats.downgrades == 0


def test_a_server_without_descriptors_waits_for_some(
    pair: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that cannot be taken for want of a descriptor is tried now and then, until it is served."""
    real, refusals = os.dup, 0

    def short(fd: int) -> int:
        nonlocal refusals
        if threading.current_thread().name == "vecwire-keeper" and refusals < 8:
            refusals += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(fd)

    with (
        vecwire.open("bess,listen=@guest") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=right1") as far,
        vecwire.Cable(a, b) as cable,
    ):
        monkeypatch.setattr(os, "dup", short)
        with vecwire.open("bess,dst=@guest") as guest:
            wait_until(lambda: passes(guest, far, 1), timeout=PATIENCE, what="the client is served")
        assert refusals == 8
        assert cable.wakeups < 200
    assert pair.path.exists()
