"""The targets of the fuzzer, each a file of ``tests/fuzz`` that begins with its invariant; their corpora."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDER = Path(__file__).parents[1] / "fuzz"
CORPUS = FOLDER / "corpus"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
#: The modules of plain Python whose branches guide the fuzzer too; compiled ones always do.
GUIDING = {
    "bpf_text": ("vecwire.bpf",),
    "captures": ("vecwire.capture",),
    "config": ("vecwire.service", "vecwire.spec"),
    "control": ("vecwire.service", "vecwire.spec"),
    "describe": ("vecwire.capture",),
    "spec": ("vecwire.spec",),
}
#: Octets of the longest input: enough for all that a target tells apart, and no more.
LONGEST = {
    **dict.fromkeys(("describe", "spec", "stamp"), 256),
    **dict.fromkeys(("captures", "config", "control"), 1024),
    "coalesce": 96,
    "datagrams": 1600,
}
OF_MOST = 512
#: Those that make a network namespace.
NEED_ROOT = {"raw"}


def longest(name: str) -> int:
    """Octets of the longest input of a target."""
    return LONGEST.get(name, OF_MOST)


def invariant(name: str) -> str:
    """The first line of a target's file: what must hold of every input."""
    module = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(module) or "").split("\n")[0]


def target(name: str) -> Callable[[bytes], None]:
    """What takes an input and raises where the invariant does not hold."""
    found: Callable[[bytes], None] = importlib.import_module(f"fuzz.{name}").target
    return found


def seeds(name: str) -> list[bytes]:
    """What the corpus of a target begins with."""
    found: list[bytes] = importlib.import_module(f"fuzz.{name}").seeds()
    return found


def corpus(name: str) -> list[bytes]:
    """The inputs that are kept of a target: what reaches what others do not, and what broke it once.

    The former are written by ``keep``, the latter, in ``NAME.broken.txt``, by whoever has mended it.
    """
    paths = [CORPUS / f"{name}{kind}.txt" for kind in ("", ".broken")]
    lines = [
        line for path in paths if path.exists() for line in path.read_text(encoding="ascii").splitlines()
    ]
    return [bytes(ast.literal_eval(f"b{line}")) for line in lines]


def hold_kept(name: str) -> int:
    """Asserts that the invariant holds of all that is kept, and of the seeds; how many those are."""
    run = target(name)
    kept = [*seeds(name), *corpus(name)]
    for octets in kept:
        run(octets)
    return len(kept)


def keep(name: str, inputs: Iterable[bytes]) -> None:
    """Writes the corpus of a target: a line for each input, as a literal of Python without its ``b``."""
    CORPUS.mkdir(exist_ok=True)
    lines = [
        repr(octets)[1:] + "\n" for octets in sorted(set(inputs), key=lambda octets: (len(octets), octets))
    ]
    (CORPUS / f"{name}.txt").write_text("".join(lines), encoding="ascii")
