"""The architecture, read from the sources: who may import whom, and what belongs together."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vecwire
from vecwire.wire.counters import MEANINGS

PACKAGE = Path(vecwire.__file__).parent

#: Each part of the package and the parts that it may import, from the bottom up: arrows point down only.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "host": {"errors"},
    "confine": {"errors", "host"},
    "wire": set(),
    "spec": {"errors"},
    "bpf": {"errors", "host", "wire"},
    "path": {"errors", "host", "wire"},
    "port": {"errors", "wire", "path"},
    "testing": {"errors", "wire", "path", "port"},
    "capture": {"errors", "confine", "wire", "path"},
    "transports": {"errors", "host", "wire", "spec", "bpf", "path", "port"},
    "guard": {"errors", "host", "wire", "spec", "path", "port", "transports"},
    "keeper": {"errors", "host", "wire", "spec", "path", "port", "transports", "guard"},
    "engine": {"errors", "host", "confine", "wire", "spec", "path", "port", "transports", "guard", "keeper"},
    "mirror": {"errors", "path", "transports", "engine"},
    "copies": {"errors", "confine", "path", "transports", "engine"},
    "trace": {"path", "capture", "transports", "engine", "copies"},
    "wrappers": {"wire", "spec", "path", "port", "capture", "transports", "trace"},
    "switch": {"errors", "confine", "wire", "spec", "path", "port", "transports", "engine"},
    "aio": {"errors", "wire", "path", "port"},
    "scapy": {"errors", "wire", "spec", "path", "port", "transports"},
    "traffic": {"errors", "wire", "spec", "path", "port", "transports"},
    "probe": {"errors", "host", "wire", "spec", "path", "port", "transports", "switch"},
    "meter": {"errors", "wire", "spec", "path", "port", "transports", "switch"},
    "service": {
        *("errors", "host", "confine", "wire", "spec", "path", "port", "transports", "keeper", "engine"),
        *("capture", "mirror", "copies", "trace", "switch", "meter"),
    },
    "client": {"errors", "service"},
    "demo": {"errors", "host", "wire", "spec", "path", "port", "transports", "switch", "meter", "probe"},
    "bench": {"errors", "wire", "spec", "path", "port", "transports", "switch"},
    "cli": {
        *("errors", "host", "confine", "wire", "spec", "bpf", "path", "port", "capture", "transports"),
        *("switch", "aio", "traffic", "probe", "meter", "service", "client", "demo", "bench"),
    },
    "__main__": {"cli"},
    "__init__": {
        "errors",
        "wire",
        "spec",
        "path",
        "port",
        "transports",
        "engine",
        "mirror",
        "trace",
        "switch",
    },
}

_CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+cimport|cimport\s+([\w.]+))", re.MULTILINE)


def sources() -> list[Path]:
    """Every source file of the package."""
    return sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pxd")])


def part_of(module: str) -> str:
    """The part that a module of the package belongs to, ``vecwire.path.io`` to ``path``."""
    name = [*module.split("."), "__init__"][1]
    # spec.py is the public face of spec/text.py and the other private modules of its name.
    return name if name.startswith("__") or name[0] != "_" else name.split("_")[1]


def module_of(path: Path, root: Path = PACKAGE) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(["vecwire", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a source file imports or cimports, wherever in it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".pxd":
        names = [one or other for one, other in _CIMPORT.findall(text)]
    else:
        names = []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: imports are absolute"
                names += [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        module = name.removeprefix("cython.cimports.")
        if module.split(".")[0] == "vecwire":
            yield module


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down(path: Path) -> None:
    """A source file imports its own part of the package and parts below it, and no other."""
    part = part_of(module_of(path))
    assert part in LAYERS, f"{path.name} has no place: give it one in LAYERS, above all that it imports"
    strangers = {module for module in imported(path) if part_of(module) not in {part, *LAYERS[part]}}
    assert not strangers


def test_the_table_points_down() -> None:
    """No part may import one that stands above it in the table, nor one that is not there."""
    below: set[str] = set()
    for part, allowed in LAYERS.items():
        assert allowed <= below, part
        below.add(part)


def test_the_page_has_every_layer() -> None:
    """The table of the design's page has each part, in the order of the table above."""
    page = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
    table = page.split("## Layers")[1].split("```")[1]
    told = [line.split()[0] for line in table.strip().splitlines()]
    assert told == [part for part in reversed(LAYERS) if not part.startswith("__")]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.py", "import vecwire.cli.spec", {"cli"}),
        ("a.py", "from vecwire import switch, errors", {"switch", "errors"}),
        ("a.py", "from vecwire.transports.gre import open_gre", {"transports"}),
        ("a.py", "from cython.cimports.vecwire.path.batch import Slots", {"path"}),
        ("a.py", "def f():\n    from vecwire.spec.text import quote", {"spec"}),
        ("a.py", "from vecwire.probe.checks import CAPABILITIES", {"probe"}),
        ("a.py", "import vecwire", {"__init__"}),
        ("a.py", "import vecwirelike, os.path", set()),
        ("a.pxd", "from vecwire.path.linux cimport iovec", {"path"}),
        ("a.pxd", "cimport vecwire.wire.encap", {"wire"}),
        ("a.pxd", "from libc.stdint cimport uint8_t", set()),
    ],
)
def test_every_kind_of_import_is_seen(tmp_path: Path, name: str, text: str, found: set[str]) -> None:
    """The reader of imports sees imports and cimports in every form that the sources use."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert {part_of(module) for module in imported(path)} == found


@pytest.mark.parametrize("package", ["wire", "path"])
def test_compiled_modules_are_pairs(package: str) -> None:
    """Each compiled module is a .py and a .pxd of one name; linux.pxd alone declares what is not ours."""
    folder = PACKAGE / package
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    declarations = {path.stem for path in folder.glob("*.pxd")} - {"linux"}
    assert modules == declarations
    assert modules


def test_compiled_modules_are_compiled() -> None:
    """What is imported is the compiled module, not the Python file beside it."""
    for package in ("wire", "path"):
        for declaration in (PACKAGE / package).glob("*.pxd"):
            if declaration.stem != "linux":
                module = importlib.import_module(f"vecwire.{package}.{declaration.stem}")
                assert str(module.__file__).endswith(".so")


def test_wire_makes_no_system_call() -> None:
    """The wire formats import nothing that could reach a descriptor: bytes in, bytes out."""
    allowed = {"cython", "dataclasses", "struct", "sys", "vecwire"}
    for path in (PACKAGE / "wire").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= allowed, path.name
            elif isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] in allowed, path.name


def test_counters_are_named_in_order() -> None:
    """Every counter of counters.pxd has a meaning under its own name, in the same order: it is an index."""
    text = (PACKAGE / "wire" / "counters.pxd").read_text(encoding="utf-8")
    body = text.split("cdef enum:")[1]
    names = [line.strip() for line in body.splitlines() if line.strip() and "#" not in line]
    assert names.pop() == "COUNTERS"
    assert [name.lower() for name in names] == list(MEANINGS)
