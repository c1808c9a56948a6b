"""How counters are shown."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from vecwire.cli import _counters
from vecwire.meter import Rates, Reading
from vecwire.port import PortInfo, PortStats
from vecwire.wire.counters import NAMES


def reading(name: str = "tap tap0", *, up: bool = True, **counters: int) -> Reading:
    """A reading in which all counters but the given ones are 0."""
    return Reading(
        name,
        PortInfo(transport="tap", spec="transport=tap,ifname=tap0", descriptors={"rx": 3}, up=up),
        PortStats({**dict.fromkeys(NAMES, 0), **counters}),
        Rates(rx_frames=1.5, rx_bits=1_230_000_000, tx_frames=0, tx_bits=0),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (999.4, "999 B"),
        (999.6, "1.00 kB"),
        (1000, "1.00 kB"),
        (1234, "1.23 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (5e9, "5.00 GB"),
        (5e12, "5.00 TB"),
        (5e15, "5.00 PB"),
        (5e18, "5000 PB"),
    ],
)
def test_quantities_have_three_digits(value: float, text: str) -> None:
    """A quantity takes the prefix with which it is below 1000, after rounding."""
    assert _counters.quantity(value, "B") == text


def test_table_lines_are_aligned() -> None:
    """Names stand to the left, numbers to the right, each column as wide as its widest cell."""
    lines = _counters.table_lines([reading(rx_frames=1_234_567, rx_octets=5000), reading("x")])
    assert lines == [
        "port      rx frames  rx octets      rx rate  tx frames  tx octets  tx rate  dropped",
        "tap tap0  1,234,567    5.00 kB  1.23 Gbit/s          0        0 B  0 bit/s        0",
        "x                 0        0 B  1.23 Gbit/s          0        0 B  0 bit/s        0",
    ]


def test_rates_of_a_whole_run_are_called_averages() -> None:
    """The table at the end does not pass an average off as the rate now."""
    assert "rx average" in _counters.table_lines([reading()], average=True)[0]


def test_drops_are_told_by_reason() -> None:
    """Below the table stands why frames were dropped, in words and by the counter's name."""
    readings = [reading(rx_runt=2, tx_full=1000, tx_stalls=9)]
    lines = _counters.table_lines(readings)
    assert lines[1].endswith(" 1,002")
    assert lines[2:] == [
        "tap tap0: 2 dropped: shorter than its headers (rx_runt)",
        "tap tap0: 1,000 dropped: as many frames as allowed were held already (tx_full)",
    ]


def test_a_port_that_waits_for_its_peer_says_so() -> None:
    """A port that is not up is marked."""
    assert _counters.row(reading(up=False))[0] == "tap tap0 (waiting)"


def test_log_lines_are_complete_in_themselves() -> None:
    """Each line has the time, the port and all numbers."""
    assert _counters.log_lines(1.25, [reading(rx_frames=3, tx_octets=70)]) == [
        "1.2 s  tap tap0: rx 3 frames, 0 B, 1.23 Gbit/s; tx 0 frames, 70 B, 0 bit/s; dropped 0"
    ]


def test_objects_are_json() -> None:
    """What --json prints has every counter, and the rates by name."""
    made: dict[str, Any] = json.loads(json.dumps(_counters.as_object(reading(rx_frames=3))))
    assert made["name"] == "tap tap0"
    assert made["up"] is True
    assert set(made["counters"]) == set(NAMES)
    assert made["counters"]["rx_frames"] == 3
    assert made["per_second"]["rx_bits"] == 1_230_000_000
    json.dumps(_counters.info_object(reading().info))


@pytest.mark.parametrize(("width", "octets"), [(79, False), (100, True)])
def test_a_narrow_terminal_is_spared_the_octets(width: int, octets: bool) -> None:
    """The table fits into 80 columns with nothing cut off; with 100 there is room for all."""
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(_counters.rich_table([reading("l2tpv3 192.0.2.1", rx_frames=1_234_567)], width=width))
    text = captured.get()
    assert "1,234,567" in text
    assert "…" not in text
    assert ("rx octets" in text) is octets
