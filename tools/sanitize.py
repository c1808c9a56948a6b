"""Builds vecwire with clang's sanitizers, beside the ordinary build, and runs a command on what it has built.

``python3 tools/sanitize.py address,undefined -- COMMAND [ARGUMENT...]``: the names are those of clang's
``-fsanitize=``, or ``fuzzer`` for the coverage that libFuzzer is guided by. The tree is
``build/sanitized-address-undefined``; it stands before the installed package on ``PYTHONPATH``, and the
sanitizers' runtime before all other libraries, since Python itself is not built with them.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from prepare import ROOT, VENV, fingerprint, say

#: What the fuzzer's build is: what guides it, and the compiled modules that read what strangers send. The
#: others are taken as they are installed.
SANITIZERS = "fuzzer,address,undefined"
READERS = (
    "vecwire.wire vecwire.path.io vecwire.path.screen vecwire.path.slots vecwire.path.batch vecwire.path.tape"
    # These open the memory that the path has forbidden: without them users could not touch it.
    " vecwire.path.channel vecwire.path.tally"
)
PYTHON = VENV / "bin" / "python"
IGNORELIST = ROOT / "tools" / "cython.ignorelist"
#: Python frees nothing at its end. A wrong access ends the process with its stack, as a fault of C would.
ADDRESS_OPTIONS = (
    "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:detect_stack_use_after_return=0"
)
UNDEFINED_OPTIONS = "print_stacktrace=1:halt_on_error=1:abort_on_error=1"


def build(asked: str, *, python: Path = PYTHON, only: str = "") -> Path:
    """Builds the package with sanitizers unless its sources are those that it was built from; its folder.

    Args:
        asked: the sanitizers, joined by commas.
        python: an interpreter that has Cython, setuptools and vecwire.
        only: how the names of the modules begin that are built so, joined by spaces; the others are those
            that this interpreter has.
    """
    base = ROOT / "build" / f"sanitized-{asked.replace(',', '-')}"
    stamp, wanted = base / "stamp", fingerprint([asked, only, IGNORELIST.read_text(encoding="utf-8")])
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        say(f"building with {asked}")
        command = [
            str(python),
            "setup.py",
            "-q",
            "build",
            f"--build-base={base}",
            f"--build-lib={base / 'lib'}",
        ]
        environment = {**os.environ, "CC": os.environ.get("CC", "clang"), "VECWIRE_SANITIZE": asked}
        if only:
            environment["VECWIRE_MODULES"] = only
        subprocess.run(  # noqa: S603  (the command is written here)
            [*command, f"--parallel={os.cpu_count()}"], cwd=ROOT, env=environment, check=True
        )
        if only:
            complete(base / "lib", python, tuple(only.split()))
        stamp.write_text(wanted, encoding="utf-8")
    return base / "lib"


def complete(tree: Path, python: Path, built: tuple[str, ...]) -> None:
    """Copies all compiled modules but those that were built from the package that an interpreter has."""
    tell = "import pathlib, vecwire; print(pathlib.Path(vecwire.__file__).parent)"
    found = subprocess.run(  # noqa: S603  (the command is written here)
        [str(python), "-c", tell], stdout=subprocess.PIPE, text=True, check=True
    )
    package = Path(found.stdout.strip())
    for module in package.rglob("*.so"):
        inside = module.relative_to(package)
        name = ".".join(("vecwire", *inside.parent.parts, inside.name.partition(".")[0]))
        if not name.startswith(built):
            shutil.copy(module, tree / "vecwire" / inside)


def runtime(asked: str) -> Path:
    """The library that the sanitizers need in the process; that of ``address`` serves ``undefined`` too."""
    name = "asan" if "address" in asked.split(",") else "ubsan_standalone"
    command = ["clang", f"-print-file-name=libclang_rt.{name}-{platform.machine()}.so"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    path = Path(found.stdout.strip())
    if not path.is_absolute():
        raise SystemExit(f"vecwire: clang has no {path}; as root: apt-get install libclang-rt-dev")
    return path


def environment(tree: Path, library: Path) -> dict[str, str]:
    """The environment in which Python runs the package of a tree, its own buffers between redzones too."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tree), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "LD_PRELOAD": str(library),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ADDRESS_OPTIONS),
        "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", UNDEFINED_OPTIONS),
    }


def main(arguments: list[str]) -> None:
    """Builds, and becomes the command."""
    if len(arguments) < 3 or arguments[1] != "--":
        raise SystemExit(__doc__)
    tree = build(arguments[0])
    os.execvpe(arguments[2], arguments[2:], environment(tree, runtime(arguments[0])))  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
