"""One change to a configuration that is in force, as the control socket asks for it: a new configuration.

Each function is pure and judges the result as it would a file; :mod:`vecwire.service.plan` then says what
differs. The file itself is not written: a reload brings back what it says.
"""

from collections.abc import Mapping
from typing import Any

from vecwire.errors import ConfigError, Fault, PortError
from vecwire.service._models import Config
from vecwire.service.config import from_document
from vecwire.service.keys import CHANGEABLE
from vecwire.spec import Impairment, SpecError, parse
from vecwire.spec.impairment import IMPAIRMENTS
from vecwire.spec.text import nearest, shown

CONTROL = "<control>"


def with_port(config: Config, name: str, options: str | Mapping[str, Any]) -> Config:
    """Returns the configuration with one port more.

    Args:
        config: What is in force.
        name: The port's name.
        options: Its spec, or what its table in ``[ports]`` would hold; ``switch`` names a switch to join.

    Raises:
        ConfigError: There is a port of that name, no such switch, or an option is wrong.
    """
    if name in config.ports:
        remedy = "take another name, or remove that port first"
        raise ConfigError(
            [Fault(message=f"there is a port {shown(name)} already", file=CONTROL, remedy=remedy)]
        )
    entry = {"spec": options} if isinstance(options, str) else dict(options)
    switch = entry.pop("switch", None)
    document = _document(config)
    document["ports"][name] = entry
    if switch is not None:
        _switch(document, switch).setdefault("ports", []).append(name)
    return from_document(document, CONTROL)


def without_port(config: Config, name: str) -> Config:
    """Returns the configuration without a port; a cable that it was in is gone too, and so are copies to it.

    Raises:
        PortError: There is no such port.
    """
    _port(config, name)
    document = _document(config)
    del document["ports"][name]
    for entry in document["ports"].values():
        if entry.get("mirror") == name:
            del entry["mirror"]
    document["cables"] = {cable: ends for cable, ends in document["cables"].items() if name not in ends}
    for switch in document["switches"].values():
        switch["ports"] = [port for port in switch.get("ports", []) if port != name]
    return from_document(document, CONTROL)


def with_options(config: Config, name: str, options: Mapping[str, Any]) -> Config:
    """Returns the configuration with another membership of a port.

    Args:
        config: What is in force.
        name: The port's name.
        options: What changes: of its membership, mirror, trace, capture, and what impairs it, such as delay,
            as a spec has it; None takes one away.

    Raises:
        PortError: There is no such port.
        ConfigError: An option is wrong, or is none that can be changed while the port is open.
    """
    _port(config, name)
    if strange := [key for key in options if key not in CHANGEABLE]:
        raise ConfigError(
            [
                Fault(
                    message=f"{shown(key)} cannot be set on an open port",
                    file=CONTROL,
                    key=f"ports.{name}",
                    given=key,
                    allowed=f"one of {', '.join(CHANGEABLE)}",
                    suggestion=nearest(key, CHANGEABLE),
                    remedy=f"these can: {', '.join(CHANGEABLE)}; for others remove the port and add it again",
                )
                for key in strange
            ]
        )
    document = _document(config)
    impairing = {key: value for key, value in options.items() if key in IMPAIRMENTS}
    entry = {**document["ports"][name], **{key: options[key] for key in options if key not in impairing}}
    if impairing:
        entry["spec"] = _impaired(name, entry["spec"], impairing)
    document["ports"][name] = {key: value for key, value in entry.items() if value is not None}
    return from_document(document, CONTROL)


def _impaired(name: str, text: str, options: Mapping[str, Any]) -> str:
    """Returns the text of a spec with other impairments."""
    spec = parse(text)
    values = {key: getattr(spec, key) for key in IMPAIRMENTS}
    try:
        for option in Impairment.options():
            if option.name in options:
                given = options[option.name]
                values[option.name] = option.default if given is None else option.read(str(given))
        return str(spec.impaired(Impairment(**values)))
    except SpecError as error:
        fault = Fault(
            message=str(error),
            file=CONTROL,
            key=f"ports.{name}.{error.option}",
            given=error.given,
            allowed=error.allowed,
            remedy=f"give {error.allowed}" if error.allowed else "correct it",
        )
        raise ConfigError([fault]) from None


def _document(config: Config) -> dict[str, Any]:
    """Returns a configuration as its file would have it, with all four tables, to be changed."""
    document = config.model_dump(exclude_unset=True)
    for switch in document.get("switches", {}).values():
        switch["ports"] = list(switch.get("ports", ()))
    return {"service": {}, "ports": {}, "cables": {}, "switches": {}, **document}


def _switch(document: dict[str, Any], name: object) -> dict[str, Any]:
    switches: dict[str, dict[str, Any]] = document["switches"]
    if isinstance(name, str) and name in switches:
        return switches[name]
    there = ", ".join(switches)
    raise ConfigError(
        [
            Fault(
                message=f"there is no switch {shown(name)}",
                file=CONTROL,
                key="switch",
                given=str(name),
                suggestion=nearest(str(name), switches),
                remedy=f"name one that is there: {there}" if there else "define it in the file, and reload",
            )
        ]
    )


def _port(config: Config, name: str) -> None:
    if name not in config.ports:
        near = nearest(name, config.ports)
        meant = f"; did you mean {near}?" if near else ""
        there = ", ".join(config.ports) or "none"
        raise PortError(f"there is no port {shown(name)}{meant}", remedy=f"name one that is there: {there}")
