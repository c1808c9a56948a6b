"""What sends through a port that delays frames does so until all have left: replay, and scapy's functions."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from scapy.layers.l2 import Ether
from scapy.sendrecv import sendp

from peers.command import vecwire_command
from peers.frames import frame
from peers.net import Namespace, veth, wait_until
from peers.ports import joined
from vecwire import open as open_port
from vecwire.capture import CaptureWriter
from vecwire.scapy import Socket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FRAMES = [frame(number) for number in range(20)]
HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace with both ends of a veth pair, and nobody who talks."""
    with Namespace("late", ipv6=False) as made:
        veth((made, "left0"), (made, "right0"))
        yield made


def write(path: Path, frames: list[tuple[int, bytes]]) -> None:
    """Makes a file of times and frames."""
    with path.open("wb") as file:
        writer = CaptureWriter(file)
        for time, octets in frames:
            writer.write(octets, time)


@pytest.mark.parametrize("how", [["--flat-out"], ["--rate", "2k"], ["--speed", "1"]])
def test_a_replay_ends_once_all_has_left(host: Namespace, tmp_path: Path, how: list[str]) -> None:
    """Frames that the port delays when the file has ended are waited for, and arrive in order."""
    path = tmp_path / "x"
    write(path, [(10**18 + number * 10**6, octets) for number, octets in enumerate(FRAMES)])
    with host.enter(), open_port("raw,ifname=right0") as far:
        argv = vecwire_command("replay", str(path), "raw,ifname=left0,delay=300ms", "--json", *how)
        end = json.loads(host.run(argv).stdout.splitlines()[-1])
        counters = end["port"]["counters"]
        assert (counters["tx_frames"], counters["tx_delayed"], counters["tx_down"]) == (20, 20, 0)
        batch, found = far.batch(), list[bytes]()
        while far.recv(batch):
            found.extend(bytes(each) for each in batch)
        assert found == FRAMES


def test_what_is_due_leaves_while_a_replay_waits(host: Namespace, tmp_path: Path) -> None:
    """A delayed frame arrives long before the next one of the file; a signal ends it all the same."""
    path = tmp_path / "x"
    write(path, [(10**18, FRAMES[0]), (10**18 + HOUR, FRAMES[1])])
    with host.enter(), open_port("raw,ifname=right0") as far:
        argv = vecwire_command("replay", str(path), "raw,ifname=left0,delay=80ms", "--json")
        with host.popen(argv, name="replay") as running:
            running.wait_for_event("ready", timeout=30)
            batch = far.batch()
            wait_until(lambda: far.recv(batch) or None, timeout=20, what="the delayed frame arrives")
            assert [bytes(each) for each in batch] == [FRAMES[0]]
            running.process.send_signal(signal.SIGINT)
            assert running.wait(30) == 0


def test_a_signal_ends_a_replay_that_waits_for_its_last_frames(host: Namespace, tmp_path: Path) -> None:
    """Ctrl-C does not wait for a long delay: what has not left is counted as dropped."""
    path = tmp_path / "x"
    write(path, [(10**18, FRAMES[0])])
    argv = vecwire_command("replay", str(path), "raw,ifname=left0,delay=1000s", "--json", "--stats", "0.1")
    with host.popen(argv, name="replay") as running:
        running.wait_for_event("stats", timeout=30)
        running.process.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        end = json.loads(running.output.splitlines()[-1])
    assert (end["frames"], end["port"]["counters"]["tx_frames"]) == (1, 0)


def test_sendp_leaves_nothing_behind() -> None:
    """What a port delays when scapy closes its socket is sent before."""
    with joined("raw", ",delay=100ms") as ends:
        socket = Socket(ends.left)
        sendp([Ether(each) for each in FRAMES], socket=socket, verbose=0)
        socket.close()
        assert (ends.left.stats.tx_frames, ends.left.stats.tx_down) == (20, 0)
        assert ends.right.wait(0)
