"""``fd=``: a descriptor that is open already, and that it takes the place of opening one."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vecwire.errors import SpecError
from vecwire.spec.kinds import Integer, Kind
from vecwire.spec.rules import is_set

if TYPE_CHECKING:
    from vecwire.spec.rules import Optioned

#: The longest descriptor that Linux can count to: ``sysctl fs.nr_open`` bounds it further.
_NUMBERS = Integer(0, 0x7FFF_FFFF)
# sd_listen_fds_with_names(3): ASCII without control characters and colons, at most 255 characters. That it
# begins with a letter keeps wrong numbers from being names.
_NAME = re.compile(r"[A-Za-z_][ -9;-~]{0,254}")
_INTEGER = re.compile("0[xX][0-9a-fA-F]+|[0-9]+")


class Passed(Kind):
    """A descriptor of this process: its number, or the name that systemd has given it."""

    allowed = "a descriptor's number, or its name in LISTEN_FDNAMES, without ':'"
    placeholder = "N|NAME"

    def read(self, text: str) -> int | str:
        """Returns a number as an integer, a name as text."""
        return _NUMBERS.read(text) if _INTEGER.fullmatch(text) else text

    def check(self, value: object) -> int | str:
        """Returns the number or the name; a number that came as text becomes one."""
        if not isinstance(value, str):
            return _NUMBERS.check(value)
        if _INTEGER.fullmatch(value):
            return _NUMBERS.check(_NUMBERS.read(value))
        if not _NAME.fullmatch(value):
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class InPlaceOf:
    """``fd`` is given, or else all that says what to open: the options that are essential.

    Others that only opening looks at are not given with ``fd`` either.
    """

    def check(self, spec: "Optioned") -> None:
        """Returns if what is to be opened is said once."""
        if is_set(spec, "fd"):
            for option in spec.options():
                if option.place and is_set(spec, option.name):
                    message = f"{option.name} contradicts fd: what the descriptor leads to is settled"
                    raise SpecError(message, option=option.name)
            return
        if missing := [
            option.name for option in spec.options() if option.essential and not is_set(spec, option.name)
        ]:
            names = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
            transport = getattr(spec, "transport", "it")
            raise SpecError(f"{transport} needs {names}", option=missing[0], allowed=f"{names}, or fd")

    def statement(self) -> str:
        """Returns the rule as a Markdown sentence."""
        return (
            "`fd` takes the place of what says what to open (`ifname`, `src`, `dst`, `srcport`, `dstport`, "
            "`listen`, `netns`): none of these is given with it, and none of them is required then."
        )
