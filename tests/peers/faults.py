"""Faults on purpose: calls of libc that fail as a test says, in a process that is started with them.

``tests/faults/inject.c`` stands in front of libc in that process and counts its calls. The test's end is a
page of shared memory: it names a call, which of its turns are to fail, and with what. So a process can be
told at any moment, and a thousand cases need no more than one process.
"""

from __future__ import annotations

import atexit
import functools
import json
import mmap
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from peers.manual import MANUAL, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from peers.net import Namespace

SOURCE = Path(__file__).parent.parent / "faults" / "inject.c"
CALLS: tuple[str, ...] = tuple(
    re.findall(
        r"X\((\w+)\)", SOURCE.read_text(encoding="ascii").split("#define CALLS(X)")[1].split("\n\n")[0]
    )
)
#: The shares of memory that an allocation's failure is meant for: enum memory.
LEAVE_MEMORY, OURS, EVERYBODYS = range(3)
#: The share of all cases that is run, 0 for what each test takes by default, and the seed that chooses them.
SHARE = float(os.environ.get("VECWIRE_FAULTS_SHARE", "0"))
SEED = int(os.environ.get("VECWIRE_FAULTS_SEED", str(random.randrange(1 << 32))))  # noqa: S311 # not a secret
ENVIRONMENT = "VECWIRE_FAULTS"
_HEAD = struct.Struct("=6i4q")
_ALWAYS = 1 << 62


@dataclass(frozen=True)
class Case:
    """One fault: the call, which of its turns fails (from 0), and with which errno."""

    call: str
    turn: int
    error: int

    def __str__(self) -> str:
        return f"{self.call} {self.turn} {named(self.call, self.error)}"


class Page:
    """A page that tells a process which of its calls fail.

    Args:
        path: where the page is; made if there is nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        size = _HEAD.size + 8 * len(CALLS)
        with path.open("a+b") as file:
            file.truncate(size)
            self._memory = mmap.mmap(file.fileno(), size)
        self._realtime = 0
        self.rest()

    def _tell(
        self,
        on: int,
        *,
        call: int = -1,
        error: int = 0,
        thread: int = 0,
        memory: int = LEAVE_MEMORY,
        skip: int = 0,
        times: int = 0,
    ) -> None:
        # Off first, so that nobody acts upon half of it.
        struct.pack_into("=i", self._memory, 0, 0)
        _HEAD.pack_into(self._memory, 0, 0, call, error, thread, memory, 0, skip, times, 0, self._realtime)
        struct.pack_into("=i", self._memory, 0, on)

    def rest(self) -> None:
        """Has nothing fail, and nothing counted."""
        self._tell(0)

    def count(self, *, thread: int = 0, memory: int = LEAVE_MEMORY) -> None:
        """Has calls counted from now on, and none fail."""
        self._memory[_HEAD.size :] = bytes(8 * len(CALLS))
        self._tell(1, thread=thread, memory=memory)

    def fail(self, case: Case, *, thread: int = 0, memory: int = LEAVE_MEMORY, lasting: bool = False) -> None:
        """Has a call fail in one of its turns from now on; with ``lasting`` in all that follow, too."""
        self._memory[_HEAD.size :] = bytes(8 * len(CALLS))
        self._tell(
            1,
            call=CALLS.index(case.call),
            error=case.error,
            thread=thread,
            memory=memory,
            skip=case.turn,
            times=_ALWAYS if lasting else 1,
        )

    def stop(self) -> bool:
        """Has nothing fail any more, and leaves what was counted; whether it was on."""
        was_on = self._memory[0] != 0
        self._memory[0] = 0
        return was_on

    @property
    def fired(self) -> int:
        """How many calls have failed on purpose."""
        return int(_HEAD.unpack_from(self._memory)[8])

    @property
    def counts(self) -> dict[str, int]:
        """How often each call was made, those that were."""
        found = struct.unpack_from(f"={len(CALLS)}q", self._memory, _HEAD.size)
        return {name: count for name, count in zip(CALLS, found, strict=True) if count}

    def jump(self, seconds: float) -> None:
        """Sets the clock of the day off by so much."""
        self._realtime = round(seconds * 1e9)
        struct.pack_into("=q", self._memory, _HEAD.size - 8, self._realtime)

    def close(self) -> None:
        """Gives the memory back."""
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cases(counts: Mapping[str, int]) -> Iterator[Case]:
    """Every fault that calls may have which were made so often: each turn with each errno of its page."""
    for call, count in counts.items():
        for turn in range(count):
            for error in MANUAL[call].errnos:
                yield Case(call, turn, error)


def sample(every: list[Case], share: float, seed: int) -> list[Case]:
    """A share of cases, chosen anew by each seed: at least one for each call, whatever the share.

    So every call fails in each run, in one of its turns and with one of its errnos.
    """
    if share >= 1:
        return every
    chance = random.Random(seed)  # noqa: S311 # reproducible, not secret
    mixed = chance.sample(every, len(every))
    first = {case.call: case for case in reversed(mixed)}.values()
    others = [case for case in mixed if case not in first]
    chosen = {*first, *others[: max(0, round(share * len(every)) - len(first))]}
    return [case for case in every if case in chosen]


@functools.cache
def library() -> Path:
    """The library to be loaded in front of libc; built once in a run of tests."""
    folder = Path(tempfile.mkdtemp(prefix="vecwire-inject-"))
    atexit.register(shutil.rmtree, folder)
    built = folder / "inject.so"
    argv = ["cc", "-O1", "-shared", "-fPIC", "-o", str(built), str(SOURCE)]
    subprocess.run(argv, check=True, timeout=60)
    return built


def environment(page: Page) -> dict[str, str]:
    """The environment of a process whose calls fail as the page says."""
    return {
        **os.environ,
        "LD_PRELOAD": str(library()),
        ENVIRONMENT: str(page.path),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


@dataclass(frozen=True)
class Found:
    """What came of the cases of a scenario.

    Attributes:
        scenario: its name.
        cases: how many cases were run.
        calls: which calls failed in them.
        unfired: those whose call was not made so often that time.
        counts: how often each call is made without faults.
        outcomes: how many cases worked all the same, and how many ended with which error.
        problems: what should not have happened, and in which case.
    """

    scenario: str
    cases: int
    calls: list[str]
    unfired: int
    counts: dict[str, int]
    outcomes: dict[str, int]
    problems: list[dict[str, str]]


def drive(
    namespace: Namespace,
    folder: Path,
    scenarios: Sequence[str],
    *,
    share: float,
    seed: int,
    memory: int = LEAVE_MEMORY,
    lasting: bool = False,
    calls: Sequence[str] = (),
    **variables: str,
) -> list[Found]:
    """Runs scenarios of ``peers.faulty`` in a process of its own, in a namespace that has what they need.

    Args:
        namespace: where.
        folder: for the page, and for files.
        scenarios: their names.
        share: of all cases; each of them is run with 1.
        seed: what the choice follows from.
        memory: whose allocations fail; nothing else does then.
        lasting: whether a call that has failed once goes on to fail until the case is over.
        calls: those that fail; all by default.
        **variables: more of the environment.

    Raises:
        AssertionError: if the process crashed or hung.
    """
    told = {
        "scenarios": list(scenarios),
        "share": share,
        "seed": seed,
        "memory": memory,
        "lasting": lasting,
        "calls": list(calls),
    }
    argv = namespace.command([sys.executable, "-m", "peers.faulty", json.dumps(told)])
    with Page(folder / "faults") as page:
        ran = subprocess.run(
            argv,
            env={**environment(page), **variables},
            check=False,
            capture_output=True,
            text=True,
            timeout=7200,
        )
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0, (
        f"seed {seed}: exit status {ran.returncode} after {lines[-1:]}: {ran.stderr[-6000:]}"
    )
    return [Found(**json.loads(line)) for line in lines if line.startswith("{")]
