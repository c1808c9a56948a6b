"""Tunnels among liars: each packet that is not the peer's is dropped for its reason, and costs nobody else.

Every lie is told several times among honest frames, through a running cable. What the kernel drops before
the port sees it is counted by the kernel, and by no counter of the port.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.packet import Raw

import vecwire
from peers.liars import (
    COOKIE32,
    COOKIE64,
    DATA,
    KEY,
    SESSION,
    STRANGER4,
    STRANGER6,
    WRAP,
    Hearing,
    Tunnel,
    gre,
    honest,
    l2tpv3,
    lying,
    repeated,
    told,
)
from peers.net import open_descriptors, wait_until
from peers.ports import LEFT4, LEFT6, RIGHT4, RIGHT6
from peers.wan import send_train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How often each lie is told.
TIMES = 5
LIE = lying()


@pytest.fixture(scope="module")
def tunnel(request: pytest.FixtureRequest) -> Iterator[Tunnel]:
    """A loopback on which the port hears what anybody sends."""
    with Tunnel(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def ears(tunnel: Tunnel) -> Iterator[Hearing]:
    """A cable from the tunnel's end."""
    with tunnel.heard() as made:
        yield made


@pytest.fixture
def alone(request: pytest.FixtureRequest) -> Iterator[Tunnel]:
    """The same for one test, which opens the port itself."""
    with Tunnel(request.param) as made:
        yield made


EACH_TUNNEL = pytest.mark.parametrize("tunnel", WRAP, indirect=True, scope="module")
EACH_ALONE = pytest.mark.parametrize("alone", WRAP, indirect=True)

# What a payload may lie about: the payload, and the counter of the reason.


def _gre_lies(key: int | None) -> dict[str, tuple[bytes, str]]:
    wrong_keys = {"key": 0xFFFFFFFE, "no-key": None} if key is not None else {"key-unasked-for": 0}
    flagged = struct.pack("!HH", 0xB000, 0x6558)
    return {
        **{name: (gre(LIE, key=each), "rx_bad_key") for name, each in wrong_keys.items()},
        "protocol": (gre(LIE, key=key, protocol=0x0800), "rx_bad_header"),
        "version-1": (gre(LIE, key=key, flags=0x0001), "rx_bad_header"),
        "routing": (gre(LIE, key=key, flags=0x4000), "rx_bad_header"),
        "strict-source-route": (gre(LIE, key=key, flags=0x0800), "rx_bad_header"),
        "recursion": (gre(LIE, key=key, flags=0x0400), "rx_bad_header"),
        "checksum": (gre(LIE, key=key, flags=0x8000, spoil=0x0100), "rx_bad_checksum"),
        "nothing": (b"", "rx_runt"),
        "half-a-header": (b"\x20\x00", "rx_runt"),
        "fields-that-are-not-there": (flagged, "rx_runt"),
        "fields-that-reach-past-the-frame": (flagged + LIE[:13], "rx_runt"),
        "no-frame": (gre(b"", key=key), "rx_runt"),
        "a-frame-cut-short": (gre(LIE[:13], key=key), "rx_runt"),
    }


def _l2tp_lies(*, word: int | None, cookie: bytes, number: int | None) -> dict[str, tuple[bytes, str]]:
    common: dict[str, Any] = {"word": word, "number": number}
    whole: dict[str, Any] = {**common, "session": SESSION, "cookie": cookie}
    shortest = len(l2tpv3(b"", **whole))
    lies = {
        "session": (l2tpv3(LIE, **{**whole, "session": 2}), "rx_bad_session"),
        "session-in-the-wrong-order": (l2tpv3(LIE, **{**whole, "session": 1 << 24}), "rx_bad_session"),
        "session-0": (l2tpv3(LIE, **{**whole, "session": 0}), "rx_control"),
        "no-session": (
            l2tpv3(LIE, **common, session=int.from_bytes(LIE[:4]))[: shortest + 40],
            "rx_bad_session",
        ),
        "nothing-behind-the-header": (l2tpv3(b"", **whole), "rx_runt"),
        "a-frame-cut-short": (l2tpv3(LIE[:13], **whole), "rx_runt"),
        "half-a-header": (l2tpv3(b"", **whole)[: shortest // 2], "rx_runt"),
        "three-octets": (b"\0\3\0"[:3] if word is not None else b"\0\0\0", "rx_runt"),
    }
    if cookie:
        other = COOKIE64 if len(cookie) == len(COOKIE32) else COOKIE32 + bytes(4)
        flipped = cookie[:-1] + bytes([cookie[-1] ^ 1])
        lies |= {
            "cookie": (l2tpv3(LIE, **{**whole, "cookie": bytes(len(cookie))}), "rx_bad_cookie"),
            "cookie-by-one-bit": (l2tpv3(LIE, **{**whole, "cookie": flipped}), "rx_bad_cookie"),
            "cookie-of-another-length": (l2tpv3(LIE, **{**whole, "cookie": other}), "rx_bad_cookie"),
            "no-cookie": (l2tpv3(LIE, **{**whole, "cookie": b""}), "rx_bad_cookie"),
            "half-a-cookie": (l2tpv3(b"", **whole)[: shortest - len(cookie) // 2 - 4], "rx_runt"),
        }
    if word is not None:
        control = struct.pack("!HHIHH", 0xC803, 20, 0, 0, 0) + bytes.fromhex("8008000000000001")
        lies |= {
            "nothing": (b"", "rx_runt"),
            "control-bit": (l2tpv3(LIE, **{**whole, "word": DATA | 1 << 31}), "rx_control"),
            "control-message": (control, "rx_control"),
            "version-2": (l2tpv3(LIE, **{**whole, "word": 0x00020000}), "rx_bad_header"),
            "version-1": (l2tpv3(LIE, **{**whole, "word": 0x00010000}), "rx_bad_header"),
            "version-15": (l2tpv3(LIE, **{**whole, "word": 0x000F0000}), "rx_bad_header"),
        }
    return lies


LIES: dict[str, dict[str, tuple[bytes, str]]] = {
    "gre": _gre_lies(None),
    "gre-key-sequence": _gre_lies(KEY),
    "gre-ipv6": _gre_lies(None),
    "l2tpv3-udp": _l2tp_lies(word=DATA, cookie=b"", number=None),
    "l2tpv3-ip-cookies": _l2tp_lies(word=None, cookie=COOKIE32, number=None),
    "l2tpv3-udp-ipv6-cookies64-counter": _l2tp_lies(word=DATA, cookie=COOKIE64, number=7),
}


@pytest.mark.parametrize(
    ("tunnel", "payload", "reason"),
    [
        pytest.param(kind, *lie, id=f"{kind}-{name}")
        for kind, lies in LIES.items()
        for name, lie in lies.items()
    ],
    indirect=["tunnel"],
    scope="module",
)
def test_each_lie_is_dropped_for_its_reason(
    tunnel: Tunnel, ears: Hearing, payload: bytes, reason: str
) -> None:
    """What the peer never puts into a packet is counted under one reason; honest frames pass beside it."""
    lie = tunnel.sending(payload)
    assert ears.among(*repeated([lie], TIMES)) == {reason: TIMES}


# What a packet around an honest payload may lie about: that is the kernel's to judge.


def _cut(tunnel: Tunnel, payload: bytes, *pieces: tuple[int, int]) -> list[bytes]:
    """Fragments of a packet, each from one octet of its payload to another, multiples of 8 but the last."""
    whole = tunnel.packet(payload)[40 if tunnel.v6 else 20 :]
    made = []
    tunnel.number += 1
    for start, end in pieces:
        more = end < len(whole)
        if tunnel.v6:
            extension = IPv6ExtHdrFragment(nh=tunnel.protocol, offset=start // 8, m=more, id=tunnel.number)
            made.append(bytes(tunnel.network() / extension / Raw(whole[start:end])))
        else:
            head = tunnel.network(proto=tunnel.protocol, flags="MF" if more else 0, frag=start // 8)
            made.append(bytes(head / Raw(whole[start:end])))
    return made


END = 1 << 16
#: By name: what is sent, and where the kernel counts it; None where it does not say.
FORGED: dict[str, tuple[Callable[[Tunnel], list[bytes]], str | None]] = {
    "a-strangers-address": (
        lambda tunnel: [tunnel.packet(tunnel.wrap(LIE), source=STRANGER6 if tunnel.v6 else STRANGER4)],
        "NoPorts",
    ),
    # They count once their time is over: see below.
    "half-of-it": (lambda tunnel: _cut(tunnel, tunnel.wrap(LIE), (0, 48)), None),
    "the-end-alone": (lambda tunnel: _cut(tunnel, tunnel.wrap(LIE), (48, END)), None),
    "overlapping-fragments": (
        lambda tunnel: _cut(tunnel, tunnel.wrap(LIE), (0, 48), (32, END)),
        "ReasmFails",
    ),
}
FORGED_UDP: dict[str, tuple[Callable[[Tunnel], list[bytes]], str | None]] = {
    "a-strangers-port": (lambda tunnel: [tunnel.packet(tunnel.wrap(LIE), port=1703)], "NoPorts"),
    "a-checksum": (lambda tunnel: [tunnel.packet(tunnel.wrap(LIE), chksum=0x1234)], "InCsumErrors"),
    "a-length-past-the-packet": (lambda tunnel: [tunnel.packet(tunnel.wrap(LIE), len=4000)], "InErrors"),
}
#: What the kernel counts among the drops of the socket.
TOLD = {"a-checksum"}


def _kernel_counter(tunnel: Tunnel, name: str) -> int:
    prefix = {"ReasmFails": "Ip"}.get(name, "Udp") + ("6" if tunnel.v6 else "")
    return tunnel.namespace.counters()[prefix + name]


@pytest.mark.parametrize(
    ("tunnel", "name"),
    [
        pytest.param(kind, name, id=f"{kind}-{name}")
        for kind in WRAP
        for name in (*FORGED, *(FORGED_UDP if "udp" in kind else ()))
    ],
    indirect=["tunnel"],
    scope="module",
)
def test_what_is_forged_around_a_payload_never_comes_that_far(
    tunnel: Tunnel, ears: Hearing, name: str
) -> None:
    """A stranger's packet, a wrong checksum and bad fragments stay in the kernel; no other counter moves."""
    make, counter = (FORGED | FORGED_UDP)[name]
    if counter == "NoPorts" and not tunnel.udp:
        # Of raw sockets the kernel tells nothing.
        counter = None
    before = _kernel_counter(tunnel, counter) if counter else 0
    told = {"rx_missed": TIMES} if name in TOLD else {}
    assert ears.among(*repeated([lambda: tunnel.send(*make(tunnel))], TIMES)) == told
    if counter:
        assert _kernel_counter(tunnel, counter) - before >= TIMES


@pytest.mark.parametrize("name", ["half-of-it", "the-end-alone"])
@pytest.mark.parametrize("alone", ["l2tpv3-udp", "gre-ipv6"], indirect=True)
def test_fragments_that_stay_alone_are_counted_when_their_time_is_over(alone: Tunnel, name: str) -> None:
    """What the rest of never comes is given up by the kernel, which counts it; the port hears of nothing."""
    alone.namespace.sysctl("ipv6/ip6frag_time" if alone.v6 else "ipv4/ipfrag_time", "1")
    make, _ = FORGED[name]
    before = _kernel_counter(alone, "ReasmFails")
    with alone.heard() as ears:
        assert ears.among(*repeated([lambda: alone.send(*make(alone))], TIMES)) == {}
        wait_until(
            lambda: _kernel_counter(alone, "ReasmFails") - before == TIMES,
            timeout=20,
            what="they are given up",
        )
        assert ears.among() == {}


@EACH_ALONE
def test_a_packet_of_64_kilobytes_is_too_long(alone: Tunnel) -> None:
    """With `gro=0` a packet far longer than the MTU allows is counted as such, and comes no further."""
    long = alone.packet(alone.wrap(LIE + bytes(60_000)))
    with alone.heard(",gro=0") as ears:
        assert ears.among(*repeated([lambda: alone.send(long)], TIMES)) == {"rx_truncated": TIMES}


# What is strange and no lie.


def _options(tunnel: Tunnel) -> Any:
    """An IP header with as much in it as an honest router may have put there."""
    if tunnel.v6:
        return tunnel.network() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
    return tunnel.network(options=[IPOption_NOP(), IPOption_RR(routers=["10.0.0.1"] * 8)])


def _fragments(tunnel: Tunnel, payload: bytes) -> list[bytes]:
    length = len(payload) + (8 if tunnel.udp else 0)
    return _cut(tunnel, payload, *((start, min(start + 24, length)) for start in range(0, length, 24)))


ODDITIES: dict[str, Callable[[Tunnel, bytes], list[bytes]]] = {
    "ip-options": lambda tunnel, payload: [tunnel.packet(payload, layer=_options(tunnel))],
    "fragments": _fragments,
    "fragments-in-disorder": lambda tunnel, payload: _fragments(tunnel, payload)[::-1],
}


@pytest.mark.parametrize("name", ODDITIES)
@EACH_TUNNEL
def test_strange_packets_that_are_honest_are_delivered(tunnel: Tunnel, ears: Hearing, name: str) -> None:
    """Options of IP and fragments that fit together bring their frames, and count nothing."""
    before = ears.port.stats
    for number in range(TIMES):
        tunnel.send(*ODDITIES[name](tunnel, tunnel.wrap(honest(number))))
    assert [ears.sink.recv(2048) for _ in range(TIMES)] == [honest(number) for number in range(TIMES)]
    ears.engine.do(lambda: None)
    assert told(before, ears.port.stats) == {}


@pytest.mark.parametrize(
    ("tunnel", "payload"),
    [
        pytest.param("gre", gre(honest(1), flags=0x03F8), id="gre-reserved-bits"),
        pytest.param("gre", gre(honest(1), flags=0x8000), id="gre-checksum"),
        pytest.param("gre", gre(honest(1), sequence=7), id="gre-sequence-unasked-for"),
        pytest.param("l2tpv3-udp", l2tpv3(honest(1), word=0x7FF3FFFF, session=SESSION), id="l2tpv3-reserved"),
    ],
    indirect=["tunnel"],
    scope="module",
)
def test_what_receivers_must_ignore_is_ignored(tunnel: Tunnel, ears: Hearing, payload: bytes) -> None:
    """Reserved bits (RFC 2784, 2.1; RFC 3931, 4.1.2.1) and fields that need not be there change nothing."""
    before = ears.port.stats
    tunnel.send(tunnel.packet(payload))
    assert ears.sink.recv(2048) == honest(1)
    assert told(before, ears.port.stats) == {}


# Numbers.

NUMBERED = pytest.mark.parametrize(
    "alone", ["gre-key-sequence", "l2tpv3-udp-ipv6-cookies64-counter"], indirect=True
)


def numbers(tunnel: Tunnel, ears: Hearing, *sent: int) -> int:
    """Sends packets of these numbers, which all must be delivered; how many are told as late."""
    before = ears.port.stats.rx_late
    for number in sent:
        tunnel.send(tunnel.packet(WRAP[tunnel.kind](honest(number & 0xFFFF), number)))
    assert [ears.sink.recv(2048) for _ in sent] == [honest(number & 0xFFFF) for number in sent]
    ears.engine.do(lambda: None)
    return ears.port.stats.rx_late - before


@NUMBERED
def test_a_number_that_has_passed_is_told_and_its_frame_delivered(alone: Tunnel) -> None:
    """Replays and late packets are counted, each one; what counts on is not, over the end of 32 bits too."""
    with alone.heard() as ears:
        assert numbers(alone, ears, *range(10, 20)) == 0
        assert numbers(alone, ears, 19, 19, 10, 15) == 4
        assert numbers(alone, ears, 20, 22, 21, 23) == 1
        assert numbers(alone, ears, 0x7FFFFFFF, 0xFFFFFFFE) == 0
        assert numbers(alone, ears, 0xFFFFFFFF, 0, 1, 2) == 0
        assert numbers(alone, ears, 0xFFFFFFFF, 3) == 1


@NUMBERED
def test_a_forged_number_shuts_nobody_out(alone: Tunnel) -> None:
    """After a packet whose number is far ahead, and after a peer began anew, what follows is told once."""
    with alone.heard() as ears:
        assert numbers(alone, ears, 5000, 5001, 0x40000000, 5002, 5003, 5004) == 1
        assert numbers(alone, ears, *range(1, 50)) == 1
        assert numbers(alone, ears, 0, 0, 0) == 0


# Many datagrams in one piece.


@pytest.mark.parametrize("tunnel", ["l2tpv3-udp"], indirect=True, scope="module")
def test_each_piece_of_a_train_is_judged_by_itself(tunnel: Tunnel, ears: Hearing) -> None:
    """Of datagrams that the kernel gives in one piece, those that lie are dropped and counted one by one."""
    before = ears.port.stats
    pieces = []
    for number in range(20):
        pieces.append(l2tpv3(honest(number), word=DATA, session=SESSION))
        pieces.append(l2tpv3(LIE, word=DATA if number % 2 else DATA | 1 << 31, session=2))
    tunnel.far.connect((LEFT4, 1701))
    send_train(tunnel.far, pieces, len(pieces[0]))
    assert [ears.sink.recv(2048) for _ in range(20)] == [honest(number) for number in range(20)]
    ears.engine.do(lambda: None)
    after = ears.port.stats
    assert told(before, after) == {"rx_control": 10, "rx_bad_session": 10}
    assert (after - before).rx_frames == 20
    assert ears.more() == []


# Errors that anybody may have forged.


def icmp_errors(tunnel: Tunnel) -> Iterator[tuple[str, bytes]]:
    """Every ICMP error about a packet that the port may have sent, from a stranger's address."""
    inner: Any
    if tunnel.v6:
        inner = IPv6(src=LEFT6, dst=RIGHT6, nh=tunnel.protocol)
    else:
        inner = IP(src=LEFT4, dst=RIGHT4, proto=tunnel.protocol)
    quoted = inner / (UDP(sport=1701, dport=1702, len=200) if tunnel.udp else Raw(WRAP[tunnel.kind](LIE, 1)))
    if tunnel.v6:
        outer: Any = IPv6(src=STRANGER6, dst=LEFT6)
        errors: list[Any] = [ICMPv6DestUnreach(code=code) for code in range(8)]
        errors += [ICMPv6PacketTooBig(mtu=1280), *(ICMPv6TimeExceeded(code=code) for code in range(2))]
        errors += [ICMPv6ParamProblem(code=code) for code in range(4)]
    else:
        outer = IP(src=STRANGER4, dst=LEFT4)
        errors = [ICMP(type=3, code=code, nexthopmtu=552 if code == 4 else 0) for code in range(16)]
        errors += [ICMP(type=kind, code=code) for kind in (4, 11, 12) for code in range(2)]
    for error in errors:
        yield error.summary(), bytes(outer / error / quoted)


@EACH_ALONE
def test_forged_icmp_errors_cost_no_frame_and_no_tunnel(alone: Tunnel) -> None:
    """Whatever ICMP says of earlier packets, the next frame leaves, and the port stays as it was."""
    with vecwire.open(alone.spec) as port:
        batch, into = port.batch(), port.batch()
        before, descriptors = port.stats, set(open_descriptors())
        for number, (name, packet) in enumerate(icmp_errors(alone)):
            alone.send(packet)
            batch.clear()
            batch.append(honest(number))
            assert port.send(batch) == 1, name
            assert alone.far.recv(2048)[-len(honest(number)) :] == honest(number), name
            # The same again, told to the receiving side.
            alone.send(packet)
            assert port.recv(into) == 0, name
            assert port.info.up, name
        counted = told(before, port.stats)
        assert set(counted) <= {"unreachable"}, counted
        assert port.stats.tx_frames == number + 1
        assert set(open_descriptors()) <= descriptors


@pytest.mark.parametrize("tunnel", ["l2tpv3-udp"], indirect=True, scope="module")
def test_forged_icmp_errors_are_counted(tunnel: Tunnel, ears: Hearing) -> None:
    """A flood of ICMP errors moves `unreachable` and nothing else, while frames go both ways."""
    flood = [packet for _, packet in icmp_errors(tunnel)]
    before = ears.port.stats.unreachable
    counted = ears.among(*repeated([lambda: tunnel.send(*flood)], TIMES))
    assert set(counted) == {"unreachable"}
    for number in range(TIMES):
        tunnel.send(*flood)
        ears.sink.send(honest(number))
        assert tunnel.far.recv(2048)[-len(honest(number)) :] == honest(number)
    wait_until(lambda: ears.port.stats.unreachable > before, timeout=5, what="errors are told")
    assert ears.port.info.up
