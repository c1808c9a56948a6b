"""Readings and rates, on a clock that the test moves."""

from dataclasses import dataclass, field

from vecwire.meter import Meter, Rates
from vecwire.port import PortInfo, PortStats
from vecwire.wire.counters import NAMES


@dataclass
class Fake:
    """A port as far as a meter sees one."""

    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))

    @property
    def info(self) -> PortInfo:
        """An open tap."""
        return PortInfo(transport="tap", spec="transport=tap,ifname=tap0", descriptors={})

    @property
    def stats(self) -> PortStats:
        """A copy, as a port gives one."""
        return PortStats(dict(self.counters))


def test_rates_are_those_since_the_reading_before() -> None:
    """What was counted between two readings is divided by the seconds between them."""
    moment, port = [10.0], Fake()
    meter = Meter({"a": port}, clock=lambda: moment[0])
    moment[0] = 12.0
    port.counters.update(rx_frames=4, rx_octets=1000, tx_frames=2, tx_octets=500)
    (first,) = meter.read()
    assert first.rates == Rates(rx_frames=2, rx_bits=4000, tx_frames=1, tx_bits=2000)
    assert (first.name, first.stats.rx_frames, meter.seconds) == ("a", 4, 2.0)
    moment[0] = 13.0
    (second,) = meter.read()
    assert second.rates == Rates(0, 0, 0, 0)


def test_the_total_has_the_average_since_the_beginning() -> None:
    """Whatever was read in between, the total's rates are those of the whole time."""
    moment, port = [0.0], Fake()
    meter = Meter({"a": port}, clock=lambda: moment[0])
    moment[0] = 1.0
    port.counters["rx_octets"] = 100
    meter.read()
    moment[0] = 4.0
    (total,) = meter.total()
    assert total.rates.rx_bits == 200


def test_counters_from_before_the_meter_are_no_rate() -> None:
    """A port that has moved frames before does not begin with a burst."""
    moment, port = [0.0], Fake()
    port.counters["rx_octets"] = 10**9
    meter = Meter({"a": port}, clock=lambda: moment[0])
    moment[0] = 1.0
    (reading,) = meter.read()
    assert (reading.rates.rx_bits, reading.stats.rx_octets) == (0, 10**9)


def test_two_readings_at_the_same_moment_do_not_divide_by_zero() -> None:
    """A clock that has not moved gives a rate, not an error."""
    meter = Meter({"a": Fake()}, clock=lambda: 1.0)
    (reading,) = meter.read()
    assert reading.rates.rx_bits == 0
