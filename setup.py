"""Lists the compiled modules; everything else about the package is in pyproject.toml.

The modules of ``wire/`` and ``path/`` are Python files in Cython's pure Python mode. Cython's output
goes to ``build/``, so that neither the source tree nor a wheel ever holds generated C.

Where the environment names sanitizers of clang in ``VECWIRE_SANITIZE``, say ``address,undefined``, the
modules are built with them: ``tools/sanitize.py`` does it, and says how such modules are run. Where it names
modules in ``VECWIRE_MODULES``, by the beginnings of their names, no others are built.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = Path("src")
COMPILED_PACKAGES = ("vecwire/wire", "vecwire/path")
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    "embedsignature.format": "python",
}
OPTIMISED = ["-O3", "-fno-strict-aliasing", "-Wno-unused-function"]
IGNORELIST = "tools/cython.ignorelist"
#: Whatever a sanitizer finds ends the process, with a line of the source that Cython quotes in its C.
#: Python's own options have ``-fwrapv``, with which a signed sum that overflows is no fault.
SANITIZED = [
    *("-O1", "-w", "-fno-wrapv", "-gline-tables-only", "-fno-omit-frame-pointer"),
    *("-fno-sanitize-recover=all", f"-fsanitize-ignorelist={IGNORELIST}"),
]


def sanitizers() -> list[str]:
    """Returns the compiler's and the linker's options for the sanitizers asked for, none where none are.

    ``fuzzer`` is coverage for libFuzzer without its ``main``; no runtime is linked in: it is preloaded.
    """
    asked = [name for name in os.environ.get("VECWIRE_SANITIZE", "").split(",") if name]
    return [f"-fsanitize={'fuzzer-no-link' if name == 'fuzzer' else name}" for name in asked]


def compiled_modules() -> list[Extension]:
    """Returns one extension for each Python file that has a ``.pxd`` of its name beside it."""
    declarations = sorted(pxd for package in COMPILED_PACKAGES for pxd in (SOURCE / package).glob("*.pxd"))
    sources = [pxd.with_suffix(".py") for pxd in declarations if pxd.with_suffix(".py").exists()]
    asked = sanitizers()
    wanted = tuple(os.environ.get("VECWIRE_MODULES", "vecwire").split())
    return [
        Extension(
            ".".join(source.relative_to(SOURCE).with_suffix("").parts),
            [str(source)],
            extra_compile_args=[*OPTIMISED, *SANITIZED, *asked] if asked else OPTIMISED,
            extra_link_args=asked,
            # Built anew where the options have changed.
            depends=["setup.py", IGNORELIST] if asked else [],
        )
        for source in sources
        if ".".join(source.relative_to(SOURCE).with_suffix("").parts).startswith(wanted)
    ]


setup(
    ext_modules=cythonize(
        compiled_modules(),
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
    ),
)
