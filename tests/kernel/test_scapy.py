"""scapy over every transport: what works over an interface works over a spec."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from scapy.ansmachine import AnsweringMachine
from scapy.interfaces import resolve_iface
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.sendrecv import AsyncSniffer, sendp, sniff, srp

import vecwire
from peers.frames import LEFT, RIGHT, frame, super_frame
from peers.ports import LOOPBACK, TRANSPORTS, joined
from vecwire import UnsupportedError
from vecwire.scapy import Interface, Socket
from vecwire.spec import parse, public

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10
KINDS = [kind for kind in TRANSPORTS if kind != "memory"]
PING: Any = Ether(src=LEFT, dst=RIGHT) / IP(src="10.9.0.1", dst="10.9.0.2") / ICMP(id=7) / Raw(bytes(64))


class Echo(AnsweringMachine[Any]):
    """Answers echo requests, whoever they are for."""

    function_name = "echo"

    def is_request(self, req: Any) -> bool:
        """Whether it is an echo request of ours."""
        return ICMP in req and req[ICMP].type == 8 and req[Ether].dst == RIGHT

    def make_reply(self, req: Any) -> Any:
        """The echo reply."""
        reply = Ether(src=req.dst, dst=req.src) / IP(src=req[IP].dst, dst=req[IP].src)
        return reply / ICMP(type=0, id=req[ICMP].id, seq=req[ICMP].seq) / req[Raw]


def listening(**options: Any) -> AsyncSniffer:
    """A sniffer that has begun to listen."""
    begun = threading.Event()
    sniffer = AsyncSniffer(started_callback=begun.set, **options)
    sniffer.start()
    assert begun.wait(PATIENCE)
    return sniffer


def ours(packet: Any) -> bool:
    """Whether a packet is of these tests: links have chatter of their own."""
    return bool(Ether in packet and packet[Ether].type == 0x88B5)


@pytest.mark.parametrize("kind", KINDS)
def test_sniff_what_sendp_sends(kind: str) -> None:
    """Packets that one end sends the other sniffs, octet for octet, each with its time."""
    frames = [frame(number, 100) for number in range(30)]
    with joined(kind, ",timestamps=1") as ends:
        left, right = Socket(ends.left), Socket(ends.right)
        sniffer = listening(opened_socket=right, count=len(frames), lfilter=ours)
        sendp([Ether(each) for each in frames], socket=left, verbose=0)
        sniffer.join(PATIENCE)
        found: Any = sniffer.results
        assert [bytes(packet) for packet in found] == frames
        assert all(0 < packet.time <= found[-1].time for packet in found)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answering_machine_answers(kind: str) -> None:
    """A machine answers on one end what the other asks, by the socket's sr, sr1 and am."""
    with joined(kind) as ends:
        left, right = Socket(ends.left), Socket(ends.right)
        machine = right.am(Echo, verbose=0)
        answering = machine.bg()
        try:
            reply: Any = left.sr1(PING, timeout=PATIENCE, retry=2, verbose=0)
            assert reply[ICMP].type == 0
            assert bytes(reply[Raw]) == bytes(64)
            answered, missing = left.sr([PING, PING], timeout=PATIENCE, verbose=0)
            assert (len(answered), len(missing)) == (2, 0)
        finally:
            answering.stop()


@pytest.mark.parametrize("kind", [*LOOPBACK, "bess"])
def test_a_spec_is_an_interface(kind: str) -> None:
    """Srp and sendp open the transport that stands where scapy takes an interface, and close it again."""
    left, right = LOOPBACK.get(kind, ("bess,dst=@vecwire-scapy", "bess,listen=@vecwire-scapy"))
    with joined("l2tpv3-udp" if kind == "bess" else kind) as ends:
        ends.left.close()
        ends.right.close()
        with Socket(right) as far:
            # What scapy's own files call it.
            assert Interface(right).name == parse(right).public
            assert far.iface == public(far.port.info.spec)
            machine = far.am(Echo, verbose=0)
            answering = machine.bg()
            try:
                answered, _ = srp(PING, iface=Interface(left), timeout=PATIENCE, retry=2, verbose=0)
                assert answered[0].answer[ICMP].type == 0
            finally:
                answering.stop()
            sniffer = listening(opened_socket=far, count=3, lfilter=ours)
            sendp([Ether(frame(number)) for number in range(3)], iface=Interface(left), verbose=0)
            sniffer.join(PATIENCE)
            found: Any = sniffer.results
            assert [bytes(packet) for packet in found] == [frame(number) for number in range(3)]


def test_a_filter_is_the_ports() -> None:
    """An expression that scapy is given decides which frames come in."""
    with joined("raw") as ends, Socket("raw,ifname=right0", filter="arp") as far:
        sniffer = listening(opened_socket=far, count=1)
        sendp([PING, Ether(dst=RIGHT, src=LEFT) / ARP(pdst="10.9.0.2")], socket=Socket(ends.left), verbose=0)
        sniffer.join(PATIENCE)
        found: Any = sniffer.results
        assert ARP in found[0]
        assert far.port.stats.rx_frames == 1
        with pytest.raises(ValueError, match="open it with filter="):
            Socket(ends.left, filter="arp")


def test_sniff_an_interface_by_its_spec() -> None:
    """Sniff opens what stands in the place of an interface, with the filter that it is given."""
    with joined("raw") as ends:
        sniffer = listening(iface=Interface("raw,ifname=right0"), filter="arp", count=1)
        sendp([PING, Ether(dst=RIGHT, src=LEFT) / ARP(pdst="10.9.0.2")], socket=Socket(ends.left), verbose=0)
        sniffer.join(PATIENCE)
        found: Any = sniffer.results
        assert ARP in found[0]
        assert "ifname=right0" in str(found[0].sniffed_on)


def test_frames_are_complete() -> None:
    """A checksum that was left to the hardware is made before scapy sees the frame."""
    octets, header, payload = super_frame(1000, 1400)
    plain = vecwire.Vnet(1, 0, 0, 0, header.csum_start, header.csum_offset)
    with joined("raw") as ends:
        out = ends.left.batch()
        out.append(octets, plain)
        assert ends.left.send(out) == 1
        found = sniff(
            opened_socket=Socket(ends.right), count=1, timeout=PATIENCE, lfilter=lambda each: IP in each
        )
        checksum = found[0]["TCP"].chksum
        del found[0]["TCP"].chksum
        assert Ether(bytes(found[0]))["TCP"].chksum == checksum
        assert bytes(found[0]["TCP"].payload) == payload


def test_the_end_of_a_socket_ends_its_sniffer() -> None:
    """A socket that is closed ends the sniffers on it; it may be closed again."""
    with joined("bess") as ends:
        socket = Socket(ends.left)
        wake = Socket(ends.right)
        sniffer = listening(opened_socket=socket, prn=lambda _: socket.close())
        wake.send(frame(1))
        sniffer.join(PATIENCE)
        assert not sniffer.running
        assert socket.port.closed
        socket.close()


@pytest.mark.parametrize(
    ("attempt", "error", "match"),
    [
        (lambda: Socket("tap,ifnam=tap0"), vecwire.SpecError, "ifnam"),
        (lambda: Interface("tap,ifnam=tap0"), vecwire.SpecError, "ifnam"),
        (Socket, TypeError, "spec"),
        (lambda: Socket(resolve_iface("lo")), TypeError, "raw,ifname=lo"),
        (lambda: Interface("tap,ifname=tap0").l3socket(), UnsupportedError, "Ethernet header"),
    ],
)
def test_what_is_wrong_is_said(attempt: Callable[[], Any], error: type[Exception], match: str) -> None:
    """A wrong spec, none at all, and packets without an Ethernet header are refused."""
    with pytest.raises(error, match=match):
        attempt()
