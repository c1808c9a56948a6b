"""docs/service.md: its files are right, every key has its row, and its errors are those told."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from vecwire.errors import ConfigError
from vecwire.service._models import TABLES, Part
from vecwire.service.config import examine, loads
from vecwire.service.schema import shipped

PAGE = (Path(__file__).parents[3] / "docs" / "service.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    """What stands below a heading."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_right(text: str) -> None:
    """Each file can be copied as it is: it has no error, no warning, and passes the editors' schema."""
    assert examine(text).warnings == ()
    jsonschema.validate(tomllib.loads(text), json.loads(shipped()))


def test_there_are_examples_of_every_table() -> None:
    """The examples show each table of the file."""
    assert {key for text in EXAMPLES for key in tomllib.loads(text)} == {
        "service",
        "ports",
        "cables",
        "switches",
    }


@pytest.mark.parametrize(
    ("heading", "part"),
    [(f"`[{name}{'.NAME' if name == 'switches' else ''}]`", part) for name, part in TABLES.items()],
)
def test_every_key_has_its_row(heading: str, part: type[Part]) -> None:
    """Each key is told in the order of the code, with its default."""
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \| ", section(heading), re.MULTILINE)
    assert [name for name, _ in rows] == list(part.model_fields)
    for name, default in rows:
        field = part.model_fields[name]
        if field.is_required():
            assert default == "required"
        elif field.default is None:
            assert default in {"none", "the switch's"}
        else:
            written = tomllib.loads(f"x = {default.strip('`')}")["x"]
            assert written == (list(field.default) if isinstance(written, list) else field.default)


def test_the_errors_are_those_that_are_told() -> None:
    """The file that is shown as wrong has the errors that are shown."""
    text = section("What is checked")
    (wrong,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (told,) = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    with pytest.raises(ConfigError) as caught:
        loads(wrong, "lan.toml")
    assert f"vecwire: {caught.value.explain()}\n" == told
