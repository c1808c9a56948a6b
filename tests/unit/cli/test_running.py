"""What cable and its like share: names, warnings, the loop that waits."""

import json
import subprocess
import sys

import pytest

from vecwire.cli import _running
from vecwire.cli._signals import Signals
from vecwire.meter import Meter
from vecwire.port import PortInfo
from vecwire.spec import parse
from vecwire.transports._refusal import WITHOUT


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["tap,ifname=tap0", "raw,ifname=eth1"], ["tap tap0", "raw eth1"]),
        (["bess,dst=@a", "bess,listen=/run/b"], ["bess @a", "bess /run/b"]),
        (["gre,src=192.0.2.1,dst=192.0.2.2,netns=h1"] * 2, ["gre 192.0.2.2 in h1", "gre 192.0.2.2 in h1 #2"]),
    ],
)
def test_ports_have_short_names_of_their_own(texts: list[str], names: list[str]) -> None:
    """A port is named after its transport and what it is attached to, twice the same never."""
    infos = [PortInfo(spec.transport, str(spec), {}) for spec in map(parse, texts)]
    assert _running.label_all(infos) == names


def test_a_pattern_is_named_by_what_became_of_it() -> None:
    """Of a tap that the kernel has numbered, people learn the number."""
    info = PortInfo("tap", "transport=tap,ifname=a%d,netns=blue", {}, ifname="a7")
    assert _running.label_all([info]) == ["tap a7 in blue"]


REFUSED = PortInfo(
    transport="raw",
    spec="transport=raw,ifname=eth1",
    descriptors={},
    refused={"ignore outgoing": "Protocol not available", "warp drive": "not yet"},
)


def test_a_refusal_is_a_warning_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error names the port, what it does without, why, and what to do where that is known."""
    _running.warn(REFUSED, json=False)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "vecwire: warning: transport=raw,ifname=eth1: no ignore outgoing: Protocol not available",
        f"  remedy: {WITHOUT['ignore outgoing']}",
        "vecwire: warning: transport=raw,ifname=eth1: no warp drive: not yet",
    ]


def test_with_json_a_warning_is_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output has one object a line, standard error nothing."""
    _running.warn(REFUSED, json=True)
    told = capsys.readouterr()
    first, second = map(json.loads, told.out.splitlines())
    assert told.err == ""
    assert first == {
        "event": "warning",
        "port": "transport=raw,ifname=eth1",
        "refused": "ignore outgoing",
        "why": "Protocol not available",
        "remedy": WITHOUT["ignore outgoing"],
    }
    assert second["remedy"] == ""


class Clock:
    """Time that passes only while somebody waits for signals."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float | None] = []

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def wait(self, seconds: float | None = None) -> bool:
        """Lets time pass; a signal comes where the wait has no end."""
        self.waits.append(seconds)
        self.now += seconds or 0.0
        return seconds is None


@pytest.mark.parametrize(
    ("duration", "stats", "shown", "waits"),
    [
        (None, None, 0, [None]),
        (2.0, None, 0, [2.0]),
        (2.0, 0.5, 4, [0.5, 0.5, 0.5, 0.5]),
        (1.25, 0.5, 2, [0.5, 0.5, 0.25]),
        (0.0, None, 0, [0.0]),
    ],
)
def test_the_main_thread_wakes_for_statistics_and_the_end_alone(
    duration: float | None,
    stats: float | None,
    shown: int,
    waits: list[float | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two readings, and for ever where none are wanted, it sleeps."""
    clock = Clock()
    signals = Signals()
    monkeypatch.setattr(signals, "wait", clock.wait)
    monkeypatch.setattr("vecwire.cli._running.time.monotonic", clock.monotonic)
    readings: list[float] = []

    def show(_meter: Meter) -> None:
        readings.append(clock.now)

    _running._watch(signals, Meter({}), _running.Shared(duration=duration, stats=stats), show)
    assert (len(readings), clock.waits) == (shown, waits)


def test_a_cable_starts_without_what_is_slow_to_import() -> None:
    """Neither rich nor pyroute2 is imported before frames flow."""
    script = "import sys, vecwire.cli.cable; print({'rich', 'pyroute2'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout == "set()\n"
