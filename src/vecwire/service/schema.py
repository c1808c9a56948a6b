"""The JSON schema of a service's file, for editors that complete and check TOML by one.

``schema.json`` beside this file is written by it: ``python -m vecwire.service.schema``.
"""

import json
import sys
from importlib.resources import files
from typing import Any

from vecwire.service._models import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def shipped() -> str:
    """Returns the schema as it is in the package, as JSON text."""
    return (files("vecwire.service") / "schema.json").read_text(encoding="utf-8")


def made() -> str:
    """Returns the schema that the classes of the file have now, as JSON text."""
    schema = Config.model_json_schema()
    schema["title"] = "vecwire run"
    schema["description"] = "Ports, cables and switches for vecwire run."
    return json.dumps({"$schema": DIALECT, **_as_toml(schema)}, indent=2) + "\n"


def _as_toml(part: Any) -> Any:
    """Returns a part of a schema for TOML, which has no null; where keys are names there are no others."""
    if isinstance(part, list):
        return [_as_toml(each) for each in part]
    if not isinstance(part, dict):
        return part
    # The default of a table is what its keys say.
    kept = {
        key: _as_toml(value)
        for key, value in part.items()
        if key != "default" or not (value is None or isinstance(value, dict))
    }
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    choices = kept.get("anyOf", [])
    if {"type": "null"} in choices:
        del kept["anyOf"]
        rest = [choice for choice in choices if choice != {"type": "null"}]
        kept |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    return kept


if __name__ == "__main__":
    sys.stdout.write(made())
