"""A program that works with ports while its calls fail on purpose, and tells what came of each fault.

Started by ``peers.faults.drive`` in a namespace that has what the specs below need. For each case it does the
same thing once more: what is to hold holds after every one of them, or it is told as a problem.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vecwire
from peers.faults import EVERYBODYS, Case, Page, cases, sample
from peers.frames import fill, frame, super_frame
from peers.net import keepers_rest, open_descriptors, wait_until
from peers.ports import LOOPBACK
from vecwire.capture import Recorder
from vecwire.capture.recorder import Rotation
from vecwire.errors import VecwireError
from vecwire.path.errnos import RECEIVE, SEND, UNKNOWN_RECEIVE, UNKNOWN_SEND
from vecwire.spec import parse
from vecwire.switch import Cable, Membership, Switch
from vecwire.transports import hand_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecwire.spec import Spec
    from vecwire.transports import TransportPort

#: Where the page is, and sockets with a path.
FOLDER = Path(os.environ.get("VECWIRE_FAULTS", "/nonexistent/page")).parent
#: Seconds after which a case hangs, and within which everything heals.
HANGS = 30
HEALS = 10.0
#: The specs of an end that is put to the test, and of the peer at its other end; an empty one has none.
PAIRS: dict[str, tuple[str, str]] = {
    "raw": ("raw,ifname=left0", "raw,ifname=right0"),
    "raw-options": (
        "raw,ifname=left0,mac=02:00:00:00:00:77,timestamps=1,bpfflash=1,filter=ether proto 0x88b5",
        "raw,ifname=right0",
    ),
    "tap": ("tap,ifname=tap0", "raw,ifname=tap0"),
    "tap-made": ("tap,ifname=made%d,gro=0,mac=02:00:00:00:00:77", ""),
    # A bridge sends through the queue of the tap, where a packet socket sees it, as a host's own stack does.
    "hybrid": ("hybrid,ifname=tap1", "raw,ifname=right1"),
    "gre": LOOPBACK["gre-key-sequence"],
    "gre-ipv6": LOOPBACK["gre-ipv6"],
    "l2tpv3-udp": LOOPBACK["l2tpv3-udp"],
    "l2tpv3-ip": LOOPBACK["l2tpv3-ip-cookies"],
    "bess": ("bess,dst=@faults", "bess,listen=@faults"),
    "bess-path": (
        f"bess,dst={FOLDER}/vecwire-faults.sock,src={FOLDER}/vecwire-faults.src",
        f"bess,listen={FOLDER}/vecwire-faults.sock",
    ),
    "bess-listen": (f"bess,listen={FOLDER}/vecwire-faults.listen", ""),
    # Opened by somebody else, and passed in.
    "raw-passed": ("raw,ifname=left0", "raw,ifname=right0"),
    "tap-passed": ("tap,ifname=tap0", "raw,ifname=tap0"),
    "l2tpv3-passed": LOOPBACK["l2tpv3-udp"],
    "bess-passed": ("bess,dst=@faults", "bess,listen=@faults"),
    "netns": tuple(
        f"{spec},netns={os.environ.get('VECWIRE_FAULTS_NETNS', '')}" for spec in LOOPBACK["l2tpv3-udp"]
    ),  # type: ignore[dict-item]
}
#: Which rules tell what an errno of a call means for the path.
RULES = {
    **dict.fromkeys(("sendmsg", "sendmmsg", "writev"), (SEND, UNKNOWN_SEND)),
    **dict.fromkeys(("recvmsg", "recvmmsg", "readv"), (RECEIVE, UNKNOWN_RECEIVE)),
}
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)
RTM_DELLINK, NLM_F_REQUEST, NLM_F_ACK = 17, 1, 4  # rtnetlink(7), netlink(7)


def state() -> tuple[int, int, list[str], list[str]]:
    """What must be the same before and after: descriptors, threads, interfaces, paths."""
    return (
        len(open_descriptors()),
        len(os.listdir("/proc/self/task")),  # noqa: PTH208 # numbers, not paths
        [name for _, name in socket.if_nameindex()],
        sorted(str(path) for path in FOLDER.glob("vecwire-faults*")),
    )


def passes(source: TransportPort, sink: TransportPort, number: int) -> bool:
    """Sends a frame once; whether it has arrived."""
    sent, came = source.batch(1), sink.batch()
    fill(sent, [frame(number)])
    source.send(sent)
    if not sink.wait(0.02):
        return False
    sink.recv(came)
    return any(bytes(each[:18]) == frame(number)[:18] for each in came)


def exchange(one: TransportPort, other: TransportPort) -> None:
    """Has a frame go each way; it may be sent several times until what was broken is whole again."""
    for source, sink in ((one, other), (other, one)):
        number = time.monotonic_ns() & 0xFFFFFFFF
        wait_until(
            lambda: passes(source, sink, number),  # noqa: B023 # called at once
            timeout=HEALS,
            what=f"a frame passes from {source!r} to {sink!r}",
        )


class Scenario:
    """Something to be done while a call fails: ``act``, between ``begin`` and ``finish`` without faults."""

    #: Whose calls fail: 0 all threads', -1 all but the main one's.
    thread = 0
    #: What an act may take to fail: these exceptions, each with a text.
    named: tuple[type[BaseException], ...] = (VecwireError, MemoryError)

    #: Calls that do not fail here.
    spared: tuple[str, ...] = ()

    def begin(self) -> None:
        """Makes what the act needs."""

    def act(self) -> None:
        """Does it."""

    def finish(self, case: Case | None) -> None:  # some look at it
        """Brings back what was there before, and asserts that all works."""

    def close(self) -> None:
        """Ends it all."""


def numbers_of(handed: Spec) -> list[int]:
    """The descriptors that a spec names."""
    named = (handed.fd, getattr(handed, "tx_fd", None))
    return [number for number in named if isinstance(number, int)]


class Opening(Scenario):
    """A port is opened, with the descriptor that users wait on.

    Args:
        spec: what is opened.
        peer: its other end; empty for none.
        passed: whether what is opened is a descriptor that is open already.
    """

    def __init__(self, spec: str, peer: str, *, passed: bool = False) -> None:
        self.spec = spec
        # What the scenario before has left, where unlink(2) failed.
        for path in FOLDER.glob("vecwire-faults*"):
            path.unlink()
        self.peer: TransportPort | None = vecwire.open(peer) if peer else None
        self.port: TransportPort | None = None
        self.owners: list[int] = []
        if passed:
            handed = hand_over(parse(spec))
            self.owners, self.spec = numbers_of(handed), str(handed)
            self.wait_served()

    def wait_served(self) -> None:
        """Waits until the peer, where it is a server, has its client."""
        if self.peer is not None and "listen" in self.peer.info.descriptors:
            wait_until(self._came, timeout=HEALS, what="the server has its client")

    def _came(self) -> bool:
        assert self.peer is not None
        self.peer.recv(self.peer.batch())
        return "rx" in self.peer.info.descriptors

    def act(self) -> None:
        """Does it."""
        self.port = vecwire.open(self.spec)
        self.port.fileno()

    def finish(self, case: Case | None) -> None:  # noqa: ARG002 # some look at it
        """Sees that all works."""
        if self.port is not None:
            with self.port as port:
                self.port = None
                port.fileno()
                if self.peer is not None:
                    exchange(port, self.peer)
        self.send_away()

    def send_away(self) -> None:
        """Has a server take whoever waits, and notice that they have gone; what is passed in stays."""
        for number in self.owners:
            os.fstat(number)
        if self.owners or self.peer is None or "listen" not in self.peer.info.descriptors:
            return
        listener = self.peer.info.descriptors["listen"]

        def alone() -> bool:
            assert self.peer is not None
            self.peer.recv(self.peer.batch())
            return "rx" not in self.peer.info.descriptors and not select.select([listener], [], [], 0)[0]

        wait_until(alone, timeout=HEALS, what="the client is gone")

    def close(self) -> None:
        """Ends it all."""
        for number in self.owners:
            os.close(number)
        if self.peer is not None:
            self.peer.close()


class Closing(Opening):
    """A port is closed."""

    def begin(self) -> None:
        """Makes what the act needs."""
        super().act()
        self.wait_served()

    def act(self) -> None:
        """Does it."""
        if self.port is not None:
            self.port.close()

    def finish(self, case: Case | None) -> None:  # noqa: ARG002 # some look at it
        """Sees that all works."""
        self.port = None
        self.send_away()


class Handing(Opening):
    """A transport is opened for another program, as ``vecwire open`` does, which takes its descriptors."""

    def act(self) -> None:
        """Does it."""
        handed = hand_over(parse(self.spec))
        self.owners, self.taken = numbers_of(handed), str(handed)

    def finish(self, case: Case | None) -> None:
        """Has somebody take them, and gives them back."""
        if self.owners:
            assert all(os.get_inheritable(number) for number in self.owners)
            self.port = vecwire.open(self.taken)
        super().finish(case)
        while self.owners:
            os.close(self.owners.pop())
        self.send_away()
        # That of a server is its user's to remove.
        for path in FOLDER.glob("vecwire-faults*.listen"):
            path.unlink()


class Using(Scenario):
    """Frames, and super-frames where there are any, go both ways by the calls of a port."""

    def __init__(self, spec: str, peer: str) -> None:
        self.right = vecwire.open(peer)
        self.left = vecwire.open(spec)
        self.left.fileno()
        if not self.left.info.transport.startswith("tap"):
            self.right.fileno()
        exchange(self.left, self.right)
        self.batches = [(port, port.batch(), port.batch()) for port in (self.left, self.right)]
        big, header, _ = super_frame()
        for port, sent, _ in self.batches:
            fill(sent, [frame(number, 60 + 20 * (number > 4)) for number in range(8)])
            if "tcp super-frames" in port.info.offloads:
                sent.append(big)
                sent.vnet[8] = header
        self.before: dict[str, int] = {}

    def counters(self) -> Counter[str]:
        """What both ports have counted."""
        return sum((Counter(port.stats.counters) for port in (self.left, self.right)), Counter())

    def begin(self) -> None:
        """Makes what the act needs."""
        self.before = self.counters()

    def act(self) -> None:
        """Does it."""
        for port, sent, came in self.batches:
            port.recv(came)
            port.send(sent)
        for port, _, came in self.batches:
            port.wait(0.001)
            port.recv(came)
            port.recv(came)

    def finish(self, case: Case | None) -> None:  # some look at it
        """Sees that all works."""
        for port, _, came in self.batches:
            while port.recv(came):
                pass
        after = self.counters()
        if case is not None and case.call in RULES:
            table, unknown = RULES[case.call]
            meaning = table.get(case.error, unknown)
            counter = {"lost": "lost", "wait": "tx_stalls" if table is SEND else ""}.get(
                meaning.action, meaning.counter
            )
            moved = {name for name in after if after[name] != self.before.get(name, 0)}
            lowered = {"downgrades", "tx_stalls", "unreachable"}
            assert not counter or case.error == 4 or moved & {counter, *lowered}, (
                f"{counter} did not count it; what did: {sorted(moved)}"
            )
        exchange(self.left, self.right)
        assert self.left.info.up
        assert self.right.info.up

    def close(self) -> None:
        """Ends it all."""
        self.left.close()
        self.right.close()


class Working(Scenario):
    """A worker moves frames between two ports, some of them delayed; its thread and the keeper's fail."""

    thread = -1
    # Python waits for ever for a thread that has no memory for its first call (Thread.start).
    spared = ("mmap64",)

    def __init__(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        self.peers = [vecwire.open(pair[1]) for pair in (left, right)]
        self.ports = [vecwire.open(pair[0]) for pair in (left, right)]
        self.ports[0].impair(vecwire.Impairment(delay=0.001))
        self.cable = Cable(*self.ports).start()
        exchange(*self.peers)

    def act(self) -> None:
        """Does it."""
        for source, sink in (self.peers, self.peers[::-1]):
            for number in range(2):
                passes(source, sink, number)

    def finish(self, case: Case | None) -> None:  # noqa: ARG002 # some look at it
        """Sees that all works."""
        exchange(*self.peers)
        wait_until(lambda: all(port.info.up for port in self.ports), timeout=HEALS, what="both ports are up")
        assert self.cable.running
        wait_until(keepers_rest, timeout=HEALS, what="the keeper has nothing left to do")

    def close(self) -> None:
        """Ends it all."""
        self.cable.stop()
        for port in (*self.ports, *self.peers):
            port.close()


class Guarded(Working):
    """The same with a port whose namespace has a name: the guard's calls fail too, and it guards on."""

    def begin(self) -> None:
        """Sees what there is."""
        super().begin()
        self.descriptors = len(open_descriptors())

    def act(self) -> None:
        """Does it, and something happens beside that name."""
        super().act()
        beside = Path(os.environ["VECWIRE_FAULTS_NETNS"]).parent / f"vecwire-faults-{os.getpid()}"
        beside.touch()
        beside.unlink()

    def finish(self, case: Case | None) -> None:
        """Sees that all works."""
        super().finish(case)
        assert any(thread.name == "vecwire-guard" for thread in threading.enumerate())
        # It begins again after a rest.
        wait_until(
            lambda: len(open_descriptors()) == self.descriptors, timeout=HEALS, what="the guard looks again"
        )


class Reviving(Working):
    """An interface goes down and up, and the keeper brings the port back."""

    def __init__(self, lose: Callable[[], None], left: tuple[str, str], right: tuple[str, str]) -> None:
        super().__init__(left, right)
        self.lose = lose

    def act(self) -> None:
        """Does it."""
        self.lose()
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            for source, sink in (self.peers, self.peers[::-1]):
                passes(source, sink, 1)
            if all(port.info.up for port in self.ports):
                break


class Joining(Scenario):
    """A cable and a switch begin and end, a port joins and leaves, its membership and its frames change."""

    # Python's socketpair gives what it made away before it has looked at it.
    spared = ("getsockname",)

    def __init__(self) -> None:
        self.ports = [vecwire.open(PAIRS[kind][0]) for kind in ("gre", "l2tpv3-udp", "raw-options")]

    def act(self) -> None:
        """Does it."""
        with Cable(*self.ports[:2]):
            pass
        with Switch(addresses=100) as switch:
            for port in self.ports:
                switch.add(port)
            switch.change(self.ports[0], Membership(vlan=7, horizon=3))
            switch.capacity = 200
            switch.fdb()
            switch.flush()
            number = switch.engine.capture(self.ports[0])
            with contextlib.suppress(OSError):  # ours, and closed all the same
                os.close(number)
            self.ports[1].impair(vecwire.Impairment(delay=0.01, limit=20))
            self.ports[1].impair(vecwire.Impairment(delay=0.01, limit=40))
            self.ports[2].attach_filter("ether proto 0x88b5")
            switch.remove(self.ports[0])

    def finish(self, case: Case | None) -> None:  # noqa: ARG002 # some look at it
        """Sees that all works."""
        for port in self.ports:
            assert port.channel.user is None, f"{port!r} is still claimed by {port.channel.user}"
            assert not port.closed
        self.ports[1].impair(vecwire.Impairment())
        self.ports[1].send(self.ports[1].batch(1))

    def close(self) -> None:
        """Ends it all."""
        for port in self.ports:
            port.close()


class Recording(Scenario):
    """Frames are written to files, one after the other."""

    def __init__(self) -> None:
        self.batch = vecwire.Batch(64)
        fill(self.batch, [frame(number, 200) for number in range(64)])
        self.folder = Path(os.environ["VECWIRE_FAULTS"]).parent / "records"
        self.folder.mkdir()
        self.recorder: Recorder | None = None

    def act(self) -> None:
        """Does it."""
        self.recorder = None
        recorder = Recorder(self.folder / "frames.pcapng", rotation=Rotation(size=6000, keep=2))
        self.recorder = recorder
        try:
            for _ in range(3):
                recorder.take(self.batch, time.time_ns())
            recorder.flush()
        finally:
            recorder.close()

    def finish(self, case: Case | None) -> None:  # noqa: ARG002 # some look at it
        """Sees that all works."""
        if self.recorder is not None:
            with contextlib.suppress(VecwireError):
                self.recorder.close()
        self.recorder = None
        for path in self.folder.iterdir():
            path.unlink()


def set_flags(ifname: str, up: bool) -> None:
    """Sets an interface up or down, by no other process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        found = fcntl.ioctl(asked, SIOCGIFFLAGS, struct.pack("16sh14x", ifname.encode(), 0))
        flags = struct.unpack_from("h", found, 16)[0]
        fcntl.ioctl(
            asked,
            SIOCSIFFLAGS,
            struct.pack("16sh14x", ifname.encode(), flags | IFF_UP if up else flags & ~IFF_UP),
        )


def bounce() -> None:
    """Sets the interface of the raw port down and up."""
    set_flags("left0", up=False)
    time.sleep(0.002)
    set_flags("left0", up=True)


def delete(ifname: str) -> None:
    """Deletes an interface (rtnetlink(7)), by no other process."""
    with contextlib.suppress(OSError):
        index = socket.if_nametoindex(ifname)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
            body = struct.pack("=BxHiII", 0, 0, index, 0, 0)
            asked.send(
                struct.pack("=IHHII", 16 + len(body), RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body
            )
            asked.recv(4096)


def scenario_of(name: str) -> Scenario:
    """The scenario of a name, such as ``open raw``."""
    what, _, of = name.partition(" ")
    if what in {"open", "close"}:
        return (Opening if what == "open" else Closing)(*PAIRS[of], passed=of.endswith("-passed"))
    if what == "hand-over":
        return Handing(*PAIRS[of])
    if what == "use":
        kind, _, options = of.partition(",")
        left, right = PAIRS[kind]
        suffix = f",{options}" if options else ""
        return Using(left + suffix, right + suffix)
    if what == "work":
        left, _, right = of.partition(" ")
        return (Guarded if left == "netns" else Working)(PAIRS[left], PAIRS[right])
    if what == "revive":
        return {
            "raw": lambda: Reviving(bounce, PAIRS["raw"], PAIRS["l2tpv3-udp"]),
        }[of]()
    return {"join": Joining, "record": Recording}[what]()


class Trial:
    """All cases of a scenario, one after the other.

    Args:
        scenario: what is done.
        page: where the faults are told.
        memory: whose allocations fail.
        lasting: whether a call that has failed once goes on to.
    """

    def __init__(self, scenario: Scenario, page: Page, *, memory: int, lasting: bool) -> None:
        self.scenario = scenario
        self.page = page
        self.thread = -threading.get_native_id() if scenario.thread else 0
        self.memory = memory
        self.lasting = lasting
        self.outcomes: Counter[str] = Counter()
        self.problems: list[dict[str, str]] = []

    def once(self, case: Case | None) -> tuple[int, str]:
        """Does it once; how many calls failed, and what came of it."""
        signal.alarm(HANGS)
        scenario = self.scenario
        scenario.begin()
        wait_until(
            lambda: state()[1] == threading.active_count(),
            timeout=HEALS,
            what="threads that have ended are gone",
        )
        before = state()
        outcome = "works"
        # Python waits for ever for a thread that has no memory for its first call (Thread.start).
        starts = self.memory == EVERYBODYS or (case is not None and case.call == "mmap64")
        thread = threading.get_native_id() if starts and not self.thread else self.thread
        if case is None:
            self.page.count(thread=thread, memory=self.memory)
        else:
            self.page.fail(case, thread=thread, memory=self.memory, lasting=self.lasting)
        try:
            scenario.act()
        except BaseException as error:  # noqa: BLE001 # judged below
            self.page_rest()
            outcome = self._judge(error, case)
        finally:
            self.page_rest()
        fired = self.fired
        scenario.finish(case)
        self._compare(before)
        signal.alarm(0)
        return fired, outcome

    def page_rest(self) -> None:
        """Ends the faults, and keeps what was counted."""
        try:
            was_on = self.page.stop()
        except MemoryError:
            # The turn of the allocation that fails came only here; there is one.
            was_on = self.page.stop()
        if was_on:
            self.fired, self.counts = self.page.fired, self.page.counts
            self.page.rest()

    def _judge(self, error: BaseException, case: Case | None) -> str:
        kind = type(error).__name__
        if self.memory == EVERYBODYS and isinstance(error, SystemError):
            # CPython's own fault: a function of its C code failed for want of memory, and did not say so.
            text = str(error)
            silent = text.endswith("returned NULL without setting an exception") and "vecwire" not in text
            assert silent or text == "error return without exception set", text
            return kind
        if case is None or not isinstance(error, self.scenario.named):
            raise error
        assert str(error) or self.memory == EVERYBODYS, f"{kind} has no text"
        return kind

    def _compare(self, before: tuple[object, ...]) -> None:
        now = state()
        if before != now and isinstance(self.scenario, Closing):
            return
        if before != now:
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: state() == before, timeout=0.5, what="all is as before")
            if (now := state()) != before:
                collected = gc.collect()
                words = "only the garbage collector gave it back" if state() == before else "it is left"
                raise AssertionError(f"{before} became {now}: {words} ({collected} objects)")

    def run(self, share: float, seed: int, calls: list[str]) -> dict[str, Any]:
        """Runs a share of all cases; what is to be told of it."""
        for _ in range(3):
            self.once(None)
        counts = {
            call: count
            for call, count in self.counts.items()
            if (call in calls if calls else (call == "malloc") == bool(self.memory))
            and call not in self.scenario.spared
        }
        chosen = sample(list(cases(counts)), share, seed)
        unfired = 0
        for case in chosen:
            try:
                fired, outcome = self.once(case)
            except BaseException as error:  # noqa: BLE001 # told, and the next case goes on
                self.page.rest()
                self.problems.append(
                    {"case": str(case), "what": f"{type(error).__name__}: {error}", "trace": trace(error)}
                )
                if len(self.problems) >= 40:
                    break
                with contextlib.suppress(Exception):
                    self.scenario.finish(None)
                continue
            self.outcomes[outcome] += 1
            unfired += not fired
        return {
            "cases": len(chosen),
            "calls": sorted({case.call for case in chosen}),
            "unfired": unfired,
            "counts": counts,
            "outcomes": dict(self.outcomes),
            "problems": self.problems,
        }


def trace(error: BaseException) -> str:
    """The last places of a traceback."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " > ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in frames)


def main() -> None:
    """Runs what the argument says, as JSON, and prints what came of it, as JSON."""
    told = json.loads(sys.argv[1])
    # Programs that are started from here have nothing of it.
    os.environ.pop("LD_PRELOAD", None)
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
    logging.disable(logging.CRITICAL)
    page = Page(Path(os.environ["VECWIRE_FAULTS"]))
    for name in told["scenarios"]:
        print(name, flush=True)  # noqa: T201 # a program: who reads it knows where it crashed
        scenario = scenario_of(name)
        try:
            trial = Trial(scenario, page, memory=told["memory"], lasting=told["lasting"])
            found = trial.run(told["share"], told["seed"], told["calls"])
        finally:
            scenario.close()
        print(json.dumps({"scenario": name, **found}), flush=True)  # noqa: T201 # a program


if __name__ == "__main__":
    main()
