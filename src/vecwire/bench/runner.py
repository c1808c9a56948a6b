"""Asks everybody everything, in rounds, and keeps each answer at once."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vecwire.bench.contender import Contender
from vecwire.bench.samples import Results, Sample
from vecwire.bench.tables import Settings, Table
from vecwire.errors import UnsupportedError, VecwireError

#: What the bench itself cannot do without, with Debian's packages.
NEEDED = {
    "ip": "iproute2",
    "setpriv": "util-linux",
    "ethtool": "ethtool",
    "iperf3": "iperf3",
    "cc": "gcc libc6-dev",
}
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement that is to be made."""

    table: Table
    turn: int
    case: str
    contender: Contender

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The key of its sample."""
        return (self.table.name, self.case, self.contender.name, self.turn)


Tell = Callable[[Step, Sample | None], None]


def check_host() -> None:
    """Sees whether the bench can run here at all.

    Raises:
        UnsupportedError: This user may not, or a program is wanting.
    """
    if os.geteuid() != 0:
        raise UnsupportedError("the bench makes network namespaces", remedy="run it as root")
    wanted = {package for program, package in NEEDED.items() if shutil.which(program) is None}
    if wanted:
        raise UnsupportedError(
            "programs are missing that the bench measures with",
            remedy=f"as root: apt-get install {' '.join(sorted(wanted))}",
        )


def steps(tables: Sequence[Table], rounds: int) -> Iterator[Step]:
    """All measurements, interleaved: in each round of a table everybody has a turn."""
    for table in tables:
        for turn in range(rounds):
            for case in table.cases:
                for contender in table.contenders:
                    yield Step(table, turn, case, contender)


def run(tables: Sequence[Table], settings: Settings, results: Results, tell: Tell) -> None:
    """Makes all measurements that are not made yet.

    Args:
        tables: what to ask.
        settings: how long.
        results: what is there already, and where the rest goes.
        tell: called before each measurement without, and after it with the sample.
    """
    for step in steps(tables, settings.rounds):
        if results.done(step.key):
            continue
        tell(step, None)
        sample = measure(step, settings)
        results.add(sample)
        tell(step, sample)


def measure(step: Step, settings: Settings) -> Sample:
    """Makes one measurement; what goes wrong is tried once more, and then noted."""
    table, case, contender, turn = step.key
    if missing := step.contender.missing():
        return Sample(table, case, contender, turn, missing=missing)
    error = ""
    for _ in range(_TRIES):
        try:
            values = step.table.measure(step.contender, case, settings)
            return Sample(
                table, case, contender, turn, {name: round(value, 6) for name, value in values.items()}
            )
        except (VecwireError, OSError, KeyError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
    return Sample(table, case, contender, turn, error=error)
