"""What a reload does: the difference between what is in force and what the file says now.

:func:`difference` compares two configurations and returns a :class:`Plan`; it is pure. Whoever carries a
plan out does so in the order of its fields: first everything ends that is to end, then ports are closed and
opened, then everything begins. A port that no field but ``keep`` names is not touched, and loses no frame.

A port is the same if its name is and its spec means the same: ``tap,ifname=a`` and
``transport=tap,iface=a,depth=64`` are one. A port under another name is another port.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vecwire.service.config import Config, ServiceConfig, memberships
from vecwire.spec import Impairment


@dataclass(frozen=True, slots=True)
class Seat:
    """A port in a switch."""

    port: str
    switch: str


@dataclass(frozen=True, slots=True)
class Move:
    """A port that stays open and goes elsewhere: "switch lan", "cable backhaul", or None for nowhere."""

    port: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class SwitchChange:
    """A switch that goes on with other settings.

    Attributes:
        name: Its name.
        age: Seconds after which an idle address is forgotten.
        addresses: How many addresses it learns at most.
    """

    name: str
    age: float
    addresses: int


@dataclass(frozen=True, slots=True)
class Restart:
    """A setting of ``[service]`` that a running service does not change: it needs a restart.

    Attributes:
        setting: Its key.
        running: The value in force.
        wanted: The value in the file.
    """

    setting: str
    running: object
    wanted: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, in this order; names in the order of the file.

    Attributes:
        end_cables: Cables to end: gone, joining other ports, or joining one that is closed.
        leave: Ports to take out of their switches: closed, or going elsewhere.
        end_switches: Switches to end; all their ports have left.
        close: Ports to close: gone, or opened anew since their specs changed.
        open: Ports to open: new, or with another spec.
        make_switches: Switches to make.
        change_switches: Switches that go on with another age or another bound.
        join: Ports to put into switches: opened, or coming from elsewhere.
        change: Ports that stay open and in their switch, with another membership.
        start_cables: Cables to start.
        keep: Ports that stay open.
        moves: Those of them that go elsewhere; told in ``leave``, ``join`` and the cables as well.
        unwatch: Ports whose frames are not copied, told or written any more, or not as before.
        impair: Ports that stay open, and whose frames are impaired otherwise.
        watch: Ports whose frames are copied to another port, or told in the log, or written to files, from
            now on.
        restart: Settings that the file has and the running service does not take.
    """

    end_cables: tuple[str, ...] = ()
    leave: tuple[Seat, ...] = ()
    end_switches: tuple[str, ...] = ()
    close: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    make_switches: tuple[str, ...] = ()
    change_switches: tuple[SwitchChange, ...] = ()
    join: tuple[Seat, ...] = ()
    change: tuple[str, ...] = ()
    start_cables: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    unwatch: tuple[str, ...] = ()
    impair: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    restart: tuple[Restart, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do, and nothing to tell."""
        return self == Plan(keep=self.keep)

    def summary(self) -> dict[str, list[str]]:
        """Returns what was done, by names: ports as they are, others as "switch lan" and "cable backhaul".

        Returns:
            Names under "added", "removed", "changed" and "kept", each in one of them; settings that need a
            restart as "service.workers" under "restart".
        """
        cables = _sorted_out("cable ", self.end_cables, self.start_cables)
        switches = _sorted_out("switch ", self.end_switches, self.make_switches)
        ports = _sorted_out("", self.close, self.open)
        touched = {*self.change, *(move.port for move in self.moves), *self.impair}
        touched |= {*self.unwatch, *self.watch}
        return {
            "added": [*ports[0], *switches[0], *cables[0]],
            "removed": [*ports[1], *switches[1], *cables[1]],
            "changed": [
                *ports[2],
                *(name for name in self.keep if name in touched),
                *(f"switch {each.name}" for each in self.change_switches),
                *cables[2],
            ],
            "kept": [name for name in self.keep if name not in touched],
            "restart": [f"service.{each.setting}" for each in self.restart],
        }


def difference(old: Config | None, new: Config) -> Plan:
    """Returns what leads from one configuration to another.

    Args:
        old: What is in force; None where nothing is yet: then all is opened and no setting needs a restart.
        new: What shall be.
    """
    before, after = _View(old or Config()), _View(new)
    closed = [name for name in before.specs if before.specs[name] != after.specs.get(name)]
    opened = [name for name in after.specs if after.specs[name] != before.specs.get(name)]
    keep = [name for name in after.specs if before.specs.get(name) == after.specs[name]]
    kept = set(keep)
    steady = {  # cables that go on: the same two ports, both staying open
        name for name, ends in after.cables.items() if before.cables.get(name) == ends and ends <= kept
    }
    stay = {name for name in keep if name in after.switch and before.switch.get(name) == after.switch[name]}
    still = stay | {end for name in steady for end in after.cables[name]}
    watched = {
        name
        for name, watch in after.watches.items()
        if before.watches.get(name) == watch and name in still and watch[0] in {None, *kept}
    }
    return Plan(
        end_cables=tuple(name for name in before.cables if name not in steady),
        leave=tuple(Seat(port, switch) for port, switch in before.switch.items() if port not in stay),
        end_switches=tuple(name for name in before.settings if name not in after.settings),
        close=tuple(closed),
        open=tuple(opened),
        make_switches=tuple(name for name in after.settings if name not in before.settings),
        change_switches=tuple(
            SwitchChange(name, *settings)
            for name, settings in after.settings.items()
            if before.settings.get(name, settings) != settings
        ),
        join=tuple(Seat(port, switch) for port, switch in after.switch.items() if port not in stay),
        change=tuple(
            name for name in keep if name in stay and before.membership[name] != after.membership[name]
        ),
        start_cables=tuple(name for name in after.cables if name not in steady),
        keep=tuple(keep),
        moves=tuple(
            Move(name, before.place.get(name), after.place.get(name))
            for name in keep
            if before.place.get(name) != after.place.get(name)
        ),
        unwatch=tuple(name for name in before.watches if name not in watched),
        impair=tuple(name for name in keep if before.impairments[name] != after.impairments[name]),
        watch=tuple(name for name in after.watches if name not in watched),
        restart=tuple(_restarts(old.service, new.service)) if old else (),
    )


class _View:
    """A configuration in the form in which two are compared."""

    def __init__(self, config: Config) -> None:
        # An impairment is changed while a port is open.
        parsed = {name: port.parsed for name, port in config.ports.items()}
        self.specs = {name: str(spec.impaired(Impairment())) for name, spec in parsed.items()}
        self.impairments = {name: spec.impairment for name, spec in parsed.items()}
        self.watches = {
            name: (port.mirror, port.trace, port.capture, port.capture_size, port.capture_keep)
            for name, port in config.ports.items()
            if (port.mirror is not None or port.trace or port.capture is not None)
            and config.joined(name) is not None
        }
        self.cables = {name: frozenset(ends) for name, ends in config.cables.items()}
        self.switch = {port: name for name, switch in config.switches.items() for port in switch.ports}
        self.settings = {name: (switch.age, switch.addresses) for name, switch in config.switches.items()}
        self.place = {port: f"cable {name}" for name, ends in self.cables.items() for port in ends}
        self.place |= {port: f"switch {name}" for port, name in self.switch.items()}
        # Horizons by their names: their numbers are the service's.
        self.membership = {
            name: {**told, "horizon": config.ports[name].horizon}
            for name, told in memberships(config).items()
        }


def _restarts(running: ServiceConfig, wanted: ServiceConfig) -> Iterator[Restart]:
    for setting in ServiceConfig.model_fields:
        one, other = getattr(running, setting), getattr(wanted, setting)
        if one != other:
            yield Restart(setting, one, other)


def _sorted_out(
    prefix: str, ended: tuple[str, ...], begun: tuple[str, ...]
) -> tuple[list[str], list[str], list[str]]:
    """Returns the names of what only begins, what only ends, and what does both."""
    return (
        [prefix + name for name in begun if name not in ended],
        [prefix + name for name in ended if name not in begun],
        [prefix + name for name in begun if name in ended],
    )
