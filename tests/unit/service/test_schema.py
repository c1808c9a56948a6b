"""The schema for editors: what is shipped is what the classes have, and it judges as they do."""

import json
import tomllib

import jsonschema
import pytest

from vecwire.service._models import TABLES, Config
from vecwire.service.schema import made, shipped

WRONG = [
    "[prots]",
    "[service]\nworkers = 0",
    '[service]\nlog = "xml"',
    "[ports]\na = 5",
    "[ports]\na = { vlan = 5 }",
    '[ports]\n"a b" = "tap,ifname=a"',
    '[ports]\na = { spec = "tap,ifname=a", vlan = 4095 }',
    '[ports]\na = { spec = "tap,ifname=a", tagged = [1, 1] }',
    '[cables]\na = ["b"]',
    '[cables]\na = ["b", "c", "d"]',
    "[switches.a]\nage = 0",
    "[switches.a]\nagee = 1",
]


def test_the_schema_is_up_to_date() -> None:
    """The schema in the package is the one that the code makes: python -m vecwire.service.schema."""
    assert json.loads(shipped()) == json.loads(made())
    assert shipped() == made()


def test_the_schema_is_one() -> None:
    """It is a schema of its dialect, by an independent judge."""
    jsonschema.Draft202012Validator.check_schema(json.loads(shipped()))


@pytest.mark.parametrize("text", WRONG)
def test_the_schema_refuses_what_the_service_refuses(text: str) -> None:
    """An editor marks a key that is unknown and a value out of its bounds."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), json.loads(shipped()))


def test_every_key_is_described() -> None:
    """Each key of each table has a title and a description, and none may be null: TOML has no null."""
    schema = json.loads(shipped())
    assert set(schema["properties"]) == set(Config.model_fields)
    for part in TABLES.values():
        told = schema["$defs"][part.__name__]["properties"]
        assert set(told) == set(part.model_fields)
        assert all(each["description"] and each["title"] for each in told.values())
    assert "null" not in shipped()
