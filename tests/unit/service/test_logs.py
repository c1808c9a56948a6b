"""The service's log: one line an event, as text or JSON, for people or the journal, and never a flood."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import weakref
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from vecwire.service import logs
from vecwire.service.logs import (
    JournalFormatter,
    JsonFormatter,
    LimitedHandler,
    RateLimit,
    TextFormatter,
    is_journal,
    iso_time,
    one_line,
)
from vecwire.spec import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAP0, TAP1 = parse("tap,ifname=tap0"), parse("tap,ifname=tap1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time that it shows."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which has its handlers and level back after the test."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers = []
    yield logger
    logger.handlers, logger.level = handlers, level


def record(message: str, *arguments: object, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    """A record of the logger `vecwire.port`."""
    made = logging.LogRecord("vecwire.port", level, "x.py", 1, message, arguments, None)
    made.__dict__.update(extra)
    made.created = 1_700_000_000.25
    return made


def texts(records: list[logging.LogRecord]) -> list[str]:
    """What records say."""
    return [each.getMessage() for each in records]


# Lines.


def test_a_line_of_text() -> None:
    """Time in UTC, level, logger, what happened, and what else is known of it."""
    line = TextFormatter().format(record("%s is up", TAP0, port="a b", worker=1))
    assert line == (
        '2023-11-14T22:13:20.250Z info vecwire.port: transport=tap,ifname=tap0 is up port="a b" worker=1'
    )


def test_a_line_for_the_journal() -> None:
    """The journal has its own time."""
    line = TextFormatter(with_time=False).format(record("up", level=logging.WARNING))
    assert line == "warning vecwire.port: up"


def test_an_object_of_json() -> None:
    """The same as JSON, with what else is known as members of its own."""
    line = JsonFormatter().format(record("%s is up", "tap0", port="uplink", counters={"rx": 1}, path=os))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "vecwire.port",
        "event": "tap0 is up",
        "port": "uplink",
        "counters": {"rx": 1},
        "path": str(os),
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
@pytest.mark.parametrize("text", ["two\nlines", "a\r\nb", "\x1b[2J", "a\u2028b", "\x00", "a\tb"])
def test_an_event_is_one_line(formatter: logging.Formatter, text: str) -> None:
    """What came from a network or a file cannot begin a line, or move a terminal's cursor."""
    line = formatter.format(record("peer says %s", text, port=text))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_letters_of_all_scripts_stay() -> None:
    """Only what would move something is written otherwise."""
    assert one_line("Grüße, 世界\n") == "Grüße, 世界\\n"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_traceback_is_in_the_line(formatter: logging.Formatter) -> None:
    """An exception is told in the same line, whole."""
    failed = record("failed", level=logging.ERROR)
    try:
        int("broken")
    except ValueError:
        failed.exc_info = sys.exc_info()
    line = formatter.format(failed)
    assert "\n" not in line
    assert "ValueError: invalid literal" in line
    assert "test_logs.py" in line


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_the_journal_is_told_the_priority(level: int, priority: int) -> None:
    """The prefix of sd-daemon(3), before text and before JSON."""
    for lines in (TextFormatter(with_time=False), JsonFormatter()):
        line = JournalFormatter(lines).format(record("x", level=level))
        assert line == f"<{priority}>{lines.format(record('x', level=level))}"


@pytest.mark.parametrize("seconds", [0.0, 0.9996, 1_700_000_000.0, 1_700_000_000.123])
def test_the_time_is_one_that_can_be_read_back(seconds: float) -> None:
    """ISO 8601 in UTC, to the millisecond."""
    text = iso_time(seconds)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text).timestamp() == pytest.approx(seconds, abs=0.0011)


# Floods.


def test_a_burst_passes_and_a_flood_does_not(clock: Clock) -> None:
    """Of one kind so many pass at once; the others are counted, and told when there is room again."""
    limit = RateLimit(burst=3, per_minute=6, clock=clock)
    passed = [text for n in range(10) for text in texts(limit.passing(record("lost %d", n)))]
    assert passed == ["lost 0", "lost 1", "lost 2"]
    clock.now += 10
    assert texts(limit.passing(record("lost %d", 10))) == ["suppressed 7 similar: lost 9", "lost 10"]
    clock.now += 10
    assert texts(limit.passing(record("lost %d", 11))) == ["lost 11"]


def test_nothing_is_lost_from_the_count(clock: Clock) -> None:
    """Whatever the pace, records told and records counted add up."""
    limit = RateLimit(burst=2, per_minute=6, clock=clock)
    told = 0
    for n in range(500):
        clock.now += n % 7
        for text in texts(limit.passing(record("lost %d", n))):
            told += int(text.split()[1]) if text.startswith("suppressed") else 1
    told += sum(int(text.split()[1]) for text in texts(limit.rest()))
    assert told == 500


def test_after_silence_there_is_a_whole_burst_again(clock: Clock) -> None:
    """Tokens grow back to the burst and no further."""
    limit = RateLimit(burst=3, per_minute=6, clock=clock)
    for _ in range(2):
        assert sum(len(limit.passing(record("lost"))) for _ in range(5)) == 3
        assert texts(limit.rest()) == ["suppressed 2 similar: lost"]
        clock.now += 3600


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (record("lost %s", TAP0), record("lost %s", TAP1)),
        (record("lost", port="a"), record("lost", port="b")),
        (record("lost %d", 1), record("back %d", 1)),
    ],
    ids=["spec", "port", "message"],
)
def test_kinds_do_not_hold_each_other_up(
    clock: Clock, one: logging.LogRecord, other: logging.LogRecord
) -> None:
    """One port that flaps, or one message that floods, leaves the others to be told."""
    limit = RateLimit(burst=1, per_minute=6, clock=clock)
    assert len(limit.passing(one)) == 1
    assert limit.passing(one) == []
    assert len(limit.passing(other)) == 1


def test_what_was_held_back_is_told_beside_others(clock: Clock) -> None:
    """A kind that has ended is told of by the next record of any kind, or when asked."""
    limit = RateLimit(burst=1, per_minute=6, clock=clock)
    for _ in range(3):
        limit.passing(record("lost"))
    assert limit.due() == []
    clock.now += 10
    assert texts(limit.passing(record("back"))) == ["suppressed 2 similar: lost", "back"]
    limit.passing(record("back"))
    clock.now += 10
    assert texts(limit.due()) == ["suppressed 1 similar: back"]
    assert limit.due() == []


def test_a_report_does_not_repeat_a_traceback(clock: Clock) -> None:
    """It is one line about many; the record itself is not touched."""
    limit = RateLimit(burst=1, per_minute=6, clock=clock)
    failed = record("failed")
    failed.exc_info = (ValueError, ValueError("x"), None)
    limit.passing(failed)
    limit.passing(failed)
    (report,) = limit.rest()
    assert report.exc_info is None
    assert failed.exc_info is not None


def test_what_was_held_back_holds_nothing(clock: Clock) -> None:
    """Of a record that is held back the words are kept, and not an error with all that was at hand there."""

    class Held:
        """Something that an error's traceback holds."""

    def fail() -> weakref.ref[Held]:
        held = Held()
        told = {"name": "a", "msg": "failed: %s", "args": (LookupError(held),)}
        limit.passing(logging.makeLogRecord(told))
        return weakref.ref(held)

    limit = RateLimit(burst=0, clock=clock)
    assert fail()() is None
    (told,) = limit.rest()
    assert told.getMessage().startswith("suppressed 1 similar: failed: ")


def test_kinds_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless new kinds take no endless memory; what is forgotten is told first."""
    monkeypatch.setattr(logs, "MOST_KINDS", 8)
    limit = RateLimit(burst=1, per_minute=6, clock=clock)
    limit.passing(record("first"))
    limit.passing(record("first"))
    passed = [text for n in range(50) for text in texts(limit.passing(record("lost", port=str(n))))]
    assert "suppressed 1 similar: first" in passed
    assert len(limit._buckets) == 8


# The handler.


def test_set_up_takes_the_place_of_what_was(root: logging.Logger) -> None:
    """One handler, however often it is set up; the level holds."""
    stream = io.StringIO()
    for _ in range(2):
        handler = logs.set_up(logging.INFO, stream=stream, environment={})
    assert root.handlers == [handler]
    logging.getLogger("vecwire.port").debug("not this")
    logging.getLogger("vecwire.port").info("up", extra={"port": "uplink"})
    assert stream.getvalue().endswith(" info vecwire.port: up port=uplink\n")
    assert stream.getvalue().count("\n") == 1


def test_json_where_it_is_asked_for(root: logging.Logger) -> None:
    """Every line is an object."""
    stream = io.StringIO()
    logs.set_up(as_json=True, stream=stream, environment={})
    root.warning("one\nevent")
    assert json.loads(stream.getvalue())["event"] == "one\nevent"


def test_held_back_records_are_told_at_the_end(clock: Clock, root: logging.Logger) -> None:
    """Closing the handler loses no count; `report` tells what is due."""
    stream = io.StringIO()
    limit = RateLimit(burst=1, per_minute=6, clock=clock)
    handler = logs.set_up(stream=stream, limit=limit, environment={})
    for _ in range(4):
        root.error("lost")
    clock.now += 10
    handler.report()
    assert stream.getvalue().splitlines()[-1].endswith("error root: suppressed 3 similar: lost")
    root.error("lost")
    handler.close()
    assert stream.getvalue().splitlines()[-1].endswith("suppressed 1 similar: lost")


def test_a_stream_that_is_broken_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is given up, as every handler of logging does."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = io.StringIO()
    handler = LimitedHandler(stream, RateLimit())
    stream.close()
    handler.handle(record("x"))


def test_the_journal_is_known_by_its_stream(root: logging.Logger, tmp_path: Path) -> None:
    """JOURNAL_STREAM names the device and inode of the stream; another stream is no journal."""
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        about = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"}
        assert is_journal(stream, environment)
        assert not is_journal(stream, {})
        assert not is_journal(stream, {"JOURNAL_STREAM": "1:1"})
        assert not is_journal(io.StringIO(), environment)
        logs.set_up(stream=stream, environment=environment)
        root.warning("x")
        stream.seek(0)
        assert stream.read() == "<4>warning root: x\n"
