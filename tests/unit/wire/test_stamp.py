"""Stamped frames, read by scapy: headers, lengths, checksums; and what is corrupted is seen."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from peers.frames import ones_complement_sum
from vecwire.traffic import Traffic
from vecwire.wire.stamp import ETHERTYPE, Pattern, read
from vecwire.wire.vnet import Vnet

KINDS = [(kind, vlan) for kind in ("udp4", "udp6", "ethernet") for vlan in (None, 7)]
EACH_KIND = pytest.mark.parametrize(("kind", "vlan"), KINDS)
MOMENT = 1_700_000_000_123_456_789


def made(kind: str, vlan: int | None, length: int, flow: int = 0, sequence: int = 0) -> bytes:
    """A frame with a stamp."""
    pattern = Traffic(frames=kind, vlan=vlan).pattern()
    return pattern.frame(length, run=0xBEEF, flow=flow, sequence=sequence, moment=MOMENT)


@EACH_KIND
@pytest.mark.parametrize("length", [84, 85, 566, 1514])
@pytest.mark.parametrize("flow", [0, 1, 20_000, 32_767])
def test_scapy_reads_what_is_sent(kind: str, vlan: int | None, length: int, flow: int) -> None:
    """Lengths, addresses and checksums are those that scapy would have written."""
    octets = made(kind, vlan, length, flow, 0xFFFFFFFF)
    assert len(octets) == length
    frame: Any = Ether(octets)
    assert (frame.dst, frame[Dot1Q].vlan if Dot1Q in frame else None) == ("02:76:77:01:00:01", vlan)
    if kind == "ethernet":
        at = 18 if vlan else 14
        assert int.from_bytes(octets[at - 2 : at]) == ETHERTYPE
        assert frame.src == f"02:76:77:00:{(flow + 1) >> 8:02x}:{(flow + 1) & 255:02x}"
        assert ones_complement_sum(octets[at:]) == 0xFFFF
        return
    network = frame[IP] if kind == "udp4" else frame[IPv6]
    assert (network.len if kind == "udp4" else network.plen + 40) == length - (18 if vlan else 14)
    assert frame[UDP].len == len(network) - (20 if kind == "udp4" else 40)
    assert (frame[UDP].sport, frame[UDP].dport) == (49152 + flow % 16384, 9)
    assert network.src.endswith(f".{(1 + flow) & 255}" if kind == "udp4" else f":{1 + flow:x}")
    again = frame.copy()
    if kind == "udp4":
        del again[IP].chksum
    del again[UDP].chksum
    assert bytes(again) == octets


@EACH_KIND
def test_what_was_written_is_read(kind: str, vlan: int | None) -> None:
    """A stamp comes back as it was put in."""
    assert read(made(kind, vlan, 84, 321, 123_456)) == {
        "verdict": "stamped",
        "kind": "data",
        "run": 0xBEEF,
        "flow": 321,
        "sequence": 123_456,
        "moment": MOMENT,
    }


@EACH_KIND
def test_a_flipped_bit_is_never_a_frame_of_another_number(kind: str, vlan: int | None) -> None:
    """Whatever bit is flipped behind the MAC addresses, what is read is wrong as a whole, or as it was."""
    octets = made(kind, vlan, 90, 3, 77)
    true = read(octets)
    verdicts = set()
    for bit in range(12 * 8, len(octets) * 8):
        damaged = bytearray(octets)
        damaged[bit // 8] ^= 1 << bit % 8
        found = read(damaged)
        verdicts.add(found["verdict"])
        assert found["verdict"] != "stamped" or found == true
    assert "corrupted" in verdicts


def test_a_checksum_that_is_to_be_completed_is_not_judged() -> None:
    """A frame that its sender leaves to be finished is read all the same."""
    octets = bytearray(made("udp4", None, 60))
    octets[40:42] = b"\x12\x34"
    assert read(octets)["verdict"] == "corrupted"
    assert read(octets, unfinished=True)["verdict"] == "stamped"
    octets[40:42] = b"\0\0"
    assert read(octets)["verdict"] == "stamped"
    assert Vnet().flags == 0


@EACH_KIND
def test_a_cut_frame_is_none(kind: str, vlan: int | None) -> None:
    """No prefix of a frame is read as a stamp, nor beyond its end."""
    octets = made(kind, vlan, 84, 3, 77)
    least = Traffic(frames=kind, vlan=vlan).pattern().least
    assert all(read(octets[:length])["verdict"] != "stamped" for length in range(least))


def test_a_checksum_of_zero_is_written_as_all_ones() -> None:
    """Zero says that there is none (RFC 768): so it is never written."""
    pattern = Traffic().pattern()
    seen = {bytes(pattern.frame(60, sequence=number)[40:42]) for number in range(1 << 16)}
    assert b"\0\0" not in seen
    assert b"\xff\xff" in seen


def test_headers_that_are_none_are_refused() -> None:
    """A pattern is Ethernet, IP and UDP up to the stamp; a frame has room for them."""
    with pytest.raises(ValueError, match="version"):
        Pattern(bytes(42), 14, 5)
    with pytest.raises(ValueError, match="end where"):
        Pattern(bytes(41), 14, 4)
    pattern = Traffic().pattern()
    with pytest.raises(ValueError, match="has 60 to"):
        pattern.frame(59)
    with pytest.raises(ValueError, match="16 bits"):
        pattern.frame(60, flow=32768)
