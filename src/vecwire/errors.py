"""What can go wrong, named by whose fault it is.

====================  ===============================================  ==================================
error                 whose fault                                      what to do
====================  ===============================================  ==================================
:class:`SpecError`    the text's, or the arguments', of a spec         correct the place that it shows
:class:`ConfigError`  the configuration file's                         correct every place that it shows
:class:`UnsupportedError`  this host's or this user's: not allowed     follow its ``remedy``
:class:`PortError`    the world's: an interface, address, peer or file  see its ``errno`` and ``remedy``
:class:`ClosedError`  the caller's: the object was closed before       keep it open for as long as it is used
====================  ===============================================  ==================================

A bad frame is none of these: it is dropped and counted.
"""

import errno as errnos
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

_ELLIPSIS = "..."
#: A cookie in the text of a spec, or in a line of a file that holds one, however it is spelt and quoted.
_COOKIE = re.compile(r"(cookie\s*=\s*\\?[\"']?)([^,\"'\\\n]+)", re.IGNORECASE)
_DOUBLE_WIDTH = frozenset("WF")  # Unicode Standard Annex 11: wide and full-width


def covered(text: str) -> str:
    """Returns a text with an asterisk for each character of a cookie: errors end up in logs, too."""
    return _COOKIE.sub(lambda found: found[1] + "*" * len(found[2]), text)


def _rebuild(kind: type["VecwireError"], args: tuple[Any, ...], state: dict[str, Any]) -> "VecwireError":
    """Makes an error anew when it is unpickled, without asking its constructor for keywords."""
    error = kind.__new__(kind, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


class VecwireError(Exception):
    """The base of every error that vecwire raises on purpose.

    Attributes:
        message: What happened, in one line.
        remedy: What to do about it, in one line; empty where nothing general can be said.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.splitlines())
        self.remedy = remedy
        if remedy:
            self.add_note(f"remedy: {remedy}")  # so that a traceback shows it too

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets an error cross a process boundary whole."""
        return _rebuild, (type(self), self.args, self._state())

    def _state(self) -> dict[str, Any]:
        return dict(self.__dict__)


class SpecError(VecwireError, ValueError):
    """The text of a spec, or an argument of a spec class, is wrong.

    The fault is the text's. Correct it at the place that :meth:`explain` marks; nothing was opened.

    Attributes:
        option: The name of the option at fault; None where it is no option's.
        given: What was given for it, as text; None where nothing was.
        allowed: What is allowed in its place, as a phrase; None where that is not one phrase.
        suggestion: What was probably meant; None where nothing is near.
        text: The whole text of the spec; empty when the spec was built from Python arguments.
        start: Where in ``text`` the fault begins, counted in characters from 0.
        end: Where it ends: ``text[start:end]`` is at fault.
    """

    def __init__(
        self,
        message: str,
        *,
        option: str | None = None,
        given: str | None = None,
        allowed: str | None = None,
        suggestion: str | None = None,
        text: str = "",
        start: int = 0,
        end: int = 0,
    ) -> None:
        super().__init__(message)
        self.option = option
        self.given = given
        self.allowed = allowed
        self.suggestion = suggestion
        self.text = text
        self.start = start
        self.end = end
        if text:
            self.add_note(self.excerpt())

    def __str__(self) -> str:
        return f"{self.message}; did you mean {self.suggestion}?" if self.suggestion else self.message

    def at(self, text: str, start: int, end: int) -> Self:
        """Returns the same error with its place: ``text[start:end]`` is at fault."""
        return type(self)(
            self.message,
            option=self.option,
            given=self.given,
            allowed=self.allowed,
            suggestion=self.suggestion,
            text=text,
            start=start,
            end=end,
        )

    def excerpt(self, width: int = 76) -> str:
        """Returns the line of the text that is at fault, its cookies covered, and carets under the fault.

        Args:
            width: The most characters of a long line to show; what lies further off is cut away.
        """
        text = covered(self.text)
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", self.start)
        last = len(text) if last < 0 else last
        begin = max(first, min(self.start - width // 2, last - width))
        finish = min(last, begin + width)
        lead = _ELLIPSIS if begin > first else ""
        tail = _ELLIPSIS if finish < last else ""
        before = _printable(text[begin : self.start])
        fault = _printable(text[self.start : min(self.end, finish)])
        after = _printable(text[self.start + len(fault) : finish])
        carets = " " * (len(lead) + _cells(before)) + "^" * max(1, _cells(fault))
        return f"{lead}{before}{fault}{after}{tail}\n{carets}"

    def explain(self) -> str:
        """Returns the message and, where the text is known, the faulty line with carets under the fault."""
        if not self.text:
            return str(self)
        return "\n".join([str(self), *(f"  {line}" for line in self.excerpt().splitlines())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong in a configuration file, or worth a warning.

    Attributes:
        message: What is wrong, in one line.
        file: The name of the file.
        line: Its line, counted from 1; None where it is no line's.
        key: The key at fault, dotted as in TOML; empty where it is no key's.
        given: What was given, as text; None where nothing was.
        allowed: What is allowed in its place, as a phrase; None where that is not one phrase.
        suggestion: What was probably meant; None where nothing is near.
        remedy: What to do about it, in one line.
        excerpt: The text at fault, with carets below it; empty where the line says enough.
    """

    message: str
    file: str
    line: int | None = None
    key: str = ""
    given: str | None = None
    allowed: str | None = None
    suggestion: str | None = None
    remedy: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        text = ": ".join(part for part in (where, self.key, self.message) if part)
        return f"{text}; did you mean {self.suggestion}?" if self.suggestion else text

    def explain(self) -> str:
        """Returns the place and the message and, below, the text at fault and the remedy."""
        lines = [str(self), *(f"  {line}" for line in self.excerpt.splitlines())]
        return "\n".join([*lines, f"  remedy: {self.remedy}"] if self.remedy else lines)


class ConfigError(VecwireError, ValueError):
    """A configuration file is wrong, or cannot be read.

    The fault is the file's. All that is wrong with it is told at once; nothing was opened or changed.

    Attributes:
        faults: Everything that is wrong, at least one, in the order of the lines.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        first, *more = faults
        super().__init__(f"{first} (and {len(more)} more)" if more else str(first), remedy=first.remedy)
        self.faults = tuple(faults)
        if more:
            self.add_note(self.explain())

    def explain(self) -> str:
        """Returns how many faults there are, then each with its place, what is allowed and the remedy."""
        count = f"{len(self.faults)} errors" if len(self.faults) > 1 else "1 error"
        where = list(dict.fromkeys(each.file for each in self.faults))
        head = f"{' and '.join(where)} {'has' if len(where) == 1 else 'have'} {count}"
        return "\n".join([head, *(each.explain() for each in self.faults)])


def _printable(text: str) -> str:
    """Returns the text, what would disturb a terminal's columns replaced one for one."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)


def _cells(text: str) -> int:
    """Returns how many columns of a terminal the text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in _DOUBLE_WIDTH else 1 for char in text)


def _with_reason(message: str, errno: int | None) -> str:
    """Returns the message with the kernel's word for the errno, where there is one."""
    return f"{message}: {os.strerror(errno)}" if errno else message


class UnsupportedError(VecwireError):
    """This host, its kernel or this user cannot do what was asked.

    The fault is neither the text's nor the network's: a capability is missing, a device file is closed, the
    kernel is too old. Follow ``remedy``. The command ends with exit code 77.

    Args:
        message: What cannot be done, in one line.
        remedy: What the user can do about it, in one line: a command where there is one.
        errno: The number with which the kernel refused; its text is added to the message.
    """

    def __init__(self, message: str, *, remedy: str, errno: int | None = None) -> None:
        super().__init__(_with_reason(message, errno), remedy=remedy)
        self.errno = errno


_NO_MEMORY = "there is no memory for it: free some, or raise the limit (ulimit -v, memory.max of the cgroup)"
#: What to do where something runs out, whatever it was wanted for; by the errno that says so.
SCARCE: dict[int, str] = {
    errnos.EMFILE: "this process may open no more descriptors: raise its limit with ulimit -n",
    errnos.ENFILE: "this host may open no more descriptors: sysctl fs.file-nr, fs.file-max",
    errnos.ENOMEM: _NO_MEMORY,
    errnos.ENOBUFS: _NO_MEMORY,
}


class PortError(VecwireError, OSError):
    """Opening a port failed, or running it did, for a reason outside vecwire.

    The fault is the world's: the interface is not there, the host does not resolve, the path is taken. As an
    :class:`OSError` it is caught where code catches those, and its ``errno`` says which it is.

    Args:
        message: What failed, in one line, without the errno's text: that is added.
        errno: The kernel's number; None where the failure is not a system call's.
        remedy: What the user can do about it, in one line, if that is known; that of ``SCARCE`` by default.
    """

    def __init__(self, message: str, *, errno: int | None = None, remedy: str = "") -> None:
        remedy = remedy or SCARCE.get(errno or 0, "")
        super().__init__(_with_reason(message, errno), remedy=remedy)
        self.errno = errno
        self.strerror = os.strerror(errno) if errno else None

    def _state(self) -> dict[str, Any]:
        # OSError keeps these outside the instance's dictionary.
        return {**self.__dict__, "errno": self.errno, "strerror": self.strerror}


class ClosedError(VecwireError, ValueError):
    """A port, batch or descriptor was used after it was closed.

    The fault is the caller's program: keep the object open for as long as it is used.

    Args:
        message: What was used after what was closed, in one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
