"""The table of counters: one name and one meaning for each number that the compiled code keeps."""

from vecwire.wire import counters
from vecwire.wire.counters import DROPS, MEANINGS, NAMES, RX_DROPS, TX_DROPS


def test_every_counter_has_a_name() -> None:
    """There are as many names as the compiled code keeps counters."""
    assert counters.size() == len(MEANINGS) == len(NAMES)


def test_every_meaning_is_its_own() -> None:
    """No two counters mean the same, and none means nothing."""
    assert len(set(MEANINGS.values())) == len(MEANINGS)
    assert all(MEANINGS.values())


def test_names_follow_meanings() -> None:
    """Names stand in the order of their meanings: the order of the numbers."""
    assert tuple(MEANINGS) == NAMES
    assert NAMES[0] == "rx_frames"


def test_drops_are_by_direction() -> None:
    """The drops of both directions are all the counters of dropped frames, and each is of its direction."""
    assert {*DROPS} == {name for name in NAMES if MEANINGS[name].startswith("dropped")}
    assert all(name.startswith("rx_") for name in RX_DROPS)
    assert all(name.startswith("tx_") for name in TX_DROPS)


def test_every_reason_of_the_encapsulations_is_a_drop() -> None:
    """The reasons for which a packet is not ours are counted as frames dropped on the way in."""
    reasons = {
        "rx_runt",
        "rx_bad_header",
        "rx_bad_checksum",
        "rx_bad_key",
        "rx_bad_session",
        "rx_bad_cookie",
        "rx_control",
        "rx_bad_vnet",
        "rx_truncated",
    }
    assert reasons <= set(RX_DROPS)
