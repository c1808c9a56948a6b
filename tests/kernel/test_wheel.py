"""The wheel: what it holds and what it must not, by what was installed from it."""

from importlib.metadata import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names() -> set[str]:
    """The names in the wheel that `make` has built and pip has installed, as pip has recorded them."""
    recorded = files("vecwire")
    assert recorded, "vecwire is not installed from a wheel: run `make test`"
    return {str(name) for name in recorded if name.parts[0] == "vecwire" and "__pycache__" not in name.parts}


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
