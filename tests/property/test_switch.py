"""Properties of a switch: whatever its ports and whatever comes, it does what the plain model does."""

from __future__ import annotations

import contextlib
import socket
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from oracle.bridge import Bridge as Model
from oracle.bridge import Place
from peers.accounting import accounted
from peers.lan import passed_on
from vecwire.path.batch import Batch
from vecwire.path.bridge import Bridge
from vecwire.path.channel import Channel
from vecwire.path.table import Table
from vecwire.path.worker import Worker
from vecwire.port import PortStats

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 32
STATIONS = [bytes([2, 0, 0, 0, 0, number]) for number in range(4)]
GROUPS = [
    b"\xff" * 6,
    bytes.fromhex("01005e000001"),
    bytes.fromhex("0180c2000000"),
    bytes.fromhex("0180c2000010"),
]
VLANS = [10, 20, 30]
#: What stands behind the addresses: no tag, tags of VLANs, of none and of one unknown; others' tags.
TAGS = [
    b"",
    *(
        b"\x81\x00" + (priority << 13 | vlan).to_bytes(2)
        for priority in (0, 5)
        for vlan in (0, *VLANS, 40, 0xFFF)
    ),
    b"\x81\x00\x00\x0a\x81\x00\x00\x14",
    b"\x88\xa8\x00\x0a",
]


@st.composite
def places(draw: st.DrawFn) -> Place:
    """How a port takes part."""
    vlan = draw(st.sampled_from([0, 0, *VLANS]))
    tagged = draw(st.frozensets(st.sampled_from(VLANS), max_size=2)) - {vlan}
    return Place(vlan, tagged, draw(st.sampled_from([0, 0, 0, 1, 2])), draw(st.sampled_from([0, 0, 1, 2])))


FRAMES = st.builds(
    lambda destination, source, tag, length: (destination + source + tag, length),
    st.sampled_from(STATIONS * 2 + GROUPS),
    st.sampled_from(STATIONS * 3 + [GROUPS[1], bytes(6)]),
    st.sampled_from(TAGS + [b""] * 8),
    st.integers(0, 60),
)
BATCHES = st.lists(FRAMES, min_size=1, max_size=DEPTH)
NUMBERS = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("send"), NUMBERS, BATCHES),
    st.tuples(st.just("send"), NUMBERS, BATCHES),
    st.tuples(st.just("send"), NUMBERS, BATCHES),
    st.tuples(st.just("change"), NUMBERS, places()),
    st.tuples(st.just("remove"), NUMBERS, st.none()),
    st.tuples(st.just("add"), NUMBERS, places()),
)


@dataclass
class Plugged:
    """A port of the compiled bridge: a record socket, and the numbers that it has."""

    near: socket.socket
    far: socket.socket
    channel: Channel
    seat: int
    number: int


@dataclass
class Driven:
    """The compiled bridge, one round of its worker at a time."""

    stack: contextlib.ExitStack
    worker: Worker = field(default_factory=Worker)
    bridge: Bridge = field(default_factory=lambda: Bridge(Table(1000, seed=1, bound=1000)))
    ports: dict[int, Plugged] = field(default_factory=dict)
    gone: list[Channel] = field(default_factory=list)

    def add(self, port: int, place: Place) -> None:
        """Gives the bridge a port."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (near, far):
            self.stack.enter_context(end).setblocking(False)
        channel = Channel(DEPTH)
        channel.attach(near.fileno(), near.fileno(), seqpacket=True)
        seat = self.worker.seat(channel, lambda: Batch(DEPTH, 2000), "shape")
        self.ports[port] = Plugged(near, far, channel, seat, self.worker.plug(seat, self.bridge))
        self.change(port, place)

    def change(self, port: int, place: Place) -> None:
        """Has a port take part in another way."""
        self.bridge.configure(
            self.ports[port].number,
            vlan=place.vlan,
            tagged=place.tagged,
            horizon=place.horizon,
            addresses=place.addresses,
        )

    def remove(self, port: int) -> None:
        """Takes a port out."""
        plugged = self.ports.pop(port)
        self.worker.unseat(plugged.seat)
        self.gone.append(plugged.channel)

    def forward(self, port: int, frames: list[bytes]) -> dict[int, list[bytes]]:
        """Has a port receive a batch; what leaves through which."""
        for octets in frames:
            self.ports[port].far.send(octets)
        # Posted last, a message is taken in the round that moves the frames, after them.
        self.worker.post(self.worker.stop)
        self.worker.run(lambda _: None)
        left: dict[int, list[bytes]] = {}
        for number, plugged in self.ports.items():
            found = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.append(plugged.far.recv(4096))
            if found:
                left[number] = found
        return left

    @property
    def stats(self) -> list[PortStats]:
        """The counters of all ports that there were."""
        channels = [*self.gone, *(plugged.channel for plugged in self.ports.values())]
        return [PortStats(channel.counters()) for channel in channels]


@contextlib.contextmanager
def driven(first: list[Place]) -> Iterator[Driven]:
    """A compiled bridge of these ports."""
    with contextlib.ExitStack() as stack:
        made = Driven(stack)
        for port, place in enumerate(first):
            made.add(port, place)
        yield made


@given(st.lists(places(), min_size=2, max_size=6), st.lists(STEPS, min_size=1, max_size=12))
def test_a_switch_does_what_the_model_does(first: list[Place], steps: list[tuple[str, int, Any]]) -> None:
    """The same frames leave through the same ports, in order of each flow, and all are accounted for."""
    model = Model(dict(enumerate(first)))
    numbers = iter(range(1 << 30))
    with driven(first) as real:
        for what, port, how in steps:
            if what == "add" and port not in model.ports:
                model.ports[port] = how
                real.add(port, how)
            elif port not in model.ports:
                continue
            elif what == "change":
                model.change(port, how)
                real.change(port, how)
            elif what == "remove":
                model.remove(port)
                real.remove(port)
            elif what == "send":
                # A type that is no tag's, a number of its own, and more.
                frames = [
                    (head + b"\x88\xb5" + next(numbers).to_bytes(4) + bytes(60))[: 18 + length]
                    for head, length in how
                ]
                expected: dict[int, dict[tuple[bytes, int], deque[bytes]]] = defaultdict(
                    lambda: defaultdict(deque)
                )
                for octets in frames:
                    flow, leaving = model.forward(port, octets)
                    for number, left in leaving.items():
                        expected[number][flow].append(left)
                _assert_alike(expected, real.forward(port, frames))
        told = {(mac, vlan): number for mac, vlan, number, _ in real.bridge.table.entries(0)}
        names = {plugged.number: port for port, plugged in real.ports.items()}
        assert {key: names[number] for key, number in told.items()} == model.table
        assert sum(map(passed_on, real.stats)) == sum(map(accounted, real.stats))


def _assert_alike(
    expected: dict[int, dict[tuple[bytes, int], deque[bytes]]], left: dict[int, list[bytes]]
) -> None:
    """Each port's frames are those of its flows, the frames of each flow in their order."""
    assert set(left) == set(expected)
    for number, frames in left.items():
        flows = expected[number]
        for octets in frames:
            flow = next((flow for flow, queue in flows.items() if queue and queue[0] == octets), None)
            assert flow is not None, f"port {number}: {octets.hex()} is not the next of any flow"
            flows[flow].popleft()
        assert not any(flows.values()), f"port {number}: frames are missing"
