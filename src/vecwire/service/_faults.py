"""What pydantic and the checks find, told as faults: file, line, key, what is allowed, the remedy."""

from collections.abc import Iterator, Sequence
from datetime import date, time
from functools import cached_property
from typing import Any, get_args

from pydantic import ValidationError

from vecwire.errors import Fault, SpecError
from vecwire.service._contradictions import ContradictionError, Finding, absent_port
from vecwire.service._models import TABLES, Cable, Config, Name, Part, allowed, phrase
from vecwire.service._toml import Path, Places, dotted
from vecwire.spec.text import nearest, shown

_ONE_OF_TABLE = {
    "ports": 'a spec as text, or a table like {{ spec = "tap,ifname=tap0", vlan = 10 }}',
    "switches": "a table: [switches.{name}] with ports = [...] below it",
}
_ITEMS = {
    "tagged": "an integer from 1 to 4094",
    "ports": "the name of a port, as text",
    "cables": "the name of a port, as text",
}
_OF_A_SPEC = "correct it where the caret is; 'vecwire spec SPEC' tries a spec by itself"
_NO_LINE = 1 << 30


class Reporter:
    """Makes faults of one text.

    Args:
        file: The name of the file, for the faults.
        text: Its text; None where the document came as values.
    """

    def __init__(self, file: str, text: str | None) -> None:
        self._file = file
        self._text = text

    @cached_property
    def _places(self) -> Places:
        return Places(self._text or "")

    def fault(self, path: Path, message: str, **rest: Any) -> Fault:
        """Returns a fault of a key, or of what is around it in the text."""
        known = self._places.around(path) if self._text is not None else path
        return Fault(
            message=message, file=self._file, line=self._places.line(known), key=dotted(known), **rest
        )

    def of_finding(self, finding: Finding) -> Fault:
        """Returns a finding as a fault."""
        return self.fault(
            finding.path,
            finding.message,
            given=finding.given,
            allowed=finding.allowed,
            suggestion=finding.suggestion,
            remedy=finding.remedy,
        )

    def of_error(self, error: ValidationError, ports: Sequence[str]) -> Iterator[Fault]:
        """Yields what pydantic found.

        Args:
            error: All that it found.
            ports: The names of all ports of the file, those too that were not in what was looked at.
        """
        for each in error.errors(include_url=False):
            cause = each.get("ctx", {}).get("error")
            path = tuple(part for part in each["loc"] if part != "[key]")
            if isinstance(cause, ContradictionError):
                for finding in cause.findings:
                    if finding.absent is None:
                        yield self.of_finding(finding)
                    elif finding.absent not in ports:
                        yield self.of_finding(absent_port(finding.path, finding.absent, ports))
            elif isinstance(cause, SpecError):
                yield self._of_spec(path, cause)
            elif each["loc"][-1:] == ("[key]",):
                must = phrase(get_args(Name))
                yield self.fault(
                    path, f"the name must be {must}", given=str(path[-1]), allowed=must, remedy="rename it"
                )
            elif each["type"] == "extra_forbidden":
                yield self._unknown(path)
            elif each["type"] == "missing" and isinstance(path[-1], str):
                what = _allowed(path)
                yield self.fault(
                    path,
                    f"{path[-1]} is missing",
                    allowed=what,
                    remedy=f"add {path[-1]} = ..., which is {what}",
                )
            else:
                # Of a list that is too short the item that it lacks is told: the list is meant.
                path = path[:-1] if each["type"] == "missing" else path
                yield self._of_value(path, each["input"], str(cause or ""))

    def _of_spec(self, path: Path, error: SpecError) -> Fault:
        return self.fault(
            path,
            error.message,
            given=error.given,
            allowed=error.allowed,
            suggestion=error.suggestion,
            remedy=_OF_A_SPEC,
            excerpt=error.excerpt() if error.text else "",
        )

    def _unknown(self, path: Path) -> Fault:
        key = str(path[-1])
        part = Config if len(path) == 1 else TABLES[str(path[0])]
        known = list(part.model_fields)
        around = "the file" if len(path) == 1 else dotted(path[:-1])
        remedy = f"take it away; there are {', '.join(known)}"
        if owners := [name for name, each in TABLES.items() if key in each.model_fields and each is not part]:
            remedy = f"it belongs to a table of {' or '.join(owners)}; here are {', '.join(known)}"
        return self.fault(
            path,
            f"{around} has no key {shown(key)}",
            given=key,
            allowed=f"one of {', '.join(known)}",
            suggestion=nearest(key, known),
            remedy=remedy,
        )

    def _of_value(self, path: Path, value: object, reason: str) -> Fault:
        what = _allowed(path)
        given = _given(value)
        message = f"must be {what}, not {given}" + (f": {reason}" if reason else "")
        return self.fault(path, message, given=given, allowed=what, remedy=_remedy(path, value, what))


def in_order(faults: Sequence[Fault]) -> list[Fault]:
    """Returns faults in the order of their lines, each once."""
    return sorted(dict.fromkeys(faults), key=lambda fault: _NO_LINE if fault.line is None else fault.line)


def _allowed(path: Path) -> str:
    """Returns what may stand at a path, as a phrase."""
    table = str(path[0]) if path else ""
    if len(path) <= 1:
        return allowed(Config, table)
    if isinstance(path[-1], int):
        return _ITEMS[table if table == "cables" else _key(path)]
    if table == "cables":
        return phrase(get_args(Cable))
    if table in _ONE_OF_TABLE and len(path) == 2:
        return _ONE_OF_TABLE[table].format(name=path[1])
    return allowed(TABLES[table], _key(path))


def _key(path: Path) -> str:
    """Returns the key of a model's field that a path leads to."""
    return str(path[1] if path[0] == "service" else path[2])


def _field_of(path: Path) -> tuple[type[Part], str] | None:
    if not path or path[0] not in TABLES or len(path) < (2 if path[0] == "service" else 3):
        return None
    return TABLES[str(path[0])], _key(path)


def _remedy(path: Path, value: object, what: str) -> str:
    """Returns what to do about a value that is not allowed."""
    numeric = what.startswith(("an integer", "a number", "a list of integers"))
    if isinstance(value, str) and ((numeric and value.strip().isdigit()) or value in {"true", "false"}):
        return f"take the quotes away: {value.strip()}"
    if isinstance(value, int) and not isinstance(value, bool) and what.startswith("the name"):
        return f'if {value} is meant, put it in quotes: "{value}"'
    found = _field_of(path)
    if found is None or isinstance(path[-1], int) or found[0].model_fields[found[1]].is_required():
        return f"write {what}"
    default = found[0].model_fields[found[1]].default
    if default is None or isinstance(default, tuple | frozenset):
        return f"write {what}, or take it away"
    told = (
        f'"{default}"'
        if isinstance(default, str)
        else str(int(default))
        if isinstance(default, float)
        else _given(default)
    )
    return f"write {what}, or take it away for the default, {told}"


def _given(value: object) -> str:
    """Returns a value about as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return str(value) if isinstance(value, date | time) else shown(value)
