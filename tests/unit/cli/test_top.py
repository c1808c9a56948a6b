"""``vecwire top``: rates, the view and its keys, and the terminal that it gives back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peers.controlled import Fake
from vecwire.cli._top_readings import Watch
from vecwire.cli._top_terminal import Keys
from vecwire.cli._top_view import COLUMNS, View


class Asked:
    """The service as ``Watch`` asks it, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.fake = Fake()
        self.now = 100.0
        self.watch = Watch(self, clock=lambda: self.now)

    def status(self) -> Any:
        """The service."""
        return self.fake.status()

    def ports(self) -> Any:
        """The ports."""
        return self.fake.port_states()

    def read(self, seconds: float) -> dict[str, Any]:
        """The rows by name, so many seconds later."""
        self.now += seconds
        return {row.state.name: row for row in self.watch.read().rows}


# Rates.


def test_rates_are_those_since_the_reading_before() -> None:
    """The first reading has none; then they are what was counted, by the seconds in between."""
    asked = Asked()
    first = asked.read(0)
    assert {row.reading.rates.rx_frames for row in first.values()} == {0}
    asked.fake.count("a", rx_frames=105, rx_octets=300 + 10_000, rx_calls=10, tx_frames=46, tx_calls=40)
    asked.fake.count("guest1", tx_down=27)
    second = asked.read(2)
    assert second["a"].reading.rates.rx_frames == 50
    assert second["a"].reading.rates.rx_bits == 40_000
    assert (second["a"].rx_batch, second["a"].tx_batch) == (10, 1)
    assert second["guest1"].drops == [("tx_down", 10.0)]
    assert second["guest1"].dropped == 10
    assert asked.read(2)["a"].reading.rates.rx_frames == 0


def test_a_reset_and_a_new_port_begin_from_zero() -> None:
    """Counters that went back were reset: what they say was counted since; no rate is negative."""
    asked = Asked()
    asked.read(0)
    asked.fake.reset()
    asked.fake.count("uplink", rx_frames=10)
    asked.fake.add_port("c", {"spec": "tap,ifname=x"})
    asked.fake.remove_port("b")
    rows = asked.read(1)
    assert rows["uplink"].reading.rates.rx_frames == 10
    assert rows["c"].reading.rates.rx_frames == 0
    assert list(rows) == ["uplink", "guest1", "a", "c"]


# Keys.


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"q"], ["q"]),
        ([b"\x1b[A\x1b[B\x1bOA"], ["up", "down", "up"]),
        ([b"\x1b", b"[", b"6~j"], ["pgdn", "j"]),
        ([b"\x1b[", b"5~"], ["pgup"]),
        ([b"\r", b"\x7f"], ["enter", "backspace"]),
        ([b"\x1bq"], ["escape", "q"]),
        ([b"\x1b\x1b[A"], ["escape", "up"]),
        ([b"\x1b[15~s\x1b[200~"], ["s"]),
        ([b"\x00\x01"], []),
        (["ü".encode()], ["ü"]),
    ],
)
def test_keys_do_not_depend_on_how_they_come(pieces: list[bytes], keys: list[str]) -> None:
    """Sequences are keys however they are cut; what means nothing is passed over."""
    reader = Keys()
    assert [key for piece in pieces for key in reader.feed(piece)] == keys
    assert not reader.pending


def test_an_escape_that_nothing_follows_is_a_key() -> None:
    """It waits for what may follow, until it is told that nothing does."""
    reader = Keys()
    assert reader.feed(b"\x1b") == []
    assert reader.pending
    assert reader.flush() == ["escape"]
    assert not reader.pending


# The view.


class Shown:
    """A view of the fake service after two readings."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.asked = Asked()
        self.width, self.height = width, height
        self.asked.watch.read()
        for number, name in enumerate(("a", "b", "uplink"), 1):
            self.asked.fake.count(name, rx_frames=10_000 * number, rx_octets=1_000_000 * number, rx_calls=100)
        self.asked.fake.count("guest1", tx_down=27)
        self.asked.now += 1
        self.view = View()
        self.view.snapshot = self.asked.watch.read()
        self.lines()

    def lines(self) -> list[str]:
        """The lines of the screen."""
        return [line.plain.rstrip() for line in self.view.draw(self.width, self.height)]

    def press(self, *keys: str) -> list[str]:
        """Presses keys, drawing after each, and returns the lines."""
        for key in keys:
            assert self.view.press(key)
            self.lines()
        return self.lines()

    @property
    def names(self) -> list[str]:
        """The ports in the order of the rows."""
        return [row.state.name for row in self.view.rows]

    @property
    def selected(self) -> str | None:
        """The port that is selected."""
        return self.view.selected.state.name if self.view.selected else None


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (40, 10), (20, 6), (1, 1)])
@pytest.mark.parametrize("keys", [[], ["d"], ["h"], ["/", "x"]])
def test_it_fits_every_screen(size: tuple[int, int], keys: list[str]) -> None:
    """There are never more lines than the screen has, nor longer ones."""
    shown = Shown(*size)
    lines = shown.press(*keys)
    assert len(lines) <= size[1]
    assert all(line.cell_len <= size[0] for line in shown.view.draw(*size))


def test_the_table_on_a_small_terminal() -> None:
    """In 80 columns a port's rates, batches and drops stand in its row."""
    lines = Shown().lines()
    assert len(lines) == 24
    assert "0.1.0" in lines[0]
    assert "3 of 4 ports up" in lines[0]
    assert lines[2].split() == [
        *("port▲", "state", "rx", "fr/s", "rx", "bit/s", "tx", "fr/s", "tx", "bit/s"),
        *("batch", "drops/s"),
    ]
    rows = {line.split()[0]: line.split()[1:] for line in lines[3:7]}
    assert list(rows) == ["a", "b", "guest1", "uplink"]
    assert rows["b"] == ["up", "20.0", "k", "16.0", "M", "0", "0", "200/0", "0"]
    assert rows["guest1"][0] == "down"
    assert rows["guest1"][-1] == "20"


def test_a_wide_terminal_shows_more() -> None:
    """Where there is room there are columns of what a port is part of, and of its offloads."""
    lines = Shown(200).lines()
    assert "switch lan" in lines[6]
    assert "tcp super-frames, qdisc bypass" in lines[6]


def test_every_column_sorts() -> None:
    """Each s goes to the next column, S back; r reverses; the greatest rates come first."""
    shown = Shown()
    shown.press("s", "s")
    assert shown.names == ["uplink", "b", "a", "guest1"]
    shown.press("r")
    assert shown.names == ["guest1", "a", "b", "uplink"]
    shown.press("r", "S")
    assert shown.names[0] == "guest1"
    shown.press("S", "S")
    assert shown.names[0] == "guest1"  # by drops: from the first column back is to the last
    for _ in COLUMNS:
        shown.press("s")
        assert sorted(shown.names) == ["a", "b", "guest1", "uplink"]


def test_a_port_is_selected() -> None:
    """Keys move the selection within the table, and it stays with its port when the order changes."""
    shown = Shown()
    assert shown.selected == "a"
    shown.press("j", "down")
    assert shown.selected == "guest1"
    shown.press("s", "s")
    assert shown.selected == "guest1"
    shown.press("S", "S", "G", "j")
    assert shown.selected == "uplink"
    shown.press("g", "k")
    assert shown.selected == "a"


def test_the_selected_port_stays_in_view() -> None:
    """Where ports are more than lines the table scrolls."""
    shown = Shown(80, 8)
    for number in range(20):
        shown.asked.fake.add_port(f"p{number:02}", {"spec": "tap,ifname=x"})
    shown.view.snapshot = shown.asked.watch.read()
    assert any(line.startswith("p19") for line in shown.press("end", "up"))
    assert any(line.startswith("a ") for line in shown.press("home"))


def test_what_is_the_matter_is_said_of_the_selected_port() -> None:
    """Drops come with their reasons, a port that is down with its own."""
    shown = Shown()
    assert shown.press("j", "j")[-2] == "guest1: down for 12 s: no client is connected"
    port = shown.asked.fake.ports["guest1"]
    shown.asked.fake.ports["guest1"] = replace(port, up=True, why=None)
    shown.asked.fake.count("guest1", tx_down=57)
    shown.asked.now += 1
    shown.view.snapshot = shown.asked.watch.read()
    assert shown.lines()[-2] == "guest1: drops/s: 30 tx_down"


def test_a_filter_keeps_what_it_names() -> None:
    """While it is typed only ports with the text are shown; Enter keeps it, Esc shows all again."""
    shown = Shown()
    shown.press("/", "B", "a", "c", "x", "backspace")
    assert shown.names == ["a", "b"]
    assert shown.lines()[-1].startswith("filter: Bac")
    shown.press("z", "enter")
    assert shown.names == []
    assert "no port passes the filter" in "\n".join(shown.lines())
    assert shown.selected is None
    shown.press("d", "j")
    shown.press("escape")
    assert len(shown.names) == 4
    shown.press("/", "q", "escape")
    assert len(shown.names) == 4


def test_details_of_a_port() -> None:
    """Enter shows all about the selected port, with rates and meanings; Esc goes back."""
    shown = Shown(100)
    text = "\n".join(shown.press("G", "enter"))
    assert "transport=raw,ifname=eth1" in text
    assert "tcp super-frames, qdisc bypass" in text
    assert "frames received and delivered" in text
    assert "tagged    10,20" in text
    assert "port▲" not in text
    assert "port▲" in "\n".join(shown.press("escape"))
    assert "uplink" in "\n".join(shown.press("d", "j", "k", "pgdn", "pgup"))


def test_meanings_of_counters_are_whole() -> None:
    """On a narrow terminal what a counter counts goes on in the next line."""
    text = " ".join("\n".join(Shown().press("G", "enter")).split())
    assert "octets of the frames received, encapsulation not counted" in text


def test_details_of_a_port_that_goes() -> None:
    """Where the port is removed meanwhile another's are shown, or the table where there is none."""
    shown = Shown()
    shown.press("d")
    shown.asked.fake.ports.clear()
    shown.view.snapshot = shown.asked.watch.read()
    assert "no ports" in "\n".join(shown.lines())


def test_help() -> None:
    """H shows what the keys do."""
    shown = Shown()
    assert "reverse the order" in "\n".join(shown.press("h"))
    assert "reverse the order" not in "\n".join(shown.press("h"))


@pytest.mark.parametrize("keys", [["q"], ["d", "q"], ["h", "q"], ["/", "x", "ctrl-c"]])
def test_it_ends_from_every_page(keys: list[str]) -> None:
    """Q ends it, but for where a filter is typed; Ctrl-C does there too."""
    shown = Shown()
    *before, last = keys
    shown.press(*before)
    assert not shown.view.press(last)
