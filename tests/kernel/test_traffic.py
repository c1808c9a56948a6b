"""Blast and sink over every transport: nothing is lost at a modest rate; what is wrong on the way is told."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from peers.net import wait_until
from peers.ports import TRANSPORTS, joined
from peers.tshark import decode, write_pcap
from vecwire.traffic import Blast, Rate, Sink, Traffic, read_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vecwire import Port

PATIENCE = 20.0


@contextlib.contextmanager
def judged(port: Port) -> Iterator[Sink]:
    """A sink that has ended when the context has."""
    sink = Sink(port, once=True)
    thread = threading.Thread(target=sink.run)
    thread.start()
    try:
        yield sink
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"the sink has not heard of the end: {sink.report()}"
    finally:
        sink.stop()
        thread.join()


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("frames", ["udp4", "udp6", "ethernet"])
def test_nothing_is_lost_at_a_modest_rate(kind: str, frames: str) -> None:
    """Over every transport, all frames of several flows and sizes come, once, in order and in time."""
    traffic = Traffic(read_sizes("imix"), frames, flows=5)
    with joined(kind) as ends, judged(ends.right) as sink:
        blast = Blast(ends.left, traffic, Rate(frames=4000), count=600)
        blast.run()
    report = sink.report()
    assert blast.frames == 600
    wrong = {name: report.counts[name] for name in ("lost", "reordered", "duplicates", "late", "corrupted")}
    assert wrong == dict.fromkeys(wrong, 0)
    assert (report.counts["received"], report.counts["expected"], report.counts["flows"]) == (600, 600, 5)
    assert report.counts["octets"] == blast.octets
    assert report.latency is not None
    assert 0 < report.latency.least <= report.latency.p50 <= report.latency.p99_9 <= report.latency.most


def test_what_a_port_does_to_frames_is_told() -> None:
    """Frames that a port loses, doubles and delays on purpose are those that the sink tells of."""
    options = ",loss=10%,duplicate=5%,delay=20ms,limit=10000,seed=7"
    with joined("raw", options) as ends, judged(ends.right) as sink:
        blast = Blast(ends.left, Traffic(flows=3), Rate(frames=4000), count=1000)
        blast.run()
        counters = ends.left.stats
    report = sink.report()
    marks = 1000 + 3 * (1 + 3)
    assert report.latency is not None
    assert report.latency.least >= 20_000_000
    assert 0 < report.counts["lost"] <= counters.tx_lost
    assert 0 < report.counts["duplicates"] <= counters.tx_duplicated
    assert report.counts["received"] + report.counts["lost"] == report.counts["expected"] == blast.frames
    assert report.counts["frames"] == report.counts["received"] + report.counts["duplicates"]
    assert report.counts["frames"] <= marks - counters.tx_lost + counters.tx_duplicated


def test_as_fast_as_it_goes_ends_after_its_count() -> None:
    """Without a rate, frames that were sent and did not come are lost, all others received."""
    with joined("raw") as ends, judged(ends.right) as sink:
        blast = Blast(ends.left, Traffic(), Rate(), count=20_000)
        blast.run()
    counts = sink.report().counts
    assert blast.frames == counts["expected"] == counts["received"] + counts["lost"] == 20_000
    assert blast.wanted == 0


def test_a_queue_that_is_full_is_waited_for() -> None:
    """Where a reader holds up the sender, nothing is lost however fast it is."""
    with joined("bess") as ends, judged(ends.right) as sink:
        blast = Blast(ends.left, Traffic((1514,), flows=3), Rate(), count=5000)
        blast.run()
    assert sink.report().counts["received"] == 5000
    assert sink.report().counts["lost"] == 0


def test_a_sink_that_looks_in_later_counts_from_there() -> None:
    """Frames from before the sink was there are not lost."""
    with joined("raw") as ends:
        blast = Blast(ends.left, Traffic(), Rate(frames=5000))
        thread = threading.Thread(target=blast.run)
        thread.start()
        wait_until(lambda: blast.frames > 200, timeout=PATIENCE, what="frames are sent")
        with contextlib.suppress(BlockingIOError):
            batch = ends.right.batch()
            while ends.right.recv(batch):
                pass
        with judged(ends.right) as sink:
            wait_until(lambda: sink.report().counts["received"] > 50, timeout=PATIENCE, what="frames come")
            blast.stop()
            thread.join()
    assert 50 < sink.report().counts["expected"] < blast.frames
    assert sink.report().counts["lost"] == 0


@pytest.mark.interop
@pytest.mark.needs("tshark")
@pytest.mark.parametrize("vlan", [None, 42])
def test_tshark_finds_nothing_wrong(tmp_path: Path, vlan: int | None) -> None:
    """What leaves is what its headers say, checksums included, to an independent reader."""
    capture = tmp_path / "blast.pcap"
    found: list[bytes] = []
    for frames in ("udp4", "udp6", "ethernet"):
        with joined("raw") as ends:
            traffic = Traffic(read_sizes("60,1000"), frames, flows=2, vlan=vlan)
            Blast(ends.left, traffic, Rate(frames=2000), count=8).run()
            batch = ends.right.batch()
            while ends.right.wait(0.1):
                ends.right.recv(batch)
                found += [bytes(frame) for frame in batch if frame[:6] == bytes.fromhex("027677010001")]
    write_pcap(capture, found)
    read = decode(capture, ["vlan.id", "udp.checksum.status", "ip.checksum.status"])
    assert len(read) == len(found) >= 3 * 8
    assert [each.complaints for each in read] == [[]] * len(found)
    tags = [] if vlan is None else [str(vlan)]
    assert all(each.fields["vlan.id"] == tags for each in read)
    for each in read:
        if ":udp" in each.protocols:
            assert each.fields["udp.checksum.status"] == ["1"]
