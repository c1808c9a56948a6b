"""The metrics: every counter once, by the conventions, read back by Prometheus's own parser."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from peers.told import COUNTERS, Told, port_state
from vecwire.service.metrics import DROPPED, ServiceCollector, place_of, registry_of
from vecwire.wire.counters import DROPS, MAXIMA, MEANINGS

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

NOW = 1_700_000_000.0


def families(service: Told) -> dict[str, Metric]:
    """The metrics of a service, written by the library and read back by its parser."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(service, now=lambda: NOW))
    text = generate_latest(registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(service: Told) -> list[Sample]:
    """All samples of a service."""
    return [sample for family in families(service).values() for sample in family.samples]


def value(service: Told, name: str, **labels: str) -> float:
    """The one sample of that name whose labels are at least those."""
    (found,) = [
        each.value for each in samples(service) if each.name == name and labels.items() <= each.labels.items()
    ]
    return found


@pytest.fixture
def service() -> Told:
    """A service with two ports, a switch and a cable."""
    return Told()


@pytest.mark.parametrize("counter", MEANINGS)
def test_every_counter_is_one_series(service: Told, counter: str) -> None:
    """Each counter of a port appears exactly once, where the rule says, with its value."""
    place = place_of(counter)
    name = place.family if counter in MAXIMA else f"{place.family}_total"
    labels = {"port": "tap0", **place.labels}
    assert [each.value for each in samples(service) if (each.name, each.labels) == (name, labels)] == [
        COUNTERS[counter]
    ]
    assert [each.name for each in samples(service) if each.value == COUNTERS[counter]] == [name] * 2


def test_no_two_counters_share_a_place() -> None:
    """Each counter's metric and labels are its own."""
    places = Counter((place.family, *sorted(place.labels.items())) for place in map(place_of, MEANINGS))
    assert set(places.values()) == {1}


def test_drops_have_their_stage_and_reason() -> None:
    """What is dropped is one metric, whatever the reason, and nothing else is in it."""
    assert {name for name in MEANINGS if place_of(name).family == DROPPED} == set(DROPS)
    assert place_of("rx_bad_key").labels == {"stage": "receive", "reason": "bad_key"}
    assert place_of("switch_horizon").labels == {"stage": "switch", "reason": "horizon"}
    assert place_of("tx_full").labels == {"stage": "transmit", "reason": "full"}


def test_the_sum_of_drops_is_the_port_s(service: Told) -> None:
    """Summed over its labels the metric gives all that was dropped."""
    found = [
        each.value
        for each in samples(service)
        if each.name == f"{DROPPED}_total" and each.labels["port"] == "tap0"
    ]
    assert sum(found) == sum(COUNTERS[name] for name in DROPS)


def test_names_follow_the_conventions(service: Told) -> None:
    """Prefix, lower case, and _total for counters alone; every metric has a help text that is a sentence."""
    for family in families(service).values():
        assert re.fullmatch(r"vecwire_[a-z][a-z0-9_]*", family.name)
        assert re.fullmatch(r"[A-Z].*\.", family.documentation), family.name
        assert family.type in {"counter", "gauge"}
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert not re.search(r"_(bytes|milliseconds|bits)", sample.name)


def test_every_metric_has_one_set_of_labels(service: Told) -> None:
    """All samples of a metric have the same labels, and no two the same values."""
    for family in families(service).values():
        assert len({frozenset(each.labels) for each in family.samples}) <= 1, family.name
        values = [tuple(sorted(each.labels.items())) for each in family.samples]
        assert len(values) == len(set(values)), family.name


def test_the_service_is_told(service: Told) -> None:
    """Its version, when it started, how many ports it has and how many are up."""
    assert value(service, "vecwire_build_info", version="1.2.3") == 1
    assert value(service, "vecwire_start_time_seconds") == NOW - 60
    assert (value(service, "vecwire_ports"), value(service, "vecwire_ports_up")) == (2, 1)
    assert (value(service, "vecwire_workers"), value(service, "vecwire_reloads_total")) == (2, 3)


def test_a_port_is_told(service: Told) -> None:
    """Up or down and since when, its MTU and overhead, what it is part of, and its offloads."""
    service.ports = [
        port_state(
            "branch",
            joined="switch lan",
            worker=1,
            vlan=10,
            tagged=[20, 30],
            horizon="mesh",
            mtu=1400,
            overhead=54,
            offloads=["gso"],
            refused={"gro": "the kernel has none"},
        )
    ]
    assert value(service, "vecwire_port_up", port="branch") == 1
    assert value(service, "vecwire_port_state_change_time_seconds", port="branch") == NOW - 5
    assert value(service, "vecwire_port_mtu_octets", port="branch") == 1400
    assert value(service, "vecwire_port_overhead_octets", port="branch") == 54
    assert value(service, "vecwire_port_offload", offload="gso") == 1
    assert value(service, "vecwire_port_offload", offload="gro") == 0
    about = {"joined": "switch lan", "worker": "1", "vlan": "10", "tagged": "20 30", "horizon": "mesh"}
    assert value(service, "vecwire_port_info", **about, transport="tap") == 1


def test_switches_and_cables_are_told(service: Told) -> None:
    """How full a switch's FDB is, and what a cable joins."""
    assert value(service, "vecwire_switch_addresses", switch="lan") == 12
    assert value(service, "vecwire_switch_capacity", switch="lan") == 65536
    assert value(service, "vecwire_switch_age_seconds", switch="lan") == 300
    assert value(service, "vecwire_switch_ports", switch="lan") == 2
    assert value(service, "vecwire_cable_info", cable="backhaul", ports="a b", worker="1") == 1


def test_cookies_are_not_shown(service: Told) -> None:
    """What authenticates a tunnel is not told to those who read metrics."""
    service.ports = [port_state("tunnel", spec="transport=l2tpv3,rx_cookie=0xdead,mtu=1400")]
    assert value(service, "vecwire_port_info", spec="transport=l2tpv3,rx_cookie=hidden,mtu=1400") == 1


def test_names_of_any_kind_are_read_back(service: Told) -> None:
    """Quotes, backslashes, line breaks and other scripts come through."""
    name = 'a"b\\c\nd é'
    service.ports = [port_state(name)]
    assert value(service, "vecwire_port_up", port=name) == 1


def test_a_service_without_ports_has_metrics(service: Told) -> None:
    """Nothing opened yet is no error."""
    service.ports, service.switches, service.cables = [], [], []
    assert value(service, "vecwire_ports") == 0


def test_registering_asks_nobody_and_touches_nothing_global(service: Told) -> None:
    """The registry is a new one, each scrape asks anew, and the process is in it."""
    registry = registry_of(service)
    assert service.asked == 0
    generate_latest(registry)
    first = service.asked
    generate_latest(registry)
    assert service.asked == 2 * first > 0
    assert b"process_resident_memory_bytes" in generate_latest(registry)
    assert registry_of(service) is not registry


def test_what_a_port_does_not_count_is_left_out(service: Told) -> None:
    """A service of another version, with fewer counters, is no error."""
    service.ports = [port_state("old", counters={"rx_frames": 1})]
    names = {each.name for each in samples(service) if each.labels.get("port") == "old"}
    assert "vecwire_port_receive_frames_total" in names
    assert "vecwire_port_transmit_frames_total" not in names
