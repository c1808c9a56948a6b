"""What the service tells about itself, and what it can be told to do. This file holds no code that moves.

The classes are values: made at one moment, never changed, and nothing but what JSON has, so that the same
object is the service's answer, the control socket's result and what the client returns. They import nothing
of the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class PortState:
    """A port at one moment.

    Attributes:
        name: its name in the file.
        spec: the canonical text of its spec.
        transport: the transport's name, as in the spec.
        up: whether frames can move now.
        since: seconds that it has been so.
        why: why it is down; None while it is up.
        joined: what it is part of, such as ``switch lan`` or ``cable backhaul``; None where it is part of
            nothing.
        worker: the number of the worker that moves its frames, from 0; None where none does.
        mtu: the longest layer-3 packet that a frame carries, in octets.
        overhead: octets that the encapsulation adds on the outer network, the inner Ethernet header included.
        offloads: the offloads in force, by name.
        refused: what the host refused, and why: the port works without it.
        vlan: the VLAN that it is untagged in; None where it is in none.
        tagged: the VLANs that it carries tagged.
        horizon: its horizon group, whose ports never exchange frames; None where it is in none.
        counters: every counter by name, since the last reset; ``docs/counters.md`` says what each counts.
    """

    name: str
    spec: str
    transport: str
    up: bool
    since: float
    why: str | None = None
    joined: str | None = None
    worker: int | None = None
    mtu: int = 1500
    overhead: int = 0
    offloads: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    vlan: int | None = None
    tagged: list[int] = field(default_factory=list)
    horizon: str | None = None
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SwitchState:
    """A switch at one moment.

    Attributes:
        name: its name in the file.
        ports: the names of its ports.
        age: seconds after which an address that was not seen is forgotten.
        capacity: the most addresses that it learns.
        addresses: the addresses that it knows now.
        worker: the number of the worker that moves its frames, from 0.
    """

    name: str
    ports: list[str]
    age: float
    capacity: int
    addresses: int
    worker: int


@dataclass(frozen=True, slots=True)
class CableState:
    """A cable at one moment.

    Attributes:
        name: its name in the file.
        ports: the names of its two ends.
        worker: the number of the worker that moves its frames, from 0.
    """

    name: str
    ports: list[str]
    worker: int


@dataclass(frozen=True, slots=True)
class StationState:
    """A row of a switch's FDB: behind which port an address was last seen.

    Attributes:
        mac: the address, as ``02:00:00:00:00:01``.
        vlan: the VLAN that it was seen in; 0 for frames of transparent ports.
        port: the name of the port.
        idle: seconds since it was last seen.
    """

    mac: str
    vlan: int
    port: str
    idle: float


@dataclass(frozen=True, slots=True)
class CaptureState:
    """The capture of a port at one moment.

    Attributes:
        port: the port's name.
        frames: frames that were given to its reader so far, read or not.
        missed: frames that came too fast for the reader.
    """

    port: str
    frames: int
    missed: int


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The service as a whole at one moment.

    Attributes:
        version: vecwire's version.
        pid: the process.
        config: the path of its file.
        uptime: seconds since its start.
        workers: threads that move frames.
        ports: ports that it holds.
        up: how many of them are up.
        reloads: how often the file was applied anew since the start.
    """

    version: str
    pid: int
    config: str
    uptime: float
    workers: int
    ports: int
    up: int
    reloads: int


class Controlled(Protocol):
    """The service as those see it who ask and control it.

    A name that is not there raises a :class:`~vecwire.errors.PortError` with the nearest one as its remedy;
    an option that is wrong raises a :class:`~vecwire.errors.ConfigError`, or the spec a
    :class:`~vecwire.errors.SpecError`.

    The calls that only ask (``status``, ``port_states``, ``switch_states``, ``cable_states``, ``stations``,
    ``captured``) return at once, from any thread. The others may take a while; no two of them run at the same
    time.
    """

    def status(self) -> ServiceState:
        """Returns the service as a whole."""
        ...

    def port_states(self, name: str | None = None) -> list[PortState]:
        """Returns the ports in the order of the file; with ``name`` that one alone."""
        ...

    def switch_states(self) -> list[SwitchState]:
        """Returns the switches in the order of the file."""
        ...

    def cable_states(self) -> list[CableState]:
        """Returns the cables in the order of the file."""
        ...

    def stations(self, switch: str, port: str | None = None) -> list[StationState]:
        """Returns a switch's FDB; with ``port`` what was learned from that one alone."""
        ...

    def flush(self, switch: str, port: str | None = None) -> int:
        """Forgets what a switch has learned, or what it has from one port; returns how many addresses."""
        ...

    def reset(self, name: str | None = None) -> None:
        """Has the counters shown start from zero again, of one port or of all."""
        ...

    def reload(self) -> dict[str, list[str]]:
        """Applies the difference between the file and what runs.

        Returns:
            The names under ``added``, ``removed``, ``changed`` and ``kept``.
        """
        ...

    def add_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Opens a port and joins it.

        Args:
            name: its name, which no port has yet.
            options: as in the file's ``[ports]`` table (``spec``, ``vlan``, ``tagged``, ``horizon``,
                ``flood_rate``, ``addresses``), and ``switch``: the name of the one that it joins.
        """
        ...

    def remove_port(self, name: str) -> None:
        """Takes a port out of what it is part of, and closes it."""
        ...

    def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Changes how a port takes part in its switch; the others lose no frame.

        Args:
            name: the port.
            options: any of ``vlan``, ``tagged``, ``horizon``, ``flood_rate``, ``addresses``; what is not
                given stays as it is.
        """
        ...

    def capture(self, port: str) -> int:
        """Copies a port's frames, both ways, from now on.

        Returns:
            A SEQPACKET descriptor that gives one record a frame. The caller owns it; closing it ends the
            capture.
        """
        ...

    def captured(self, port: str) -> CaptureState:
        """Returns how many frames a port's capture has had, and how many came too fast for its reader."""
        ...

    def capture_drops(self, port: str | None = None, reasons: Sequence[Any] = ()) -> int:
        """Copies frames that are dropped from now on, with the reason.

        Args:
            port: the port that drops them; without it, every port.
            reasons: names of counters, or ``rx``, ``switch``, ``tx`` for all that begin so; none is all.

        Returns:
            A SEQPACKET descriptor that gives one record a drop (``vecwire.path.witness``). The caller owns
            it; closing it ends the capture.
        """
        ...

    def stop(self) -> None:
        """Asks the service to end; returns at once, before it has."""
        ...
