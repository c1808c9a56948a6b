"""Lists the compiled modules; everything else about the package is in pyproject.toml.

The modules of ``wire/`` and ``path/`` are Python files in Cython's pure Python mode. Cython's output
goes to ``build/``, so that neither the source tree nor a wheel ever holds generated C.
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


def compiled_modules() -> list[Extension]:
    """Returns one extension for each Python file that has a ``.pxd`` of its name beside it."""
    declarations = sorted(pxd for package in COMPILED_PACKAGES for pxd in (SOURCE / package).glob("*.pxd"))
    sources = [pxd.with_suffix(".py") for pxd in declarations if pxd.with_suffix(".py").exists()]
    return [
        Extension(
            ".".join(source.relative_to(SOURCE).with_suffix("").parts),
            [str(source)],
            extra_compile_args=["-O3", "-fno-strict-aliasing", "-Wno-unused-function"],
        )
        for source in sources
    ]


setup(
    ext_modules=cythonize(
        compiled_modules(),
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
    ),
)
