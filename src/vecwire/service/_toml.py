r"""TOML with places: the standard library's parser says what a file holds, and this where.

Theory of operation: :mod:`tomllib` judges the text and makes the values, without their places. Then a
scanner walks over the same text, which it may take to be TOML, and notes where each key and each value
stands. It judges nothing; what it does not understand ends its walk, and what it noted until then is right.
Whoever looks for a key that it did not see gets the place of the nearest table or array around it.

The grammar is that of https://toml.io/en/v1.0.0.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vecwire.errors import ConfigError, Fault, covered

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n\r]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|' r"'''.*?'''(?:'{0,2})|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_REMEDIES = {
    "Invalid value": 'put text in quotes: name = "..."; other values are numbers, true, false, [...], {...}',
    "Invalid statement": "write name = value, or a table's name in brackets: [ports]",
    "Expected '='": 'write name = value; a name of more than A-Z a-z 0-9 _ - stands in quotes: "a.b"',
    "Expected newline": "end a value with its line; a quote inside text is written \\\" or stands in '...'",
    "Expected ']'": "close the bracket of the table's name on the same line",
    "Cannot overwrite": "give each key once; one that has a value is no table too",
    "Duplicate": "give each key once",
    "Cannot declare": "write each table once, with all its keys below it",
    "Cannot mutate": "write all keys of the table in one place",
    "Unterminated": "close the quote",
    "Unclosed": "close the bracket",
    "Illegal character '\\n'": "close the quote on the same line",
    "Unescaped": "write a backslash twice, or put the text in single quotes: '...'",
}
_GRAMMAR = "see https://toml.io/en/v1.0.0 for how TOML is written"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key or an item of an array stands.

    Attributes:
        line: Its line, counted from 1.
        start: Where its value begins, in characters from 0; of a table, its name.
        end: Where that ends.
    """

    line: int
    start: int
    end: int


class Places:
    """Where the keys of a TOML text stand.

    Args:
        text: The text, of any line ends.
    """

    def __init__(self, text: str) -> None:
        scanner = _Scanner(_normal(text))
        scanner.walk()
        self.known = scanner.places
        self.repeated = scanner.repeated

    def around(self, path: Path) -> Path:
        """Returns the longest beginning of a path that stands in the text: the key, or what is around it."""
        while path and path not in self.known:
            path = path[:-1]
        return path

    def line(self, path: Path) -> int | None:
        """Returns the line of a key, or of the nearest thing around it; None where nothing of it is there."""
        known = self.around(path)
        return self.known[known].line if known else None


def parse(text: str, name: str) -> dict[str, Any]:
    """Returns what a TOML text holds.

    Args:
        text: The text.
        name: The name of the file, for errors.

    Raises:
        ConfigError: It is no TOML; the error says in which line, and what to do.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_fault(str(error), _normal(text), name)]) from None
    except RecursionError:
        message = "brackets are nested too deep"
        raise ConfigError([Fault(message=message, file=name, remedy="take brackets away")]) from None


def dotted(path: Sequence[str | int]) -> str:
    """Returns a path as TOML writes a key, an item of an array with its number: ``cables.backhaul[1]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else _quoted(part))
    return text


def _quoted(part: str) -> str:
    inner = "".join(
        char if char.isprintable() and char not in '"\\' else f"\\u{ord(char):04x}" for char in part
    )
    return f'"{inner}"'


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n")  # as tomllib does, so that places are the same


def _fault(told: str, text: str, name: str) -> Fault:
    """Returns what the parser says as a fault, with the line, the place in it and a remedy."""
    if match := _PLACE.search(told):
        told = told[: match.start()]
    lines = text.split("\n")
    last = text.rstrip().count("\n") + 1
    line, column = (int(match[1]), int(match[2])) if match and match[1] else (last, len(lines[last - 1]) + 1)
    if told == "Invalid value" and not (match and match[1]):
        told, remedy = "Unclosed value at the end", "close the bracket, or write what stands behind the ="
    else:
        remedy = next((remedy for start, remedy in _REMEDIES.items() if told.startswith(start)), _GRAMMAR)
    if told.startswith(("Cannot ", "Duplicate ")) and (found := Places(text).repeated):
        path, first, again = found[0]
        message = "it is given twice" if first == again else f"it is given twice, first in line {first}"
        return Fault(message=message, file=name, line=again, key=dotted(path), remedy=remedy)
    shown = "".join(char if char.isprintable() else " " for char in covered(lines[line - 1]))
    excerpt = f"{shown}\n{' ' * (column - 1)}^" if shown.strip() else ""
    message = f"no TOML: {told[:1].lower()}{told[1:]}"
    return Fault(message=message, file=name, line=line, remedy=remedy, excerpt=excerpt)


class _LostError(Exception):
    """The scanner does not understand what stands here."""


class _Scanner:
    """Walks over a TOML text once."""

    def __init__(self, text: str) -> None:
        self.places: dict[Path, Place] = {}
        self.repeated: list[tuple[Path, int, int]] = []
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0  # up to where line ends are in _line
        self._tables: Path = ()
        self._written: set[Path] = set()
        self._items: dict[Path, int] = {}  # arrays of tables: the number of the last one

    def walk(self) -> None:
        """Notes all places up to the end, or to what is not understood."""
        try:
            self._skip(_BLANK)
            while self._at < len(self._text):
                if self._text.startswith("[", self._at):
                    self._header()
                else:
                    self._pair(self._tables)
                self._skip(_BLANK)
        except (_LostError, RecursionError):
            return

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        if (match := pattern.match(self._text, self._at)) is None:
            raise _LostError
        self._at = match.end()
        return match[0]

    def _expect(self, mark: str) -> None:
        if not self._text.startswith(mark, self._at):
            raise _LostError
        self._at += len(mark)

    def _line_at(self, position: int) -> int:
        if position < self._counted:
            return self._line - self._text.count("\n", position, self._counted)
        self._line += self._text.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def _name(self) -> list[tuple[str, int, int]]:
        """Returns the parts of a dotted key, each with where it begins and ends."""
        parts = []
        while True:
            self._skip(_SPACE)
            start = self._at
            written = self._take(_KEY)
            parts.append((_plain(written), start, self._at))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _note(self, path: Path, start: int, end: int) -> None:
        if path not in self.places:
            self.places[path] = Place(self._line_at(start), start, end)

    def _once(self, path: Path, start: int) -> None:
        """Notes a key that may be written once."""
        if path in self._written:
            self.repeated.append((path, self.places[path].line, self._line_at(start)))
        self._written.add(path)

    def _header(self) -> None:
        several = self._text.startswith("[[", self._at)
        self._at += 2 if several else 1
        path: Path = ()
        parts = self._name()
        for number, (part, start, end) in enumerate(parts):
            path = (*path, part)
            self._note(path, start, end)
            if number == len(parts) - 1 and several:
                self._items[path] = self._items.get(path, -1) + 1
            if path in self._items:
                path = (*path, self._items[path])
                self._note(path, start, end)
        if not several:
            self._once(path, parts[-1][1])
        self._tables = path
        self._expect("]]" if several else "]")

    def _pair(self, base: Path) -> None:
        path = base
        parts = self._name()
        first = parts[0][1]
        for part, start, end in parts[:-1]:
            path = (*path, part)
            self._note(path, start, end)
        path = (*path, parts[-1][0])
        self._expect("=")
        self._skip(_SPACE)
        self._value(path, first)
        self._once(path, first)

    def _value(self, path: Path, first: int) -> None:
        """Notes a value, its line being that of ``first``: where its key begins."""
        start = self._at
        line = self._line_at(first)
        if self._text.startswith("[", start):
            self._at += 1
            self._array(path)
        elif self._text.startswith("{", start):
            self._at += 1
            self._inline(path)
        elif self._text.startswith(("'", '"'), start):
            self._take(_STRING)
        else:
            written = self._take(_SCALAR)
            self._at = start + len(written.rstrip())
        self.places.setdefault(path, Place(line, start, self._at))

    def _array(self, path: Path) -> None:
        number = 0
        self._skip(_BLANK)
        while not self._text.startswith("]", self._at):
            self._value((*path, number), self._at)
            number += 1
            self._skip(_BLANK)
            if not self._text.startswith("]", self._at):
                self._expect(",")
                self._skip(_BLANK)
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._skip(_BLANK)
        while not self._text.startswith("}", self._at):
            self._pair(path)
            self._skip(_BLANK)
            if not self._text.startswith("}", self._at):
                self._expect(",")
                self._skip(_BLANK)
        self._at += 1


def _plain(written: str) -> str:
    """Returns the key that is written so."""
    if written[0] not in "\"'":
        return written
    try:
        return next(iter(tomllib.loads(f"{written} = 0")))
    except tomllib.TOMLDecodeError:
        raise _LostError from None
