"""What is read from other programs' output, and what is sent."""

import json

import pytest

from vecwire.bench.frames import as_input, frame, in_l2tpv3
from vecwire.bench.lab import BenchError, parse_checksum_errors
from vecwire.bench.measure import echo_request, parse_iperf3, spread
from vecwire.wire.checksum import checksum


def test_iperf3_is_believed_by_what_the_receiver_got() -> None:
    """The receiver's rate counts, with whatever a guest's console has printed before the report."""
    report = {"end": {"sum_sent": {"bits_per_second": 9e9}, "sum_received": {"bits_per_second": 4.2e9}}}
    assert parse_iperf3("noise\n" + json.dumps(report)) == 4.2


@pytest.mark.parametrize("text", ["", "no report", '{"error": "refused"}', '{"end": '])
def test_a_run_of_iperf3_that_failed_is_an_error(text: str) -> None:
    """No report, half a report and a report of an error are no measurement."""
    with pytest.raises(BenchError, match="iperf3"):
        parse_iperf3(text)


def test_wrong_checksums_of_every_protocol_count() -> None:
    """Each protocol has its own counter, under a name that stands in the line before."""
    pairs = ("Tcp: InErrs InCsumErrors", "Tcp: 9 2", "Udp: InCsumErrors InErrors", "Udp: 3 9")
    assert parse_checksum_errors("\n".join(("a word of the console", "Ip: Forwarding", "Ip: 1", *pairs))) == 5


@pytest.mark.parametrize("text", ["", "cat: /proc/net/snmp: No such file or directory\n"])
def test_no_counters_are_not_no_errors(text: str) -> None:
    """Where a guest says something else, nothing is known of its checksums."""
    with pytest.raises(BenchError, match="no counters"):
        parse_checksum_errors(text)


def test_an_echo_request_has_a_right_checksum() -> None:
    """The checksum over all of it, its own field included, is 0 (RFC 792)."""
    request = echo_request(0x1234, 7)
    assert len(request) == 8 + 56
    assert request[:2] == b"\x08\x00"
    assert checksum(request) == 0


def test_round_trips_are_told_in_three_figures() -> None:
    """Half were not longer than p50, 99 of 100 not longer than p99."""
    found = spread([float(value) for value in range(1, 101)])
    assert found == {"p50_us": 50.0, "p99_us": 99.0, "least_us": 1.0}


@pytest.mark.parametrize("octets", [60, 590, 1514])
def test_a_frame_is_as_long_as_asked_for(octets: int) -> None:
    """An IPv4 packet with a right header, in a frame of so many octets."""
    made = frame(octets)
    assert len(made) == octets
    assert made[12:14] == b"\x08\x00"
    assert checksum(made[14:34]) == 0
    assert int.from_bytes(made[16:18], "big") == octets - 14


def test_a_frame_in_a_tunnel_ends_with_the_frame() -> None:
    """L2TPv3 over UDP adds Ethernet, IPv4, UDP and its own eight octets in front."""
    inner = frame(60)
    made = in_l2tpv3(inner, bytes(6), ("192.0.2.1", "192.0.2.2"), 1701, 7)
    assert made.endswith((3).to_bytes(2, "big") + bytes(2) + (7).to_bytes(4, "big") + inner)
    assert len(made) == 14 + 20 + 8 + 8 + 60


def test_the_helper_reads_frames_by_their_length() -> None:
    """Two octets of length, then the frame."""
    assert as_input([b"ab", b"c"]) == b"\x00\x02ab\x00\x01c"
