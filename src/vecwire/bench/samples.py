"""What was measured: samples, kept in a file as they come; medians of them.

The file is JSON and is written anew, as a whole, after each sample, so that it is complete whenever the bench
ends. Its parts: ``format``, ``machine``, ``settings``, and ``samples``, a list.
"""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from vecwire.errors import PortError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement, or why there is none.

    Attributes:
        table: the table that it belongs to.
        case: what was asked for: ``60 octets``, ``64 tunnels``; empty where a table asks for one thing.
        contender: who answered.
        turn: the round, from 0.
        values: what was measured, by name; the unit is at the end of the name.
        error: what went wrong; empty where nothing did.
        missing: why the contender was not there; empty where it was.
    """

    table: str
    case: str
    contender: str
    turn: int
    values: dict[str, float] = field(default_factory=dict)
    error: str = ""
    missing: str = ""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes it the one sample that it is."""
        return (self.table, self.case, self.contender, self.turn)


@dataclass(frozen=True, slots=True)
class Summary:
    """Several measurements of one thing."""

    median: float
    least: float
    most: float
    count: int


def summary(values: Iterable[float]) -> Summary | None:
    """The median of the values and their range; None where there are none."""
    found = sorted(value for value in values if math.isfinite(value))
    return Summary(median(found), found[0], found[-1], len(found)) if found else None


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that ``share`` of them, 0 to 1, do not exceed.

    Raises:
        ValueError: if there are no values.
    """
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(slots=True)
class Results:
    """All samples of a run, with the machine and the settings that they are of.

    Args:
        machine: the description of the machine.
        settings: how it was measured.
        path: where to keep it; None keeps it in memory alone.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    path: Path | None = None
    samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Takes a sample in, in the place of an earlier one of the same thing, and keeps everything."""
        self.samples = [*(each for each in self.samples if each.key != sample.key), sample]
        self.save()

    def done(self, key: tuple[str, str, str, int]) -> bool:
        """Whether that was measured already, without an error."""
        return any(sample.key == key and not sample.error for sample in self.samples)

    def of(self, table: str) -> list[Sample]:
        """The samples of one table."""
        return [sample for sample in self.samples if sample.table == table]

    def summary(self, table: str, case: str, contender: str, value: str) -> Summary | None:
        """The median of one value over the rounds; None where it was not measured."""
        return summary(self.by_turn(table, case, contender, value).values())

    def by_turn(self, table: str, case: str, contender: str, value: str) -> dict[int, float]:
        """One value in each round in which it was measured."""
        return {
            sample.turn: sample.values[value]
            for sample in self.samples
            if (sample.table, sample.case, sample.contender) == (table, case, contender)
            and value in sample.values
        }

    def why_not(self, table: str, case: str, contender: str) -> str:
        """Why there is no value: what is missing, or the last error."""
        found = [
            sample.missing or sample.error
            for sample in self.samples
            if (sample.table, sample.case, sample.contender) == (table, case, contender)
        ]
        return next((text for text in reversed(found) if text), "")

    def contenders(self, table: str) -> list[str]:
        """Who was asked, in the order of the first round."""
        return list(dict.fromkeys(sample.contender for sample in self.of(table)))

    def cases(self, table: str) -> list[str]:
        """What was asked for, in the order of the first round."""
        return list(dict.fromkeys(sample.case for sample in self.of(table)))

    def as_object(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "settings": self.settings,
            "samples": [asdict(sample) for sample in self.samples],
        }

    def save(self) -> None:
        """Writes the file anew, as a whole or not at all."""
        if self.path is None:
            return
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_text(json.dumps(self.as_object(), indent=1) + "\n", encoding="utf-8")
        os.replace(new, self.path)  # noqa: PTH105 # the one call that is atomic, by its name


def load(path: Path) -> Results:
    """Reads a file of results.

    Raises:
        PortError: It is not there, or is no such file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise PortError(f"{path} is of another version of the bench: {found['format']}, not {FORMAT}")
        samples = [Sample(**each) for each in found["samples"]]
        return Results(found["machine"], found["settings"], path, samples)
    except OSError as error:
        raise PortError(f"cannot read {path}", errno=error.errno) from error
    except (ValueError, TypeError, KeyError) as error:
        raise PortError(f"{path} holds no results of the bench: {error}") from error
