"""Properties of the Internet checksum (RFC 1071, section 2)."""

from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import checksum as scapy_checksum

from oracle import internet
from oracle.cliff import Cliff
from vecwire.wire.checksum import checksum, partial

CLIFF = Cliff()


@given(st.binary(max_size=3000))
def test_any_octets(octets: bytes) -> None:
    """Any octets get the checksum that scapy computes, read from the very edges of memory."""
    assert checksum(CLIFF.before_the_end(octets)) == scapy_checksum(octets)
    assert checksum(CLIFF.after_the_start(octets)) == scapy_checksum(octets)


@given(st.binary(max_size=200), st.integers(0, 9))
def test_any_place(octets: bytes, offset: int) -> None:
    """The checksum does not depend on where the octets are, nor on what is around them."""
    dirty = memoryview(b"\xa5" * offset + octets + b"\xa5" * 9)
    assert checksum(dirty[offset : offset + len(octets)]) == checksum(octets)


@given(
    st.lists(st.binary(max_size=50).map(lambda part: part[: len(part) // 2 * 2]), max_size=6),
    st.binary(max_size=9),
)
def test_any_parts(parts: list[bytes], last: bytes) -> None:
    """A sum goes on from part to part, as long as all but the last have an even length."""
    running = 0
    for part in [*parts, last]:
        running = partial(part, running)
    assert running == internet.total(b"".join(parts) + last)


@given(st.binary(min_size=2, max_size=300).map(lambda octets: octets[: len(octets) // 2 * 2]))
def test_a_checksum_makes_the_sum_zero(octets: bytes) -> None:
    """Octets that carry their own checksum sum up to 0xFFFF: a receiver needs no more than that."""
    assert partial(octets + checksum(octets).to_bytes(2)) == 0xFFFF


@given(st.binary(max_size=100), st.integers(0, 2**80))
def test_any_start(octets: bytes, start: int) -> None:
    """A sum to begin with of any size counts as its octets would."""
    assert partial(octets, start) == internet.total(start.to_bytes(12) + octets)
