"""What a switch does to frames: super-frames and trains arrive right at every port that they go to."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import vecwire
from oracle import internet
from oracle.shapes import SHAPES, asking
from oracle.streams import STREAM
from peers.frames import frame, rejoin, super_frame
from peers.lan import PATIENCE, address, balanced
from peers.net import Namespace, veth, wait_until
from peers.wan import TO_FAR, send_train, wan
from vecwire import Membership, Vnet
from vecwire.wire.ethernet import tagged, untagged
from vecwire.wire.segment import segments
from vecwire.wire.vnet import complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vecwire import Port
    from vecwire.transports import TransportPort

VLAN = 42
#: How each port takes part, by the way that it takes frames of the VLAN.
FORMS = {"with": Membership(tagged=frozenset({VLAN})), "without": Membership(vlan=VLAN), "any": Membership()}


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("frames", ipv6=False) as made, made.enter():
        yield made


@contextlib.contextmanager
def hall(namespace: Namespace, ingress: Membership) -> Iterator[tuple[Port, dict[str, Port]]]:
    """A switch with a source, and for each form a sink by packet socket and one by record socket."""
    with contextlib.ExitStack() as stack, vecwire.Switch() as switch:
        ports: list[TransportPort] = []

        def add(spec: str, membership: Membership) -> None:
            port = stack.enter_context(vecwire.open(spec))
            switch.add(port, membership)
            ports.append(port)

        veth((namespace, "in0"), (namespace, "in1"))
        add("raw,ifname=in0", ingress)
        sinks: dict[str, Port] = {}
        for form, membership in FORMS.items():
            veth((namespace, f"{form}0"), (namespace, f"{form}1"))
            add(f"raw,ifname={form}0", membership)
            sinks[f"raw {form}"] = stack.enter_context(vecwire.open(f"raw,ifname={form}1"))
            server = stack.enter_context(vecwire.open(f"bess,listen=@{form},depth=1024"))
            add(f"bess,dst=@{form},depth=1024", membership)
            server.recv(server.batch(1))
            sinks[f"bess {form}"] = server
        source = stack.enter_context(vecwire.open("raw,ifname=in1"))
        with balanced(ports):
            yield source, sinks
        # Before its ports are closed.
        switch.stop()


def gathered(sink: Port, enough: Callable[[list[tuple[bytes, Vnet]]], bool]) -> list[tuple[bytes, Vnet]]:
    """What a sink receives until it is enough."""
    found: list[tuple[bytes, Vnet]] = []
    batch = sink.batch()

    def come() -> bool:
        sink.recv(batch)
        found.extend((bytes(batch[at]), batch.vnet(at)) for at in range(len(batch)))
        return enough(found)

    wait_until(come, timeout=PATIENCE, what="all came", interval=0.001)
    return found


def in_pieces(found: list[tuple[bytes, Vnet]]) -> list[bytes]:
    """Frames as the wire carries them: super-frames as segments, checksums finished."""
    made: list[bytes] = []
    for octets, header in found:
        if header.gso_type:
            made += segments(octets, header) or []
        elif header.flags & 1:
            buffer = bytearray(octets)
            complete(buffer, header)
            made.append(bytes(buffer))
        else:
            made.append(octets)
    return made


@pytest.mark.parametrize("ingress", ["with", "without"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_a_super_frame_for_all_arrives_right_everywhere(
    namespace: Namespace, ingress: str, ipv6: bool
) -> None:
    """Whole or in segments, with the tag or without: the payload and all checksums are right at each port."""
    octets, header, payload = super_frame(20_000, ipv6=ipv6, vlan=VLAN if ingress == "with" else None)
    with hall(namespace, FORMS[ingress]) as (source, sinks):
        batch = source.batch()
        batch.append(octets, header)
        assert source.send(batch) == 1
        plain = octets if ingress == "without" else untagged(octets)
        for name, sink in sinks.items():
            kind, form = name.split()
            found = gathered(sink, lambda came: sum(len(each) for each, _ in came) >= len(payload))
            assert rejoin(found) == payload, name
            head = plain[:14] if form == "without" else tagged(plain, VLAN)[:18]
            assert {each[: len(head)] for each, _ in found} == {head}, name
            if kind == "raw":
                assert all(each.gso_type for _, each in found), "it left whole"
            else:
                assert len(found) == len(segments(octets, header) or ()), "it left in segments"


@pytest.mark.parametrize("shape", ["tcp4", "tcp6", "udp4", "udp6"])
def test_unfinished_checksums_and_super_frames_in_one_batch(namespace: Namespace, shape: str) -> None:
    """Frames that lack a checksum, super-frames and plain ones for all arrive right and in order at each."""
    made: list[tuple[bytes, Vnet]] = []
    for number in range(6):
        segment = internet.located(
            replace(SHAPES[shape], payload=STREAM[number : number + 3000], source_port=number + 1)
        )
        asked = asking(segment, 1000)
        made.append((internet.build(segment, partial=True), asked))
        small = internet.located(replace(segment, payload=STREAM[:500]))
        asked = replace(asking(small, 0), gso_type=0, gso_size=0)
        made.append((internet.build(small, partial=True), asked))
        made.append((frame(number), Vnet()))
    expected = in_pieces(made)
    with hall(namespace, FORMS["without"]) as (source, sinks):
        batch = source.batch()
        for octets, header in made:
            batch.append(octets, header)
        assert source.send(batch) == len(made)
        for name, sink in sinks.items():
            form = name.split()[1]
            wanted = expected if form == "without" else [tagged(each, VLAN) for each in expected]
            found = gathered(sink, lambda came: len(in_pieces(came)) >= len(expected))
            assert in_pieces(found) == wanted, name


def test_a_train_of_datagrams_is_switched_to_several_ports() -> None:
    """Frames that the kernel gives in one piece go each to its own port, in order, none lost."""
    with wan() as link, contextlib.ExitStack() as stack:
        near, tunnel = link.near_socket(), link.far_port()
        switch = vecwire.Switch()
        switch.add(tunnel)
        sinks: list[socket.socket] = []
        with link.far.enter():
            for number in range(3):
                port = stack.enter_context(vecwire.open(f"bess,listen=@sink{number},depth=1024"))
                switch.add(port)
                sink = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                sink.connect(f"\0sink{number}")
                sink.settimeout(PATIENCE)
                sinks.append(sink)
        stack.enter_context(switch)
        bess = switch.ports[1:]
        wait_until(lambda: all(port.info.up for port in bess), timeout=PATIENCE, what="all are served")
        for number, sink in enumerate(sinks):
            sink.send(frame(0, source=address(number), destination=address(number)))
        wait_until(lambda: len(switch.fdb()) == 3, timeout=PATIENCE, what="all are known")
        stack.enter_context(balanced(switch.ports))
        # To one port, to another, to all, mixed, and some of them twice in a row.
        order = [0, 1, 1, 2, 0, 3, 3, 2, 1, 0, 0]
        frames = [
            frame(number, 100, source=address(9), destination=address(order[number % len(order)]))
            for number in range(1024)
        ]
        for start in range(0, len(frames), 64):
            train = [TO_FAR + each for each in frames[start : start + 64]]
            send_train(near, train, len(train[0]))
        for number, sink in enumerate(sinks):
            mine = {bytes.fromhex(address(one).replace(":", "")) for one in (number, 3)}
            wanted = [each for each in frames if each[:6] in mine]
            found = [sink.recv(1 << 16) for _ in wanted]
            # What is for all may overtake what is for one: they are two flows.
            for one in mine:
                assert [each for each in found if each[:6] == one] == [
                    each for each in wanted if each[:6] == one
                ]
        assert tunnel.stats.rx_frames == len(frames)
        assert tunnel.stats.rx_calls < len(frames)
