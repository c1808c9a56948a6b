"""What QEMU and User Mode Linux have really sent: read as they meant it, and written the very same.

The vectors are captured from the running peers by the scripts beside them.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import vecwire
from vecwire.spec import GreSpec, L2tpv3Spec
from vecwire.transports import gre, l2tpv3

if TYPE_CHECKING:
    from vecwire.wire.encap import Encapsulation

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
IPV4 = bytes([0x45]) + bytes(19)
CASES: list[Any] = [
    pytest.param(case, id=f"{name}-{case['name']}")
    for name in ("qemu_l2tpv3", "uml")
    for case in json.loads((VECTORS / f"{name}.json").read_text(encoding="ascii"))["cases"]
    if case["name"] != "bess"
]


def layout(spec: vecwire.Spec) -> Encapsulation:
    """The layout of a tunnel's spec."""
    if isinstance(spec, GreSpec):
        return gre.layout(spec)
    assert isinstance(spec, L2tpv3Spec)
    return l2tpv3.layout(spec)


def opposite(spec: vecwire.Spec) -> vecwire.Spec:
    """The spec of the other end, as the peer would have it."""
    assert isinstance(spec, GreSpec | L2tpv3Spec)
    pairs = ("key",) if isinstance(spec, GreSpec) else ("session", "cookie")
    swapped = {
        f"{mine}_{name}": getattr(spec, f"{other}_{name}")
        for name in pairs
        for mine, other in (("rx", "tx"), ("tx", "rx"))
    }
    return dataclasses.replace(spec, **swapped)


@pytest.mark.parametrize("case", CASES)
def test_what_a_peer_has_sent_is_read(case: dict[str, Any]) -> None:
    """Every packet that the peer sent is ours, and its frame begins where the peer put it."""
    ours = layout(vecwire.parse(case["vecwire"]))
    front = IPV4 if ours.rx_length - len(case["packets"][0]["header"]) // 2 == len(IPV4) else b""
    for packet in case["packets"]:
        header, frame = bytes.fromhex(packet["header"]), bytes.fromhex(packet["frame"])
        assert ours.offset(front + header + frame) == len(front + header)
        assert ours.rx_length == len(front + header)


@pytest.mark.parametrize("case", CASES)
def test_what_a_peer_has_sent_is_written_the_same(case: dict[str, Any]) -> None:
    """Set up as the peer was, vecwire writes the same headers; GRE counts from 0, where UML counts from 1."""
    theirs = layout(opposite(vecwire.parse(case["vecwire"])))
    counted = case["packets"][0]["header"] != case["packets"][1]["header"]
    if counted and "gre" in case["name"]:
        theirs.header()
    for packet in case["packets"]:
        assert theirs.header().hex() == packet["header"]
