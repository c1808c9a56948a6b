"""A service's file: TOML to frozen values, or every error in it with file, line, key and remedy.

>>> config = loads('''
... [ports]
... uplink = "raw,ifname=eth1"
... guest = { spec = "tap,ifname=tap0", vlan = 10 }
...
... [switches.lan]
... ports = ["uplink", "guest"]
... ''')
>>> config.port("guest").vlan, config.switches["lan"].age
(10, 300.0)

Nothing here asks the host anything, and nothing is opened. The tables and keys are told in
``docs/service.md``; the classes are those of :mod:`vecwire.service._models`.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vecwire.errors import ConfigError, Fault
from vecwire.service._contradictions import warnings
from vecwire.service._faults import Reporter, in_order
from vecwire.service._models import Config, PortConfig, ServiceConfig, SwitchConfig
from vecwire.service._toml import parse

__all__ = [
    "Config",
    "ConfigError",
    "Examined",
    "Fault",
    "PortConfig",
    "ServiceConfig",
    "SwitchConfig",
    "examine",
    "examine_file",
    "from_document",
    "horizons",
    "load",
    "loads",
    "memberships",
]

logger = logging.getLogger("vecwire.service")

#: Where options come from, for errors.
COMMAND_LINE = "the command line"


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that is right.

    Attributes:
        config: What it holds.
        warnings: What is allowed and yet looks like a slip.
        service: How the process runs: what options say, and else what the file says.
    """

    config: Config
    warnings: tuple[Fault, ...]
    service: ServiceConfig

    def log(self) -> None:
        """Logs the warnings."""
        for warning in self.warnings:
            logger.warning("%s (%s)", warning, warning.remedy)


def load(path: str | os.PathLike[str]) -> Config:
    """Returns what a file holds; what looks like a slip in it is logged as a warning.

    Raises:
        ConfigError: The file is wrong or cannot be read; the error tells everything that is wrong.
    """
    examined = examine_file(path)
    examined.log()
    return examined.config


def loads(text: str, name: str = "<string>") -> Config:
    """Returns what the text of a file holds.

    Args:
        text: TOML.
        name: The name of the file, for errors.

    Raises:
        ConfigError: The text is wrong; the error tells everything that is wrong.
    """
    return examine(text, name).config


def examine_file(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Examined:
    """Returns what a file holds, and its warnings.

    Args:
        path: The file.
        options: Options of the command line, by the keys of [service] that they go before; they are held to
            the same rules.

    Raises:
        ConfigError: The file is wrong or cannot be read, or an option is wrong.
    """
    faults: list[Fault] = []
    given, found = ServiceConfig(), None
    try:
        found = examine(_read(os.fspath(path)), os.fspath(path))
    except ConfigError as error:
        faults += error.faults
    try:
        given = from_document({"service": options or {}}, COMMAND_LINE).service
    except ConfigError as error:
        faults += [replace(each, key=_option(each.key)) for each in error.faults]
    if found is None or faults:
        raise ConfigError(faults) from None
    over = {key: getattr(given, key) for key in given.model_fields_set}
    return replace(found, service=found.service.model_copy(update=over))


def _option(key: str) -> str:
    """Returns the option that goes before a key of [service]."""
    return f"--{key.removeprefix('service.').replace('_', '-')}"


def _read(name: str) -> str:
    """Returns the text of a file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        octets = Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "give the path of a file that this user may read"
        raise ConfigError([Fault(message=f"cannot be read: {why}", file=name, remedy=remedy)]) from None
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"is no UTF-8: {error.reason}"
        remedy = "save the file as UTF-8"
        raise ConfigError([Fault(message=message, file=name, line=line, remedy=remedy)]) from None


def examine(text: str, name: str = "<string>") -> Examined:
    """Returns what the text of a file holds, and its warnings.

    Raises:
        ConfigError: The text is wrong.
    """
    return _checked(parse(text, name), Reporter(name, text))


def from_document(document: Mapping[str, Any], name: str) -> Config:
    """Returns what a document holds that is there as values already, not as text.

    Args:
        document: What :func:`tomllib.loads` would give.
        name: Where it came from, for errors; they have no lines.

    Raises:
        ConfigError: The document is wrong.
    """
    return _checked(document, Reporter(name, None)).config


def horizons(config: Config, before: Mapping[str, int] | None = None) -> dict[str, int]:
    """Returns a number for each horizon's name, from 1 on, in the order in which they first appear.

    Args:
        config: The file.
        before: The numbers in force: a name keeps its number, and a new name gets none of these, so that
            two groups are never taken for one while a change is applied.
    """
    given = dict(before or {})
    names = dict.fromkeys(port.horizon for port in config.ports.values() if port.horizon)
    taken = set(given.values())
    numbers: dict[str, int] = {}
    for name in names:
        number = given.get(name) or next(each for each in range(1, len(taken) + 2) if each not in taken)
        taken.add(number)
        numbers[name] = number
    return numbers


def memberships(config: Config, numbers: Mapping[str, int] | None = None) -> dict[str, dict[str, object]]:
    """Returns how each port of a switch takes part in it, by the port's name.

    A port's own ``flood_rate`` and ``addresses`` go before those of its switch.

    Args:
        config: The file.
        numbers: The horizons' numbers; those of :func:`horizons` if left out.

    Returns:
        For each port the arguments of a membership: ``vlan`` (int or None), ``tagged`` (frozenset of int),
        ``horizon`` (int, 0 is none), ``flood_rate`` (frames a second, 0 is no limit) and ``addresses``
        (0 is no bound but the switch's).
    """
    numbers = horizons(config) if numbers is None else numbers
    return {
        name: {
            "vlan": port.vlan,
            "tagged": port.tagged,
            "horizon": numbers[port.horizon] if port.horizon else 0,
            "flood_rate": switch.flood_rate if port.flood_rate is None else port.flood_rate,
            "addresses": port.addresses or switch.addresses_per_port or 0,
        }
        for switch in config.switches.values()
        for name in switch.ports
        for port in (config.ports[name],)
    }


def _checked(document: Mapping[str, Any], reporter: Reporter) -> Examined:
    """Returns what a document holds if nothing is wrong in it.

    What pydantic refuses is taken out and the rest is looked at again, so that contradictions are found
    between the parts that are right by themselves.
    """
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        ports = list(found) if isinstance(found := document.get("ports"), Mapping) else []
        faults = list(reporter.of_error(error, ports))
        try:
            Config.model_validate(_without(document, error))
        except ValidationError as second:
            faults += reporter.of_error(second, ports)
        raise ConfigError(in_order(faults)) from None
    found = in_order([reporter.of_finding(each) for each in warnings(config)])
    return Examined(config, tuple(found), config.service)


def _without(document: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """Returns a document without the entries of its tables in which an error was found."""
    rest = {key: dict(value) if isinstance(value, Mapping) else value for key, value in document.items()}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        match each["loc"]:
            case (table,):
                rest.pop(str(table), None)
            case (table, name, *_) if isinstance(entries := rest.get(str(table)), dict):
                entries.pop(name, None)
    return rest
