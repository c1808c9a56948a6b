"""What the service tells, as tables for people."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vecwire.cli._counters import quantity, span, stats_of
from vecwire.cli._output import print_line
from vecwire.service.state import CableState, PortState, ServiceState, StationState, SwitchState
from vecwire.wire.counters import MEANINGS

#: Columns of a table that goes to a file or a pipe: as many as it takes.
_ENDLESS = 10_000
_NONE = "-"


def print_service(states: Sequence[ServiceState]) -> None:
    """Prints the service as a whole, a line for each thing."""
    (state,) = states
    _print_pairs(
        [
            ("version", state.version),
            ("process", str(state.pid)),
            ("file", state.config),
            ("running for", span(state.uptime)),
            ("workers", str(state.workers)),
            ("ports", f"{state.up} of {state.ports} up"),
            ("reloads", str(state.reloads)),
        ]
    )


def print_ports(states: Sequence[PortState]) -> None:
    """Prints a row for each port, and below why those are down that are."""
    rows = []
    for state in states:
        stats = stats_of(state.counters)
        cells = (
            Text(state.name, style="bold" if state.up else "yellow"),
            Text("up" if state.up else "down", style="" if state.up else "yellow"),
            Text(state.joined or _NONE),
            Text(_vlans(state)),
            Text(f"{stats.rx_frames:,}"),
            Text(f"{stats.tx_frames:,}"),
            Text(f"{stats.dropped:,}", style="red" if stats.dropped else "dim"),
        )
        rows.append(cells)
    _print_table(("port", "state", "in", "vlans", "rx frames", "tx frames", "dropped"), rows, right={4, 5, 6})
    for state in states:
        if not state.up:
            print_line(
                f"{state.name}: down for {span(state.since)}: {state.why or 'the reason is not known'}"
            )


def print_port(states: Sequence[PortState]) -> None:
    """Prints all about a port, and the counters that are not zero."""
    (state,) = states
    refused = [f"{what} ({why})" for what, why in state.refused.items()]
    _print_pairs(
        [
            ("port", state.name),
            ("spec", state.spec),
            ("state", f"{'up' if state.up else 'down'} for {span(state.since)}"),
            ("why", state.why or _NONE),
            ("in", state.joined or _NONE),
            ("worker", _NONE if state.worker is None else str(state.worker)),
            ("vlans", _vlans(state)),
            ("horizon", state.horizon or _NONE),
            ("mtu", f"{state.mtu} octets, and {state.overhead} around a frame"),
            ("offloads", ", ".join(state.offloads) or _NONE),
            ("refused", ", ".join(refused) or _NONE),
        ]
    )
    rows = []
    for name, value in state.counters.items():
        if value:
            meaning = MEANINGS.get(name, "")
            style = "red" if meaning.startswith("dropped") else ""
            shown = f"{value:,}" + (f" ({quantity(value, 'B')})" if name.endswith("octets") else "")
            rows.append((Text(name, style=style), Text(shown, style=style), Text(meaning, style="dim")))
    if rows:
        print_line("")
        _print_table(("counter", "value", "meaning"), rows, right={1})


def print_switches(states: Sequence[SwitchState]) -> None:
    """Prints a row for each switch."""
    _print_table(
        ("switch", "addresses", "of", "age", "worker", "ports"),
        [
            (
                Text(state.name, style="bold"),
                Text(f"{state.addresses:,}"),
                Text(f"{state.capacity:,}"),
                Text(f"{state.age:g} s"),
                Text(str(state.worker)),
                Text(", ".join(state.ports) or _NONE),
            )
            for state in states
        ],
        right={1, 2, 3, 4},
    )


def print_cables(states: Sequence[CableState]) -> None:
    """Prints a row for each cable."""
    _print_table(
        ("cable", "worker", "ports"),
        [
            (Text(state.name, style="bold"), Text(str(state.worker)), Text(" = ".join(state.ports)))
            for state in states
        ],
        right={1},
    )


def print_stations(stations: Sequence[StationState]) -> None:
    """Prints a row for each address."""
    _print_table(
        ("address", "vlan", "port", "idle"),
        [
            (
                Text(station.mac),
                Text(str(station.vlan or _NONE)),
                Text(station.port, style="bold"),
                Text(span(station.idle)),
            )
            for station in stations
        ],
        right={1, 3},
    )


def _vlans(state: PortState) -> str:
    """Returns a port's VLANs: ``10``, ``10+20,30`` with tagged ones, ``all`` for a transparent port."""
    tagged = ",".join(map(str, state.tagged))
    if state.vlan is None and not tagged:
        return "all" if (state.joined or "").startswith("switch") else _NONE
    untagged = "" if state.vlan is None else str(state.vlan)
    return f"{untagged}+{tagged}" if tagged else untagged


def _print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name, style="dim"), Text(value))
    _console().print(grid)


def _print_table(
    headings: Sequence[str], rows: Iterable[Sequence[Text]], *, right: Iterable[int] = ()
) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _console() -> Console:
    # Written to a file, a row stays one line.
    width = None if sys.stdout.isatty() else _ENDLESS
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
