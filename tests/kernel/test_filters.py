"""One filter, the same inner frames on every transport: tagged or not, judged in the kernel or the path."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

import vecwire
from oracle import libpcap
from oracle.traffic import EXPRESSIONS, corpus
from peers.frames import frame
from peers.net import Namespace, veth, wait_until
from peers.ports import TRANSPORTS, joined
from vecwire import PortError, SpecError, bpf
from vecwire.bpf import Instruction
from vecwire.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vecwire import Port

REAL = [kind for kind in TRANSPORTS if kind != "memory"]
PATIENCE = 10.0
#: No stack answers them, and no bridge has seen them on another side.
ENDS = ("02:00:00:00:00:c1", "02:00:00:00:00:c2")
#: What every expression of these tests wants besides: the frame that says that all others have come.
MARKER = frame(0x51FE, 60, source="02:00:00:00:00:c3", destination="ff:ff:ff:ff:ff:ff")
AND_MARKER = "({}) or ether src 02:00:00:00:00:c3 or ether src 02:00:00:00:00:c4"


def marker(direction: int) -> bytes:
    """The last frame of a direction."""
    return MARKER[:11] + bytes([0xC3 + direction]) + MARKER[12:]


def send(port: Port, frames: list[bytes]) -> None:
    """Sends all frames, in order."""
    batch = port.batch()
    for start in range(0, len(frames), batch.depth):
        batch.clear()
        batch.extend(frames[start : start + batch.depth])
        first = 0
        while first < len(batch):
            first += port.send(batch, first)
            assert first == len(batch) or port.wait(PATIENCE, write=True)


def receive_up_to(port: Port, last: bytes) -> list[bytes]:
    """Receives until a frame comes, and gives those before it that were sent by these tests."""
    batch = port.batch()
    found: list[bytes] = []

    def there() -> bool:
        port.recv(batch)
        found.extend(bytes(each) for each in batch)
        return last in found

    wait_until(there, timeout=PATIENCE, what="the last frame came")
    sources = {bytes.fromhex(each.replace(":", "")) for each in ENDS}
    return [each for each in found if each[6:12] in sources]


def exchanged(left: Any, right: Any) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Sends the corpus both ways; what was sent and what was received each way."""
    for direction, (sender, receiver) in enumerate(((left, right), (right, left))):
        sent = corpus(source=ENDS[direction], destination=ENDS[1 - direction])
        send(sender, [*sent, marker(direction)])
        yield sent, receive_up_to(receiver, marker(direction))


@pytest.mark.parametrize("kind", REAL)
def test_an_expression_accepts_the_same_frames_on_every_transport(kind: str) -> None:
    """Whatever the transport, the frames that come in are those that libpcap's own interpreter accepts."""
    with joined(kind, ",bpfflash=1,depth=128") as ends:
        for expression in EXPRESSIONS:
            text = AND_MARKER.format(expression)
            judge = libpcap.Expression(text)
            for port in (ends.left, ends.right):
                port.attach_filter(text)  # type: ignore[attr-defined]  # of transports, not of the contract
            for sent, received in exchanged(ends.left, ends.right):
                assert received == [each for each in sent if judge.accepts(each)], expression


@pytest.mark.parametrize("kind", REAL)
def test_the_expression_of_the_spec_is_in_force_from_the_first_frame_on(kind: str) -> None:
    """With ``filter=``, quoted as it must be, nothing comes in but what it accepts."""
    text = AND_MARKER.format("vlan 5 and tcp[tcpflags] & tcp-syn = 0")
    judge = libpcap.Expression(text)
    with joined(kind, f',depth=128,filter="{text}"') as ends:
        for sent, received in exchanged(ends.left, ends.right):
            expected = [each for each in sent if judge.accepts(each)]
            assert received == expected
            assert 0 < len(expected) < len(sent)


@pytest.mark.parametrize("kind", REAL)
def test_a_program_that_the_kernel_would_run_otherwise_is_run_by_the_port(kind: str) -> None:
    """A program that returns A, and shifts by X beyond 31, accepts what libpcap says, and cuts nothing."""
    program = (
        Instruction(0x30, 0, 0, 11),  # ldb [11], the last octet of the source
        Instruction(0x15, 5, 0, 0xC3),  # the markers
        Instruction(0x15, 4, 0, 0xC4),
        Instruction(0x81, 0, 0, 0),  # ldx #pktlen
        Instruction(0x00, 0, 0, 0xFFFFFFFF),  # ld #0xffffffff
        Instruction(0x6C, 0, 0, 0),  # lsh x: 0 for every frame of 32 octets and more
        Instruction(0x16, 0, 0, 0),  # ret a
        Instruction(0x06, 0, 0, 20),  # ret #20
    )
    assert bpf.for_kernel(program) is None
    with joined(kind, ",bpfflash=1,depth=128") as ends:
        for port in (ends.left, ends.right):
            port.attach_filter(program)  # type: ignore[attr-defined]  # of transports, not of the contract
        for sent, received in exchanged(ends.left, ends.right):
            assert received == [each for each in sent if libpcap.run(program, each)]
            assert received


@pytest.mark.parametrize("kind", REAL)
def test_a_wanted_frame_comes_whole(kind: str) -> None:
    """A program that returns 20 accepts a frame; it does not cut it to 20 octets, as the kernel would."""
    with joined(kind, ",bpfflash=1,depth=128") as ends:
        for port in (ends.left, ends.right):
            port.attach_filter((Instruction(0x06, 0, 0, 20),))  # type: ignore[attr-defined]  # as above
        for sent, received in exchanged(ends.left, ends.right):
            assert received == sent


@pytest.mark.parametrize("kind", REAL)
def test_the_own_address_is_left_out_of_an_expression(kind: str) -> None:
    """With ``mac=`` and ``filter=``, frames of the own address are refused whatever the expression."""
    text = AND_MARKER.format("udp")
    with joined(kind, f',depth=128,mac={ENDS[0]},filter="{text}"') as ends:
        for direction, (sent, received) in enumerate(exchanged(ends.left, ends.right)):
            judge = libpcap.Expression(text)
            expected = [each for each in sent if judge.accepts(each)]
            assert received == ([] if direction == 0 else expected)


@pytest.mark.parametrize("kind", ["l2tpv3-udp", "gre-key-sequence"])
def test_a_tunnel_counts_what_its_filter_refuses(kind: str) -> None:
    """Of a tunnel's frames, which no kernel can judge, each that is refused is counted, and is no drop."""
    with joined(kind, ",bpfflash=1,depth=128") as ends:
        ends.right.attach_filter(AND_MARKER.format("arp"))  # type: ignore[attr-defined]  # as above
        sent = corpus(source=ENDS[0], destination=ENDS[1])
        send(ends.left, [*sent, marker(0)])
        received = receive_up_to(ends.right, marker(0))
        stats = ends.right.stats
        assert (stats.rx_frames, stats.rx_filtered) == (len(received) + 1, len(sent) - len(received))
        assert stats.dropped == 0


def test_udp_pieces_are_filtered_frame_by_frame() -> None:
    """What arrives in one piece (UDP_GRO) is still received so, and each frame of it is judged by itself."""
    expression = "ether[17] & 1 == 0"
    with joined("l2tpv3-udp", f',filter="{expression}"') as ends:
        assert "udp coalescing" in ends.right.info.offloads
        frames = [frame(number, 100) for number in range(40)]
        send(ends.left, frames)
        batch = ends.right.batch()
        found: list[bytes] = []

        def all_there() -> bool:
            ends.right.recv(batch)
            found.extend(bytes(each) for each in batch)
            return found == frames[::2]

        wait_until(all_there, timeout=PATIENCE, what="every other frame came")
        assert ends.left.stats.tx_trains > 0


@pytest.mark.parametrize("kind", ["raw", "tap", "bess"])
def test_the_kernel_does_the_work_where_it_can(kind: str) -> None:
    """Untagged frames that are not wanted never reach a port whose kernel sees the frames."""
    with joined(kind, ",bpfflash=1,depth=128") as ends:
        ends.left.attach_filter(AND_MARKER.format("arp"))  # type: ignore[attr-defined]  # as above
        sent = [each for each in corpus(source=ENDS[1], destination=ENDS[0]) if each[12:13] != b"\x81"]
        send(ends.right, [*sent[:20], marker(1)])
        receive_up_to(ends.left, marker(1))
        assert ends.left.stats.rx_filtered <= sum(each[12:14] == b"\x88\xa8" for each in sent)


@pytest.fixture
def network() -> Iterator[Namespace]:
    """A namespace that the test is in, with a pair of interfaces."""
    with Namespace("filters", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "right0"))
        yield made


@pytest.mark.usefixtures("network")
def test_what_the_kernel_has_queued_is_judged_by_a_new_filter() -> None:
    """Frames that wait in the socket when the filter is replaced are judged by the new one."""
    with vecwire.open("raw,ifname=left0,bpfflash=1") as port, vecwire.open("raw,ifname=right0") as peer:
        send(peer, [frame(1), frame(2)])
        assert port.wait(PATIENCE)
        port.attach_filter("ether[17] = 2")
        send(peer, [frame(1), frame(2)])
        batch = port.batch()
        found: list[bytes] = []

        def two() -> bool:
            port.recv(batch)
            found.extend(bytes(each) for each in batch)
            return len(found) == 2

        wait_until(two, timeout=PATIENCE, what="two frames came")
        assert found == [frame(2), frame(2)]


@pytest.mark.usefixtures("network")
def test_a_new_filter_outlives_the_peer() -> None:
    """A server's next client is received through the filter that was attached while another was there."""
    with vecwire.open("bess,listen=@vecwire-filters,bpfflash=1") as server:
        server.attach_filter("ether[17] = 2")
        batch = server.batch()
        for _ in range(2):
            with vecwire.open("bess,dst=@vecwire-filters") as client:
                send(client, [frame(1), frame(2)])
                wait_until(lambda: server.recv(batch) > 0, timeout=PATIENCE, what="a frame came")
                assert [bytes(each) for each in batch] == [frame(2)]
            wait_until(lambda: not server.recv(batch) and not server.info.up, timeout=PATIENCE, what="gone")


@pytest.mark.usefixtures("network")
def test_a_filter_is_replaced_while_a_cable_moves_frames() -> None:
    """Filters may be replaced on a port of a running cable, again and again; the last one is in force."""
    with (
        vecwire.open("raw,ifname=right0") as sender,
        vecwire.open("raw,ifname=left0,bpfflash=1") as ingress,
        vecwire.open("bess,listen=@vecwire-filters-out") as egress,
        vecwire.open("bess,dst=@vecwire-filters-out") as receiver,
        vecwire.Cable(ingress, egress),
    ):
        wait_until(lambda: egress.info.up, timeout=PATIENCE, what="the client is there")
        batch = receiver.batch()
        for number in range(300):
            wanted = number % 250
            ingress.attach_filter(f"ether[17] = {wanted}")
            if number % 50 == 0:
                send(sender, [frame(each) for each in range(250)])
                wait_until(lambda: receiver.recv(batch) > 0, timeout=PATIENCE, what="a frame came")
                assert [bytes(each) for each in batch] == [frame(wanted)]
        ingress.attach_filter(None)
        send(sender, [frame(7)])
        wait_until(lambda: receiver.recv(batch) > 0, timeout=PATIENCE, what="a frame came")
        assert [bytes(each) for each in batch] == [frame(7)]


@pytest.mark.parametrize("kind", REAL)
def test_a_wrong_expression_is_shown_in_the_text_of_the_spec(kind: str) -> None:
    """The error has the place of the expression in what was written, and nothing stays open."""
    with pytest.raises(SpecError) as caught, joined(kind, ",depth=8,filter=ip and"):
        pass
    error = caught.value
    assert error.text[error.start : error.end] == "ip and"
    assert error.text.endswith(",depth=8,filter=ip and")
    assert "syntax error" in str(error)


@pytest.mark.usefixtures("network")
def test_a_wrong_expression_in_a_spec_value_is_shown_in_its_canonical_text() -> None:
    """A spec that was made in Python has no text of its own; the error shows the canonical one."""
    spec = vecwire.parse("raw,ifname=left0,filter=nonsense")
    with pytest.raises(SpecError) as caught:
        vecwire.open(spec)
    assert (caught.value.text, caught.value.text[caught.value.start :]) == (str(spec), "nonsense")


@pytest.mark.usefixtures("network")
def test_a_program_that_cannot_be_run_leaves_the_filter_as_it_was() -> None:
    """A wrong program or expression is refused with the reason, and the one before stays in force."""
    with (
        vecwire.open("raw,ifname=left0,bpfflash=1,filter=ether[17] > 2") as port,
        vecwire.open("raw,ifname=right0") as peer,
    ):
        with pytest.raises(PortError, match=r"instruction 0 \(ld #0x0\): it is the last one") as caught:
            port.attach_filter((Instruction(0, 0, 0, 0),))
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(SpecError, match="syntax error"):
            port.attach_filter("ip and")
        send(peer, [frame(2), frame(3)])
        batch = port.batch()
        wait_until(lambda: port.recv(batch) > 0, timeout=PATIENCE, what="a frame came")
        assert [bytes(each) for each in batch] == [frame(3)]


@pytest.mark.usefixtures("network")
def test_a_program_that_the_kernel_has_no_room_for_is_run_by_the_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refusal is noted, the filter before is taken off, and the port filters all the same."""
    with (
        vecwire.open("raw,ifname=left0,bpfflash=1,filter=ether[17] < 2") as port,
        vecwire.open("raw,ifname=right0") as peer,
    ):

        def refuse(*_: object, **__: object) -> None:
            raise PortError("the kernel refuses the filter", errno=errno.ENOMEM)

        with monkeypatch.context() as patched:
            patched.setattr(bpf, "attach", refuse)
            port.attach_filter("ether[17] = 2")
        send(peer, [frame(1), frame(2)])
        batch = port.batch()
        wait_until(lambda: port.recv(batch) > 0, timeout=PATIENCE, what="a frame came")
        assert [bytes(each) for each in batch] == [frame(2)]
        assert port.info.refused["filter in the kernel"] == os.strerror(errno.ENOMEM)
        assert port.stats.rx_filtered == 1


@pytest.mark.usefixtures("network")
def test_a_reload_with_a_wrong_filter_keeps_the_old_one(tmp_path: Path) -> None:
    """A service goes on with a port's old spec where the new one's expression or file holds no filter."""
    path = tmp_path / "vecwire.toml"

    def write(options: str) -> None:
        text = f"[ports]\nleft = 'raw,ifname=left0{options}'\n[switches.lan]\nports = ['left']\n"
        path.write_text(text, encoding="utf-8")

    write(",filter=arp")
    with contextlib.closing(Service(path)) as service:
        service.reload()
        service.start()
        for wrong, error in ((",filter=ip and", SpecError), (f",bpffile={path}", PortError)):
            write(wrong)
            with pytest.raises(error):
                service.reload()
            assert service.ports["left"].info.spec == "transport=raw,ifname=left0,filter=arp"
            assert service.ports["left"].info.up
        write(",filter=ip")
        service.reload()
        assert service.ports["left"].info.spec == "transport=raw,ifname=left0,filter=ip"
