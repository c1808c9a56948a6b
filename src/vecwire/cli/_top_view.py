"""How ``vecwire top`` looks and answers to keys. Nothing here knows a terminal: keys in, lines out."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from vecwire.cli._counters import quantity, span
from vecwire.cli._top_readings import Row, Snapshot
from vecwire.wire.counters import DROPS, MAXIMA, MEANINGS

_HELP = """
q            quit
s  S         sort by the next column, by the one before
r            reverse the order
j  k  ↓ ↑    select a port
PgDn  PgUp   a page further, a page back
g  G         the first port, the last one
Enter  d     details of the port; again, or Esc, goes back
/            show only ports with a text in their name, switch, cable or spec
Esc          show all ports again
h  ?         this page

batch        frames that one system call brought / sent, on average
drops/s      frames dropped in a second; below are the selected port's reasons
"""
#: Lines that are not ports: two of the head, the headings, and two of the foot.
_AROUND = 5
_NARROWEST_NAME = 8
_NARROWEST_MEANING = 16
#: Columns in front of what a counter counts.
_COUNTER = 46


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        heading: what stands above it.
        width: its columns on the terminal; 0 takes what the others leave.
        cell: its text for a port.
        key: what it is sorted by.
        rising: whether the least comes first.
        wide: columns that the terminal has at least where it is shown.
    """

    heading: str
    width: int
    cell: Callable[[Row], str]
    key: Callable[[Row], Any]
    rising: bool = False
    wide: int = 0


def _rate(value: float) -> str:
    return quantity(value, "").rstrip() if value >= 0.5 else "0"


def _batch(row: Row) -> str:
    return f"{row.rx_batch:.0f}/{row.tx_batch:.0f}" if row.rx_batch or row.tx_batch else "-"


COLUMNS = (
    Column("port", 0, lambda row: row.state.name, lambda row: row.state.name, rising=True),
    Column("state", 6, lambda row: "up" if row.state.up else "down", lambda row: row.state.up, rising=True),
    Column(
        "rx fr/s", 8, lambda row: _rate(row.reading.rates.rx_frames), lambda row: row.reading.rates.rx_frames
    ),
    Column(
        "rx bit/s", 9, lambda row: _rate(row.reading.rates.rx_bits), lambda row: row.reading.rates.rx_bits
    ),
    Column(
        "tx fr/s", 8, lambda row: _rate(row.reading.rates.tx_frames), lambda row: row.reading.rates.tx_frames
    ),
    Column(
        "tx bit/s", 9, lambda row: _rate(row.reading.rates.tx_bits), lambda row: row.reading.rates.tx_bits
    ),
    Column("batch", 9, _batch, lambda row: row.rx_batch + row.tx_batch),
    Column("drops/s", 8, lambda row: _rate(row.dropped), lambda row: row.dropped),
    Column(
        "in",
        16,
        lambda row: row.state.joined or "-",
        lambda row: row.state.joined or "",
        rising=True,
        wide=100,
    ),
    Column(
        "offloads",
        40,
        lambda row: ", ".join(row.state.offloads) or "-",
        lambda row: len(row.state.offloads),
        wide=150,
    ),
)


class View:
    """What is selected, sorted and shown; drawn from the latest snapshot."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        #: Why there is no newer snapshot; empty where there is.
        self.trouble = ""
        self._page = "table"
        self._sort = 0
        self._reverse = False
        self._selected = ""
        self._filter = ""
        self._typing = False
        self._top = 0
        self._room = 1
        self._wide = 80

    # Keys.

    def press(self, key: str) -> bool:
        """Does what a key says; returns whether to go on."""
        if key == "ctrl-c":
            return False
        if self._typing:
            self._type(key)
        elif key == "q":
            return False
        elif self._page == "table":
            self._in_table(key)
        else:
            self._in_page(key)
        return True

    def _type(self, key: str) -> None:
        if key == "escape":
            self._filter = ""
        elif key == "backspace":
            self._filter = self._filter[:-1]
        elif len(key) == 1:
            self._filter += key
        self._typing = key not in {"escape", "enter"}

    def _in_table(self, key: str) -> None:
        steps = {"j": 1, "down": 1, "k": -1, "up": -1, "pgdn": self._room, "pgup": -self._room}
        steps |= {"g": -len(self.rows), "G": len(self.rows), "home": -len(self.rows), "end": len(self.rows)}
        if key in steps:
            self._select(steps[key])
        elif key in {"s", "S"}:
            self._sort = (self._sort + (1 if key == "s" else -1)) % len(self._columns)
        elif key == "r":
            self._reverse = not self._reverse
        elif key == "/":
            self._typing = True
        elif key == "escape":
            self._filter = ""
        elif key in {"enter", "d"} and self.selected:
            self._page, self._top = "details", 0
        elif key in {"h", "?"}:
            self._page, self._top = "help", 0

    def _in_page(self, key: str) -> None:
        steps = {"j": 1, "down": 1, "k": -1, "up": -1, "pgdn": self._room, "pgup": -self._room}
        if key in steps:
            self._top = max(0, self._top + steps[key])
        elif key in {"enter", "d", "escape", "h", "?"}:
            self._page, self._top = "table", 0

    def _select(self, step: int) -> None:
        names = [row.state.name for row in self.rows]
        if names:
            at = names.index(self.selected.state.name) if self.selected else 0
            self._selected = names[max(0, min(len(names) - 1, at + step))]

    # What there is to show.

    @property
    def rows(self) -> list[Row]:
        """The ports that pass the filter, in order."""
        wanted = self._filter.lower()
        column = self._columns[min(self._sort, len(self._columns) - 1)]
        found = [
            row
            for row in (self.snapshot.rows if self.snapshot else ())
            if wanted in f"{row.state.name} {row.state.joined or ''} {row.state.spec}".lower()
        ]
        return sorted(found, key=column.key, reverse=self._reverse == column.rising)

    @property
    def selected(self) -> Row | None:
        """The port that is selected: the first where none was, or where it is there no more."""
        rows = self.rows
        return next((row for row in rows if row.state.name == self._selected), rows[0] if rows else None)

    @property
    def _columns(self) -> list[Column]:
        return [column for column in COLUMNS if column.wide <= self._wide]

    # Drawing.

    def draw(self, width: int, height: int) -> list[Text]:
        """Returns the lines of the screen, as many as there is room for."""
        self._wide, self._room = width, max(1, height - _AROUND)
        if self._page == "help":
            body = [Text(line) for line in _HELP.strip("\n").splitlines()]
        elif self._page == "details" and self.selected:
            body = _details(self.selected, width)
        else:
            self._page = "table"
            body = []
        lines = [*self._head(width), *(self._scrolled(body) if body else self._table(width))]
        lines = lines[: max(0, height - 2)]
        lines += [Text()] * (height - 2 - len(lines))
        lines += [self._note(), self._foot()]
        for line in lines:
            line.no_wrap = True
            line.truncate(width)
        return lines[-height:]

    def _head(self, width: int) -> list[Text]:
        if self.snapshot is None:
            return [Text("vecwire top"), Text(self.trouble, style="red")]
        service, rows = self.snapshot.service, self.snapshot.rows
        rates = [row.reading.rates for row in rows]
        down = service.ports - service.up
        first = Text.assemble(
            ("vecwire ", "bold"),
            f"{service.version}  {service.config}  running for {span(service.uptime)}  ",
            (f"{service.up} of {service.ports} ports up", "yellow" if down else "green"),
        )
        if self.trouble:
            return [first, Text(self.trouble[:width], style="bold red")]
        second = Text.assemble(
            "received ",
            (f"{quantity(sum(each.rx_frames for each in rates), 'fr/s')}", "cyan"),
            ", ",
            (f"{quantity(sum(each.rx_bits for each in rates), 'bit/s')}", "cyan"),
            "   sent ",
            (f"{quantity(sum(each.tx_frames for each in rates), 'fr/s')}", "cyan"),
            ", ",
            (f"{quantity(sum(each.tx_bits for each in rates), 'bit/s')}", "cyan"),
        )
        return [first, second]

    def _table(self, width: int) -> list[Text]:
        rows, selected = self.rows, self.selected
        at = rows.index(selected) if selected else 0
        self._top = max(at - self._room + 1, min(self._top, at))
        self._top = max(0, min(self._top, len(rows) - self._room))
        heading = Text(style="reverse")
        for index, column in enumerate(self._columns):
            mark = ("▲" if column.rising != self._reverse else "▼") if index == self._sort else ""
            heading.append(self._cell(column, column.heading + mark, width), style="bold" if mark else "")
        lines = [heading]
        for row in rows[self._top : self._top + self._room]:
            style = "bold yellow" if not row.state.up else ""
            line = Text(style="reverse" if row is selected else "")
            for column in self._columns:
                hot = "red" if column.heading == "drops/s" and row.dropped >= 0.5 else style
                line.append(self._cell(column, column.cell(row), width), style=hot)
            lines.append(line)
        if not rows:
            lines.append(Text("no port passes the filter" if self._filter else "no ports", style="dim"))
        return lines

    def _cell(self, column: Column, text: str, width: int) -> str:
        taken = sum(each.width + 1 for each in self._columns if each.width)
        room = column.width or max(_NARROWEST_NAME, width - taken)
        if cell_len(text) > room:
            text = set_cell_size(text, room - 1) + "…"
        padding = " " * (room - cell_len(text))
        if not column.width:
            return text + padding
        left = column.heading in {"state", "in", "offloads"}
        return " " + (text + padding if left else padding + text)

    def _scrolled(self, body: list[Text]) -> list[Text]:
        self._top = max(0, min(self._top, len(body) - self._room - 1))
        return body[self._top : self._top + self._room + 1]

    def _note(self) -> Text:
        """What is the matter with the selected port: why it is down, or why frames are dropped."""
        row = self.selected
        if row is None or self._page != "table":
            return Text()
        if not row.state.up:
            why = row.state.why or "the reason is not known"
            return Text(f"{row.state.name}: down for {span(row.state.since)}: {why}", style="yellow")
        drops = ", ".join(f"{_rate(value)} {name}" for name, value in row.drops)
        if drops:
            return Text(f"{row.state.name}: drops/s: {drops}", style="red")
        return Text(f"{row.state.name}: {row.state.spec}", style="dim")

    def _foot(self) -> Text:
        if self._typing:
            return Text.assemble(
                ("filter: ", "bold"), self._filter, ("▏", "blink"), "  Enter keep, Esc all ports"
            )
        if self._page != "table":
            return Text("q quit  Esc back  j k scroll", style="reverse")
        kept = f"  [{self._filter}]" if self._filter else ""
        return Text(
            f"q quit  s S sort  r reverse  j k select  d details  / filter{kept}  h help", style="reverse"
        )


def _details(row: Row, width: int) -> list[Text]:
    """All about a port, and its counters that are not zero with how fast they grow."""
    state, rates = row.state, row.reading.rates
    pairs = [
        ("port", state.name),
        ("spec", state.spec),
        ("state", f"{'up' if state.up else 'down'} for {span(state.since)}"),
        ("why", state.why or ""),
        ("in", state.joined or "nothing"),
        ("vlan", "" if state.vlan is None else str(state.vlan)),
        ("tagged", ",".join(map(str, state.tagged))),
        ("horizon", state.horizon or ""),
        ("mtu", f"{state.mtu} octets, and {state.overhead} around a frame"),
        ("offloads", ", ".join(state.offloads) or "none"),
        *(("refused", f"{what} ({why})") for what, why in state.refused.items()),
        ("received", _moved(rates.rx_frames, rates.rx_bits, row.rx_batch)),
        ("sent", _moved(rates.tx_frames, rates.tx_bits, row.tx_batch)),
    ]
    lines = [Text.assemble((f"{name:<10}", "dim"), value) for name, value in pairs if value]
    lines += [Text(), Text(f"{'counter':<18}{'value':>16}{'a second':>10}  meaning", style="reverse")]
    for name, value in row.reading.stats.counters.items():
        if value:
            rate = "" if name in MAXIMA else _rate(row.per_second[name])
            style = "red" if name in DROPS else ""
            first, *rest = textwrap.wrap(MEANINGS[name], max(_NARROWEST_MEANING, width - _COUNTER))
            lines.append(Text(f"{name:<18}{value:>16,}{rate:>10}  {first}", style=style))
            lines += [Text(" " * _COUNTER + each, style=style) for each in rest]
    return lines


def _moved(frames: float, bits: float, batch: float) -> str:
    return f"{quantity(frames, 'fr/s')}, {quantity(bits, 'bit/s')}, batches of {batch:.1f}"
