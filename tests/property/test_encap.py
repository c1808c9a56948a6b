"""Properties of the encapsulations: any layout reads what its mirror image sends, and no octets do harm."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oracle.anything import UINT32
from oracle.cliff import Cliff
from vecwire.wire.counters import RX_DROPS
from vecwire.wire.encap import Encapsulation, gre, l2tpv3

CLIFF = Cliff()

SESSION = st.integers(1, 0xFFFFFFFF)
Ends = tuple[Encapsulation, Encapsulation]


@st.composite
def gre_ends(draw: st.DrawFn) -> Ends:
    """The two ends of a GRE tunnel."""
    keys = draw(st.none() | st.tuples(UINT32, UINT32))
    here, there = keys or (None, None)
    common: dict[str, Any] = {"sequence": draw(st.booleans()), "pin_sequence": draw(st.booleans())}
    return gre(rx_key=here, tx_key=there, **common), gre(rx_key=there, tx_key=here, **common)


@st.composite
def l2tpv3_ends(draw: st.DrawFn) -> Ends:
    """The two ends of an L2TPv3 session."""
    wide = draw(st.booleans())
    cookie = st.integers(0, 2**64 - 1 if wide else 2**32 - 1)
    here, there = draw(st.none() | st.tuples(cookie, cookie)) or (None, None)
    ours, theirs = draw(SESSION), draw(SESSION)
    common: dict[str, Any] = {
        "cookie64": wide,
        "counter": draw(st.booleans()),
        "pin_counter": draw(st.booleans()),
        "udp": draw(st.booleans()),
    }
    return (
        l2tpv3(rx_session=ours, tx_session=theirs, rx_cookie=here, tx_cookie=there, **common),
        l2tpv3(rx_session=theirs, tx_session=ours, rx_cookie=there, tx_cookie=here, **common),
    )


ENDS = gre_ends() | l2tpv3_ends()
#: A layout that reads the IPv4 header too, and one of each kind that does not.
LAYOUTS = ENDS.map(lambda ends: ends[0]) | st.sampled_from(
    [
        gre(ip_header=True),
        gre(rx_key=0x20006558, tx_key=1, ip_header=True),
        l2tpv3(rx_session=0x45000000, tx_session=1, ip_header=True),
        l2tpv3(rx_session=1, tx_session=1, rx_cookie=0, tx_cookie=0, counter=True, ip_header=True),
    ]
)


@given(ENDS, UINT32, st.binary(min_size=14, max_size=200))
def test_each_end_reads_the_other(ends: Ends, counter: int, frame: bytes) -> None:
    """What one end puts in front of a frame the other takes off, both ways, wherever the counter is."""
    for sender, receiver in (ends, ends[::-1]):
        sender.counter = counter
        for _ in range(3):
            packet = sender.header() + frame
            assert packet[receiver.offset(packet) :] == frame
        assert receiver.rx_length == sender.tx_length


@given(ENDS, UINT32)
def test_headers_do_not_depend_on_the_memory(ends: Ends, counter: int) -> None:
    """The octets of a header are the same over any memory, at the very end of it too."""
    sender = ends[0]
    sender.counter = counter
    expected = sender.header()
    for fill in (b"\xa5", b"\x5a"):
        sender.counter = counter
        room = CLIFF.before_the_end(fill * (9 + len(expected)))
        assert sender.write(room, len(room)) == 9
        assert room == fill * 9 + expected


def reason_of(layout: Encapsulation, packet: memoryview) -> str | int:
    """Where the frame begins, or the counter of the reason why the packet is not ours."""
    try:
        return layout.offset(packet)
    except ValueError as error:
        return str(error)


def hold(layout: Encapsulation, packet: bytes) -> None:
    """Asserts that a packet is refused by a counted drop or has room for a frame, alike at both edges."""
    outcome = reason_of(layout, CLIFF.before_the_end(packet))
    assert outcome == reason_of(layout, CLIFF.after_the_start(packet))
    if isinstance(outcome, str):
        assert outcome in RX_DROPS
    else:
        assert 4 <= outcome <= len(packet) - 14


@given(LAYOUTS, st.binary(max_size=120))
def test_any_octets_are_judged(layout: Encapsulation, packet: bytes) -> None:
    """Any octets are refused for a reason that has a counter, or have a whole Ethernet header behind ours."""
    hold(layout, packet)


@given(
    ENDS,
    st.binary(min_size=14, max_size=60),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=3),
    st.integers(0, 100),
)
def test_spoiled_packets_are_judged(
    ends: Ends, frame: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    """A good packet with some octets changed, cut anywhere, is judged as any other."""
    packet = bytearray(ends[0].header() + frame)
    for at, octet in changes:
        if at < len(packet):
            packet[at] = octet
    hold(ends[1], bytes(packet[:length]))


@given(LAYOUTS, st.integers(0, 15), st.binary(max_size=100))
def test_any_ip_header_length(layout: Encapsulation, words: int, rest: bytes) -> None:
    """An IPv4 header may claim any length of itself; what is read stays in the packet."""
    hold(layout, bytes([0x40 | words]) + rest)
