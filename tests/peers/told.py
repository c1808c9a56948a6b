"""A service that is nothing but what it tells: for tests of those who ask."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from vecwire.service.state import CableState, CaptureState, PortState, ServiceState, StationState, SwitchState
from vecwire.wire.counters import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Every counter with a value of its own.
COUNTERS = {name: 1000 + index for index, name in enumerate(NAMES)}


def port_state(name: str, **changes: Any) -> PortState:
    """A port that is up, with every counter; `changes` are its other attributes."""
    state = PortState(name, f"transport=tap,ifname={name}", "tap", up=True, since=5.0, counters=COUNTERS)
    return dataclasses.replace(state, **changes)


class Told:
    """Satisfies `vecwire.service.state.Controlled`: tells what its attributes hold, and does nothing.

    Attributes:
        ports: what it tells of ports.
        switches: of switches.
        cables: of cables.
        asked: how often it was asked anything.
    """

    def __init__(self) -> None:
        self.ports = [port_state("tap0"), port_state("tap1", up=False, why="gone")]
        self.switches = [SwitchState("lan", ["tap0", "tap1"], 300.0, 65536, 12, 0)]
        self.cables = [CableState("backhaul", ["a", "b"], 1)]
        self.asked = 0

    def status(self) -> ServiceState:
        """The service as a whole."""
        self.asked += 1
        up = sum(port.up for port in self.ports)
        return ServiceState("1.2.3", 42, "/etc/vecwire.toml", 60.0, 2, len(self.ports), up, 3)

    def port_states(self, name: str | None = None) -> list[PortState]:
        """The ports."""
        self.asked += 1
        return [port for port in self.ports if name in {None, port.name}]

    def switch_states(self) -> list[SwitchState]:
        """The switches."""
        self.asked += 1
        return self.switches

    def cable_states(self) -> list[CableState]:
        """The cables."""
        self.asked += 1
        return self.cables

    def stations(self, switch: str, port: str | None = None) -> list[StationState]:
        """No stations."""
        raise NotImplementedError(switch, port)

    def flush(self, switch: str, port: str | None = None) -> int:
        """Refused, like everything that would change a service."""
        raise NotImplementedError(switch, port)

    def reset(self, name: str | None = None) -> None:
        """Refused."""
        raise NotImplementedError(name)

    def reload(self) -> dict[str, list[str]]:
        """Refused."""
        raise NotImplementedError

    def add_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Refused."""
        raise NotImplementedError(name, options)

    def remove_port(self, name: str) -> None:
        """Refused."""
        raise NotImplementedError(name)

    def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Refused."""
        raise NotImplementedError(name, options)

    def capture(self, port: str) -> int:
        """Refused."""
        raise NotImplementedError(port)

    def captured(self, port: str) -> CaptureState:
        """Refused."""
        raise NotImplementedError(port)

    def capture_drops(self, port: str | None = None, reasons: Sequence[Any] = ()) -> int:
        """Refused."""
        raise NotImplementedError(port, reasons)

    def stop(self) -> None:
        """Refused."""
        raise NotImplementedError
