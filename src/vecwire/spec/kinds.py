"""The kinds of values that options of a spec take: an integer, an interface's name, a Unix address...

A kind turns text into a value, checks and normalises a value, and turns it back into text. It knows neither
the option nor the place in the text; it says what is allowed, and why a value is not, if that is not plain.
"""

import ipaddress
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # what would end or garble a line
_INTEGER = re.compile(
    r"(?:0|[1-9][0-9]{0,31}|(?P<hex>0[xX][0-9a-fA-F]{1,32}))"
)  # beyond 64 bits, but bounded
_BOOLEANS = {
    "1": True,
    "on": True,
    "yes": True,
    "true": True,
    "0": False,
    "off": False,
    "no": False,
    "false": False,
}
_DECIMAL_UP_TO = 0xFFFF
_QUANTITY = re.compile(r"(?P<number>[0-9]{1,20}(?:\.[0-9]{1,20})?)(?P<unit>[A-Za-z]*)")
_PERCENT = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,20})?)(?P<sign>%?)")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?P<separator>[:-])(?:[0-9a-fA-F]{2}(?P=separator)){4}[0-9a-fA-F]{2}")
_GROUP_BIT = 0x01
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_LONGEST_HOST = 253  # RFC 1035 section 2.3.4, without the root's dot
_SERVICE = re.compile(r"(?!0[xX])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
_LONGEST_INTERFACE = 15  # IFNAMSIZ, linux/if.h, without its NUL
_NOT_IN_INTERFACE = frozenset(
    b"/: \t\n\v\f\r\xa0"
)  # dev_valid_name(), net/core/dev.c: '/', ':' and isspace()
_LONGEST_UNIX = 107  # sun_path, unix(7), without its NUL


class Kind(ABC):
    """A kind of value: reads it from text, checks it, shows it as text."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, as a phrase that completes "must be ..."."""

    @property
    @abstractmethod
    def placeholder(self) -> str:
        """What stands for a value in a synopsis."""

    def read(self, text: str) -> object:
        """Returns the value that the text means; it is not checked yet.

        Raises:
            ValueError: It means none. The error's text, which may be empty, says why.
        """
        return text

    @abstractmethod
    def check(self, value: object) -> object:
        """Returns the value in its one normal form.

        Raises:
            ValueError: It is not allowed. The error's text, which may be empty, says why.
        """

    def show(self, value: Any) -> str:
        """Returns the text, without quotes, that reads back as the value."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """An integer, both borders included."""

    minimum: int
    maximum: int

    @property
    def allowed(self) -> str:
        """The range."""
        return f"an integer from {self.show(self.minimum)} to {self.show(self.maximum)}"

    @property
    def placeholder(self) -> str:
        """The range, shorter."""
        return f"{self.show(self.minimum)}..{self.show(self.maximum)}"

    def read(self, text: str) -> int:
        """Returns the number: decimal without a leading zero, which some read as octal, or 0x hexadecimal."""
        match = _INTEGER.fullmatch(text)
        if not match:
            raise ValueError("a leading zero is not clear" if re.fullmatch("0[0-9]+", text) else "")
        return int(text, 16 if match["hex"] else 10)

    def check(self, value: object) -> int:
        """Returns the integer if it is in the range."""
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise ValueError
        return value

    def show(self, value: int) -> str:
        """Returns it in decimal, or in hexadecimal where that is easier to read."""
        return str(value) if value <= _DECIMAL_UP_TO else hex(value)


class Boolean(Kind):
    """On or off."""

    allowed = "0 or 1 (or off and on, no and yes, false and true)"
    placeholder = "0|1"

    def read(self, text: str) -> bool:
        """Returns what the word means."""
        if (value := _BOOLEANS.get(text.lower())) is None:
            raise ValueError
        return value

    def check(self, value: object) -> bool:
        """Returns the boolean; the integers 0 and 1 are taken as one."""
        if not isinstance(value, int) or value not in {0, 1}:
            raise ValueError
        return bool(value)

    def show(self, value: bool) -> str:
        """Returns 0 or 1, which every reader of the UML syntax knows."""
        return str(int(value))


@dataclass(frozen=True, slots=True)
class Quantity(Kind):
    """A number with a unit: each unit is a power of ten of the smallest that counts."""

    unit: str
    units: tuple[tuple[str, int], ...]
    most: int

    def scaled(self, text: str) -> int:
        """Returns how many of the smallest the text means.

        Raises:
            ValueError: It means none, or no whole number of them.
        """
        match = _QUANTITY.fullmatch(text)
        if not match:
            raise ValueError
        number, unit = match["number"], match["unit"]
        if not unit and not number.strip("0."):
            return 0
        powers = dict(self.units)
        if unit not in powers:
            names = ", ".join(powers)
            raise ValueError(f"its unit is one of {names}" if unit else f"it needs a unit: one of {names}")
        whole, _, part = number.partition(".")
        power = powers[unit]
        if len(part.rstrip("0")) > power:
            raise ValueError("it is finer than what counts")
        return int(whole + part.rstrip("0").ljust(power, "0"))

    def spelled(self, count: int) -> str:
        """Returns the shortest text without a fraction that means so many."""
        if not count:
            return "0"
        unit, power = max(
            (each for each in self.units if count % 10 ** each[1] == 0), key=lambda each: each[1]
        )
        return f"{count // 10**power}{unit}"


class Duration(Quantity):
    """A time: in a spec with its unit, in Python in seconds."""

    allowed = "a time from 0 to 1000 s with its unit, like 50ms, 1.5s, 300us or 10ns"
    placeholder = "TIME"

    def __init__(self) -> None:
        super().__init__("s", (("ns", 0), ("us", 3), ("ms", 6), ("s", 9)), 1000 * 10**9)

    def read(self, text: str) -> float:
        """Returns the seconds."""
        return self.scaled(text) / 1e9

    def check(self, value: object) -> float:
        """Returns the seconds if they are in the range, to the nanosecond."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= self.most / 1e9:
            raise ValueError
        return round(value * 1e9) / 1e9

    def show(self, value: float) -> str:
        """Returns the time in the largest unit of which it is a whole number."""
        return self.spelled(round(value * 1e9))


class Rate(Quantity):
    """Bits a second: in a spec with their unit, decimal as the kernel's tools have them (tc(8))."""

    allowed = "a rate up to 10tbit with its unit, like 100mbit, 2.5gbit, 64kbit or 300bit; 0 is no bound"
    placeholder = "RATE"

    def __init__(self) -> None:
        super().__init__("bit", (("bit", 0), ("kbit", 3), ("mbit", 6), ("gbit", 9), ("tbit", 12)), 10**13)

    def read(self, text: str) -> int:
        """Returns the bits a second."""
        return self.scaled(text.lower())

    def check(self, value: object) -> int:
        """Returns the bits a second if they are in the range."""
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= self.most:
            raise ValueError
        return value

    def show(self, value: int) -> str:
        """Returns the rate in the largest unit of which it is a whole number."""
        return self.spelled(value)


class Share(Kind):
    """A share: in a spec in percent, in Python a number from 0 to 1."""

    allowed = "a share from 0% to 100%, like 1% or 0.05%"
    placeholder = "PERCENT"

    def read(self, text: str) -> float:
        """Returns the share."""
        match = _PERCENT.fullmatch(text)
        if not match:
            raise ValueError
        if not match["sign"] and float(match["number"]):
            raise ValueError("it needs a percent sign")
        return float(match["number"]) / 100

    def check(self, value: object) -> float:
        """Returns the share if it is one, to a thousand-millionth."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError
        return round(float(value), 9)

    def show(self, value: float) -> str:
        """Returns it in percent."""
        return f"{value * 100:.7f}".rstrip("0").rstrip(".") + "%"


class Text(Kind):
    """Text of one line; what it may hold is said by :meth:`accept`."""

    def check(self, value: object) -> str:
        """Returns the text in its normal form."""
        if not isinstance(value, str) or not value:
            raise ValueError
        if _CONTROL.search(value):
            raise ValueError("it holds a control character")
        return self.accept(value)

    @abstractmethod
    def accept(self, value: str) -> str:
        """Returns the normal form of text that is not empty and holds no control character."""


class Interface(Text):
    """The name of a network interface that exists."""

    allowed = "an interface name: 1 to 15 octets without '/', ':', '%' or white space"
    placeholder = "NAME"

    def accept(self, value: str) -> str:
        """Returns the name if a Linux interface can have it."""
        octets = _octets(value)
        if len(octets) > _LONGEST_INTERFACE:
            raise ValueError(f"it has {len(octets)} octets")
        if value in {".", ".."} or not _NOT_IN_INTERFACE.isdisjoint(octets):
            raise ValueError
        self.accept_pattern(value)
        return value

    def accept_pattern(self, value: str) -> None:
        """Refuses the percent sign, which no interface's name can hold: the kernel reads it as a pattern."""
        if "%" in value:
            raise ValueError("the interface must exist, so its name is no pattern")


class TapInterface(Interface):
    """The name of a tap, or the pattern of one that the kernel is to number."""

    allowed = (
        "an interface name: 1 to 15 octets without '/', ':' or white space; one %d is numbered by the kernel"
    )

    def accept_pattern(self, value: str) -> None:
        """Lets one %d through: dev_alloc_name(), net/core/dev.c."""
        if value.replace("%d", "", 1).count("%"):
            raise ValueError


class Mac(Text):
    """The address of one Ethernet station."""

    allowed = "a unicast Ethernet address like 02:00:00:00:00:01, not all zero"
    placeholder = "MAC"

    def accept(self, value: str) -> str:
        """Returns the address in lower case with colons."""
        if not _MAC.fullmatch(value):
            raise ValueError
        octets = bytes.fromhex(value.replace(":", "").replace("-", ""))
        if octets[0] & _GROUP_BIT:
            raise ValueError("it is a group address")
        if not any(octets):
            raise ValueError
        return octets.hex(":")


@dataclass(frozen=True, slots=True)
class Host(Text):
    """An IP address or a host's name.

    ``peer`` is one that is sent to: the address may not be the unspecified one (``0.0.0.0``, ``::``).
    """

    peer: bool

    allowed = "a unicast IPv4 or IPv6 address, or a host name"
    placeholder = "HOST"

    def accept(self, value: str) -> str:
        """Returns an address in its canonical form (RFC 5952 for IPv6), a name as it is."""
        if value.startswith("["):
            raise ValueError("an address stands here without brackets")
        if (address := address_of(value)) is None:
            return self.accept_name(value)
        if address.is_multicast or str(address) == "255.255.255.255":
            raise ValueError("it is a group address")
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            raise ValueError(f"write {address.ipv4_mapped} and v6=0")
        if self.peer and address.is_unspecified:
            raise ValueError("it stands for any host, and a tunnel has one peer")
        return str(address)

    @staticmethod
    def accept_name(value: str) -> str:
        """Returns a host's name if DNS or a hosts file could hold it (RFC 1123 section 2.1)."""
        labels = value.removesuffix(".").split(".")
        if len(value) > _LONGEST_HOST or not all(_HOST_LABEL.fullmatch(label) for label in labels):
            raise ValueError
        if labels[-1].isdigit() or labels[-1].lower().startswith("0x"):
            raise ValueError("it is neither a whole address nor a name")
        return value


class Port(Kind):
    """A UDP port: its number, or the name of a service (services(5)), which is looked up at opening."""

    allowed = "a port from 1 to 65535 or a service name"
    placeholder = "PORT"
    _numbers = Integer(1, 0xFFFF)

    def read(self, text: str) -> int | str:
        """Returns a number as an integer, a name as text."""
        return self._numbers.read(text) if _INTEGER.fullmatch(text) else text

    def check(self, value: object) -> int | str:
        """Returns the number, or the name; a number that came as text becomes one."""
        if not isinstance(value, str):
            return self._numbers.check(value)
        if _INTEGER.fullmatch(value):
            return self._numbers.check(self._numbers.read(value))
        if not _SERVICE.fullmatch(value):
            raise ValueError
        return value


class UnixAddress(Text):
    """The address of a Unix socket (unix(7)): a path, or ``@`` and a name in the abstract name space."""

    allowed = "a path, or @ and an abstract name, of at most 107 octets"
    placeholder = "PATH|@NAME"

    def accept(self, value: str) -> str:
        """Returns the address if ``sun_path`` can hold it."""
        if (length := len(_octets(value))) > _LONGEST_UNIX:
            raise ValueError(f"it has {length} octets")
        if value == "@":
            raise ValueError("the abstract name is empty")
        return value


class FilePath(Text):
    """The path of a file."""

    allowed = "the path of a file"
    placeholder = "FILE"

    def accept(self, value: str) -> str:
        """Returns the path if a system call can take it."""
        _octets(value)
        return value


class Expression(Text):
    """An expression of pcap-filter(7); what it means is libpcap's to say, at opening."""

    allowed = "an expression of pcap-filter(7), as tcpdump takes"
    placeholder = "EXPRESSION"

    def accept(self, value: str) -> str:
        """Returns the expression without white space at its ends, if anything is left."""
        _octets(value)
        if not value.strip():
            raise ValueError
        return value.strip()


class Namespace(FilePath):
    """A network namespace: a name that ``ip netns`` knows, or a path to a namespace file."""

    allowed = "the name of a network namespace, or a path with a '/' in it"
    placeholder = "NAME|PATH"

    def accept(self, value: str) -> str:
        """Returns it if it can be one or the other."""
        if value in {".", ".."}:
            raise ValueError
        return FilePath.accept(self, value)


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns the address that the text is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _octets(value: str) -> bytes:
    """Returns the text as the kernel gets it: UTF-8, undecodable octets as they came (PEP 383).

    Raises:
        UnicodeError: It holds a surrogate that stands for no octet.
    """
    return value.encode("utf-8", "surrogateescape")
