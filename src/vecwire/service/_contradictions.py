"""What the keys of a service's file must hold together, and what is allowed and yet worth a warning.

Each check is a function that yields findings; none stops at the first. A path is that of the key in the file.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vecwire.service.keys import MEMBERSHIP
from vecwire.spec import BessSpec, HybridSpec, L2tpv3Spec, RawSpec, Spec, TapSpec
from vecwire.spec.text import nearest, shown

if TYPE_CHECKING:
    from vecwire.service._models import Config

Path = tuple[str | int, ...]
_ENOUGH_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A contradiction, or a warning.

    Attributes:
        path: The key at fault.
        message: What is wrong, in one line.
        remedy: What to do about it, in one line.
        given: What was given, as text; None where that is not one value.
        allowed: What is allowed in its place, as a phrase; None where that is not one phrase.
        suggestion: What was probably meant; None where nothing is near.
        absent: The port that is named and not there, where that is what is wrong.
    """

    path: Path
    message: str
    remedy: str
    given: str | None = None
    allowed: str | None = None
    suggestion: str | None = None
    absent: str | None = None


class ContradictionError(ValueError):
    """What keys must hold together does not hold."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(findings[0].message)
        self.findings = tuple(findings)


def contradictions(config: "Config") -> list[Finding]:
    """Returns everything in which a file contradicts itself."""
    checks = (_members, _places, _vlans, _in_cables, _bounds, _endpoints, _mirrors, _captures)
    return [finding for check in checks for finding in check(config)]


def warnings(config: "Config") -> list[Finding]:
    """Returns what is allowed and yet looks like a slip.

    A port that is in no cable and no switch is no error: it is taken out of one for a while, or put into
    one later by the control socket, and the rest of the file must not fail for it.
    """
    return [*_unused(config), *_shared_interfaces(config), *_lonely_horizons(config), *_no_files(config)]


def _seats(config: "Config") -> Iterator[tuple[str, str, Path]]:
    """Yields each naming of a port: the port, what it is in ("switch lan"), the path of the naming."""
    for name, ends in config.cables.items():
        for number, port in enumerate(ends):
            yield port, f"cable {name}", ("cables", name, number)
    for name, switch in config.switches.items():
        for number, port in enumerate(switch.ports):
            yield port, f"switch {name}", ("switches", name, "ports", number)


def _members(config: "Config") -> Iterator[Finding]:
    """Whatever names a port names one that is there."""
    for port, _, path in _seats(config):
        if port not in config.ports:
            yield absent_port(path, port, list(config.ports))


def absent_port(path: Path, port: str, names: Sequence[str]) -> Finding:
    """Returns the finding that a port is named at a path, and is none of the names."""
    there = ", ".join(names[:_ENOUGH_SHOWN]) + (", ..." if len(names) > _ENOUGH_SHOWN else "")
    return Finding(
        path=path,
        message=f"there is no port {shown(port)}",
        given=port,
        allowed=f"one of {there}" if names else None,
        suggestion=nearest(port, names),
        remedy=f"define it in [ports], or name one that is there: {there}"
        if names
        else "define it in [ports]",
        absent=port,
    )


def _places(config: "Config") -> Iterator[Finding]:
    """A port is in one cable or one switch, once: frames of a port have one way to go."""
    first: dict[str, str] = {}
    for port, where, path in _seats(config):
        if port not in first:
            first[port] = where
        elif first[port] == where:
            message, remedy = f"port {shown(port)} is in {where} twice", "name it once"
            yield Finding(path=path, message=message, given=port, remedy=remedy)
        else:
            message = f"port {shown(port)} is in {first[port]} already, and cannot be in {where} too"
            remedy = "take it out of one of them; ports that are all to reach each other are in one switch"
            yield Finding(path=path, message=message, given=port, remedy=remedy)


def _vlans(config: "Config") -> Iterator[Finding]:
    """A VLAN is tagged on a port or untagged, not both."""
    for name, port in config.ports.items():
        if port.vlan is not None and port.vlan in port.tagged:
            yield Finding(
                path=("ports", name, "tagged"),
                message=f"VLAN {port.vlan} is its vlan, untagged, and in tagged too",
                given=str(port.vlan),
                remedy=f"take {port.vlan} out of tagged, or take vlan away",
            )


def _in_cables(config: "Config") -> Iterator[Finding]:
    """A port in a cable has nothing that only a switch reads."""
    cables = {port: cable for cable, ends in config.cables.items() for port in ends}
    for name, port in config.ports.items():
        for key in MEMBERSHIP if name in cables else ():
            if key in port.model_fields_set:
                message = f"{key} is for ports of switches, and port {name} is in cable {cables[name]}"
                remedy = f"take {key} away, or put the port into a switch"
                yield Finding(path=("ports", name, key), message=message, remedy=remedy)


def _bounds(config: "Config") -> Iterator[Finding]:
    """No port may learn more addresses than its switch."""
    for name, switch in config.switches.items():
        most = switch.addresses
        if switch.addresses_per_port is not None and switch.addresses_per_port > most:
            yield _too_many(("switches", name, "addresses_per_port"), switch.addresses_per_port, most, name)
        for member in dict.fromkeys(switch.ports):
            port = config.ports.get(member)
            if port and port.addresses is not None and port.addresses > most:
                yield _too_many(("ports", member, "addresses"), port.addresses, most, name)


def _too_many(path: Path, given: int, most: int, switch: str) -> Finding:
    return Finding(
        path=path,
        message=f"{path[-1]} must be at most {most}, the addresses of switch {switch}, not {given}",
        given=str(given),
        allowed=f"at most {most}",
        remedy=f"lower it, or set addresses = {given} in [switches.{switch}]",
    )


def _endpoints(config: "Config") -> Iterator[Finding]:
    """No two ports open what the kernel gives to one alone."""
    first: dict[object, str] = {}
    for name, port in config.ports.items():
        found = _exclusive(port.parsed)
        if found is None:
            continue
        key, what = found
        if key in first:
            message = f"{what} is opened by port {first[key]} already, and only one can have it"
            yield Finding(path=("ports", name), message=message, remedy="change one of them, or take it away")
        else:
            first[key] = name


def _exclusive(spec: Spec) -> tuple[object, str] | None:
    """Returns what the spec takes for itself alone, as a key and in words; None where it shares."""
    netns = spec.netns
    inside = f" in {netns}" if netns else ""
    if spec.fd is not None:
        return ("fd", spec.fd), f"the descriptor {spec.fd}"
    # A pattern is a new name each time.
    if isinstance(spec, TapSpec | HybridSpec) and "%" not in (spec.ifname or ""):
        # Documentation/networking/tuntap.rst: a tap without IFF_MULTI_QUEUE has one reader.
        return ("tap", netns, spec.ifname), f"the tap {spec.ifname}{inside}"
    if isinstance(spec, BessSpec) and spec.listen:
        # unix(7): abstract names are those of the network namespace, paths those of the file system.
        where = netns if spec.listen.startswith("@") else None
        return ("bess", where, spec.listen), f"the socket {spec.listen}"
    if isinstance(spec, L2tpv3Spec) and spec.udp:
        # ip(7): EADDRINUSE, since the sockets do not share their addresses.
        return ("udp", netns, spec.src, spec.srcport), f"UDP port {spec.srcport} of {spec.src}{inside}"
    return None


def _mirrors(config: "Config") -> Iterator[Finding]:
    """Copies go to a port that does nothing else, from ports of one cable or one switch."""
    joined = {port: where for port, where, _ in _seats(config)}
    homes: dict[str, tuple[str, str]] = {}
    for name, port in config.ports.items():
        path, sink = ("ports", name, "mirror"), port.mirror
        if sink is None:
            continue
        if sink not in config.ports:
            yield absent_port(path, sink, list(config.ports))
        elif sink in joined:
            message = f"copies go to a port of their own, and port {shown(sink)} is in {joined[sink]}"
            yield Finding(path=path, message=message, given=sink, remedy="name a port that is in neither")
        elif name in joined:
            first, home = homes.setdefault(sink, (name, joined[name]))
            if home != joined[name]:
                message = f"port {shown(sink)} gets copies of port {first} in {home} already"
                remedy = f"copy ports of {home} to it alone, or name another port"
                yield Finding(path=path, message=message, given=sink, remedy=remedy)


def _captures(config: "Config") -> Iterator[Finding]:
    """Each capture has files of its own."""
    first: dict[str, str] = {}
    for name, port in config.ports.items():
        if port.capture is None:
            continue
        other = first.setdefault(os.path.normpath(port.capture), name)
        if other != name:
            message = f"the frames of port {other} are written there already"
            remedy = "give each of them files of its own"
            yield Finding(path=("ports", name, "capture"), message=message, given=port.capture, remedy=remedy)


def _unused(config: "Config") -> Iterator[Finding]:
    used = {port for port, _, _ in _seats(config)} | {port.mirror for port in config.ports.values()}
    for name in config.ports:
        if name not in used:
            message = "the port is in no cable and no switch: it is opened, and its frames go nowhere"
            yield Finding(
                path=("ports", name),
                message=message,
                remedy="name it in a cable or a switch, or take it away",
            )


def _shared_interfaces(config: "Config") -> Iterator[Finding]:
    """Two raw ports of one interface both get all its frames; few mean that."""
    first: dict[tuple[str | None, str], str] = {}
    for name, port in config.ports.items():
        spec = port.parsed
        if not isinstance(spec, RawSpec) or spec.ifname is None:
            continue
        other = first.setdefault((spec.netns, spec.ifname), name)
        if other != name:
            message = f"ports {other} and {name} both get every frame of interface {spec.ifname}"
            yield Finding(path=("ports", name), message=message, remedy="take one of them away")


def _lonely_horizons(config: "Config") -> Iterator[Finding]:
    """A horizon of one port keeps nobody apart."""
    for switch in config.switches.values():
        members = {name: config.ports[name].horizon for name in switch.ports}
        groups = Counter(horizon for horizon in members.values() if horizon)
        for name, horizon in members.items():
            if horizon and groups[horizon] == 1:
                yield Finding(
                    path=("ports", name, "horizon"),
                    message=f"no other port of its switch is in horizon {shown(horizon)}",
                    given=horizon,
                    suggestion=nearest(horizon, [group for group in groups if group != horizon]),
                    remedy="give the other ports of the group the same horizon, or take it away",
                )


def _no_files(config: "Config") -> Iterator[Finding]:
    """What is said of files that nobody writes; a capture may be taken away for a while."""
    for name, port in config.ports.items():
        for key in ("capture_size", "capture_keep"):
            if port.capture is None and key in port.model_fields_set:
                message = f"{key} is of files that port {name} does not write"
                remedy = f"name the files: capture = ..., or take {key} away"
                yield Finding(path=("ports", name, key), message=message, remedy=remedy)
