r"""The text of a spec as a list of items, and a value as text.

The grammar, white space being allowed around every part::

    spec   = ["vec" digits ":"] item *("," item)
    item   = key ["=" value]
    value  = plain / quoted
    plain  = 1*<any character but , = " '>
    quoted = <"> *(character / escape) <"> / <'> *(character / escape) <'>
    escape = "\" ("\" / <"> / <'>)

Nothing here knows an option: what a key and a value mean is the business of :mod:`vecwire.spec`.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from vecwire.errors import SpecError

_UML_DEVICE = re.compile(r"\s*vec[0-9]+:")
_WHITE = re.compile(r"\s*")
_KEY = re.compile(r"[^=,]*")
_PLAIN = re.compile(r"[^,]*")
_QUOTES = "\"'"
_QUOTED = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*", re.DOTALL) for quote in _QUOTES}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPABLE = _QUOTES + "\\"
_SPECIAL = re.compile(r"[,=\"']")
#: What stands for a text that is of no spec's grammar, so that nobody can say what in it is a cookie.
UNREADABLE = "a spec that cannot be read"
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One ``key=value`` of a spec, or a bare ``key`` (``value`` is None), with its places in the text."""

    key: str
    key_start: int
    key_end: int
    value: str | None
    value_start: int
    value_end: int


def public(text: str) -> str:
    """A spec's text without its cookies: more people read logs and metrics than the tunnel has ends.

    Args:
        text: a spec in any spelling; ``UNREADABLE`` stands for what is none.
    """
    try:
        items = scan(text)
    except SpecError:
        return UNREADABLE
    for item in reversed(items):
        # Whatever an option is called that has a cookie, but for that which only says how long they are.
        if "cookie" in item.key.lower() and item.key != "cookie64":
            text = text[: item.value_start] + "hidden" + text[item.value_end :]
    return text


def scan(text: str) -> list[Item]:
    """Returns the items of a spec's text, at least one.

    Raises:
        SpecError: The text is not of the grammar: a quote does not end, something stands where nothing may.
    """
    device = _UML_DEVICE.match(text)
    items = []
    position = device.end() if device else 0
    while True:
        item, position = _item(text, position)
        items.append(item)
        if position == len(text):
            return items
        position += 1  # the comma


def quote(value: str) -> str:
    """Returns the value as it must be written in a spec: as it is, or in double quotes."""
    if value and value == value.strip() and not _SPECIAL.search(value):
        return value
    return '"' + re.sub(r'([\\"])', r"\\\1", value) + '"'


def shown(value: object) -> str:
    """Returns what was given as it stands in an error's message: one line, not without end."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python converts
        text = f"a {type(value).__name__} too long to show"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Returns the name that is most like the word, or None where none is."""
    return next(iter(difflib.get_close_matches(word.lower(), names, n=1)), None)


def shown_key(key: str) -> str:
    """Returns a key as it stands in an error's message: as it is, if it looks like one."""
    return key if key.isidentifier() and len(key) <= _LONGEST_SHOWN else shown(key)


def _item(text: str, start: int) -> tuple[Item, int]:
    """Returns the item that begins at ``start`` and the place after it: a comma's, or the text's end."""
    raw, end = _token(_KEY, text, start)
    key = raw.strip()
    key_start = _past_white(text, start)
    key_end = key_start + len(key)
    assigned = text.startswith("=", end)
    if not key:
        raise _nothing(text, end, assigned=assigned)
    if not assigned:
        return Item(
            key=key, key_start=key_start, key_end=key_end, value=None, value_start=key_end, value_end=end
        ), end
    value_start = _past_white(text, end + 1)
    if text.startswith(tuple(_QUOTES), value_start):
        value, value_end, end = _quoted(text, value_start, key)
    else:
        value, value_end, end = _plain(text, value_start, key)
    if not value:
        message = f"{shown_key(key)} has no value"
        raise SpecError(
            message, option=key, given="", text=text, start=key_start, end=max(value_end, key_end + 1)
        )
    return (
        Item(
            key=key,
            key_start=key_start,
            key_end=key_end,
            value=value,
            value_start=value_start,
            value_end=value_end,
        ),
        end,
    )


def _nothing(text: str, end: int, *, assigned: bool) -> SpecError:
    """Returns the error of an item that has no key; ``end`` is the place of what follows it."""
    if assigned:
        return SpecError("there is no option in front of '='", text=text, start=end, end=end + 1)
    if not text.strip():
        return SpecError("the spec is empty: a transport is needed", text=text)
    if end < len(text):
        return SpecError("there is nothing in front of ','", text=text, start=end, end=end + 1)
    separator = len(text.rstrip()) - 1  # a comma, or the colon of "vec0:"
    return SpecError(
        f"there is nothing after {text[separator]!r}", text=text, start=separator, end=separator + 1
    )


def _plain(text: str, start: int, key: str) -> tuple[str, int, int]:
    """Returns an unquoted value, the place after it, and the place after the white space that follows."""
    raw, end = _token(_PLAIN, text, start)
    value = raw.rstrip()
    if special := _SPECIAL.search(value):
        place = start + special.start()
        what = f"{special[0]} inside the value of {shown_key(key)}"
        better = f"{key}={quote(value)}"
        tidy = (
            key.isidentifier() and value.isprintable() and " " not in value and len(better) < _LONGEST_SHOWN
        )
        raise SpecError(
            f"{what}: put a comma in front of an option, or quote the value",
            option=key,
            given=value,
            suggestion=better if tidy else None,
            text=text,
            start=place,
            end=place + 1,
        )
    return value, start + len(value), end


def _quoted(text: str, start: int, key: str) -> tuple[str, int, int]:
    """Returns a quoted value, the place after its quote, and the place after the white space that follows."""
    raw, closing = _token(_QUOTED[text[start]], text, start + 1)
    if closing >= len(text) or text[closing] != text[start]:
        message = f"the value of {shown_key(key)} has an opening quote and no closing one"
        raise SpecError(message, option=key, given=text[start:], text=text, start=start, end=start + 1)
    for escape in _ESCAPE.finditer(raw):
        if escape[1] not in _ESCAPABLE:
            what = f"{shown(escape[0])} inside the value of {shown_key(key)}"
            message = f"{what}: a backslash stands before a quote or another backslash"
            place = start + 1 + escape.start()
            raise SpecError(message, option=key, given=escape[0], text=text, start=place, end=place + 2)
    rest, end = _token(_PLAIN, text, closing + 1)
    if stray := rest.strip():
        place = _past_white(text, closing + 1)
        message = f"{shown(stray)} follows the closing quote of {shown_key(key)}, where only a comma may"
        raise SpecError(message, option=key, given=stray, text=text, start=place, end=place + len(stray))
    return _ESCAPE.sub(r"\1", raw), closing + 1, end


def _token(pattern: re.Pattern[str], text: str, start: int) -> tuple[str, int]:
    """Returns what a pattern that matches anywhere matches at ``start``, and the place after it."""
    match = pattern.match(text, start)
    return (match[0], match.end()) if match else ("", start)


def _past_white(text: str, start: int) -> int:
    """Returns the place of the first character from ``start`` on that is not white."""
    return start + len(_token(_WHITE, text, start)[0])
