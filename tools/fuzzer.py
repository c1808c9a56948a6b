"""Fuzzes what reads the octets of strangers: every target of ``tests/fuzz``, or those that are named.

``make fuzz`` runs it with ``.venv``'s Python, in which atheris is: libFuzzer with the sanitizers that the
modules are built with. Each target runs in a process of its own, as many at a time as there are processors.
An input that breaks an invariant, or that a sanitizer stops at, fails the run; it is kept, and the command
that runs it again is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sanitize
from fuzzer_report import progress, summary, write
from fuzzing import targets
from prepare import ROOT, say

if TYPE_CHECKING:
    from collections.abc import Iterator

WORK = ROOT / "build" / "fuzz"
ENGINE = ROOT / "tests" / "fuzzing" / "engine.py"
#: Seconds that one input may take, and megabytes that a process may have, before that is a fault.
LIMITS = ("-timeout=20", "-rss_limit_mb=3000")
#: An input that comes nearer to the other side of a comparison is kept too: so numbers of 32 bits are found.
GUIDANCE = ("-use_value_profile=1",)
_STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+)(?:.* exec/s: (\d+))?", re.MULTILINE)
#: How what is said of a broken target begins.
_BROKEN = re.compile(r"^.*(?:Uncaught Python exception|ERROR: |runtime error: ).*$", re.MULTILINE)
#: What libFuzzer names the inputs that it keeps by.
_KEPT = ("crash-", "timeout-", "oom-", "leak-")


@dataclass
class Run:
    """A target that is run, or was.

    Attributes:
        name: its name.
        seconds: for how long it was to run.
        process: the process, while it runs.
        begun: when it began, of the monotonic clock.
        took: for how long it ran.
        executions: inputs run.
        edges: branches reached, of compiled modules and of those that guide it.
        features: the same, with how often each was passed.
        kept: inputs in its corpus.
        octets: octets of those.
        failed: whether an input broke it.
        inputs: those that did.
    """

    name: str
    seconds: float
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    took: float = 0.0
    executions: int = 0
    edges: int = 0
    features: int = 0
    kept: int = 0
    octets: int = 0
    failed: bool = False
    inputs: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where it works."""
        return WORK / self.name

    @property
    def corpus(self) -> Path:
        """The inputs that reach what others do not."""
        return self.folder / "corpus"

    @property
    def log(self) -> Path:
        """What it has written."""
        return self.folder / "log"

    def start(self, environment: dict[str, str]) -> None:
        """Starts it from the corpus that is kept in the tree."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.corpus.mkdir(parents=True)
        options = [
            *LIMITS,
            *GUIDANCE,
            f"-max_total_time={max(1, round(self.seconds))}",
            "-print_final_stats=1",
        ]
        artifacts = f"-artifact_prefix={self.folder}/"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603  (the command is written here)
                [sys.executable, str(ENGINE), self.name, *options, artifacts, str(self.corpus)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.begun = time.monotonic()

    def look(self) -> bool:
        """Reads how far it is; True once it has ended."""
        code = None if self.process is None else self.process.poll()
        self.took = time.monotonic() - self.begun
        text = self.log.read_text(encoding="utf-8", errors="replace")
        for match in _STATUS.finditer(text):
            self.executions, self.edges, self.features = (int(match[each]) for each in (1, 2, 3))
        if code is None:
            return False
        if final := re.search(r"stat::number_of_executed_units:\s*(\d+)", text):
            self.executions = int(final[1])
        self.failed = code != 0
        self.inputs = sorted(path for path in self.folder.iterdir() if path.name.startswith(_KEPT))
        self.count()
        return True

    def count(self) -> None:
        """Counts the corpus."""
        sizes = [path.stat().st_size for path in self.corpus.iterdir()]
        self.kept, self.octets = len(sizes), sum(sizes)

    def figures(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "target": self.name,
            "invariant": targets.invariant(self.name),
            "seconds": round(self.took, 1),
            "executions": self.executions,
            "per_second": round(self.executions / self.took) if self.took else 0,
            "edges": self.edges,
            "features": self.features,
            "corpus": self.kept,
            "corpus_octets": self.octets,
            "failed": self.failed,
            "inputs": [
                {
                    "file": str(path.relative_to(ROOT)),
                    "again": f'make fuzz FUZZ_ARGS="{self.name} --input {path.relative_to(ROOT)}"',
                }
                for path in self.inputs
            ],
        }


def environment(tree: Path) -> dict[str, str]:
    """The environment of a target: the instrumented modules, and the runtime that atheris brings for them."""
    import atheris  # noqa: PLC0415  (not there in the environment that lints this)

    made = sanitize.environment(tree, Path(atheris.path()) / "asan_with_fuzzer.so")
    made["ASAN_OPTIONS"] += ":quarantine_size_mb=16:handle_abort=1"
    made["PYTHONPATH"] = os.pathsep.join([str(tree), str(ROOT / "tests"), str(ROOT / "tools")])
    return made


def run_all(runs: list[Run], jobs: int, where: dict[str, str]) -> None:
    """Runs all, so many at a time, and says how far they are."""
    waiting, running = list(reversed(runs)), list[Run]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.pop())
                running[-1].start(where)
            time.sleep(0.5)
            ended = [each for each in running if each.look()]
            running = [each for each in running if each not in ended]
            progress([each.figures() for each in ended], [each.figures() for each in running], len(waiting))
    finally:
        for each in running:
            if each.process is not None:
                each.process.kill()
                each.process.wait()


def merge(run: Run, where: dict[str, str]) -> None:
    """Keeps in the tree the fewest inputs that reach all that was reached."""
    least = run.folder / "least"
    least.mkdir()
    command = [sys.executable, str(ENGINE), run.name, "-merge=1", str(least), str(run.corpus)]
    done = subprocess.run(  # noqa: S603  (the command is written here)
        command, cwd=ROOT, env=where, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"vecwire: the corpus of {run.name} was not merged:\n{done.stderr[-2000:]}")
    targets.keep(run.name, [path.read_bytes() for path in least.iterdir()])
    shutil.rmtree(run.corpus)
    least.rename(run.corpus)
    run.count()


def again(name: str, path: Path, where: dict[str, str]) -> int:
    """Runs one input of a target, and shows all that it says."""
    command = [sys.executable, str(ENGINE), name, str(path.absolute())]
    return subprocess.run(command, cwd=ROOT, env=where, check=False).returncode  # noqa: S603


def failures(runs: list[Run]) -> Iterator[str]:
    """What broke, with the end of what was said about it and the command that repeats it."""
    for run in runs:
        if run.failed:
            said = run.log.read_text(encoding="utf-8", errors="replace")
            found = _BROKEN.search(said)
            at = found.start() if found else max(0, len(said) - 3000)
            yield f"{run.name}: {targets.invariant(run.name)}\n{said[at : at + 3000]}"
            yield from (f"again: {each['again']}" for each in run.figures()["inputs"])


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help=f"of {', '.join(targets.NAMES)}")
    parser.add_argument("--seconds", type=float, default=300, help="how long each target runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many run at a time")
    parser.add_argument(
        "--keep", action="store_true", help="merge what is found into the corpora of the tree"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into a file")
    parser.add_argument("--report", type=Path, metavar="PAGE", help="write the figures into a page")
    parser.add_argument("--input", type=Path, metavar="FILE", help="run one input of one target, and no more")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - set(targets.NAMES)):
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(targets.NAMES)}")
    if asked.input is not None and len(asked.names) != 1:
        parser.error("--input is for one target: name it")
    return asked


def allowed() -> list[str]:
    """All targets that this user may run."""
    if os.geteuid() == 0:
        return targets.NAMES
    say(f"left out, since only root may: {', '.join(sorted(targets.NEED_ROOT))}")
    return sorted(set(targets.NAMES) - targets.NEED_ROOT)


def main() -> int:
    """Builds, runs, and tells; 0 where nothing broke."""
    asked = arguments()
    tree = sanitize.build(sanitize.SANITIZERS, python=Path(sys.executable), only=sanitize.READERS)
    where = environment(tree)
    if asked.input is not None:
        return again(asked.names[0], asked.input, where)
    runs = [Run(name, asked.seconds) for name in asked.names or allowed()]
    say(f"{len(runs)} targets, {asked.seconds:g} s each, {asked.jobs} at a time")
    run_all(runs, asked.jobs, where)
    if asked.keep:
        with ThreadPoolExecutor(asked.jobs) as pool:
            list(pool.map(lambda run: merge(run, where), [run for run in runs if not run.failed]))
    for line in failures(runs):
        say(line)
    found = [run.figures() for run in runs]
    summary(found)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if asked.report is not None:
        write(asked.report, found)
    return int(any(run.failed for run in runs))


if __name__ == "__main__":
    sys.exit(main())
