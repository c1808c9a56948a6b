"""Sizes, rates and headers, from text."""

from collections import Counter

import pytest

from vecwire.traffic import IMIX, Rate, Traffic, read_rate, read_sizes


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1000", Rate(frames=1000)),
        ("10k", Rate(frames=10_000)),
        ("1.5Mframes/s", Rate(frames=1_500_000)),
        ("100Mbit", Rate(bits=100e6)),
        ("2.5Gbit/s", Rate(bits=2.5e9)),
        ("100mbit", Rate(bits=100e6)),
        ("10Kbit", Rate(bits=10e3)),
        ("10K", Rate(frames=10_000)),
        ("1TBit/s", Rate(bits=1e12)),
        ("max", Rate()),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    """A rate is a number of frames, of bits, or none."""
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "10 k", "10kbyte", "1e3", "\u0661k"])
def test_what_is_no_rate(text: str) -> None:
    """What is no rate is refused with what one looks like."""
    with pytest.raises(ValueError, match="write 1000"):
        read_rate(text)


def test_bits_are_frames_of_the_mean_size() -> None:
    """A rate in bits is as many frames as carry them."""
    assert Rate(bits=8000 * 100).frames_of([50, 150]) == 1000
    assert Rate(frames=7).frames_of([60]) == 7
    assert Rate().frames_of([60]) == 0


@pytest.mark.parametrize(
    ("text", "sizes"), [("60", (60,)), ("60,1514,60", (60, 1514, 60)), ("imix", IMIX), ("70-70", (70,))]
)
def test_sizes(text: str, sizes: tuple[int, ...]) -> None:
    """One size, several in turn, a mix."""
    assert read_sizes(text) == sizes


def test_a_range_has_each_size_once() -> None:
    """All sizes of a range, in the same mixed order each time."""
    found = read_sizes("60-1514,60")
    assert Counter(found) == Counter([*range(60, 1515), 60])
    assert list(found) != sorted(found)
    assert found == read_sizes("60-1514,60")


@pytest.mark.parametrize("text", ["", "59", "70-60", "60-", "65536", "a", "60,,70"])
def test_what_is_no_size(text: str) -> None:
    """What is no size is refused with what one looks like."""
    with pytest.raises(ValueError, match="size"):
        read_sizes(text)


def test_sizes_have_room_for_the_stamp() -> None:
    """A size that is too short for headers and stamp is as long as it must be."""
    assert Traffic(frames="udp4").lengths == [60]
    assert Traffic(frames="udp4", vlan=1).lengths == [64]
    assert Traffic(frames="udp6").lengths == [80]
    assert Traffic((60, 100), frames="udp6", vlan=1).lengths == [84, 100]


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": "tcp"},
        {"flows": 0},
        {"flows": 32769},
        {"vlan": 4095},
        {"port": 0},
        {"macs": ("02:00:00:00:00:01", "nobody")},
        {"addresses": ("10.0.0.1", "fd00::1")},
        {"frames": "ethernet", "addresses": ("10.0.0.1", "10.0.0.2")},
        {"frames": "ethernet", "port": 7},
        {"addresses": ("10.0.0.1", "nowhere")},
        {"frames": "udp6", "addresses": ("10.0.0.1", "10.0.0.2")},
    ],
    ids=str,
)
def test_what_is_no_traffic(wrong: dict[str, object]) -> None:
    """Each part has its bounds, which are checked when it is made."""
    with pytest.raises(ValueError, match=r".+"):
        Traffic(**wrong)  # type: ignore[arg-type]
