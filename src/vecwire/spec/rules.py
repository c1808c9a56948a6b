"""What options must hold together: each rule is a value, each spec class has a tuple of them.

An option is *set* when its value is not its default: ``udp=0`` sets nothing, ``rx_key=0`` does.
"""

from dataclasses import dataclass
from typing import Protocol

from vecwire.errors import SpecError
from vecwire.spec.kinds import address_of
from vecwire.spec.options import Option


class Optioned(Protocol):
    """What a rule is checked on: a spec."""

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Returns its options."""


class Rule(Protocol):
    """Something that must hold between the options of one spec."""

    def check(self, spec: Optioned) -> None:
        """Returns if it holds.

        Raises:
            SpecError: It does not; the error's ``option`` is one that is set, if any is.
        """

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""


@dataclass(frozen=True, slots=True)
class Needs:
    """``option`` makes sense only with ``needed``; ``example`` says how that is given.

    With the option ``unless`` it is not needed.
    """

    option: str
    needed: str
    example: str = ""
    unless: str = ""

    def check(self, spec: Optioned) -> None:
        """Returns if the option is not set, or the one that it needs is set too."""
        if self.unless and is_set(spec, self.unless):
            return
        if is_set(spec, self.option) and not is_set(spec, self.needed):
            how = self.example or self.needed
            raise SpecError(f"{self.option} needs {how}", option=self.option, allowed=how)

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        without = f" without `{self.unless}`" if self.unless else ""
        return f"`{self.option}` needs {_code(self.example or self.needed)}{without}."


@dataclass(frozen=True, slots=True)
class Both:
    """``first`` and ``second`` are given together or not at all."""

    first: str
    second: str

    def check(self, spec: Optioned) -> None:
        """Returns if both are set, or none is."""
        if is_set(spec, self.first) != is_set(spec, self.second):
            given, missing = (
                (self.first, self.second) if is_set(spec, self.first) else (self.second, self.first)
            )
            raise SpecError(f"{given} needs {missing}: give both or neither", option=given, allowed=missing)

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return f"`{self.first}` and `{self.second}` are given together or not at all."


@dataclass(frozen=True, slots=True)
class OneOf:
    """Exactly one of two options is given; with the option ``unless`` neither is required."""

    first: str
    second: str
    unless: str

    def check(self, spec: Optioned) -> None:
        """Returns if one of them is set and the other is not."""
        both, either = f"{self.first} and {self.second}", f"{self.first} or {self.second}"
        if is_set(spec, self.first) and is_set(spec, self.second):
            raise SpecError(
                f"{both} contradict each other: give one of them", option=self.second, allowed=either
            )
        if not any(is_set(spec, name) for name in (self.first, self.second, self.unless)):
            raise SpecError(f"{either} is needed", option=self.first, allowed=either)

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return f"Exactly one of `{self.first}` and `{self.second}` is given without `{self.unless}`."


@dataclass(frozen=True, slots=True)
class Excludes:
    """``option`` is not given together with ``other``, because of ``reason``."""

    option: str
    other: str
    reason: str

    def check(self, spec: Optioned) -> None:
        """Returns if at most one of them is set."""
        if is_set(spec, self.option) and is_set(spec, self.other):
            raise SpecError(f"{self.option} contradicts {self.other}: {self.reason}", option=self.option)

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return f"`{self.option}` is not given with `{self.other}`: {self.reason}."


@dataclass(frozen=True, slots=True)
class Differ:
    """``option`` and ``other`` do not have one and the same value."""

    option: str
    other: str

    def check(self, spec: Optioned) -> None:
        """Returns if they differ, or are not set."""
        value = getattr(spec, self.option)
        if is_set(spec, self.option) and value == getattr(spec, self.other):
            raise SpecError(f"{self.option} is the same as {self.other}", option=self.option, given=value)

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return f"`{self.option}` is not the same as `{self.other}`."


@dataclass(frozen=True, slots=True)
class AtMost:
    """``option`` is at most ``maximum``, if the boolean ``unless`` is not set."""

    option: str
    maximum: int
    unless: str

    def check(self, spec: Optioned) -> None:
        """Returns if the option is small enough, or not set."""
        value = getattr(spec, self.option)
        if value is None or value <= self.maximum or getattr(spec, self.unless):
            return
        allowed = f"at most {self.maximum:#x}"
        # How much it is is not told: it may be the right cookie, and errors end up in logs.
        message = f"{self.option} must be {allowed} without {self.unless}=1, and is more"
        raise SpecError(message, option=self.option, allowed=allowed, suggestion=f"{self.unless}=1")

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return f"`{self.option}` is at most `{self.maximum:#x}` without `{self.unless}=1`."


@dataclass(frozen=True, slots=True)
class OfFamily:
    """``option``, if it is an address, is one of IPv6 where the boolean ``v6`` is set, else of IPv4."""

    option: str
    v6: str = "v6"

    def check(self, spec: Optioned) -> None:
        """Returns if the address is of that family."""
        host, v6 = getattr(spec, self.option), getattr(spec, self.v6)
        address = None if host is None else address_of(host)
        if address is not None and (address.version == 6) is not v6:
            message = f"{self.option} is an IPv{address.version} address, but {self.v6} is {int(v6)}"
            raise SpecError(message, option=self.option, given=host, suggestion=f"{self.v6}={int(not v6)}")

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return f"`{self.option}`, if it is an address, is one of IPv6 with `{self.v6}=1` and of IPv4 without."


def is_set(spec: Optioned, name: str) -> bool:
    """Returns whether an option's value differs from its default."""
    default = next(option.default for option in spec.options() if option.name == name)
    return bool(getattr(spec, name) != default)


def _code(names: str) -> str:
    """Returns names that are joined by "and", each as Markdown code."""
    return " and ".join(f"`{name}`" for name in names.split(" and "))
