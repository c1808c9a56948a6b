"""The service's state as Prometheus metrics.

Names follow Prometheus's conventions (https://prometheus.io/docs/practices/naming/): ``vecwire_``, what it is
about, what is counted, its unit, ``_total`` for counters. Octets are called octets, as everywhere here. Every
counter of a port is one series, by a rule (``place_of``), so that a new one needs no entry: what is dropped
is ``vecwire_port_drops_total`` with the stage and the reason, everything else a metric of its own. The
highest that was seen is a gauge.

Nothing is kept between two scrapes, and the library's global registry is left alone. A scrape asks the
service from a thread of its own, which ``vecwire.service.state.Controlled`` allows.
"""

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from vecwire.service.state import CableState, Controlled, PortState, ServiceState, SwitchState
from vecwire.spec import public
from vecwire.wire.counters import DROPS, MAXIMA, MEANINGS

DROPPED = "vecwire_port_drops"
#: Where a frame is when something is counted of it, by the first word of the counter's name.
_STAGES = {"rx": "receive", "switch": "switch", "tx": "transmit"}
#: What the counters are called whose own name would not say it to somebody who sees that alone.
_BETTER: dict[str, str] = {
    "rx_super": "receive_super_frames",
    "rx_vlan": "receive_vlan_tags",
    "rx_late": "receive_late_frames",
    "tx_super": "transmit_super_frames",
    "tx_split": "transmit_split_super_frames",
    "tx_joined": "transmit_joined_super_frames",
    "tx_merged": "transmit_merged_frames",
    "tx_held": "transmit_held_frames",
    "rx_most": "receive_most_frames",
    "tx_most": "transmit_most_packets",
    "tx_held_most": "transmit_most_held_frames",
    "switch_flooded": "switch_flooded_frames",
    "switch_copies": "switch_flooded_copies",
    "switch_learned": "switch_learned_addresses",
    "switch_moved": "switch_moved_addresses",
    "switch_unlearned": "switch_unlearned_addresses",
    "unreachable": "unreachable_reports",
    "lost": "losses",
    "recovered": "recoveries",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a port's counter is among the metrics.

    Attributes:
        family: the metric, without ``_total``.
        labels: the labels beside ``port``, by name.
    """

    family: str
    labels: Mapping[str, str]


def place_of(counter: str) -> Place:
    """Where a counter of ``vecwire.wire.counters.MEANINGS`` is among the metrics."""
    first, _, rest = counter.partition("_")
    stage = _STAGES.get(first)
    if stage is None:
        return Place(f"vecwire_port_{_BETTER.get(counter, counter)}", {})
    if counter in DROPS:
        return Place(DROPPED, {"stage": stage, "reason": rest})
    return Place(f"vecwire_port_{_BETTER.get(counter, f'{stage}_{rest}')}", {})


class ServiceCollector(Collector):
    """Makes the metrics of a service, anew at each scrape.

    Args:
        service: is asked.
        now: seconds since the epoch.
    """

    def __init__(self, service: Controlled, *, now: Callable[[], float] = time.time) -> None:
        self._service = service
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """The metrics as they stand now."""
        moment = self._now()
        ports = self._service.port_states()
        yield from _about_service(self._service.status(), moment)
        yield from _about_ports(ports, moment)
        yield from _counters(ports)
        yield from _about_switches(self._service.switch_states())
        yield _about_cables(self._service.cable_states())

    def describe(self) -> list[Metric]:
        """Nothing: being registered is no reason to ask the service."""
        return []


def registry_of(service: Controlled) -> CollectorRegistry:
    """A registry of its own with the metrics of a service, and those of its process."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(service))
    ProcessCollector(registry=registry)
    return registry


def _gauge(
    name: str, about: str, labels: Iterable[str], samples: Iterable[tuple[list[str], float]]
) -> Metric:
    """A gauge with a sample for each row of labels' values."""
    family = GaugeMetricFamily(name, about, labels=list(labels))
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _info(name: str, about: str, labels: Iterable[str], rows: Iterable[dict[str, str]]) -> Metric:
    """What does not change often, as labels of a metric ``NAME_info`` that is always 1."""
    names = list(labels)
    family = InfoMetricFamily(name, about, labels=names)
    for row in rows:
        family.add_metric([row[each] for each in names], {k: v for k, v in row.items() if k not in names})
    return family


def _about_service(state: ServiceState, moment: float) -> Iterator[Metric]:
    yield _info(
        "vecwire_build",
        "The program that runs.",
        [],
        [{"version": state.version, "python": platform.python_version()}],
    )
    for name, about, value in (
        (
            "start_time_seconds",
            "When the service started, in seconds since the epoch.",
            moment - state.uptime,
        ),
        ("workers", "Threads that move frames.", state.workers),
        ("ports", "Ports that the service holds.", state.ports),
        ("ports_up", "Ports that frames can move through now.", state.up),
    ):
        yield _gauge(f"vecwire_{name}", about, [], [([], value)])
    reloads = CounterMetricFamily("vecwire_reloads", "Times that the file was applied anew.")
    reloads.add_metric([], state.reloads)
    yield reloads


def _about_ports(ports: list[PortState], moment: float) -> Iterator[Metric]:
    yield _info(
        "vecwire_port",
        "What a port is.",
        ["port"],
        [
            {
                "port": port.name,
                "transport": port.transport,
                "spec": public(port.spec),
                "joined": port.joined or "",
                "worker": "" if port.worker is None else str(port.worker),
                "vlan": "" if port.vlan is None else str(port.vlan),
                "tagged": " ".join(map(str, port.tagged)),
                "horizon": port.horizon or "",
            }
            for port in ports
        ],
    )
    for name, about, value in (
        ("up", "Whether frames can move through the port now.", lambda port: float(port.up)),
        (
            "state_change_time_seconds",
            "When the port last went up or down, in seconds since the epoch.",
            lambda port: moment - port.since,
        ),
        ("mtu_octets", "The longest layer-3 packet that a frame carries.", lambda port: float(port.mtu)),
        (
            "overhead_octets",
            "What the encapsulation adds on the outer network.",
            lambda port: float(port.overhead),
        ),
    ):
        yield _gauge(f"vecwire_port_{name}", about, ["port"], [([port.name], value(port)) for port in ports])
    yield _gauge(
        "vecwire_port_offload",
        "Whether an offload is in force: 1, or 0 where the host refused it.",
        ["port", "offload"],
        [
            ([port.name, offload], float(offload in port.offloads))
            for port in ports
            for offload in sorted({*port.offloads, *port.refused})
        ],
    )


def _counters(ports: list[PortState]) -> Iterator[Metric]:
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for counter, meaning in MEANINGS.items():
        place = place_of(counter)
        if place.family not in families:
            about = "frames dropped, by stage and reason" if place.family == DROPPED else meaning
            kind = GaugeMetricFamily if counter in MAXIMA else CounterMetricFamily
            families[place.family] = kind(
                place.family, f"{about[0].upper()}{about[1:]}.", labels=["port", *place.labels]
            )
        for port in ports:
            if counter in port.counters:
                families[place.family].add_metric(
                    [port.name, *place.labels.values()], float(port.counters[counter])
                )
    yield from families.values()


def _about_switches(switches: list[SwitchState]) -> Iterator[Metric]:
    yield _info(
        "vecwire_switch",
        "What a switch is.",
        ["switch"],
        [{"switch": switch.name, "worker": str(switch.worker)} for switch in switches],
    )
    for name, about, value in (
        ("addresses", "Addresses in the FDB now.", lambda switch: float(switch.addresses)),
        ("capacity", "The most addresses that the FDB takes.", lambda switch: float(switch.capacity)),
        (
            "age_seconds",
            "After how long an address that was not seen is forgotten.",
            lambda switch: switch.age,
        ),
        ("ports", "Ports of the switch.", lambda switch: float(len(switch.ports))),
    ):
        yield _gauge(
            f"vecwire_switch_{name}",
            about,
            ["switch"],
            [([switch.name], value(switch)) for switch in switches],
        )


def _about_cables(cables: list[CableState]) -> Metric:
    return _info(
        "vecwire_cable",
        "What a cable is.",
        ["cable"],
        [
            {"cable": cable.name, "ports": " ".join(cable.ports), "worker": str(cable.worker)}
            for cable in cables
        ],
    )
