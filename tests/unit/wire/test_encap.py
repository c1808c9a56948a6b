"""GRE and L2TPv3: the headers that are sent, and which received ones are ours."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from scapy.layers.inet import IP, IPOption
from scapy.layers.l2 import GRE, Ether

from oracle.cliff import Cliff
from vecwire.wire.counters import RX_DROPS
from vecwire.wire.encap import Encapsulation, gre, l2tpv3

FRAME = bytes.fromhex("020000000002 020000000001 88b5") + b"a payload of odd length"
BARE = FRAME[:14]


@dataclass(frozen=True)
class Vector:
    """One layout, the same both ways: its arguments and the octets of its first headers."""

    make: Callable[..., Encapsulation]
    arguments: dict[str, Any]
    headers: tuple[str, ...]
    #: What the kernel delivers in front of it.
    before: bytes = field(default=b"")

    def layout(self) -> Encapsulation:
        """The encapsulation, new, its counter at its start."""
        return self.make(**self.arguments)

    def octets(self) -> list[bytes]:
        """The headers that it sends, one frame after the other."""
        return [bytes.fromhex(header) for header in self.headers]

    def packet(self, frame: bytes = FRAME) -> bytes:
        """What the kernel delivers where the peer sends a frame with the first of the headers."""
        return self.before + self.octets()[0] + frame


def ipv4(protocol: int, options: bytes = b"") -> bytes:
    """An IPv4 header as a raw socket delivers it, with options in front of the encapsulation."""
    packet = IP(src="10.0.0.1", dst="10.0.0.2", proto=protocol, options=IPOption(options) if options else [])
    header = bytes(packet)
    assert len(header) == 20 + len(options)
    return header


ROUTER_ALERT = bytes.fromhex("94040000")
LONGEST = bytes.fromhex("072704") + bytes(36) + b"\x00"


def session(number: int, **more: Any) -> dict[str, Any]:
    """Arguments of l2tpv3 for the same session both ways."""
    return {"rx_session": number, "tx_session": number, **more}


COOKIE = {"rx_cookie": 0xDEADBEEF, "tx_cookie": 0xDEADBEEF}
KEY = {"rx_key": 0x01020304, "tx_key": 0x01020304}

VECTORS: dict[str, Vector] = {
    "gre": Vector(gre, {}, ("00006558", "00006558")),
    "gre key": Vector(gre, KEY, ("20006558 01020304",) * 2),
    "gre key 0": Vector(gre, {"rx_key": 0, "tx_key": 0}, ("20006558 00000000",) * 2),
    "gre key above 2^31": Vector(gre, {"rx_key": 2**32 - 1, "tx_key": 2**32 - 1}, ("20006558 ffffffff",) * 2),
    "gre sequence": Vector(
        gre, {"sequence": True}, ("10006558 00000000", "10006558 00000001", "10006558 00000002")
    ),
    "gre pinned": Vector(gre, {"sequence": True, "pin_sequence": True}, ("10006558 00000000",) * 3),
    "gre key sequence": Vector(
        gre, {**KEY, "sequence": True}, ("30006558 01020304 00000000", "30006558 01020304 00000001")
    ),
    "gre key pinned": Vector(
        gre, {**KEY, "sequence": True, "pin_sequence": True}, ("30006558 01020304 00000000",) * 2
    ),
    "gre over IPv4": Vector(gre, {"ip_header": True}, ("00006558",), ipv4(47)),
    "gre over IPv4 with options": Vector(
        gre,
        {**KEY, "sequence": True, "ip_header": True},
        ("30006558 01020304 00000000",),
        ipv4(47, ROUTER_ALERT),
    ),
    "gre over IPv4 with the most options": Vector(gre, {"ip_header": True}, ("00006558",), ipv4(47, LONGEST)),
    # Captured from QEMU (-netdev l2tpv3,txsession=0x1234,rxsession=0x1234,udp=on and what the name adds).
    "QEMU udp": Vector(l2tpv3, session(0x1234, udp=True), ("00030000 00001234",) * 2),
    "QEMU udp counter": Vector(
        l2tpv3,
        session(0x1234, udp=True, counter=True),
        ("00030000 00001234 00000001", "00030000 00001234 00000002"),
    ),
    "QEMU udp cookie": Vector(
        l2tpv3, session(0x1234, udp=True, **COOKIE), ("00030000 00001234 deadbeef",) * 2
    ),
    "QEMU udp cookie64 counter": Vector(
        l2tpv3,
        session(0x1234, udp=True, cookie64=True, counter=True, **COOKIE),
        ("00030000 00001234 00000000deadbeef 00000001", "00030000 00001234 00000000deadbeef 00000002"),
    ),
    "QEMU udp cookie64": Vector(
        l2tpv3, session(0x1234, udp=True, cookie64=True, **COOKIE), ("00030000 00001234 00000000deadbeef",)
    ),
    "udp pinned": Vector(
        l2tpv3, session(0x1234, udp=True, counter=True, pin_counter=True), ("00030000 00001234 00000000",) * 3
    ),
    "ip": Vector(l2tpv3, session(0x1234), ("00001234",) * 2),
    "ip cookie counter": Vector(
        l2tpv3,
        session(0x1234, counter=True, **COOKIE),
        ("00001234 deadbeef 00000001", "00001234 deadbeef 00000002"),
    ),
    "ip cookie64": Vector(
        l2tpv3,
        session(7, cookie64=True, rx_cookie=2**64 - 2, tx_cookie=2**64 - 2),
        ("00000007 fffffffffffffffe",) * 2,
    ),
    "ip over IPv4": Vector(l2tpv3, session(0x1234, ip_header=True), ("00001234",), ipv4(115)),
    "ip over IPv4 with options": Vector(
        l2tpv3,
        session(0x1234, ip_header=True, counter=True, **COOKIE),
        ("00001234 deadbeef 00000001",),
        ipv4(115, ROUTER_ALERT),
    ),
    "ip over IPv4 with the most options": Vector(
        l2tpv3, session(0x1234, ip_header=True), ("00001234",), ipv4(115, LONGEST)
    ),
    # Row 13 of what the seed gets wrong: it reads sessions and keys as signed numbers.
    "session 1": Vector(l2tpv3, session(1, udp=True), ("00030000 00000001",)),
    "session 2^31 - 1": Vector(l2tpv3, session(2**31 - 1, udp=True), ("00030000 7fffffff",)),
    "session 2^31": Vector(l2tpv3, session(2**31, udp=True), ("00030000 80000000",)),
    "session 2^32 - 1": Vector(l2tpv3, session(2**32 - 1, udp=True), ("00030000 ffffffff",)),
    "session 2^32 - 1 over IP": Vector(l2tpv3, session(2**32 - 1), ("ffffffff",)),
    "cookie above 2^31": Vector(
        l2tpv3, session(1, rx_cookie=2**32 - 1, tx_cookie=2**32 - 1), ("00000001 ffffffff",)
    ),
    "cookie 0": Vector(l2tpv3, session(1, rx_cookie=0, tx_cookie=0), ("00000001 00000000",)),
}


@pytest.fixture(params=VECTORS)
def vector(request: pytest.FixtureRequest) -> Vector:
    """Each row of the table."""
    return VECTORS[request.param]


def reason_of(layout: Encapsulation, packet: bytes | bytearray | memoryview) -> str | None:
    """The counter of the reason why a packet is not ours; None where it is."""
    try:
        layout.offset(packet)
    except ValueError as error:
        return str(error)
    return None


def refusal(layout: Encapsulation, packet: bytes | memoryview) -> str:
    """The counter of the reason why a packet is not ours, as it must not be."""
    reason = reason_of(layout, packet)
    assert reason is not None, "the packet was accepted"
    return reason


def test_sent(vector: Vector) -> None:
    """One header after the other is exactly these octets."""
    layout = vector.layout()
    assert [layout.header() for _ in vector.headers] == vector.octets()
    assert layout.tx_length == len(vector.octets()[0])


def test_sent_over_dirty_memory(vector: Vector) -> None:
    """Headers are written right in front of the frame, whatever was there, and touch nothing else."""
    layout = vector.layout()
    for header in vector.octets():
        room = bytearray(b"\xa5" * 60 + FRAME)
        start = layout.write(room, 60)
        assert start == 60 - len(header)
        assert room == b"\xa5" * start + header + FRAME


def test_sent_at_the_edges(vector: Vector) -> None:
    """A header fits where exactly its octets are, and is refused where one is missing."""
    header = vector.octets()[0]
    cliff = Cliff()
    room = cliff.before_the_end(bytes(len(header)))
    assert vector.layout().write(room, len(header)) == 0
    assert room == header
    layout = vector.layout()
    for before in (len(header) - 1, len(header) + 1, -1):
        with pytest.raises(ValueError, match="does not fit"):
            layout.write(room, before)
    assert layout.header() == header, "a header that was not written has moved the counter"


def test_received(vector: Vector) -> None:
    """The same octets in front of a frame are ours, and the frame begins behind them."""
    layout = vector.layout()
    at = len(vector.before) + len(vector.octets()[0])
    assert layout.offset(vector.packet()) == at
    assert layout.offset(vector.packet(BARE)) == at
    assert layout.offset(memoryview(bytearray(vector.packet()))) == at
    assert layout.rx_length == at - max(len(vector.before) - 20, 0)


def test_received_in_any_order(vector: Vector) -> None:
    """A packet is ours whichever number its counter has: lost, late and repeated ones are delivered."""
    layout = vector.layout()
    for header in reversed(vector.octets()):
        assert layout.offset(vector.before + header + FRAME) == len(vector.before + header)


def test_received_cut_at_every_octet(vector: Vector) -> None:
    """A packet without room for a whole Ethernet header is a runt, wherever it ends, and is not read past."""
    layout = vector.layout()
    cliff = Cliff()
    packet = vector.packet(BARE)
    for length in range(len(packet)):
        assert refusal(layout, cliff.before_the_end(packet[:length])) == "rx_runt", length
    assert layout.offset(cliff.before_the_end(packet)) == len(packet) - 14


def test_received_with_junk_behind(vector: Vector) -> None:
    """What follows the headers is the frame's, and changes nothing about where it begins."""
    assert vector.layout().offset(vector.packet() + b"\xa5" * 999) == vector.layout().offset(vector.packet())


def test_octets_before_and_behind_do_not_count(vector: Vector) -> None:
    """A packet in the middle of other octets is read alone."""
    dirty = memoryview(b"\xa5" * 5 + vector.packet() + b"\xa5" * 5)[5:-5]
    assert vector.layout().offset(dirty) == vector.layout().offset(vector.packet())


#: Where a bit may be turned without harm, as octet of the header and bit of the octet: RFC 2784, section 2.3
#: (bits 6 to 12), and the sequence flag, which is not demanded; RFC 3931, section 4.1.2.1 (x, and reserved).
RESERVED = {
    (gre, False): {(0, 0), (0, 1), (0, 4), *((1, bit) for bit in range(3, 8))},
    (l2tpv3, False): set(),
    (l2tpv3, True): {
        *((0, bit) for bit in range(7)),
        *((1, bit) for bit in range(4, 8)),
        *((at, bit) for at in (2, 3) for bit in range(8)),
    },
}


@pytest.mark.parametrize("bit", range(8))
def test_received_with_a_bit_turned(vector: Vector, bit: int) -> None:
    """A header with any one bit turned is refused for a reason that is counted, unless the bit is free."""
    layout = vector.layout()
    counts = vector.arguments.get("counter") or vector.arguments.get("sequence")
    front = len(vector.before)
    accepted = set()
    for at in range(len(vector.octets()[0]) - (4 if counts else 0)):
        packet = bytearray(vector.packet())
        packet[front + at] ^= 1 << bit
        reason = reason_of(layout, packet)
        if reason is None:
            accepted.add((at, bit))
        else:
            assert reason in RX_DROPS
            assert reason != "rx_runt"
    free = RESERVED[vector.make, bool(vector.arguments.get("udp"))]
    assert accepted == {(at, free_bit) for at, free_bit in free if free_bit == bit}


# Counters.


@pytest.mark.parametrize(
    ("layout", "first"),
    [
        (gre(sequence=True), 0),
        (l2tpv3(**session(1, counter=True)), 1),
        (l2tpv3(**session(1, counter=True, udp=True)), 1),
    ],
)
def test_counters_start_and_step(layout: Encapsulation, first: int) -> None:
    """GRE counts from 0 (RFC 2890, section 2.2), L2TPv3 from 1 as UML and QEMU do, both by one a frame."""
    assert layout.counter == first
    numbers = [int.from_bytes(layout.header()[-4:]) for _ in range(300)]
    assert numbers == list(range(first, first + 300))
    assert layout.counter == first + 300


@pytest.mark.parametrize("layout", [gre(sequence=True), l2tpv3(**session(1, counter=True))])
def test_counters_wrap(layout: Encapsulation) -> None:
    """After 2^32 - 1 comes 0, and 2^31 is no border."""
    layout.counter = 2**32 - 2
    assert [layout.header()[-4:].hex() for _ in range(4)] == ["fffffffe", "ffffffff", "00000000", "00000001"]
    layout.counter = 2**31 - 1
    assert [layout.header()[-4:].hex() for _ in range(2)] == ["7fffffff", "80000000"]


@pytest.mark.parametrize("number", [-1, 2**32])
def test_counters_have_32_bits(number: int) -> None:
    """A counter cannot be set to what its field cannot hold."""
    layout = gre(sequence=True)
    with pytest.raises(ValueError, match="counter is 0 to 4294967295"):
        layout.counter = number
    assert layout.counter == 0


def test_counters_are_each_ports_own() -> None:
    """Two layouts of the same arguments count apart."""
    first, second = gre(sequence=True), gre(sequence=True)
    first.header()
    assert (first.counter, second.counter) == (1, 0)


def test_pins_do_not_count() -> None:
    """A pinned counter stays 0 however often it is written."""
    layout = l2tpv3(**session(1, counter=True, pin_counter=True))
    assert {layout.header() for _ in range(10)} == {bytes.fromhex("00000001 00000000")}


def test_a_pin_alone_puts_nothing_on_the_wire() -> None:
    """A pin without its counter adds no field, as in QEMU."""
    assert l2tpv3(**session(1, pin_counter=True)).header() == bytes.fromhex("00000001")
    assert gre(pin_sequence=True).header() == bytes.fromhex("00006558")


# GRE.


def by_scapy(frame: bytes = FRAME, **fields: Any) -> bytes:
    """A GRE packet as scapy builds it, checksum included where asked."""
    return bytes(GRE(proto=0x6558, **fields) / Ether(frame))


SCAPY_GRE = [
    ({}, {}),
    ({"key_present": 1, "key": 0xCAFEBABE}, {"rx_key": 0xCAFEBABE, "tx_key": 0xCAFEBABE}),
    ({"seqnum_present": 1, "sequence_number": 0}, {"sequence": True}),
    (
        {"key_present": 1, "key": 5, "seqnum_present": 1, "sequence_number": 0},
        {"rx_key": 5, "tx_key": 5, "sequence": True},
    ),
]


@pytest.mark.parametrize(("fields", "arguments"), SCAPY_GRE)
def test_gre_is_what_scapy_builds(fields: dict[str, Any], arguments: dict[str, Any]) -> None:
    """The header and its frame are octet for octet the packet that scapy builds of the same fields."""
    assert gre(**arguments).header() + FRAME == by_scapy(**fields)


@pytest.mark.parametrize(("fields", "arguments"), SCAPY_GRE)
def test_gre_is_what_scapy_reads(fields: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Scapy reads the fields that were asked for, and the frame behind them."""
    packet = GRE(gre(**arguments).header() + FRAME)
    for name, value in fields.items():
        assert getattr(packet, name) == value
    assert bytes(packet[Ether]) == FRAME


@pytest.mark.parametrize("frame", [BARE, FRAME, FRAME + b"!"], ids=["bare", "odd", "even"])
@pytest.mark.parametrize(("fields", "arguments"), SCAPY_GRE)
def test_gre_checksums_are_verified(fields: dict[str, Any], arguments: dict[str, Any], frame: bytes) -> None:
    """A right checksum is verified and skipped; with any octet changed the packet is refused."""
    packet = by_scapy(frame, chksum_present=1, **fields)
    layout = gre(**arguments)
    assert packet[layout.offset(packet) :] == frame
    for at in range(4, len(packet)):
        wrong = bytearray(packet)
        wrong[at] ^= 0x10
        assert refusal(layout, bytes(wrong)) == "rx_bad_checksum"


def test_gre_checksummed_packets_may_be_cut() -> None:
    """A packet cut at any octet is a runt, or has a wrong checksum once it has all its headers."""
    packet = by_scapy(chksum_present=1, key_present=1, key=7, seqnum_present=1, sequence_number=3)
    layout = gre(rx_key=7, tx_key=7, sequence=True)
    headers = 16
    for length in range(len(packet)):
        expected = "rx_runt" if length < headers + 14 else "rx_bad_checksum"
        assert refusal(layout, packet[:length]) == expected


@pytest.mark.parametrize("sequence", [True, False])
def test_gre_sequences_are_read_whether_or_not_they_are_sent(sequence: bool) -> None:
    """A peer may number its packets or not, whatever this side does (RFC 2890, section 2.2)."""
    layout = gre(sequence=sequence)
    assert layout.offset(by_scapy(seqnum_present=1, sequence_number=2**32 - 1)) == 8
    assert layout.offset(by_scapy()) == 4


#: First words of GRE that are not ours, and the counter that says why.
FOREIGN_GRE = [
    ("40006558", "rx_bad_header", "routing present"),
    ("c0006558", "rx_bad_header", "routing and checksum"),
    ("08006558", "rx_bad_header", "strict source route"),
    ("04006558", "rx_bad_header", "recursion control"),
    ("00016558", "rx_bad_header", "version 1, PPTP"),
    ("00076558", "rx_bad_header", "version 7"),
    ("3001880b", "rx_bad_header", "PPTP"),
    ("00000800", "rx_bad_header", "IPv4"),
    ("00006559", "rx_bad_header", "a frame relay"),
    ("000088be", "rx_bad_header", "ERSPAN"),
    ("20006558", "rx_bad_key", "a key where there is none"),
    ("30006558", "rx_bad_key", "a key and a sequence number"),
]


@pytest.mark.parametrize(("word", "reason", "what"), FOREIGN_GRE, ids=[what for *_, what in FOREIGN_GRE])
def test_foreign_gre(word: str, reason: str, what: str) -> None:
    """Routing bits, versions, protocols and keys that are not ours are refused by their reason."""
    assert refusal(gre(), bytes.fromhex(word) + bytes(12) + FRAME) == reason, what


@pytest.mark.parametrize("bits", [0x0080, 0x0100, 0x0200, 0x03F8])
def test_gre_reserved_bits_are_ignored(bits: int) -> None:
    """Bits 6 to 12 are ignored by a receiver (RFC 2784, section 2.3)."""
    assert gre().offset(struct.pack("!HH", bits, 0x6558) + FRAME) == 4


@pytest.mark.parametrize(("ours", "theirs"), [(5, 6), (0, 1), (2**31, 0), (2**32 - 1, 2**31 - 1)])
def test_gre_keys_must_be_ours(ours: int, theirs: int) -> None:
    """A packet with another key, or with none, is refused, a key of zero among them."""
    layout = gre(rx_key=ours, tx_key=ours)
    assert layout.offset(by_scapy(key_present=1, key=ours)) == 8
    assert refusal(layout, by_scapy(key_present=1, key=theirs)) == "rx_bad_key"
    assert refusal(layout, by_scapy()) == "rx_bad_key"
    assert refusal(layout, by_scapy(seqnum_present=1, sequence_number=ours)) == "rx_bad_key"


def test_gre_keys_differ_by_direction() -> None:
    """The key that is sent is the peer's, the one that is expected is ours."""
    here, there = gre(rx_key=1, tx_key=2), gre(rx_key=2, tx_key=1)
    assert there.offset(here.header() + FRAME) == here.offset(there.header() + FRAME) == 8
    assert refusal(here, here.header() + FRAME) == "rx_bad_key"


@pytest.mark.parametrize("name", ["rx_key", "tx_key"])
@pytest.mark.parametrize("key", [-1, 2**32])
def test_gre_keys_have_32_bits(name: str, key: int) -> None:
    """A key that does not fit 32 bits is named in the error."""
    arguments: dict[str, Any] = {name: key}
    with pytest.raises(ValueError, match=f"{name} is 0 to 4294967295, not {key}"):
        gre(**arguments)


# L2TPv3.


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("ours", [1, 0x1234, 2**31 - 1, 2**31, 2**32 - 1])
def test_l2tpv3_sessions_must_be_ours(ours: int, udp: bool) -> None:
    """Any other session is refused: one that differs in one bit, also the one that was a sign to the seed."""
    layout = l2tpv3(**session(ours, udp=udp))
    for bit in range(32):
        other = ours ^ (1 << bit)
        packet = l2tpv3(**session(other, udp=udp)).header() + FRAME if other else None
        assert packet is None or refusal(layout, packet) == "rx_bad_session"


def test_l2tpv3_sessions_differ_by_direction() -> None:
    """The session that is sent is the peer's, the one that is expected is ours."""
    here, there = l2tpv3(rx_session=1, tx_session=2), l2tpv3(rx_session=2, tx_session=1)
    assert there.offset(here.header() + FRAME) == here.offset(there.header() + FRAME) == 4
    assert refusal(here, here.header() + FRAME) == "rx_bad_session"


@pytest.mark.parametrize("wide", [False, True], ids=["4 octets", "8 octets"])
@pytest.mark.parametrize("udp", [True, False])
def test_l2tpv3_cookies_must_be_ours(udp: bool, wide: bool) -> None:
    """A cookie that differs in one bit, wherever, is refused."""
    cookie = 0x80000000DEADBEEF if wide else 0xDEADBEEF
    common: dict[str, Any] = {"udp": udp, "cookie64": wide}
    layout = l2tpv3(**session(7, rx_cookie=cookie, tx_cookie=cookie, **common))
    for bit in range(64 if wide else 32):
        other = l2tpv3(**session(7, rx_cookie=cookie, tx_cookie=cookie ^ (1 << bit), **common))
        assert refusal(layout, other.header() + FRAME) == "rx_bad_cookie"


def test_l2tpv3_cookies_differ_by_direction() -> None:
    """The cookie that is sent is the peer's, and each side may have one of its own."""
    here = l2tpv3(rx_session=1, tx_session=2, rx_cookie=3, tx_cookie=4, cookie64=True)
    there = l2tpv3(rx_session=2, tx_session=1, rx_cookie=4, tx_cookie=3, cookie64=True)
    assert there.offset(here.header() + FRAME) == here.offset(there.header() + FRAME) == 12


def test_l2tpv3_session_comes_before_cookie() -> None:
    """A packet of another session says so, whatever its cookie is."""
    layout = l2tpv3(**session(7, rx_cookie=1, tx_cookie=1))
    assert refusal(layout, struct.pack("!II", 8, 2) + FRAME) == "rx_bad_session"
    assert refusal(layout, struct.pack("!II", 7, 2) + FRAME) == "rx_bad_cookie"


#: First words of L2TP over UDP that are not ours, and the counter that says why.
FOREIGN_L2TP = [
    ("80030000", "rx_control", "the T bit: a control message"),
    ("c8030014", "rx_control", "a control message as peers send it"),
    ("c8020014", "rx_control", "a control message of version 2"),
    ("00020000", "rx_bad_header", "L2TPv2 data"),
    ("40020000", "rx_bad_header", "L2TPv2 data with a length"),
    ("00010000", "rx_bad_header", "L2F"),
    ("00000000", "rx_bad_header", "version 0"),
    ("00040000", "rx_bad_header", "version 4"),
    ("000b0000", "rx_bad_header", "version 11"),
]


@pytest.mark.parametrize(("word", "reason", "what"), FOREIGN_L2TP, ids=[what for *_, what in FOREIGN_L2TP])
def test_foreign_l2tp(word: str, reason: str, what: str) -> None:
    """Control messages and other versions of L2TP are refused by their reason, whatever the session."""
    layout = l2tpv3(**session(7, udp=True))
    assert refusal(layout, bytes.fromhex(word) + struct.pack("!I", 7) + FRAME) == reason, what
    assert refusal(layout, bytes.fromhex(word) + bytes(4) + FRAME) == reason, what


@pytest.mark.parametrize("word", ["00030000", "7ff3ffff", "00f3abcd", "0003ffff"])
def test_l2tp_reserved_bits_are_ignored(word: str) -> None:
    """The x bits and the reserved half of the first word are ignored by a receiver (RFC 3931, 4.1.2.1)."""
    assert l2tpv3(**session(7, udp=True)).offset(bytes.fromhex(word) + struct.pack("!I", 7) + FRAME) == 8


@pytest.mark.parametrize("udp", [True, False])
def test_session_0_is_control(udp: bool) -> None:
    """Over IP, and over UDP too, session 0 marks a control message (RFC 3931, section 4.1.1.2)."""
    layout = l2tpv3(**session(7, udp=udp))
    front = bytes.fromhex("00030000") if udp else b""
    assert refusal(layout, front + bytes(4) + bytes.fromhex("c8030014") + FRAME) == "rx_control"


@pytest.mark.parametrize("octets", [bytes(4), bytes.fromhex("40000001"), bytes.fromhex("ffffffff")])
def test_the_sublayer_is_skipped_unread(octets: bytes) -> None:
    """The sublayer may hold a plain counter or Linux's S bit and sequence: both are skipped."""
    layout = l2tpv3(**session(7, counter=True))
    assert layout.offset(struct.pack("!I", 7) + octets + FRAME) == 8


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (session(0), "session 0 marks control"),
        ({"rx_session": 1, "tx_session": 0}, "session 0 marks control"),
        ({"rx_session": -1, "tx_session": 1}, "rx_session is 0 to 4294967295, not -1"),
        ({"rx_session": 1, "tx_session": 2**32}, "tx_session is 0 to 4294967295, not 4294967296"),
        (session(1, rx_cookie=2**32, tx_cookie=1), "rx_cookie is 0 to 4294967295"),
        (session(1, rx_cookie=1, tx_cookie=-1), "tx_cookie is 0 to 4294967295"),
        (session(1, rx_cookie=2**64, tx_cookie=1, cookie64=True), "rx_cookie is 0 to 18446744073709551615"),
    ],
)
def test_numbers_that_do_not_fit(arguments: dict[str, Any], match: str) -> None:
    """A session or a cookie that cannot be on the wire is named in the error."""
    with pytest.raises(ValueError, match=match):
        l2tpv3(**arguments)


# The IPv4 header of raw sockets.


@pytest.mark.parametrize("make", [lambda: gre(ip_header=True), lambda: l2tpv3(**session(1, ip_header=True))])
@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (0x65, "rx_bad_header"),
        (0x05, "rx_bad_header"),
        (0x44, "rx_bad_header"),
        (0x40, "rx_bad_header"),
        (0x4F, "rx_runt"),
    ],
)
def test_ip_headers_that_lie(make: Callable[[], Encapsulation], first: int, reason: str) -> None:
    """Another version or a length below 20 is refused; a length beyond the packet makes it a runt."""
    packet = bytearray(ipv4(47) + bytes(30))
    packet[0] = first
    assert refusal(make(), Cliff().before_the_end(bytes(packet))) == reason


@pytest.mark.parametrize("first", [0x45, 0x65, 0x40, 0x00])
def test_packets_shorter_than_any_ip_header(first: int) -> None:
    """What has no room for an IPv4 header is a runt, whatever it claims to be."""
    layout = gre(ip_header=True)
    for length in range(1, 20):
        assert refusal(layout, bytes([first]) * length) == "rx_runt"


def test_every_length_of_ip_header() -> None:
    """The encapsulation is found behind an IPv4 header of every length that there is."""
    offsets = [
        gre(ip_header=True).offset(bytes([0x40 | words]) + bytes(words * 4 - 1) + gre().header() + FRAME)
        for words in range(5, 16)
    ]
    assert offsets[0] == 24
    assert {later - earlier for earlier, later in pairwise(offsets)} == {4}


# None.


def test_no_encapsulation() -> None:
    """An Encapsulation that nothing laid out is none: it writes nothing, and frames stand bare."""
    layout = Encapsulation()
    room = bytearray(b"\xa5" * 8)
    assert (layout.tx_length, layout.rx_length, layout.header()) == (0, 0, b"")
    assert layout.write(room, 4) == 4
    assert room == b"\xa5" * 8
    assert layout.offset(FRAME) == 0
    assert refusal(layout, FRAME[:13]) == "rx_runt"
