"""How `vecwire dump` takes frames: what it tells of those that nobody took in time, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.background import Background
from peers.command import vecwire_command
from peers.frames import fill, frame
from peers.lan import send_all
from peers.net import Namespace, veth, wait_until
from vecwire.capture import CaptureReader, Recorder, sockets
from vecwire.capture.sockets import Tap
from vecwire.cli import _dumping
from vecwire.cli._dumping import Dump, Files, Lines, Patience, Show
from vecwire.cli._signals import ENDING
from vecwire.cli._wakeup import Wakeup
from vecwire.errors import PortError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Batch
    from vecwire.transports import TransportPort

COUNT = 4000
SMALL = 64 * 1024


@pytest.fixture
def ends() -> Iterator[tuple[TransportPort, TransportPort]]:
    """Ports at both ends of a veth pair, and nobody else who talks."""
    with Namespace("drops", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "right0"))
        with (
            vecwire.open("raw,ifname=left0") as left,
            vecwire.open("raw,ifname=right0,timestamps=1") as right,
        ):
            yield left, right


@pytest.mark.parametrize("ring", [False, True])
def test_what_the_kernel_drops_is_told_once(
    ends: tuple[TransportPort, TransportPort],
    ring: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of what a socket or a ring had no room for, each frame is the kernel's, and none the port's as well."""
    left, right = ends
    if ring:
        monkeypatch.setattr(sockets, "BUFFER", 2 * sockets.BLOCK)
    with contextlib.closing(Tap(right.info.descriptors["rx"], outgoing=False, ring=ring)) as tap:
        assert (tap.ring is not None) == ring
        if not ring:
            with socket.socket(fileno=os.dup(right.info.descriptors["rx"])) as receiver:
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        batch = left.batch(100)
        for _ in range(COUNT // 100):
            fill(batch, [frame(number, 1514) for number in range(100)])
            assert left.send(batch) == 100
        dropped = tap.dropped
        assert 0 < dropped < COUNT
        # The socket's own number moves as the tap's does, but for what a ring had no room for.
        assert right.stats.rx_missed == (0 if ring else dropped)
        dump, sink = Dump(right, tap, count=None), Lines(json=False, snaplen=64)
        Show(json=False, every=None, writes=False).end(dump, sink)
        told = capsys.readouterr().err.splitlines()
        assert told[0].endswith(f"{dropped:,} dropped by the kernel, 0 by the port")
        assert told[1:] == []
        Show(json=True, every=None, writes=False).end(dump, sink)
        assert json.loads(capsys.readouterr().out)["kernel_dropped"] == dropped


@pytest.fixture
def over() -> Iterator[Patience]:
    """The patience of a capture that is to end at once."""
    with Wakeup(()) as wakeup:
        yield Patience(wakeup, 0.0)


QUIET = Show(json=False, every=None, writes=False)


@pytest.mark.parametrize("ring", [False, True])
def test_what_came_before_the_end_is_taken(
    ends: tuple[TransportPort, TransportPort], over: Patience, ring: bool, tmp_path: Path
) -> None:
    """All that waits in a socket or a ring when the capture is to end is in the file."""
    left, right = ends
    path = tmp_path / "x"
    with contextlib.closing(Tap(right.info.descriptors["rx"], outgoing=False, ring=ring)) as tap:
        frames = [frame(number) for number in range(COUNT)]
        send_all(left, frames)
        dump, sink = Dump(right, tap, count=None), Files(Recorder(path))
        dump.run(sink, over, QUIET, depth=128)
        sink.close()
        assert (dump.left, tap.dropped) == (0, 0)
    with path.open("rb") as file:
        assert [record.frame for record in CaptureReader(file)] == frames


class Slow(Files):
    """Takes so long for its first batch that there is no time for another."""

    def take(self, batch: Batch, now: int, most: int | None) -> int:
        """Writes frames; how many that makes."""
        time.sleep(1.1 * _dumping.LAST_SECONDS)
        return super().take(batch, now, most)


@pytest.mark.parametrize("ring", [False, True])
def test_what_is_left_at_the_end_is_told(
    ends: tuple[TransportPort, TransportPort],
    over: Patience,
    ring: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a file takes too little in the time that there is, the rest is counted and told."""
    monkeypatch.setattr(_dumping, "LAST_SECONDS", 1.0)
    left, right = ends
    with contextlib.closing(Tap(right.info.descriptors["rx"], outgoing=False, ring=ring)) as tap:
        send_all(left, [frame(number) for number in range(COUNT)])
        dump, sink = Dump(right, tap, count=None), Slow(Recorder(Path("/dev/null")))
        dump.run(sink, over, QUIET, depth=100)
        sink.close()
        assert (sink.records, dump.left) == (100, COUNT - 100)
        QUIET.end(dump, sink)
        assert f"{COUNT - 100:,} waited to be taken at the end" in capsys.readouterr().err


@pytest.mark.parametrize("signals", [1, 2])
def test_a_pipe_that_nobody_reads_keeps_no_capture_from_ending(
    ends: tuple[TransportPort, TransportPort], signals: int
) -> None:
    """After Ctrl-C, or a second one, it says how many frames the reader did not get; the exit code is 1."""
    argv = vecwire_command("dump", "raw,ifname=right0", "-w", "-")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            assert running.stderr.readline() == "ready\n"
            # More than the pipe has room for.
            send_all(ends[0], [frame(number, 1514) for number in range(1000)])
            for _ in range(signals):
                running.send_signal(signal.SIGINT)
            assert running.wait(30) == 1
            told = running.stderr.read()
        finally:
            running.kill()
    assert "1,000 frames captured, " in told
    assert re.search(r"^[0-9,]+ of those captured could not be written$", told, re.MULTILINE)
    assert re.search(r"standard output takes nothing more: [0-9,]+ frames are not written", told)


@pytest.mark.usefixtures("ends")
def test_a_pipe_without_a_reader_keeps_no_capture_from_ending(tmp_path: Path) -> None:
    """Two signals end it at once, though nobody has opened the other end; the error says so."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    argv = vecwire_command("dump", "-v", "raw,ifname=right0", "-w", str(pipe))
    with Background(argv, name="dump") as running:
        wait_until(lambda: "waits for somebody" in running.errors, timeout=30, what="it waits")
        for _ in range(2):
            running.process.send_signal(signal.SIGINT)
        assert running.wait(30) == 1
        assert f"nobody reads {pipe}: nothing is captured" in running.errors


def test_the_end_of_the_time_ends_the_wait_for_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody reads is waited for until the time is over, and then no longer than any other."""
    monkeypatch.setattr(_dumping, "LAST_SECONDS", 0.1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Wakeup(ENDING) as wakeup, pytest.raises(PortError, match="nobody reads"):
        Recorder(pipe, patient=Patience(wakeup, 0.1).with_a_pipe)


def test_an_interface_that_comes_back_is_captured_in_lines_as_before() -> None:
    """What the host sends through the new interface is told, too, as it was with the one before it."""
    with Namespace("again", ipv6=False) as host, host.enter():
        veth((host, "left0"), (host, "right0"))
        argv = vecwire_command("dump", "raw,ifname=right0", "--json")
        with (
            host.popen(argv, name="dump") as running,
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as own,
        ):
            running.wait_for_event("ready", timeout=30)

            def told(octets: bytes) -> bool:
                """Sends a frame as the host's own stack does; whether one such was told."""
                own.bind(("right0", 0))
                own.send(octets)
                return f'"octets": {len(octets)}' in running.output

            wait_until(lambda: told(frame(1, 101)), timeout=20, what="the host's frames are told")
            host.ip("link del left0")
            veth((host, "left0"), (host, "right0"))
            wait_until(lambda: told(frame(1, 202)), timeout=20, what="those of the new interface are told")
            running.process.send_signal(signal.SIGINT)
            assert running.wait(30) == 0
