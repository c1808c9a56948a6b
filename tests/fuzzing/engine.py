"""Runs one target under libFuzzer: ``python engine.py TARGET [OPTION of libFuzzer...] [CORPUS]``.

``tools/fuzzer.py`` starts it, with the modules that were built for it and the runtime of the sanitizers in
front. The seeds of the target are put into its corpus first, and what libFuzzer starts of its own accord, to
minimise a corpus, is this again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import sys
from pathlib import Path

import atheris

from fuzzing import targets


def plant(name: str, corpus: Path) -> None:
    """Puts what is kept of a target, and its seeds, into a folder, each by its hash as libFuzzer has them."""
    for octets in [*targets.seeds(name), *targets.corpus(name)]:
        corpus.joinpath(hashlib.sha1(octets, usedforsecurity=False).hexdigest()).write_bytes(octets)


def main(name: str, options: list[str]) -> None:
    """Runs the target; does not return."""
    guiding = targets.GUIDING.get(name)
    # Without names it would take all that is imported.
    with atheris.instrument_imports(include=list(guiding)) if guiding else contextlib.nullcontext():
        run = targets.target(name)
    corpus = [Path(each) for each in options if not each.startswith("-")]
    if len(corpus) == 1 and corpus[0].is_dir():
        plant(name, corpus[0])
    again = shlex.join([sys.executable, __file__, name])
    arguments = [again, f"-max_len={targets.longest(name)}", *options]
    atheris.Setup(arguments, run, internal_libfuzzer=False)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
