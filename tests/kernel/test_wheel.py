"""The wheel: what it holds and what it must not."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What a build reads; copied, so that it neither uses nor leaves anything in the source tree.
SOURCES = ("pyproject.toml", "setup.py", "LICENSE", "README.md")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that was built from the sources alone."""
    tree = tmp_path_factory.mktemp("tree")
    out = tmp_path_factory.mktemp("out")
    for name in SOURCES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tree)
    shutil.copytree(
        ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.so", "*.c", "*.egg-info", "__pycache__")
    )
    # What is in the wheel does not depend on how well it is optimized, which takes most of the time.
    compiler = tmp_path_factory.mktemp("bin") / "cc"
    compiler.write_text('#!/bin/sh\nexec cc "$@" -O0\n', encoding="utf-8")
    compiler.chmod(0o755)
    environment = os.environ | {"CC": str(compiler)}
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_no_generated_c(names: set[str]) -> None:
    """No file of C is in the wheel: it was generated, and is of no use to anybody."""
    assert not {name for name in names if name.endswith((".c", ".cpp", ".h", ".html"))}


def test_every_source_is_there(names: set[str]) -> None:
    """Every source of the package, the declarations of the compiled ones and py.typed are in the wheel."""
    package = ROOT / "src"
    kinds = (".py", ".pxd", ".typed")
    sources = {
        str(path.relative_to(package)) for path in (package / "vecwire").rglob("*") if path.suffix in kinds
    }
    assert "vecwire/py.typed" in sources
    assert sources == {name for name in names if name.endswith(kinds)}


def test_every_compiled_module_is_there(names: set[str]) -> None:
    """Each .pxd that has a .py has a compiled module, and no other kind of file is in the wheel."""
    compiled = {name.split(".")[0] for name in names if name.endswith(".so")}
    declared = {name.removesuffix(".pxd") for name in names if name.endswith(".pxd")}
    pairs = {name for name in declared if f"{name}.py" in names}
    assert compiled == pairs
    data = ("/py.typed", "/schema.json", "/grafana.json", "/vecwire.service")
    assert not {name for name in names if not name.endswith((".py", ".pxd", ".so", *data))}


def test_the_data_of_the_service_is_there(names: set[str]) -> None:
    """The schema, the dashboard and the unit are in the wheel."""
    data = {f"vecwire/service/{name}" for name in ("schema.json", "grafana.json", "vecwire.service")}
    assert data <= names
