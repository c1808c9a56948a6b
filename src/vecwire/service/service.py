"""The service: ports, cables and switches by their names, as a file says, changed while frames move.

Theory of operation: ``apply`` compares the configuration in force with another and carries out the
difference, in the order that ``vecwire.service.plan`` gives. New ports are opened before anything else is
touched, so that what this host refuses leaves everything as it was. What the difference does not name is not
touched. One change is made at a time; whoever only asks waits for nobody.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vecwire.confine import Seccomp
from vecwire.engine import Engine
from vecwire.errors import PortError
from vecwire.keeper import Keeper
from vecwire.service import _drops, edit
from vecwire.service._joining import FAILURES, Joining, Standing, as_named, unwatched
from vecwire.service._watches import Watches
from vecwire.service.config import Config, horizons, load
from vecwire.service.plan import Plan, difference
from vecwire.service.state import CableState, CaptureState, PortState, ServiceState, StationState, SwitchState
from vecwire.spec.text import nearest
from vecwire.switch import Cable, Switch
from vecwire.transports import TransportPort, open_port

if TYPE_CHECKING:
    from vecwire.port import PortStats

logger = logging.getLogger("vecwire.service")

T = TypeVar("T")


class Service:
    """Holds what a file describes, and does what it is asked; see ``vecwire.service.state.Controlled``.

    Args:
        path: the file, for ``reload``.
        workers: how many threads move frames; cables and switches are spread over them.
        pin: whether each worker stays on a processor of its own.
        poll: microseconds for which a worker looks again before it sleeps.
        confine: what threads that read what strangers wrote give up at their start; see ``vecwire.confine``.
        stop: called when the service is asked to end.
    """

    def __init__(
        self,
        path: Path,
        *,
        workers: int = 1,
        pin: bool = False,
        poll: int = 0,
        confine: Seccomp | None = None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._ask_to_stop = stop
        self._keeper = Keeper()
        processors = sorted(os.sched_getaffinity(0))
        self._engines = [
            Engine(
                poll=poll,
                cpu=processors[number % len(processors)] if pin else None,
                name=f"vecwire-worker{number}",
                keeper=self._keeper,
                confine=confine,
            )
            for number in range(workers)
        ]
        self._config = Config()
        self._horizons: dict[str, int] = {}
        self._ports: dict[str, TransportPort] = {}
        self._cables: dict[str, Cable] = {}
        self._switches: dict[str, Switch] = {}
        self._homes: dict[str, int] = {}
        self._watches = Watches()
        self._zeros: dict[str, PortStats] = {}
        self._change = threading.RLock()
        self._started = time.monotonic()
        self._reloads = 0
        _version()

    @property
    def confine(self) -> Seccomp | None:
        """What the threads give up that read what strangers wrote; None is nothing."""
        return self._engines[0].confine

    # Its life.

    def start(self) -> None:
        """Begins to move frames; returns once they flow.

        A log or a file that the frames of a port cannot be written to keeps none of them from that.
        """
        with self._change:
            for name in self._watches.start():
                self._config = unwatched(self._config, name)
        for engine in self._engines:
            engine.start()

    def answer(self) -> None:
        """Returns once every worker has answered.

        Raises:
            PortError: if one has ended by itself.
        """
        for engine in self._engines:
            engine.answer()

    def close(self) -> None:
        """Ends everything and gives everything back."""
        with self._change:
            for engine in self._engines:
                engine.stop()
            self._keeper.close()
            self._watches.close(self._ports)
            for cable in self._cables.values():
                cable.stop()
            for switch in self._switches.values():
                switch.stop()
            for port in self._ports.values():
                port.close()
            self._cables.clear()
            self._switches.clear()
            self._homes.clear()

    def apply(self, config: Config) -> Plan:
        """Makes the service what a configuration says, and touches nothing that stays the same.

        Returns:
            What was done.

        Raises:
            UnsupportedError: if this user may not, or this host cannot, open a port; a new one then leaves
                everything as it was, and one that changed keeps its old spec; where that is refused by now
                too, it is taken out, and opened by the next reload that can.
            SpecError: if a filter expression is wrong; and so it is with that port.
            PortError: if there is no filter in a port's file; and so it is with that port. If there is no
                memory, no descriptor or no thread for what begins: that is left out, and begun by the next
                reload that can; what is left out is in the log.
        """
        with self._change:
            plan = difference(self._config, config)
            opened = self._open_new(plan, config)
            for name in plan.unwatch:
                self._watches.end(name, self._ports[name])
            for cable in plan.end_cables:
                self._cables.pop(cable).stop()
                del self._homes[f"cable {cable}"]
            for seat in plan.leave:
                self._switches[seat.switch].remove(self._ports[seat.port])
            for switch in plan.end_switches:
                self._switches.pop(switch).stop()
                del self._homes[f"switch {switch}"]
            for name in plan.close:
                self._ports.pop(name).close()
                self._zeros.pop(name, None)
            config, refused = self._open_changed(plan, config, opened)
            self._ports = {name: opened.get(name) or self._ports[name] for name in config.ports}
            self._horizons = horizons(config, self._horizons)
            standing = Standing(
                self._ports, self._cables, self._switches, self._homes, self._engines, self._watches
            )
            joining = Joining(standing, self._config, config, self._horizons)
            joining.run(_without_refused(plan, config))
            self._config = config = joining.config
            self._switches = {name: self._switches[name] for name in config.switches}
            self._cables = {name: self._cables[name] for name in config.cables}
        if refused := refused or joining.refused:
            raise as_named(refused)
        return plan

    @staticmethod
    def _open_new(plan: Plan, config: Config) -> dict[str, TransportPort]:
        """Opens the ports of new names; gives them back if one of them cannot be opened here."""
        opened: dict[str, TransportPort] = {}
        try:
            for name in plan.open:
                if name not in plan.close:
                    opened[name] = open_port(config.port(name).parsed, patient=True)
        except BaseException:
            for port in opened.values():
                port.close()
            raise
        return opened

    def _open_changed(
        self, plan: Plan, config: Config, opened: dict[str, TransportPort]
    ) -> tuple[Config, BaseException | None]:
        """Opens the ports whose specs changed, after the old ones: both may want the same name."""
        refused: BaseException | None = None
        for name in plan.open:
            if name in opened:
                continue
            try:
                opened[name] = open_port(config.port(name).parsed, patient=True)
            except FAILURES as error:
                logger.warning("%s: is to keep its old spec: %s", name, error)
                refused = error
                config = self._open_old(name, config, opened)
        return config, refused

    def _open_old(self, name: str, config: Config, opened: dict[str, TransportPort]) -> Config:
        """Opens a port as it was; where that is refused by now too, the service goes on without it."""
        old = config.port(name).model_copy(update={"spec": self._config.port(name).spec})
        try:
            opened[name] = open_port(old.parsed, patient=True)
        except FAILURES as error:
            logger.error("%s: is taken out: %s", name, error)  # noqa: TRY400 # the error explains itself
            return edit.without_port(config, name)
        return config.model_copy(update={"ports": {**config.ports, name: old}})

    @property
    def ports(self) -> Mapping[str, TransportPort]:
        """The ports by their names, as they are now."""
        return dict(self._ports)

    # What it tells: from any thread, waiting for no change.

    def status(self) -> ServiceState:
        """The service as a whole."""
        ports = list(self._ports.values())
        return ServiceState(
            version=_version(),
            pid=os.getpid(),
            config=str(self._path),
            uptime=time.monotonic() - self._started,
            workers=len(self._engines),
            ports=len(ports),
            up=sum(port.info.up for port in ports),
            reloads=self._reloads,
        )

    def port_states(self, name: str | None = None) -> list[PortState]:
        """The ports in the order of the file; with ``name`` that one alone.

        Raises:
            PortError: if there is none of that name.
        """
        if name is not None:
            return [self._port_state(name, self._port(name), self._config)]
        config = self._config
        return [self._port_state(each, port, config) for each, port in list(self._ports.items())]

    def _port_state(self, name: str, port: TransportPort, config: Config) -> PortState:
        info, joined = port.info, config.joined(name)
        stats, zero = port.stats, self._zeros.get(name)
        told = config.ports.get(name)
        return PortState(
            name=name,
            spec=info.spec,
            transport=info.transport,
            up=info.up,
            since=port.since,
            why=port.why,
            joined=joined,
            worker=None if joined is None else self._homes.get(joined),
            mtu=info.mtu,
            overhead=info.overhead,
            offloads=list(info.offloads),
            refused=dict(info.refused),
            vlan=None if told is None else told.vlan,
            tagged=[] if told is None else sorted(told.tagged),
            horizon=None if told is None else told.horizon,
            counters=dict((stats if zero is None else stats - zero).counters),
        )

    def switch_states(self) -> list[SwitchState]:
        """The switches in the order of the file."""
        config = self._config
        return [
            SwitchState(
                name=name,
                ports=list(config.switches[name].ports),
                age=switch.age,
                capacity=switch.capacity,
                addresses=switch.known,
                worker=self._homes[f"switch {name}"],
            )
            for name, switch in list(self._switches.items())
            if name in config.switches
        ]

    def cable_states(self) -> list[CableState]:
        """The cables in the order of the file."""
        config = self._config
        return [
            CableState(name=name, ports=list(config.cables[name]), worker=self._homes[f"cable {name}"])
            for name in list(self._cables)
            if name in config.cables
        ]

    def stations(self, switch: str, port: str | None = None) -> list[StationState]:
        """A switch's FDB; with ``port`` what was learned from that one alone.

        Raises:
            PortError: if there is no such switch or port.
        """
        wanted = None if port is None else self._port(port)
        names = {each: name for name, each in list(self._ports.items())}
        return [
            StationState(mac=station.mac, vlan=station.vlan, port=names[station.port], idle=station.idle)
            for station in self._switch(switch).fdb()
            if station.port in names and wanted in {None, station.port}
        ]

    # What it is told.

    def flush(self, switch: str, port: str | None = None) -> int:
        """Forgets what a switch has learned, or what it has from one port; how many addresses.

        Raises:
            PortError: if there is no such switch or port.
        """
        with self._change:
            return self._switch(switch).flush(None if port is None else self._port(port))

    def reset(self, name: str | None = None) -> None:
        """Has the counters shown start from zero again, of one port or of all; maxima stay.

        Raises:
            PortError: if there is no such port.
        """
        with self._change:
            chosen = self._ports if name is None else {name: self._port(name)}
            for each, port in chosen.items():
                self._zeros[each] = port.stats

    def reload(self) -> dict[str, list[str]]:
        """Applies the difference between the file and what runs; what was added by hand goes.

        Raises:
            ConfigError: if the file is wrong.
            UnsupportedError: if a port cannot be opened here.
        """
        with self._change:
            plan = self.apply(load(self._path))
            self._reloads += 1
        summary = plan.summary()
        counts = ", ".join(f"{len(names)} {what}" for what, names in summary.items() if names)
        logger.info("%s: reloaded: %s", self._path, counts or "nothing in it")
        for each in plan.restart:
            logger.warning("service.%s: a restart is needed for %r", each.setting, each.wanted)
        return summary

    def add_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Opens a port and joins it; until the next reload.

        Raises:
            ConfigError: if an option is wrong, or the name is taken.
            UnsupportedError: if it cannot be opened here.
        """
        with self._change:
            self.apply(edit.with_port(self._config, name, options))

    def remove_port(self, name: str) -> None:
        """Takes a port out of what it is part of, and closes it; until the next reload.

        Raises:
            PortError: if there is no such port.
        """
        with self._change:
            self.apply(edit.without_port(self._config, name))

    def set_port(self, name: str, options: Mapping[str, Any]) -> None:
        """Changes how a port takes part in its switch; until the next reload.

        Raises:
            PortError: if there is no such port.
            ConfigError: if an option is wrong.
        """
        with self._change:
            self.apply(edit.with_options(self._config, name, options))

    def capture(self, port: str) -> int:
        """Copies a port's frames, both ways; a SEQPACKET descriptor that gives one record a frame.

        Raises:
            PortError: if there is no such port, it is in no cable or switch, or it is captured already.
        """
        with self._change:
            return self._engine_of(port).capture(self._port(port))

    def captured(self, port: str) -> CaptureState:
        """How many frames the capture of a port has had, and how many came too fast for its reader.

        Raises:
            PortError: if there is no such port, it is in no cable or switch, or nobody captures it.
        """
        return CaptureState(port, *self._engine_of(port).counting(self._port(port))())

    def _engine_of(self, port: str) -> Engine:
        """The engine that moves a port's frames."""
        self._port(port)
        home = self._homes.get(self._config.joined(port) or "")
        if home is None:
            raise PortError(
                f"the port {port} is in no cable or switch: no frames move there", remedy="join it first"
            )
        return self._engines[home]

    def capture_drops(self, port: str | None = None, reasons: Sequence[Any] = ()) -> int:
        """Copies frames that are dropped, with the reason; a SEQPACKET descriptor, one record a drop.

        Raises:
            PortError: if there is no such port or reason, or drops are captured already.
        """
        with self._change:
            if port is not None:
                self._port(port)

            def name(dropping: TransportPort) -> str | None:
                found = next((name for name, each in list(self._ports.items()) if each is dropping), None)
                return found if port in {None, found} else None

            return _drops.begin(self._engines, _drops.wanted(reasons), name)

    def stop(self) -> None:
        """Asks the service to end; returns at once."""
        self._ask_to_stop()

    def _port(self, name: str) -> TransportPort:
        return _found(self._ports, name, "port")

    def _switch(self, name: str) -> Switch:
        return _found(self._switches, name, "switch")


def _without_refused(plan: Plan, config: Config) -> Plan:
    """A plan without what cannot begin: a port could not be opened, and the configuration has it no more."""
    return replace(
        plan,
        join=tuple(seat for seat in plan.join if seat.port in config.ports),
        start_cables=tuple(name for name in plan.start_cables if name in config.cables),
        impair=tuple(name for name in plan.impair if name in config.ports),
        watch=tuple(name for name in plan.watch if name in config.ports),
    )


def _found(among: Mapping[str, T], name: str, what: str) -> T:
    if name not in among:
        meant = nearest(name, list(among))
        raise PortError(
            f"there is no {what} named {name}",
            remedy=f"did you mean {meant}?"
            if meant
            else "list them: vecwire ctl ports, vecwire ctl switches",
        )
    return among[name]


@functools.cache
def _version() -> str:
    """The version of the package: a file that is read once, since a service may run out of descriptors."""
    try:
        return metadata.version("vecwire")
    except metadata.PackageNotFoundError:
        return "not installed"
