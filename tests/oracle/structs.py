"""The structures of a ``.pxd`` for ctypes, as they are declared there."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path
from typing import Any

import vecwire

_ROOT = Path(vecwire.__file__).parent
_HEAD = re.compile(r"cdef (struct|enum)(?: (\w+))?:$")
_FIELD = re.compile(r"(?:const )?(\w+)(\*)? (\w+)(?:\[(\w+)\])?$")
_PLAIN: dict[str, Any] = {
    "int": ctypes.c_int,
    "bint": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    **{
        f"{sign}int{bits}_t": getattr(ctypes, f"c_{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


class _Declarations:
    """What the ``.pxd`` files of ``wire`` and ``path`` declare, each by its name."""

    def __init__(self) -> None:
        #: Each constant as it is declared, or as one more than the one before.
        self.enums: dict[str, str] = {}
        self.bodies: dict[str, list[str]] = {}
        for path in sorted([*_ROOT.glob("wire/*.pxd"), *_ROOT.glob("path/*.pxd")]):
            if path.name != "linux.pxd":
                self._read(path.read_text(encoding="utf-8"))

    def _read(self, text: str) -> None:
        kind, name, following = "", "", "0"
        for line in text.splitlines():
            words = line.split("#")[0].strip()
            if not line.startswith(" "):
                match = _HEAD.match(words)
                kind, name = (match[1], match[2] or "") if match else ("", "") if words else (kind, name)
                following = "0"
                if kind == "struct" and match:
                    self.bodies[name] = []
            elif words and kind == "struct":
                self.bodies[name].append(words)
            elif words and kind == "enum":
                each, _, value = (part.strip() for part in words.partition("="))
                self.enums[each] = value or following
                following = f"{each} + 1"

    def value(self, text: str) -> int:
        """A number, a constant, or a sum or a product of two of them."""
        for sign in ("+", "*"):
            left, found, right = text.partition(sign)
            if found:
                numbers = self.value(left.strip()), self.value(right.strip())
                return numbers[0] + numbers[1] if sign == "+" else numbers[0] * numbers[1]
        return self.value(self.enums[text]) if text in self.enums else int(text, 0)


_declared = cache(_Declarations)


def constant(name: str) -> int:
    """A constant of an enumeration."""
    return _declared().value(name)


@cache
def struct(name: str) -> type[ctypes.Structure]:
    """A structure; pointers in it are addresses.

    Raises:
        KeyError: if none is declared by that name.
    """
    fields = []
    for line in _declared().bodies[name]:
        match = _FIELD.match(line)
        assert match, line
        kind, pointer, field, count = match.groups()
        made = ctypes.c_void_p if pointer else _PLAIN.get(kind) or struct(kind)
        fields.append((field, made * _declared().value(count) if count else made))
    return type(name, (ctypes.Structure,), {"_fields_": fields})
