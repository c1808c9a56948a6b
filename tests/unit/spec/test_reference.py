"""The reference page of specs is what the tables of the code say."""

import re
from pathlib import Path

import pytest

from vecwire.spec import SPEC_CLASSES, parse
from vecwire.spec.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "spec.md"


def test_the_page_is_up_to_date() -> None:
    """The page in the repository is the one that the code writes: python -m vecwire.spec.reference."""
    assert PAGE.read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_every_option_has_its_row(transport: str) -> None:
    """Each option of a transport is told in its section, or among those of every transport."""
    text = reference()
    sections = text.partition(f"## {transport}\n")[2].partition("\n## ")[0]
    sections += text.partition("## Options of every transport\n")[2].partition("\n## ")[0]
    for option in SPEC_CLASSES[transport].options():
        assert f"| `{option.name}` |" in sections


def test_every_example_parses() -> None:
    """Each spec that the page shows is one, but for the one that shows an error."""
    examples = re.findall(rf"`((?:transport=)?(?:{'|'.join(SPEC_CLASSES)}),[^`\n]+)`", reference())
    assert len(examples) > len(SPEC_CLASSES)
    for example in examples:
        assert parse(example)
