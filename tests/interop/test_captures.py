"""Wireshark's tools as readers, and writers, of the capture files that vecwire writes and reads."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP
from scapy.packet import Raw

from peers import tshark
from peers.command import vecwire_command
from peers.dropping import record
from peers.frames import fill, frame, super_frame
from peers.net import Namespace, veth
from vecwire import open as open_port
from vecwire.capture import CaptureReader, CaptureWriter, Form, Recorder, Rotation
from vecwire.capture.drops import DropWriter, read
from vecwire.capture.files import Interface, Statistics
from vecwire.path.batch import Batch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.needs("tshark", "capinfos", "editcap")]

MOMENT = 1_700_000_000_123_456_789
FRAMES = [frame(number, 60 + number) for number in range(50)]


def told(path: Path, option: str) -> str:
    """What capinfos says of a file."""
    argv = ["capinfos", "-T", "-r", "-m", option, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip().split(",")[-1].strip('"')


@pytest.fixture(params=Form)
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """Files of a rotation, with 50 frames and a super-frame in segments."""
    form: Form = request.param
    recorder = Recorder(
        tmp_path / f"x.{form.value}",
        form=form,
        segment=True,
        rotation=Rotation(size=5_000),
        interface=Interface("port", "raw,ifname=port", "tcp"),
        statistics=lambda begun, count: Statistics(begun, begun + 9, count, 3, count, "3 lost"),
    )
    batch = Batch(64)
    for number, octets in enumerate(FRAMES):
        batch.append(octets, timestamp=MOMENT + number)
    batch.append(*super_frame()[:2], timestamp=MOMENT + 50)
    recorder.take(batch, 0)
    recorder.close()
    return sorted(tmp_path.glob("x-*"))


def test_tshark_opens_every_file(recorded: list[Path]) -> None:
    """Each file is read without a complaint, frame for frame, to the nanosecond."""
    assert len(recorded) > 2
    for path in recorded:
        with path.open("rb") as file:
            records = list(CaptureReader(file))
        found = tshark.decode(path, ["frame.len", "frame.time_epoch", "eth.src"])
        assert not [complaint for each in found for complaint in each.complaints]
        assert [int(each.fields["frame.len"][0]) for each in found] == [record.length for record in records]
        times = [each.fields["frame.time_epoch"][0].replace(".", "") for each in found]
        assert times == [str(record.time) for record in records]


def test_capinfos_counts_the_same(recorded: list[Path]) -> None:
    """As many frames are in the files as were written."""
    with recorded[0].open("rb") as file:
        first = len(list(CaptureReader(file)))
    assert int(told(recorded[0], "-c")) == first
    counted = sum(int(told(path, "-c")) for path in recorded)
    assert counted == len(FRAMES) + -(-20_000 // 1400)  # of the segments


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_what_editcap_writes_is_read(tmp_path: Path, kind: str) -> None:
    """Files of Wireshark's own library give the same frames, to the precision of their form."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with ours.open("wb") as file:
        writer = CaptureWriter(file)
        for number, octets in enumerate(FRAMES):
            writer.write(octets, MOMENT + number)
    subprocess.run(["editcap", "-F", kind, str(ours), str(theirs)], check=True, timeout=60)
    with theirs.open("rb") as file:
        records = list(CaptureReader(file))
    grain = 1000 if kind == "pcap" else 1
    assert [record.frame for record in records] == FRAMES
    assert [record.time for record in records] == [
        (MOMENT + number) // grain * grain for number in range(len(FRAMES))
    ]


def test_tshark_shows_why_frames_were_dropped(tmp_path: Path) -> None:
    """Port, reason and direction are in the file; packets of tunnels are read as what they are."""
    path = tmp_path / "drops.pcapng"
    gre = bytes.fromhex("20006558 00000005") + FRAMES[0]
    ipv4 = bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=47) / Raw(gre))
    l2tp = bytes.fromhex("00030000 0000002a") + FRAMES[0]
    with path.open("wb") as file:
        writer = DropWriter(file)
        for record_ in (
            record(FRAMES[0], port="guest", reason="switch_horizon", time=MOMENT),
            record(FRAMES[1], port="uplink", reason="tx_full", time=MOMENT + 1, number=3),
            record(ipv4, port="branch", reason="rx_bad_key", kind=1),
            record(gre, port="branch", reason="rx_bad_key", kind=2, number=1),
            record(l2tp, port="branch", reason="rx_bad_session", kind=3, number=2),
            record(l2tp[4:], port="branch", reason="rx_bad_session", kind=4, number=3),
        ):
            writer.write(read(record_))
    fields = ["frame.comment", "frame.interface_name", "frame.packet_flags_direction", "gre.key", "l2tp.sid"]
    found = tshark.decode(path, fields, options=tshark.l2tpv3())
    comments = [each.fields["frame.comment"] for each in found]
    assert comments[0] == [
        "dropped: switch_horizon: the destination is behind a port of the same horizon group"
    ]
    assert [each.fields["frame.interface_name"] for each in found] == [
        ["guest"],
        ["uplink"],
        ["branch"],
        ["branch"],
        ["branch"],
        ["branch"],
    ]
    assert [each.fields["frame.packet_flags_direction"] for each in found[:2]] == [
        ["0x00000001"],
        ["0x00000002"],
    ]
    assert [each.fields["gre.key"] for each in found[2:4]] == [["0x00000005"]] * 2
    assert [each.fields["l2tp.sid"] for each in found[4:]] == [["0x0000002a"]] * 2


def test_a_pipe_is_read_by_tshark() -> None:
    """`vecwire dump -w - | tshark -i -` shows frames."""
    with Namespace("pipe", ipv6=False) as host:
        veth((host, "left0"), (host, "right0"))
        argv = host.command(vecwire_command("dump", "raw,ifname=right0", "-w", "-", "-c", "50"))
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as dump:
            assert dump.stderr is not None
            assert dump.stderr.readline() == b"ready\n"
            with subprocess.Popen(
                ["tshark", "-n", "-i", "-", "-T", "fields", "-e", "frame.len"],
                stdin=dump.stdout,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as reader:
                with host.enter(), open_port("raw,ifname=left0") as port:
                    batch = port.batch()
                    fill(batch, FRAMES)
                    assert port.send(batch) == len(FRAMES)
                lengths, _ = reader.communicate(timeout=60)
            dump.communicate(timeout=30)
    assert [int(length) for length in lengths.split()] == [len(octets) for octets in FRAMES]
