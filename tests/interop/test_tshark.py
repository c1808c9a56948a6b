"""tshark reads what a cable puts on the wire, field by field, without a complaint."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from peers import collect, tshark
from peers.cable import Cable
from peers.cases import NEAR_UNDERLAY, PEER_UNDERLAY, UNDERLAY_MTU
from peers.net import namespaces, veth, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.needs("tshark", "ethtool", "ip", "nsenter")]

COUNT = 3
INNER_SRC, INNER_DST = "02:00:00:00:00:01", "02:00:00:00:00:02"


@dataclass(frozen=True)
class Case:
    """One encapsulation: the specs of both ends, how tshark is told, and the fields that it must find."""

    name: str
    near: str
    peer: str
    expected: dict[str, list[list[str]]]
    options: list[str] = field(default_factory=list)


def _each(*values: str) -> list[list[str]]:
    """The same values in each of the packets."""
    return [list(values)] * COUNT


FROM_0, FROM_1 = ([[str(first + number)] for number in range(COUNT)] for first in (0, 1))
V4, V4_BACK = "src=10.88.0.2,dst=10.88.0.1", "src=10.88.0.1,dst=10.88.0.2"
V6, V6_BACK = "v6=1,src=fd88::2,dst=fd88::1", "v6=1,src=fd88::1,dst=fd88::2"
UDP_PORTS, UDP_PORTS_BACK = "udp=1,srcport=1701,dstport=1702", "udp=1,srcport=1702,dstport=1701"

CASES = [
    Case(
        "gre",
        f"gre,{V4}",
        f"gre,{V4_BACK}",
        {"gre.flags_and_version": _each("0x0000"), "gre.proto": _each("0x6558"), "gre.key": _each()},
    ),
    Case(
        "gre-v6-key-sequence",
        f"gre,{V6},tx_key=0x1234567,rx_key=10,sequence=1",
        f"gre,{V6_BACK},rx_key=0x1234567,tx_key=10,sequence=1",
        {
            "gre.flags_and_version": _each("0x3000"),
            "gre.key": _each("0x01234567"),
            "gre.sequence_number": FROM_0,
        },
    ),
    Case(
        "l2tpv3-udp",
        f"l2tpv3,{UDP_PORTS},{V4},tx_session=2,rx_session=1",
        f"l2tpv3,{UDP_PORTS_BACK},{V4_BACK},tx_session=1,rx_session=2",
        {"l2tp.version": _each("3"), "l2tp.type": _each("0"), "l2tp.sid": _each("0x00000002")},
        tshark.l2tpv3(),
    ),
    Case(
        "l2tpv3-udp6-cookie64-counter",
        f"l2tpv3,{UDP_PORTS},{V6},tx_session=0xffffffff,rx_session=1,cookie64=1"
        ",tx_cookie=0x0123456789abcdef,rx_cookie=1,counter=1",
        f"l2tpv3,{UDP_PORTS_BACK},{V6_BACK},tx_session=1,rx_session=0xffffffff,cookie64=1"
        ",rx_cookie=0x0123456789abcdef,tx_cookie=1,counter=1",
        {
            "l2tp.sid": _each("0xffffffff"),
            "l2tp.cookie": _each("0123456789abcdef"),
            "l2tp.l2_spec_sequence": FROM_1,
        },
        tshark.l2tpv3(cookie=8, sublayer=True),
    ),
    Case(
        "l2tpv3-ip-cookie32",
        f"l2tpv3,{V4},tx_session=2,rx_session=1,tx_cookie=0xdeadbeef,rx_cookie=1",
        f"l2tpv3,{V4_BACK},tx_session=1,rx_session=2,rx_cookie=0xdeadbeef,tx_cookie=1",
        {"l2tp.sid": _each("0x00000002"), "l2tp.cookie": _each("deadbeef"), "ip.proto": _each("115", "17")},
        tshark.l2tpv3(cookie=4),
    ),
    Case(
        "l2tpv3-ip6-pinned",
        f"l2tpv3,{V6},tx_session=2,rx_session=1,counter=1,pin_counter=1",
        f"l2tpv3,{V6_BACK},tx_session=1,rx_session=2,counter=1,pin_counter=1",
        {"l2tp.sid": _each("0x00000002"), "l2tp.l2_spec_sequence": _each("0"), "l2tp.cookie": _each()},
        tshark.l2tpv3(sublayer=True),
    ),
]


def _capture(case: Case) -> list[bytes]:
    """What stands on the wire when the far end of a cable sends a few UDP packets."""
    inner = bytes(
        Ether(src=INNER_SRC, dst=INNER_DST)
        / IP(src="10.77.0.2", dst="10.77.0.1")
        / UDP(sport=4000, dport=4001)
        / bytes(range(100))
    )
    with namespaces("peer", "near", "far") as (peer, near, far):
        veth(
            (peer, "under0"),
            (near, "under0"),
            addresses_a=PEER_UNDERLAY,
            addresses_b=NEAR_UNDERLAY,
            mtu=UNDERLAY_MTU,
        )
        # On a veth nobody completes checksums or cuts super-frames, and the capture would hold neither.
        near.offloads("under0", tx=False)
        far.tap("far0")
        with peer.enter():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with (
            wire,
            collect.listening(peer, case.peer),  # else the peer's kernel answers: unreachable
            Cable(f"{case.near},netns={near.name}", f"tap,ifname=far0,netns={far.name}"),
        ):
            far.wait_carrier("far0")
            wire.bind(("under0", 3))
            wire.setblocking(False)
            collect.inject(far, "far0", [inner] * COUNT)
            seen: list[bytes] = []

            def enough() -> bool:
                try:
                    while True:
                        seen.append(wire.recv(4096))
                except BlockingIOError:
                    return sum(inner in each for each in seen) >= COUNT

            wait_until(enough, timeout=5, what=f"{COUNT} packets on the wire")
    return seen


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tshark_reads_every_field_and_complains_of_nothing(case: Case, tmp_path: Path) -> None:
    """Header fields are as the spec says, the inner frame is whole, and no layer has a warning."""
    file = tmp_path / "wire.pcap"
    tshark.write_pcap(file, _capture(case))
    fields = [*case.expected, "eth.src", "udp.dstport", "udp.length"]
    decoded = tshark.decode(file, fields, options=case.options, only="gre or l2tp")
    assert [each.complaints for each in decoded] == [[]] * COUNT
    for name, values in case.expected.items():
        assert [each.fields[name] for each in decoded] == values, name
    for each in decoded:
        assert each.fields["eth.src"][-1] == INNER_SRC
        assert each.fields["udp.dstport"][-1] == "4001"
        assert each.fields["udp.length"][-1] == "108"


def test_tshark_complains_of_a_bad_packet(tmp_path: Path) -> None:
    """A wrong checksum inside a tunnel is among the complaints, so that their absence says something."""
    good = bytes(
        Ether(src=INNER_SRC, dst=INNER_DST)
        / IP(src="10.77.0.2", dst="10.77.0.1")
        / UDP(sport=4000, dport=4001)
        / bytes(100)
    )
    file = tmp_path / "bad.pcap"
    tshark.write_pcap(file, [good, good[:-1] + b"\1", good[:40]])
    complaints = [each.complaints for each in tshark.decode(file, [])]
    assert complaints[0] == []
    assert complaints[1]
    assert complaints[2]
