"""Places in TOML for any text: they are those of all keys, and the text at each is its value."""

import string
import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given, reject
from hypothesis import strategies as st

from oracle.tables import hold_toml
from vecwire.service._toml import Path, Places

NAMES = st.text(string.ascii_lowercase + "_-", min_size=1, max_size=3) | st.text(" .#[]='é", max_size=2)
WHITE = st.sampled_from(["", " ", "\t "])
BREAKS = st.sampled_from(["", " ", "\n", ' # ] } " x = 1\n', "\n\n  "])


def _key(name: str) -> str:
    return name if name and set(name) <= set(string.ascii_lowercase + "_-") else '"' + name + '"'


SCALARS = st.sampled_from(
    [
        "1", "0x1F", "1_000", "3.5", "true", "inf", "nan", "1979-05-27", "1979-05-27 07:32:00",
        '""', "''", '"a # b"', "'[x]'", '"\\""', "'\\'", '"""a"""', '""""a""""', "'''\n[b]\nc = 1\n'''",
        "''''''",
        '"""\\"""x = 1"""', '"é\\u00e9"',
    ]
)  # fmt: skip


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=3))
    text = "["
    for number, item in enumerate(items):
        text += draw(BREAKS) + item + draw(BREAKS)
        if number < len(items) - 1 or draw(st.booleans()):
            text += ","
    return text + draw(BREAKS) + "]"


@st.composite
def _inlines(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    return (
        "{" + ",".join(draw(WHITE) + _key(name) + " = " + draw(inner) + draw(WHITE) for name in names) + "}"
    )


VALUES = st.recursive(SCALARS, lambda inner: _arrays(inner) | _inlines(inner), max_leaves=5)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draws TOML: tables, arrays of tables, dotted keys, values of all kinds, comments anywhere."""
    text = ""
    for name in ["", *draw(st.lists(st.sampled_from("abc"), max_size=4))]:
        kind = draw(st.sampled_from(["[{0}]", "[[{0}]]", "[ {0} . sub ]", "[[{0}.items]]"])) if name else ""
        text += draw(BREAKS) + "\n" + kind.format(name) + draw(WHITE) + "\n"
        for key in draw(st.lists(NAMES, max_size=3, unique=True)):
            dots = draw(st.sampled_from(["", ".x", " . y.z"]))
            text += f"{draw(WHITE)}{_key(key)}{dots}{draw(WHITE)}={draw(WHITE)}{draw(VALUES)}{draw(WHITE)}\n"
    return text


def _paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path of a document, with its value."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _paths(inner, (*path, number))


@given(documents())
def test_places_are_those_of_all_keys(text: str) -> None:
    """Every key and item has a place, nothing else has one, and each value stands at its own."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()  # a name twice: what is no TOML is looked at below
    places = Places(text)
    found = dict(_paths(document))
    assert set(places.known) == set(found)
    assert not places.repeated
    for path, value in found.items():
        place = places.known[path]
        line = text.count("\n", 0, place.start) + 1
        assert place.line <= line
        if not isinstance(value, dict | list):
            assert repr(tomllib.loads(f"x = {text[place.start : place.end]}")["x"]) == repr(value)


@given(documents() | st.text(st.sampled_from("ab.=[]{}\"'\\,#\n 1"), max_size=40))
def test_what_is_no_toml_has_a_line_of_the_text(text: str) -> None:
    """Whatever the text: it is parsed, or one fault tells a line that is there and a remedy."""
    hold_toml(text)
