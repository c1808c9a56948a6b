"""How much of a worker a liar gets while others wait: turns, counted in what leaves, and never in seconds.

Everything waits before the worker begins, so that who comes first is the worker's choice alone. All leave by
one way out, where the order tells whose turn it was. It is judged for the first turn of who is honest: later
ones depend on how long earlier ones took, and so on what else the machine does.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import frame, mac, ours
from peers.guests import shaped
from peers.lan import BROADCAST, PATIENCE, address, links, send_all
from peers.net import Namespace, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire import Switch
    from vecwire.transports import TransportPort

#: Frames of a turn, and honest ones: as many as three turns have.
TURN = 64
HONEST = 3 * TURN
#: What the addresses of liars begin with.
LIARS = b"\x02\x66"
#: Stations of a switch.
SOURCE, SINK, DEAF = range(3)
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_VNET_HDR = 263, 15
LONGEST = 65_535


def told(number: int, destination: str = BROADCAST, length: int = 60) -> bytes:
    """What a liar sends: a frame that is not taken for an honest one."""
    octets = frame(number, length, destination=destination)
    return octets[:6] + LIARS + bytes(4) + b"\x88\xb6" + octets[14:]


def stacked(number: int, destination: str = BROADCAST) -> bytes:
    """A frame behind a stack of VLAN tags."""
    octets = told(number, destination)
    return octets[:12] + struct.pack("!HH", 0x8100, 1) * 10 + octets[12:]


def from_nobody(number: int, destination: str = BROADCAST) -> bytes:
    """A frame of a station that nobody has heard of."""
    octets = told(number, destination)
    return octets[:8] + struct.pack("!I", number) + octets[12:]


def long(number: int, destination: str = BROADCAST) -> bytes:
    """A frame of 60,000 octets."""
    return told(number, destination, 60_000)


#: What a client says, many times: where that leaves for others, and where it is dropped.
LEAVING: dict[str, Callable[[int, str], bytes]] = {
    "honest frames": told,
    "made up addresses": from_nobody,
    "stacks of VLAN tags": stacked,
    "frames of 60,000 octets": long,
}
DROPPED: dict[str, Callable[[int, str], bytes]] = {
    "reserved addresses": lambda number, _: told(number, "01:80:c2:00:00:01"),
    "runts": lambda *_: bytes(13),
    "empty records": lambda *_: b"",
}


@dataclass
class Site:
    """A switch whose worker does not run yet.

    Attributes:
        switch: the switch; all who speak are in one horizon, so that they are heard at the way out alone.
        heard: the port of the liar.
        station: who is honest.
        sink: the far end of the way out.
    """

    switch: Switch
    heard: TransportPort
    station: TransportPort
    sink: socket.socket

    def order(self, leaving: int) -> list[int]:
        """Has the worker begin, and everything leave; how much of the liar's left before each honest frame.

        Args:
            leaving: frames that the liar's leave as, all of them.
        """
        send_all(self.station, [frame(number) for number in range(HONEST)])
        self.switch.engine.start()
        before = 0
        found: list[int] = []
        while len(found) < HONEST or before < leaving:
            octets = self.sink.recv(128)
            if ours(octets):
                assert octets[:60] == frame(len(found)), "honest frames are lost, or overtake each other"
                found.append(before)
            elif octets[6:8] == LIARS:
                before += 1
        self.switch.engine.stop()
        return found


@contextlib.contextmanager
def site(namespace: Namespace, liar: str) -> Iterator[Site]:
    """A switch with a liar's port, an honest one, and a way out."""
    veth((namespace, "out0"), (namespace, "out1"))
    for end in ("out0", "out1"):
        namespace.ip(f"link set {end} mtu {LONGEST}")
    with (
        contextlib.closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sink,
        links(1) as (ports, stations),
        vecwire.open(liar) as heard,
        vecwire.open("raw,ifname=out0,gro=0") as way_out,
        vecwire.Switch() as switch,
    ):
        sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 27)
        sink.bind(("out1", ETH_P_ALL))
        sink.settimeout(PATIENCE)
        switch.engine.stop()
        switch.add(way_out)
        for port in (heard, *ports):
            switch.add(port, vecwire.Membership(horizon=1))
        yield Site(switch, heard, stations[0], sink)


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that the port of a client connects to: who accepts there is the client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("\0vecwire-turns")
        listener.listen(1)
        yield listener


def fill(connected: socket.socket, tell: Callable[[int, str], bytes], most: int) -> int:
    """Says something until no more is taken, or it was so often; how often."""
    for number in range(most):
        try:
            connected.send(tell(number, BROADCAST), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return number
    return most


@pytest.mark.parametrize("lie", LEAVING)
def test_a_client_gets_one_turn_before_others(lie: str) -> None:
    """Whatever a client says, and however much, who is honest has a turn after one of the client's."""
    with (
        Namespace("turns", ipv6=False) as namespace,
        namespace.enter(),
        listening() as listener,
        site(namespace, "bess,dst=@vecwire-turns") as found,
        listener.accept()[0] as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        many = fill(client, LEAVING[lie], 2 * HONEST)
        assert many > TURN or lie == "frames of 60,000 octets", "the liar has no more to say than a turn has"
        assert found.order(many)[TURN - 1] <= TURN


#: A guest's super-frames: octets, and octets of a segment.
SHAPES = {"segments of 1400": (8000, 1400), "segments of 8": (8000, 8)}
#: Super-frames that a guest has waiting, and segments of a turn at the most.
WAITING, SEGMENTS = 16, 8192


@pytest.mark.parametrize("shape", SHAPES)
def test_a_guest_gets_no_more_for_super_frames(shape: str) -> None:
    """However many segments a guest asks for, who is honest has a turn after one of the guest's."""
    octets, header, segment = shaped("tcp4", *SHAPES[shape])
    octets = mac(BROADCAST) + LIARS + bytes(4) + octets[12:]
    asked = -(-len(segment.payload) // SHAPES[shape][1])
    with Namespace("turns", ipv6=False) as namespace, namespace.enter():
        veth((namespace, "left0"), (namespace, "right0"))
        with (
            site(namespace, "raw,ifname=left0") as found,
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as guest,
        ):
            guest.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            guest.bind(("right0", 0))
            for _ in range(WAITING):
                guest.send(header.pack() + octets)
            assert found.order(WAITING * asked)[TURN - 1] <= min(TURN * asked, SEGMENTS)


@pytest.mark.parametrize("lie", LEAVING | DROPPED)
def test_an_honest_stream_arrives_whole_beside(lie: str) -> None:
    """Beside one who does not stop, a stream that waits for what it has sent arrives, in order and whole."""
    tell = (LEAVING | DROPPED)[lie]
    over = threading.Event()

    def lying(client: socket.socket) -> None:
        client.settimeout(0.1)
        for number in itertools.count():
            with contextlib.suppress(TimeoutError):
                client.send(tell(number, address(DEAF)))
            if over.is_set():
                return

    with (
        listening() as listener,
        links(3) as (ports, stations),
        vecwire.open("bess,dst=@vecwire-turns") as heard,
        listener.accept()[0] as client,
        vecwire.Switch() as switch,
    ):
        for port in (*ports, heard):
            switch.add(port)
        for number, station in enumerate(stations):
            send_all(station, [frame(0, source=address(number), destination=BROADCAST)])
        wait_until(lambda: len(switch.fdb()) >= len(stations), timeout=PATIENCE, what="all are known")
        liar = threading.Thread(target=lying, args=(client,))
        liar.start()
        try:
            batch = stations[SINK].batch()
            for first in range(0, HONEST, TURN // 4):
                sent = [
                    frame(number, source=address(SOURCE), destination=address(SINK))
                    for number in range(first, first + TURN // 4)
                ]
                send_all(stations[SOURCE], sent)
                found: list[bytes] = []
                while len(found) < len(sent):
                    assert stations[SINK].wait(PATIENCE), "honest frames are lost"
                    stations[SINK].recv(batch)
                    found += [bytes(each) for each in batch if each[6:12] == mac(address(SOURCE))]
                    found = [each for each in found if each[:6] == mac(address(SINK))]
                assert found == sent
        finally:
            over.set()
            liar.join()
        assert heard.stats.rx_frames + heard.stats.rx_dropped, "nobody lied"
