"""How the service logs: one line an event, as text or JSON, and no kind of event in floods.

Theory of operation: one handler, of the root logger. ``RateLimit`` decides which records pass. Records are
of one kind if they come from one place for one port: the same logger, the same message before its arguments,
the same ``port``. Each kind has a bucket of tokens (RFC 2697 uses the same device): it begins with ``burst``,
gains ``per_minute`` in a minute, and a record takes one. What finds none is counted, and told when the kind
may speak again: with its next record, or, where there is none, in a line of its own beside any other record.

Under systemd each line begins with its priority, ``<4>`` for a warning (sd-daemon(3)), and has no time: the
journal has its own. JOURNAL_STREAM says whether standard error goes there (systemd.exec(5)).
"""

import copy
import json
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from vecwire.spec import Spec

BURST = 10
PER_MINUTE = 6.0
#: Kinds that are remembered; beyond that the one that was silent for longest is forgotten.
MOST_KINDS = 1024
#: Priorities of sd-daemon(3), by the least level that has them.
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries beside its text: what its ``extra`` had."""
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def one_line(text: str) -> str:
    r"""The text in one line: breaks are written as ``\n``, what would move a cursor as ``\x1b``."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def iso_time(seconds: float) -> str:
    """The time in UTC, as ISO 8601 has it, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """One line of text an event, with what else it carries as ``name=value`` behind it.

    Args:
        with_time: whether the line begins with the time.
    """

    def __init__(self, *, with_time: bool = True) -> None:
        super().__init__()
        self._with_time = with_time

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        words = [iso_time(record.created)] if self._with_time else []
        words += [record.levelname.lower(), f"{record.name}:", record.getMessage()]
        words += [f"{name}={_value(value)}" for name, value in fields_of(record).items()]
        if record.exc_info:
            words.append(self.formatException(record.exc_info))
        return one_line(" ".join(words))


class JsonFormatter(logging.Formatter):
    """One JSON object an event: ``time``, ``level``, ``logger``, ``event``, and what else it carries.

    ``error`` has the traceback of an exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        about = {
            "time": iso_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            about["error"] = self.formatException(record.exc_info)
        return json.dumps({**fields_of(record), **about}, default=str)


class JournalFormatter(logging.Formatter):
    """Another formatter's lines, with the journal's priority in front.

    Args:
        lines: makes the lines.
    """

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        priority = next(number for level, number in PRIORITIES if record.levelno >= level)
        return f"<{priority}>{self._lines.format(record)}"


def _value(value: object) -> str:
    """A value in a line of text, quoted where it would not be one word."""
    text = str(value)
    return json.dumps(text) if not text or set(text) & set(' "=') else text


@dataclass(slots=True)
class _Bucket:
    """What a kind of records may still say.

    Attributes:
        tokens: how many records.
        moment: when that was so.
        suppressed: records that found no token, and were not told of yet.
        last: the latest of those.
    """

    tokens: float
    moment: float
    suppressed: int = 0
    last: logging.LogRecord | None = None


class RateLimit:
    """Decides which records pass: of each kind a burst, then so many a minute.

    Args:
        burst: records of one kind that pass at once.
        per_minute: records of one kind that pass in each minute after that.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        *,
        burst: int = BURST,
        per_minute: float = PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._rate = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str, str], _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def passing(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """What may be told now that this record came: what was held back of other kinds, and the record."""
        with self._lock:
            kind = _kind_of(record)
            bucket = self._buckets.pop(kind, None) or _Bucket(self._burst, self._clock())
            told = list(self._reports())
            self._buckets[kind] = bucket
            if self._take(bucket):
                told += [*_report(bucket), record]
            else:
                bucket.suppressed += 1
                bucket.last = _words_of(record)
            if len(self._buckets) > MOST_KINDS:
                _, forgotten = self._buckets.popitem(last=False)
                told += _report(forgotten)
            return told

    def due(self) -> list[logging.LogRecord]:
        """What was held back and may be told by now, one record a kind."""
        with self._lock:
            return list(self._reports())

    def rest(self) -> list[logging.LogRecord]:
        """What was held back, at the end: all of it, whether it is due or not."""
        with self._lock:
            return [record for bucket in self._buckets.values() for record in _report(bucket)]

    def _take(self, bucket: _Bucket) -> bool:
        """Takes a token, if there is one by now."""
        moment = self._clock()
        bucket.tokens = min(self._burst, bucket.tokens + (moment - bucket.moment) * self._rate)
        bucket.moment = moment
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _reports(self) -> Iterator[logging.LogRecord]:
        for bucket in self._buckets.values():
            if bucket.suppressed and self._take(bucket):
                yield from _report(bucket)


def _words_of(record: logging.LogRecord) -> logging.LogRecord:
    """A record to be kept: its text alone. An error among its arguments holds all that was at hand there."""
    kept = copy.copy(record)
    kept.msg, kept.args, kept.exc_info = record.getMessage(), (), None
    return kept


def _report(bucket: _Bucket) -> Iterator[logging.LogRecord]:
    """The record that says how many like it were held back, if any were."""
    if bucket.last is not None:
        record = copy.copy(bucket.last)
        record.msg, record.args = f"suppressed {bucket.suppressed} similar: {record.getMessage()}", ()
        bucket.suppressed, bucket.last = 0, None
        yield record


def _kind_of(record: logging.LogRecord) -> tuple[str, str, str]:
    """The logger, the message before its arguments, and the port: its name, or else its spec."""
    port = getattr(record, "port", None)
    if port is None and isinstance(record.args, tuple) and record.args and isinstance(record.args[0], Spec):
        port = record.args[0]
    return record.name, str(record.msg), "" if port is None else str(port)


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes the records that a limit lets pass.

    Args:
        stream: where they are written to.
        limit: decides.
    """

    def __init__(self, stream: TextIO, limit: RateLimit) -> None:
        super().__init__(stream)
        self._limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record, if it may pass, after what was held back and may be told by now."""
        try:
            for each in self._limit.passing(record):
                super().emit(each)
        except Exception:  # noqa: BLE001  (as every handler does: a message that cannot be written ends nothing)
            self.handleError(record)

    def report(self) -> None:
        """Writes what was held back and may be told by now; of use in a service that is silent."""
        self.acquire()
        try:
            for each in self._limit.due():
                super().emit(each)
        finally:
            self.release()

    def close(self) -> None:
        """Writes what was held back."""
        for each in self._limit.rest():
            super().emit(each)
        super().close()


def is_journal(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a stream goes to the journal: JOURNAL_STREAM has its device and inode (systemd.exec(5)).

    Args:
        stream: such as standard error.
        environment: where JOURNAL_STREAM is looked for; this process's by default.
    """
    environment = os.environ if environment is None else environment
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def set_up(
    level: int = logging.INFO,
    *,
    as_json: bool = False,
    stream: TextIO | None = None,
    limit: RateLimit | None = None,
    environment: Mapping[str, str] | None = None,
) -> LimitedHandler:
    """Has everything that is logged written to a stream, in the place of any handler before.

    Args:
        level: the least level that is written.
        as_json: JSON in place of text.
        stream: where to; standard error by default.
        limit: how much of each kind passes.
        environment: where JOURNAL_STREAM is looked for; this process's by default.

    Returns:
        The handler; its ``report`` tells what was held back.
    """
    stream = sys.stderr if stream is None else stream
    journal = is_journal(stream, environment)
    lines = JsonFormatter() if as_json else TextFormatter(with_time=not journal)
    handler = LimitedHandler(stream, limit or RateLimit())
    handler.setFormatter(JournalFormatter(lines) if journal else lines)
    root = logging.getLogger()
    for before in root.handlers[:]:
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    root.setLevel(level)
    return handler
