"""`vecwire dump` and `vecwire replay` in real runs."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import vecwire
from peers.command import vecwire_command
from peers.frames import fill, frame, rejoin, super_frame
from peers.net import Namespace, namespaces, veth, wait_until
from vecwire.capture import CaptureReader, CaptureWriter, Form, Record
from vecwire.wire.segment import segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.background import Background


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace with both ends of a veth pair, and nobody who talks."""
    with Namespace("host", ipv6=False) as made:
        veth((made, "left0"), (made, "right0"))
        yield made


def dump(host: Namespace, *arguments: str) -> Background:
    """A capture at the right end, ready."""
    running = host.popen(vecwire_command("dump", "raw,ifname=right0", *arguments), name="dump")
    if "--json" in arguments:
        running.wait_for_event("ready", timeout=30)
    else:
        running.wait_for(
            lambda _, errors: True if "ready\n" in errors else None, timeout=30, what="it is ready"
        )
    return running


def send_as_the_host(host: Namespace, octets: bytes) -> None:
    """Sends a frame out of the right end as the host's own stack does, through the queueing discipline."""
    with host.enter(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("right0", 0))
        assert sender.send(octets) == len(octets)


def send(host: Namespace, frames: list[bytes]) -> None:
    """Sends frames from the left end."""
    with host.enter(), vecwire.open("raw,ifname=left0") as port:
        batch = port.batch(len(frames))
        fill(batch, frames)
        assert port.send(batch) == len(frames)


def read(path: Path) -> list[Record]:
    """The frames of a file."""
    with path.open("rb") as file:
        return list(CaptureReader(file))


def write(path: Path, frames: list[tuple[int, bytes]], form: Form = Form.PCAPNG) -> None:
    """Makes a file of times and frames."""
    with path.open("wb") as file:
        writer = CaptureWriter(file, form)
        for time, octets in frames:
            writer.write(octets, time)


FRAMES = [frame(number, 60 + 7 * number) for number in range(100)]


def test_the_count_ends_it_with_a_whole_file(host: Namespace, tmp_path: Path) -> None:
    """So many frames are in the file, as they were sent, with times that go forward."""
    path = tmp_path / "x.pcapng"
    with dump(host, "-w", str(path), "-c", "100") as running:
        send(host, FRAMES)
        assert running.wait(30) == 0
        assert running.errors.splitlines()[-1].startswith("100 frames captured, ")
    records = read(path)
    assert [record.frame for record in records] == FRAMES
    times = [record.time for record in records]
    assert times == sorted(times)


def test_a_signal_ends_it_with_statistics(host: Namespace, tmp_path: Path) -> None:
    """After Ctrl-C all that came before is in the file, and the end says how much that was."""
    path = tmp_path / "x.pcap"
    with dump(host, "-w", str(path), "--json", "-s", "64") as running:
        send(host, FRAMES)
        wait_until(lambda: True if path.stat().st_size > 24 else None, timeout=10, what="frames are written")
        running.process.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        end: dict[str, Any] = json.loads(running.output.splitlines()[-1])
    assert [record.frame for record in read(path)] == [octets[:64] for octets in FRAMES]
    assert (end["event"], end["frames"], end["kernel_dropped"]) == ("end", 100, 0)
    assert end["counters"]["rx_frames"] == 100
    assert end["cut"] == sum(len(octets) > 64 for octets in FRAMES)
    assert end["octets"] == sum(map(len, FRAMES))


def test_both_directions(host: Namespace, tmp_path: Path) -> None:
    """What the host itself sends through the interface is captured, unless it is not wanted."""
    path = tmp_path / "x.pcapng"
    with dump(host, "-w", str(path), "-c", "2") as running:
        send_as_the_host(host, FRAMES[0])
        send(host, FRAMES[1:2])
        assert running.wait(30) == 0
    assert [record.frame for record in read(path)] == FRAMES[:2]
    with dump(host, "-w", str(path), "-c", "1", "--incoming") as running:
        send_as_the_host(host, FRAMES[0])
        send(host, FRAMES[1:2])
        assert running.wait(30) == 0
    assert [record.frame for record in read(path)] == FRAMES[1:2]


def test_an_expression_chooses(host: Namespace, tmp_path: Path) -> None:
    """Only frames that the expression wants are captured, VLAN tags included."""
    path = tmp_path / "x.pcapng"
    tagged = FRAMES[0][:12] + bytes.fromhex("8100000a") + FRAMES[0][12:]
    with dump(host, "-w", str(path), "-c", "1", "vlan", "10") as running:
        send(host, [FRAMES[1], tagged])
        assert running.wait(30) == 0
    assert [record.frame for record in read(path)] == [tagged]


def test_a_wrong_expression_is_shown(host: Namespace) -> None:
    """It ends with 2 and says what libpcap says."""
    done = host.run(vecwire_command("dump", "raw,ifname=right0", "tcp", "prot", "80"), check=False)
    assert done.returncode == 2
    assert "tcp prot 80" in done.stderr


@pytest.mark.parametrize("segment", [False, True])
def test_super_frames(host: Namespace, tmp_path: Path, segment: bool) -> None:
    """A super-frame is one record, or with --segment those of the frames that it stands for."""
    octets, vnet, _ = super_frame()
    whole = segments(octets, vnet)
    assert whole is not None
    path = tmp_path / "x.pcapng"
    count = len(whole) if segment else 1
    with dump(host, "-w", str(path), "-c", str(count), *["--segment"][: int(segment)]) as running:
        with host.enter(), vecwire.open("raw,ifname=left0") as port:
            batch = port.batch()
            batch.append(octets, vnet)
            assert port.send(batch) == 1
        assert running.wait(30) == 0
    frames = [record.frame for record in read(path)]
    assert frames == whole if segment else [len(each) for each in frames] == [len(octets)]


def test_frames_are_told_in_lines(host: Namespace) -> None:
    """Without a file each frame is a line on standard output, or an object."""
    with dump(host, "-c", "1") as running:
        send(host, FRAMES[:1])
        assert running.wait(30) == 0
        assert running.output.endswith(f"  {len(FRAMES[0])} octets\n")
    with dump(host, "-c", "1", "--json") as running:
        send(host, FRAMES[:1])
        assert running.wait(30) == 0
        events = [json.loads(line) for line in running.output.splitlines()]
    assert [event["event"] for event in events] == ["ready", "frame", "end"]
    assert events[1]["octets"] == len(FRAMES[0])
    assert events[1]["time_ns"] > 0


def test_files_follow_each_other(host: Namespace, tmp_path: Path) -> None:
    """With a size and a number to keep, the last files are there, none too long, frames in order."""
    big = [frame(number, 1000) for number in range(40)]
    arguments = ("-w", str(tmp_path / "ring.pcap"), "--rotate-size", "4k", "--keep", "3", "-c", "40")
    with dump(host, *arguments) as running:
        send(host, big)
        assert running.wait(30) == 0
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [f"ring-{number:05d}.pcap" for number in (12, 13, 14)]
    assert all(path.stat().st_size <= 4096 for path in files)
    assert [record.frame for path in files for record in read(path)] == big[-7:]


def test_standard_output_is_seen_at_once(host: Namespace) -> None:
    """A reader of the pipe sees a frame while the capture goes on."""
    argv = host.command(vecwire_command("dump", "raw,ifname=right0", "-w", "-"))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stderr.readline() == b"ready\n"
        reader = iter(CaptureReader(running.stdout.raw))  # type: ignore[attr-defined] # of a buffered reader
        send(host, FRAMES[:1])
        assert next(reader).frame == FRAMES[0]
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
        assert running.returncode == 0


def test_a_full_disk_is_told(host: Namespace, tmp_path: Path) -> None:
    """The error is the system's, with what to do; the file ends with a whole frame."""
    path = tmp_path / "small" / "x.pcapng"
    path.parent.mkdir()
    big = [frame(number, 1500) for number in range(200)]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", str(path.parent)], check=True)
    try:
        with dump(host, "-w", str(path)) as running:
            send(host, big)
            assert running.wait(30) == 1
            assert "No space left on device" in running.errors
            assert "remedy" in running.errors
        found = [record.frame for record in read(path)]
    finally:
        subprocess.run(["umount", str(path.parent)], check=True)
    assert found
    assert found == big[: len(found)]


def test_an_interface_that_comes_back_is_captured_again(tmp_path: Path) -> None:
    """After the interface was deleted and made anew its frames are in the same file."""
    path = tmp_path / "x.pcapng"
    with namespaces("again", ipv6=False) as (host,):
        veth((host, "left0"), (host, "right0"))
        with dump(host, "-w", str(path), "--json") as running:
            send(host, FRAMES[:1])
            wait_until(lambda: read_some(path) or None, timeout=10, what="the first frame is written")
            host.ip("link del left0")
            veth((host, "left0"), (host, "right0"))

            def more() -> bool | None:
                send(host, FRAMES[1:2])
                return True if FRAMES[1] in read_some(path) else None

            wait_until(more, timeout=20, what="frames of the new interface are written")
            running.process.send_signal(signal.SIGINT)
            assert running.wait(30) == 0
    assert read(path)[0].frame == FRAMES[0]


def read_some(path: Path) -> list[bytes]:
    """The frames that are in a file which is being written."""
    with path.open("rb") as file:
        found: list[bytes] = []
        with contextlib.suppress(vecwire.PortError):  # its end is being written
            found.extend(record.frame for record in CaptureReader(file))
        return found


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    "how", [["--flat-out"], ["--rate", "20k"], ["--rate", "50Mbit/s"], ["--speed", "100"]]
)
def test_what_is_replayed_is_captured_equal(
    host: Namespace, tmp_path: Path, form: Form, how: list[str]
) -> None:
    """A file that was replayed and captured again holds the same frames in the same order."""
    path, again = tmp_path / "x", tmp_path / f"again.{form.value}"
    frames = [(10**18 + number * 10**6, octets) for number, octets in enumerate(FRAMES * 5)]
    write(path, frames, form)
    with dump(host, "-w", str(again), "-c", "1000") as running:
        done = host.run(vecwire_command("replay", str(path), "raw,ifname=left0", "--loop", "2", *how))
        assert done.stdout.splitlines()[2].startswith("1,000 frames in ")
        assert running.wait(30) == 0
    assert [record.frame for record in read(again)] == FRAMES * 10


@pytest.fixture
def captured_super_frames(host: Namespace, tmp_path: Path) -> Path:
    """A file with two super-frames of different segments, written whole, and a frame between them."""
    path = tmp_path / "whole.pcapng"
    with dump(host, "-w", str(path), "-c", "3") as running:
        with host.enter(), vecwire.open("raw,ifname=left0") as port:
            batch = port.batch()
            batch.append(*super_frame(size=1000)[:2])
            batch.append(FRAMES[0])
            batch.append(*super_frame(ipv6=True)[:2])
            assert port.send(batch) == 3
        assert running.wait(30) == 0
    assert [len(record.frame) for record in read(path)] == [20_054, 60, 20_074]
    return path


def test_super_frames_are_replayed_as_they_were(
    host: Namespace, tmp_path: Path, captured_super_frames: Path
) -> None:
    """Written whole they leave whole, and a capture of that is equal; else they leave as their segments."""
    again = tmp_path / "again.pcapng"
    with dump(host, "-w", str(again), "-c", "3") as running:
        host.run(vecwire_command("replay", str(captured_super_frames), "raw,ifname=left0", "--flat-out"))
        assert running.wait(30) == 0
    assert [record.frame for record in read(again)] == [
        record.frame for record in read(captured_super_frames)
    ]
    wanted = [
        *(segments(*super_frame(size=1000)[:2]) or ()),
        FRAMES[0],
        *(segments(*super_frame(ipv6=True)[:2]) or ()),
    ]
    with dump(host, "-w", str(again), "-c", str(len(wanted))) as running:
        argv = vecwire_command("replay", str(captured_super_frames), "raw,ifname=left0,gro=0", "--flat-out")
        host.run(argv)
        assert running.wait(30) == 0
    assert [record.frame for record in read(again)] == wanted


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_what_a_file_does_not_say_is_cut_to_the_link(host: Namespace, tmp_path: Path, ipv6: bool) -> None:
    """A TCP frame of pcap that is too long leaves as segments of the MTU; others are told of."""
    path, again = tmp_path / "x.pcap", tmp_path / "again.pcapng"
    octets, _, payload = super_frame(ipv6=ipv6)
    write(path, [(0, octets), (1, frame(1, 2000)), (2, FRAMES[0])], Form.PCAP)
    count = -(-len(payload) // (1500 - (60 if ipv6 else 40))) + 1
    with dump(host, "-w", str(again), "-c", str(count)) as running:
        argv = vecwire_command("replay", str(path), "raw,ifname=left0,gro=0", "--flat-out", "--json")
        end = json.loads(host.run(argv).stdout.splitlines()[-1])
        assert running.wait(30) == 0
    frames = [record.frame for record in read(again)]
    assert frames[-1] == FRAMES[0]
    assert max(map(len, frames)) == 1514
    assert rejoin([(each, vecwire.Vnet()) for each in frames[:-1]]) == payload
    assert end["too_long"] == end["port"]["counters"]["tx_too_big"] == 1


def test_times_are_those_of_the_file(host: Namespace, tmp_path: Path) -> None:
    """No frame leaves before its time; how late they were is told."""
    path, again = tmp_path / "x", tmp_path / "again.pcapng"
    gaps = [0, 30, 31, 31, 120]  # milliseconds
    write(path, [(10**18 + gap * 10**6, FRAMES[0]) for gap in gaps])
    with dump(host, "-w", str(again), "-c", "5") as running:
        done = host.run(vecwire_command("replay", str(path), "raw,ifname=left0", "--speed", "0.5", "--json"))
        assert running.wait(30) == 0
    end = json.loads(done.stdout.splitlines()[-1])
    assert end["seconds"] >= 0.24
    times = [record.time for record in read(again)]
    worst = end["late_ns"]["worst"]
    # Between the two frames each may have been late by so much; clocks are slewed by less than a millisecond.
    assert all(
        later - times[0] >= 2 * gap * 10**6 - worst - 10**6 for later, gap in zip(times, gaps, strict=True)
    )


def test_how_far_a_replay_is(host: Namespace, tmp_path: Path) -> None:
    """Each reading says how many frames have left, their share of the file, and how long it takes yet."""
    path = tmp_path / "x"
    write(path, [(10**18 + number * 10**7, FRAMES[0]) for number in range(600)], Form.PCAP)
    argv = vecwire_command("replay", str(path), "raw,ifname=left0", "--stats", "0.2", "--speed", "5")
    done = host.run(argv)
    told = re.findall(r"^([\d.]+) s  ([\d,]+) frames, (\d+)%, (.+) left$", done.stdout, re.MULTILINE)
    assert len(told) > 1
    assert [int(frames.replace(",", "")) for _, frames, _, _ in told] == sorted(
        int(frames.replace(",", "")) for _, frames, _, _ in told
    )
    assert all(re.fullmatch(r"[\d.:]+ ?\w*|some time", left) for *_, left in told)
    assert done.stdout.splitlines()[-2].startswith("600 frames in ")


def test_on_a_terminal_a_bar_says_how_long_it_takes_yet(host: Namespace, tmp_path: Path) -> None:
    """It is drawn over and over, with frames, rate, share and time that is left, and gone at the end."""
    path = tmp_path / "x"
    write(path, [(10**18 + number * 10**7, FRAMES[0]) for number in range(600)], Form.PCAP)
    command = vecwire_command("replay", str(path), "raw,ifname=left0", "--speed", "4")
    script = f"import pty, sys; sys.exit(pty.spawn({command!r}) >> 8)"
    done = host.run([sys.executable, "-c", script])
    plain = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", done.stdout)
    assert re.search(r"[\d,]+ frames, [\d.]+ \w*frames/s +\S* *\d+% -?[\d:-]+", plain)
    assert re.search(r"\d+% 0:00:0[01]", plain)  # the estimate
    assert "600 frames in " in plain


def test_a_damaged_file_is_replayed_up_to_there(host: Namespace, tmp_path: Path) -> None:
    """What is before the damage is sent; the error says where it is, the exit code is 1."""
    path, again = tmp_path / "x.pcap", tmp_path / "again.pcapng"
    write(path, [(0, octets) for octets in FRAMES], Form.PCAP)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"junk")
    with dump(host, "-w", str(again), "-c", "100") as running:
        done = host.run(vecwire_command("replay", str(path), "raw,ifname=left0", "--flat-out"), check=False)
        assert running.wait(30) == 0
    assert done.returncode == 1
    assert f"{path}, octet {size}: " in done.stderr
    assert [record.frame for record in read(again)] == FRAMES


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nowhere.pcap", "raw,ifname=left0"], 1, "cannot be read"),
        (["/dev/null", "raw,ifname=left0"], 1, "the file is empty"),
        (["-", "raw,ifname=left0", "--loop", "2"], 2, "--loop needs a file"),
        (["x", "raw,ifname=left0", "--rate", "1k", "--flat-out"], 2, "exclude each other"),
        (["x", "raw,ifname=left0", "--rate", "fast"], 2, "is no rate"),
    ],
)
def test_what_cannot_be_replayed_is_told(host: Namespace, arguments: list[str], code: int, told: str) -> None:
    """The error says what is wrong before anything is sent."""
    done = host.run(vecwire_command("replay", *arguments), check=False)
    assert done.returncode == code
    assert told in done.stderr


def test_a_signal_ends_a_replay(host: Namespace, tmp_path: Path) -> None:
    """A replay for ever ends on Ctrl-C with its table."""
    path = tmp_path / "x"
    write(path, [(0, FRAMES[0]), (10**12, FRAMES[1])])
    argv = vecwire_command("replay", str(path), "raw,ifname=left0", "--loop", "0", "--json")
    with host.popen(argv, name="replay") as running:
        running.wait_for_event("ready", timeout=30)
        running.process.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        assert json.loads(running.output.splitlines()[-1])["event"] == "end"
