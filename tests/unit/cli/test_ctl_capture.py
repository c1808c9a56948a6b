"""``vecwire ctl capture``: to a file, to a pipe, in lines; how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from scapy.utils import rdpcap

from peers.background import Background
from peers.command import vecwire_command
from peers.dropping import record
from peers.net import wait_until
from vecwire.capture import CaptureReader
from vecwire.cli._common import NOT_FOR_A_TERMINAL
from vecwire.cli._wakeup import Wakeup
from vecwire.cli.ctl._capture import RECORDS, _Taking

if TYPE_CHECKING:
    from peers.controlled import Fake

FRAME = bytes.fromhex("0200000000010200000000028100000a0800") + bytes(46)


class Feeding:
    """A process of ``vecwire ctl capture``, with what sends it frames."""

    def __init__(self, fake: Fake, path: str, *arguments: str, port: tuple[str, ...] = ("a",)) -> None:
        self.running = Background(
            vecwire_command("ctl", "--socket", path, "capture", *port, *arguments), name="capture"
        )
        self.frames: socket.socket = wait_until(
            lambda: fake.captures[0] if fake.captures else None, timeout=30, what="it captures"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.stop()


def test_a_capture_to_a_file_ends_at_the_count(fake: Fake, path: str, tmp_path: Path) -> None:
    """So many frames are in the file, byte for byte; standard error says how many."""
    file = tmp_path / "a.pcap"
    with Feeding(fake, path, "-w", str(file), "-c", "2") as capture:
        for number in range(3):
            capture.frames.send(FRAME + bytes([number]))
        assert capture.running.wait(30) == 0
        assert capture.running.output == ""
        assert capture.running.errors == "2 frames captured\n"
    assert [bytes(packet) for packet in rdpcap(str(file))] == [FRAME + b"\0", FRAME + b"\1"]


def test_a_signal_ends_a_capture_with_a_whole_file(fake: Fake, path: str, tmp_path: Path) -> None:
    """After Ctrl-C the exit code is 0 and every frame that was taken is in the file."""
    file = tmp_path / "a.pcap"
    with Feeding(fake, path, "-w", str(file)) as capture:
        capture.frames.send(FRAME)
        wait_until(lambda: file.exists() and file.stat().st_size > 24, timeout=30, what="it is written")
        capture.running.process.send_signal(signal.SIGINT)
        assert capture.running.wait(30) == 0
        assert capture.running.errors == "1 frames captured\n"
    assert [bytes(packet) for packet in rdpcap(str(file))] == [FRAME]


def test_a_signal_ends_a_capture_under_load() -> None:
    """Frames that never cease to come do not keep Ctrl-C from ending it."""
    service, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    taken = 0

    def take(_: bytes) -> None:
        """Has another frame there for each that is taken; and a signal."""
        nonlocal taken
        taken += 1
        assert taken < 100 * RECORDS, "it does not look for signals"
        service.send(FRAME)
        if taken == 10:
            signal.raise_signal(signal.SIGINT)

    with service, reader, Wakeup((signal.SIGINT,)) as wakeup:
        service.send(FRAME)
        assert _Taking(reader, take, lambda: None).run(wakeup, None)


def test_what_came_before_a_signal_is_read(fake: Fake, path: str, tmp_path: Path) -> None:
    """All that the service has given by then is in the file, and nothing that comes after it."""
    file = tmp_path / "a.pcap"
    with Feeding(fake, path, "-w", str(file)) as capture:
        process = capture.running.process
        process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{process.pid}/status")
        wait_until(lambda: "State:\tT" in status.read_text(), timeout=30, what="it stands still")
        for number in range(100):
            capture.frames.send(FRAME + bytes([number]))
        fake.counted = (80, 0)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert capture.running.wait(30) == 0
        assert capture.running.errors == "80 frames captured\n"
    assert [bytes(packet)[-1] for packet in rdpcap(str(file))] == list(range(80))


def test_what_came_too_fast_is_told(fake: Fake, path: str, tmp_path: Path) -> None:
    """How many frames the service could not hand over stands on standard error, and in a pcapng file."""
    fake.counted = (2, 5)
    file = tmp_path / "a.pcapng"
    for arguments in (["-w", str(file)], []):
        with Feeding(fake, path, "-c", "2", *arguments) as capture:
            capture.frames.send(FRAME)
            capture.frames.send(FRAME)
            assert capture.running.wait(30) == 0
            assert capture.running.errors == "2 frames captured; 5 came too fast\n"
        fake.close()
        fake.captures.clear()
    received, dropped, written = (
        struct.pack("=HHQ", option, 8, count) for option, count in ((4, 7), (7, 5), (8, 2))
    )
    assert file.read_bytes().count(received + dropped + written) == 1


def test_a_capture_to_standard_output(fake: Fake, path: str) -> None:
    """With -w - the octets of the file are on standard output."""
    argv = vecwire_command("ctl", "--socket", path, "capture", "a", "-w", "-", "-c", "1")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        frames = wait_until(lambda: fake.captures[0] if fake.captures else None, timeout=30, what="capture")
        frames.send(FRAME)
        data, _ = running.communicate(timeout=30)
    (record,) = CaptureReader(io.BytesIO(data))
    assert record.frame == FRAME


def test_frames_are_told_in_lines(fake: Fake, path: str) -> None:
    """Without a file each frame is a line: when, from whom, to whom, VLAN, type, length."""
    with Feeding(fake, path, "-c", "1") as capture:
        capture.frames.send(FRAME)
        assert capture.running.wait(30) == 0
        line = capture.running.output
    wanted = r"\d\d:\d\d:\d\d\.\d{9}  02:00:00:00:00:02 > 02:00:00:00:00:01  vlan 10  IPv4  64 octets\n"
    assert re.fullmatch(wanted, line)


def test_frames_are_told_as_objects(fake: Fake, path: str) -> None:
    """With --json each frame is an object."""
    with Feeding(fake, path, "--json", "-c", "1") as capture:
        capture.frames.send(FRAME)
        assert capture.running.wait(30) == 0
        told = json.loads(capture.running.output)
    assert told.pop("time_ns") > 0
    assert told == {
        "src": "02:00:00:00:00:02",
        "dst": "02:00:00:00:00:01",
        "vlans": [10],
        "ethertype": 0x0800,
        "summary": "IPv4",
        "octets": 64,
    }


def test_drops_are_told_in_lines(fake: Fake, path: str) -> None:
    """Without a file each drop is a line with port and reason; what came too fast is told at the end."""
    with Feeding(fake, path, "--drops", "-c", "2", port=()) as capture:
        capture.frames.send(record(FRAME, port="guest", reason="tx_full"))
        capture.frames.send(record(b"GRE", port="guest", reason="rx_bad_key", number=4, kind=2))
        assert capture.running.wait(30) == 0
        first, second = capture.running.output.splitlines()
        assert capture.running.errors == "2 drops captured; 3 came too fast\n"
    assert re.fullmatch(r"\S+  guest  tx_full  02:00:00:00:00:02 > .*  64 octets", first)
    assert re.fullmatch(r"\S+  guest  rx_bad_key  gre packet  3 octets", second)
    assert fake.told == [("capture_drops", None, [])]


def test_drops_are_told_as_objects(fake: Fake, path: str) -> None:
    """With --json each drop is the object of its frame, with port, reason and kind; --reason says --drops."""
    with Feeding(fake, path, "--json", "--reason", "tx", "--reason", "rx_runt", "-c", "1") as capture:
        capture.frames.send(record(FRAME, port="guest", reason="tx_full"))
        assert capture.running.wait(30) == 0
        told = json.loads(capture.running.output)
    assert (told["port"], told["reason"], told["kind"], told["octets"]) == ("guest", "tx_full", "frame", 64)
    assert told["src"] == "02:00:00:00:00:02"
    assert fake.told == [("capture_drops", "a", ["tx", "rx_runt"])]


def test_drops_are_written(fake: Fake, path: str, tmp_path: Path) -> None:
    """With -w they are frames of a pcapng file, as many as were asked for."""
    file = tmp_path / "drops.pcapng"
    with Feeding(fake, path, "--drops", "-w", str(file), "-c", "2", port=()) as capture:
        for number in range(3):
            capture.frames.send(record(FRAME + bytes([number]), number=number))
        assert capture.running.wait(30) == 0
        assert capture.running.errors == "2 drops captured\n"
    with file.open("rb") as written:
        assert [each.frame for each in CaptureReader(written)] == [FRAME + b"\0", FRAME + b"\1"]


def test_what_drops_cannot_be_is_told(path: str, tmp_path: Path) -> None:
    """A pcap has no place for a reason, and a capture is of a port or of drops: each says what to do."""
    for arguments, wanted in ((("--drops", "-w", str(tmp_path / "x.pcap")), "x.pcapng"), ((), "--drops")):
        argv = vecwire_command("ctl", "--socket", path, "capture", *arguments)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 2
        assert wanted in done.stderr


def test_a_capture_that_the_service_ends_is_told(fake: Fake, path: str) -> None:
    """When the port goes the capture ends with 1, and says so."""
    with Feeding(fake, path, "-c", "2") as capture:
        capture.frames.send(FRAME)
        capture.frames.close()
        assert capture.running.wait(30) == 1
        assert "was ended by the service" in capture.running.errors
        assert "64 octets" in capture.running.output


def test_a_file_that_cannot_be_written(path: str, tmp_path: Path) -> None:
    """The error names the file."""
    argv = vecwire_command(
        "ctl", "--socket", path, "capture", "a", "-w", str(tmp_path / "nothere" / "a.pcap")
    )
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "a.pcap" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_without_a_reader_is_waited_for_until_a_signal(
    fake: Fake, path: str, tmp_path: Path, number: signal.Signals
) -> None:
    """A named pipe whose other end nobody has opened keeps no capture from ending; the error says so."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Feeding(fake, path, "-w", str(pipe)) as capture:
        capture.running.process.send_signal(number)
        assert capture.running.wait(30) == 1
        assert f"nobody reads {pipe}" in capture.running.errors


@pytest.mark.parametrize("command", [("dump", "raw,ifname=lo"), ("ctl", "capture", "a")])
def test_a_terminal_gets_no_capture(path: str, command: tuple[str, ...]) -> None:
    """Standard output that is a terminal is a wrong option to every command that captures."""
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            vecwire_command(*command, "-w", "-"),
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
            env={**os.environ, "VECWIRE_SOCKET": path},
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert NOT_FOR_A_TERMINAL in " ".join(done.stderr.split())
