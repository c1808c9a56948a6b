"""What an option of a spec is: its kind of value, its default, its names, its meaning.

A spec class says all of it once, in the metadata of its fields (:func:`about`). From there
:func:`options_of` makes the table that parsing, checking, ``str()``, the ``spec`` command and the reference
all read.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vecwire.errors import SpecError
from vecwire.spec.kinds import Kind
from vecwire.spec.text import shown

_METADATA = "vecwire.option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a transport.

    Attributes:
        name: Its name, which is that of the spec's attribute too.
        kind: What values it takes.
        default: Its value where it is not given; None where there is none.
        required: Whether it must be given.
        aliases: The other names under which it is accepted.
        meaning: What it does, in one sentence.
        unit: What its number counts, in the plural; empty for what is not a quantity.
        place: Whether it says what to open, so that it is not given with ``fd``.
        essential: Whether it must be given where ``fd`` is not.
    """

    name: str
    kind: Kind
    default: object
    required: bool
    aliases: tuple[str, ...]
    meaning: str
    unit: str
    place: bool = False
    essential: bool = False

    def read(self, text: str) -> object:
        """Returns the checked value that the text means.

        Raises:
            SpecError: It means none that is allowed.
        """
        try:
            return self.kind.check(self.kind.read(text))
        except ValueError as error:
            raise self._refusal(text, error) from None

    def check(self, value: object) -> object:
        """Returns a value from Python in its normal form; None stands for "not given" where it may be.

        Raises:
            SpecError: It is not allowed.
        """
        if value is None and not self.required and self.default is None:
            return None
        try:
            return self.kind.check(value)
        except ValueError as error:
            raise self._refusal(value, error) from None

    def show(self, value: object) -> str:
        """Returns the value as text, without quotes; nothing for one that is not given."""
        return "" if value is None else self.kind.show(value)

    def _refusal(self, given: object, error: ValueError) -> SpecError:
        reason = "" if isinstance(error, UnicodeError) else str(error)
        message = f"{self.name} must be {self.kind.allowed}, not {shown(given)}"
        return SpecError(
            f"{message}: {reason}" if reason else message,
            option=self.name,
            given=given if isinstance(given, str) else shown(given),
            allowed=self.kind.allowed,
        )


def about(
    kind: Kind,
    meaning: str,
    *,
    aliases: tuple[str, ...] = (),
    unit: str = "",
    place: bool = False,
    essential: bool = False,
) -> Mapping[str, Any]:
    """Returns the metadata of a spec's field: what :class:`Option` says, but for name and default."""
    told = {"kind": kind, "meaning": meaning, "aliases": aliases, "unit": unit}
    return {_METADATA: {**told, "place": place or essential, "essential": essential}}


@functools.cache
def options_of(spec_class: type[Any]) -> tuple[Option, ...]:
    """Returns the options of a spec class in the order of its fields."""
    return tuple(
        Option(
            name=field.name,
            default=None if field.default is dataclasses.MISSING else field.default,
            required=field.default is dataclasses.MISSING,
            **field.metadata[_METADATA],
        )
        for field in dataclasses.fields(spec_class)
    )
