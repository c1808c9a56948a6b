"""The Grafana dashboard of the package, ``grafana.json``, written by this table of panels.

``python -m vecwire.service.dashboard > src/vecwire/service/grafana.json`` writes it anew; a test compares the
two. Every query begins with a metric of ``vecwire.service.metrics``. The form is that of Grafana's dashboard
JSON model (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

SCHEMA = 39  # of Grafana 10 and 11, which take older ones as well
WIDTH = 24  # columns of a dashboard
RATE = "$__rate_interval"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_SERVICE = 'job=~"$job",instance=~"$instance"'
OF_PORT = f'{OF_SERVICE},port=~"$port"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        about: what to make of it.
        queries: each a PromQL expression and the legend of its lines.
        kind: of Grafana: ``timeseries``, ``stat`` or ``table``.
        unit: of Grafana's units.
        width: in columns of 24.
        height: in rows.
        full: the value that fills the axis; None leaves that to the data.
    """

    title: str
    about: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    full: float | None = None


def rate(metric: str, *, by: str = "port", times: str = "") -> str:
    """How fast a counter of ports grows in a second."""
    return f"sum by ({by}) (rate({metric}{{{OF_PORT}}}[{RATE}])){times}"


def per_call(direction: str) -> str:
    """Frames a system call, on average."""
    frames, calls = (rate(f"vecwire_port_{direction}_{what}_total") for what in ("frames", "calls"))
    return f"{frames} / {calls}"


def both(what: str, *, times: str = "") -> tuple[tuple[str, str], ...]:
    """A counter of both directions, with what is sent below the axis."""
    return (
        (rate(f"vecwire_port_receive_{what}_total", times=times), "{{port}} received"),
        (f"-{rate(f'vecwire_port_transmit_{what}_total', times=times)}", "{{port}} sent"),
    )


ROWS: dict[str, tuple[Panel, ...]] = {
    "Service": (
        Panel(
            "Ports up",
            "Ports that frames can move through now, and all that the service holds.",
            ((f"vecwire_ports_up{{{OF_SERVICE}}}", "up"), (f"vecwire_ports{{{OF_SERVICE}}}", "all")),
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Uptime",
            "Since the service started.",
            ((f"time() - vecwire_start_time_seconds{{{OF_SERVICE}}}", "{{instance}}"),),
            kind="stat",
            unit="s",
            width=6,
            height=4,
        ),
        Panel(
            "Processor",
            "Cores in use: a worker that polls uses one whole.",
            ((f"rate(process_cpu_seconds_total{{{OF_SERVICE}}}[{RATE}])", "{{instance}}"),),
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Memory",
            "Resident; flat in a service that is well.",
            ((f"process_resident_memory_bytes{{{OF_SERVICE}}}", "{{instance}}"),),
            kind="stat",
            unit="bytes",
            width=6,
            height=4,
        ),
    ),
    "Ports": (
        Panel(
            "Up and down",
            "Each port, and whether frames can move through it.",
            (
                (
                    (
                        f"vecwire_port_up{{{OF_PORT}}} * on (job, instance, port) group_left "
                        f"(transport, joined, spec) vecwire_port_info{{{OF_PORT}}}"
                    ),
                    "",
                ),
            ),
            kind="table",
            width=12,
        ),
        Panel(
            "State",
            "1 while a port is up. What flaps has a peer or a link that does.",
            ((f"vecwire_port_up{{{OF_PORT}}}", "{{port}}"),),
            full=1,
        ),
        Panel(
            "Bits",
            "Sent below the axis; encapsulation not counted.",
            both("octets", times=" * 8"),
            unit="bps",
        ),
        Panel("Frames", "Sent below the axis; a super-frame is one.", both("frames"), unit="pps"),
        Panel(
            "Batch received",
            "Frames a system call. Near 1 costs most; near the depth, the port is at its limit.",
            ((per_call("receive"), "{{port}}"),),
        ),
        Panel("Batch sent", "Frames a system call.", ((per_call("transmit"), "{{port}}"),)),
    ),
    "What is lost": (
        Panel(
            "Drops by reason",
            "docs/counters.md says what to make of each.",
            ((rate("vecwire_port_drops_total", by="stage, reason"), "{{stage}} {{reason}}"),),
            unit="pps",
        ),
        Panel(
            "Drops by port",
            "A port that drops what it should send is slower than those that send to it.",
            ((rate("vecwire_port_drops_total", by="port, stage"), "{{port}} {{stage}}"),),
            unit="pps",
        ),
        Panel(
            "Stalls and held frames",
            "Times that the kernel took no more for now, and frames that waited for it.",
            (
                (rate("vecwire_port_transmit_stalls_total"), "{{port}} stalls"),
                (rate("vecwire_port_transmit_held_frames_total"), "{{port}} held"),
            ),
        ),
        Panel(
            "Losses and recoveries",
            "Times that a peer or an interface went away, and came back.",
            (
                (rate("vecwire_port_losses_total"), "{{port}} lost"),
                (rate("vecwire_port_recoveries_total"), "{{port}} recovered"),
                (rate("vecwire_port_unreachable_reports_total"), "{{port}} unreachable"),
            ),
        ),
    ),
    "Offloads and switches": (
        Panel(
            "Super-frames",
            "Passed whole, or cut on the way out: cutting costs a copy of the headers for each segment.",
            (
                (rate("vecwire_port_receive_super_frames_total"), "{{port}} received"),
                (rate("vecwire_port_transmit_super_frames_total"), "{{port}} sent whole"),
                (rate("vecwire_port_transmit_split_super_frames_total"), "{{port}} cut"),
                (rate("vecwire_port_transmit_joined_super_frames_total"), "{{port}} joined"),
            ),
        ),
        Panel(
            "Offloads refused",
            "What the host does not give: see the command vecwire probe.",
            ((f"vecwire_port_offload{{{OF_PORT}}} == 0", "{{port}} {{offload}}"),),
        ),
        Panel(
            "FDB fill",
            "Addresses known, of those that there is room for. Full, new stations are flooded to.",
            (
                (
                    f"vecwire_switch_addresses{{{OF_SERVICE}}} / vecwire_switch_capacity{{{OF_SERVICE}}}",
                    "{{switch}}",
                ),
            ),
            unit="percentunit",
            full=1,
        ),
        Panel(
            "FDB addresses",
            "Addresses known.",
            ((f"vecwire_switch_addresses{{{OF_SERVICE}}}", "{{switch}}"),),
        ),
        Panel(
            "Flooded frames",
            "Frames for all ports: broadcast, multicast, and stations not learned yet.",
            ((rate("vecwire_port_switch_flooded_frames_total"), "{{port}}"),),
            unit="pps",
        ),
        Panel(
            "Stations",
            "Learned, moved here from another port, and not learned for want of room.",
            (
                (rate("vecwire_port_switch_learned_addresses_total"), "{{port}} learned"),
                (rate("vecwire_port_switch_moved_addresses_total"), "{{port}} moved"),
                (rate("vecwire_port_switch_unlearned_addresses_total"), "{{port}} no room"),
            ),
        ),
    ),
}

#: The variables on top: what each chooses among.
VARIABLES = (
    ("job", "label_values(vecwire_build_info, job)"),
    ("instance", 'label_values(vecwire_build_info{job=~"$job"}, instance)'),
    ("port", f"label_values(vecwire_port_up{{{OF_SERVICE}}}, port)"),
)


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    return {
        "title": "vecwire",
        "uid": "vecwire",
        "description": "Ports, cables and switches of vecwire services.",
        "tags": ["vecwire"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def text() -> str:
    """The dashboard of the package, for Grafana's import."""
    return resources.files("vecwire.service").joinpath("grafana.json").read_text(encoding="utf-8")


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus"}
    for name, query in VARIABLES:
        yield {
            "name": name,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,  # whenever the time range changes: ports come and go
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _panels() -> Iterator[dict[str, Any]]:
    """Rows and panels from the left to the right and down, numbered as they come."""
    number, top = 1, 0
    for row, panels in ROWS.items():
        yield {
            "id": number,
            "type": "row",
            "title": row,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }
        number, top, left = number + 1, top + 1, 0
        for panel in panels:
            if left + panel.width > WIDTH:
                top, left = top + panel.height, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, place)
            number, left = number + 1, left + panel.width
        top += panels[-1].height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.full is not None:
        defaults |= {"min": 0, "max": panel.full}
    table = panel.kind == "table"
    made = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": _overrides() if table else []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                **({"instant": True, "format": "table"} if table else {}),
            }
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }
    if table:
        hidden = {"Time": True, "job": True, "__name__": True}
        made["transformations"] = [
            {"id": "organize", "options": {"excludeByName": hidden, "renameByName": {"Value": "state"}}}
        ]
    return made


def _overrides() -> list[dict[str, Any]]:
    """Words and colours for a port's state."""
    words = {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}
    return [
        {
            "matcher": {"id": "byName", "options": "state"},
            "properties": [
                {"id": "mappings", "value": [{"type": "value", "options": words}]},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ],
        }
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=1) + "\n")
