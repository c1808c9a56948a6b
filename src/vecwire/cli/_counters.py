"""The counters of ports as people and programs read them: tables, lines, objects.

One set of rows serves the table of a terminal, the lines of a log and the table at the end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vecwire.meter import Reading
from vecwire.port import PortInfo, PortStats
from vecwire.spec.text import public
from vecwire.wire.counters import DROPS, MEANINGS, NAMES

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = ("port", "rx frames", "rx octets", "rx rate", "tx frames", "tx octets", "tx rate", "dropped")
_PREFIXES = ("", "k", "M", "G", "T", "P")
_WIDE = 100
# Wide enough for what is usual, so that the table does not jump while numbers grow.
_WIDTHS = {3: 11, 6: 11}


def as_object(reading: Reading) -> dict[str, Any]:
    """A reading as ``--json`` prints it: for logs, so without cookies."""
    return {
        "name": reading.name,
        "spec": public(reading.info.spec),
        "up": reading.info.up,
        "counters": dict(reading.stats.counters),
        "per_second": {name: round(value, 1) for name, value in asdict(reading.rates).items()},
    }


def info_object(info: PortInfo) -> dict[str, Any]:
    """What was opened, as ``--json`` prints it: for logs, so without cookies."""
    return {
        "transport": info.transport,
        "spec": public(info.spec),
        "descriptors": dict(info.descriptors),
        "ifname": info.ifname,
        "mtu": info.mtu,
        "overhead": info.overhead,
        "offloads": list(info.offloads),
        "refused": dict(info.refused),
        "up": info.up,
    }


def row(reading: Reading) -> tuple[str, ...]:
    """The cells of a reading, in the order of the headings."""
    stats, rates = reading.stats, reading.rates
    return (
        reading.name if reading.info.up else f"{reading.name} (waiting)",
        f"{stats.rx_frames:,}",
        quantity(stats.rx_octets, "B"),
        quantity(rates.rx_bits, "bit/s"),
        f"{stats.tx_frames:,}",
        quantity(stats.tx_octets, "B"),
        quantity(rates.tx_bits, "bit/s"),
        f"{stats.dropped:,}",
    )


def drops(readings: Iterable[Reading]) -> list[str]:
    """Why frames were dropped, a line for each port and reason."""
    return [
        f"{reading.name}: {reading.stats.counters[name]:,} {MEANINGS[name]} ({name})"
        for reading in readings
        for name in DROPS
        if reading.stats.counters[name]
    ]


def headings(*, average: bool = False) -> tuple[str, ...]:
    """What stands above the cells; rates of a whole run are averages."""
    return tuple(heading.replace("rate", "average") if average else heading for heading in HEADINGS)


def table_lines(readings: Sequence[Reading], *, average: bool = False) -> list[str]:
    """The readings as a table of plain text, the reasons of drops below it.

    Args:
        readings: A row for each.
        average: Whether the rates are those of a whole run.
    """
    cells = [headings(average=average), *(row(reading) for reading in readings)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    aligned = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in cells
    ]
    return [*aligned, *drops(readings)]


def log_lines(seconds: float, readings: Iterable[Reading]) -> list[str]:
    """The readings as lines of a log: one for each port, each complete in itself."""
    lines = []
    for reading in readings:
        name, rx_frames, rx_octets, rx_rate, tx_frames, tx_octets, tx_rate, dropped = row(reading)
        lines.append(
            f"{seconds:.1f} s  {name}: rx {rx_frames} frames, {rx_octets}, {rx_rate}; "
            f"tx {tx_frames} frames, {tx_octets}, {tx_rate}; dropped {dropped}"
        )
    return lines


def rich_table(readings: Sequence[Reading], *, width: int = 80, average: bool = False) -> "Table":
    """The readings as a table for a terminal, which rich draws.

    Args:
        readings: A row for each.
        width: Columns of the terminal; where there are few, octets are left out.
        average: Whether the rates are those of a whole run.
    """
    # rich takes longer to import than all the rest: only who draws with it waits for that.
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = [
        (index, heading)
        for index, heading in enumerate(headings(average=average))
        if width >= _WIDE or not heading.endswith("octets")
    ]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for index, heading in shown:
        # Where there is too little room the name is wrapped, never a number.
        table.add_column(
            heading, justify="right" if index else "left", no_wrap=index > 0, min_width=_WIDTHS.get(index)
        )
    for reading in readings:
        cells = row(reading)
        table.add_row(*(Text(cells[index], style=_style(heading, reading)) for index, heading in shown))
    return table


def _style(heading: str, reading: Reading) -> str:
    if heading == "port":
        return "bold" if reading.info.up else "yellow"
    if heading == "dropped":
        return "red" if reading.stats.dropped else "dim"
    return "cyan" if heading.endswith(("rate", "average")) else ""


def quantity(value: float, unit: str) -> str:
    """A quantity with three digits and a decimal prefix: ``1.23 Gbit/s``."""
    prefix = 0
    while value >= 999.5 and prefix < len(_PREFIXES) - 1:  # what would be rounded to 1000 goes one up
        value /= 1000
        prefix += 1
    digits = 0 if prefix == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {_PREFIXES[prefix]}{unit}"


def stats_of(counters: Mapping[str, int]) -> PortStats:
    """The counters that a service has told; those that one of another version has not are zero."""
    return PortStats({name: counters.get(name, 0) for name in NAMES})


def span(seconds: float) -> str:
    """How long something is so, in its greatest units: ``12 s``, ``3 min``, ``5 h 12 min``, ``4 d 2 h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86400
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    first = next(index for index, (value, _) in enumerate(parts) if value)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2] if value)
