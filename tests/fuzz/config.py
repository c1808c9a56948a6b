"""Any text is a configuration that its own document makes again, or faults with a line in it and a remedy."""

from __future__ import annotations

import re
from pathlib import Path

from oracle.tables import hold_faults, hold_toml
from vecwire.errors import ConfigError
from vecwire.service.config import examine, from_document, horizons, memberships

PAGES = Path(__file__).parents[2] / "docs"
EXAMPLE = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def target(octets: bytes) -> None:
    """Takes the input as the text of a file."""
    text = octets.decode("utf-8", "replace")
    hold_toml(text)
    try:
        examined = examine(text, "x.toml")
    except ConfigError as error:
        hold_faults(text, error)
        return
    config = examined.config
    assert from_document(config.model_dump(exclude_unset=True), "x.toml") == config
    assert set(horizons(config).values()) == set(range(1, len(horizons(config)) + 1))
    assert set(memberships(config)) == {port for switch in config.switches.values() for port in switch.ports}
    for warning in examined.warnings:
        assert warning.message
        assert warning.remedy


def seeds() -> list[bytes]:
    """The examples of the pages."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.md"))]
    return sorted({example.encode() for text in texts for example in EXAMPLE.findall(text)})
