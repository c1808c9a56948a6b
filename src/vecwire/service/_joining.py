"""The second half of a change: switches, memberships and cables begin, frames are impaired and watched.

Theory of operation: by now the ports are open, and what is to end has ended: there is no way back. So each
step stands alone. One that fails, for want of memory or descriptors, leaves what it was about as it was
before, or out; the configuration that is in force afterwards says so, and the next reload does the rest.
"""

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vecwire.engine import Engine
from vecwire.errors import PortError, VecwireError
from vecwire.service._watches import Watches
from vecwire.service.config import Config, memberships
from vecwire.service.keys import MEMBERSHIP
from vecwire.service.plan import Plan, SwitchChange
from vecwire.switch import Cable, Membership, Switch
from vecwire.transports import TransportPort

logger = logging.getLogger("vecwire.service")

#: What a step may fail with, where nothing is wrong with what was asked.
FAILURES = (VecwireError, OSError, MemoryError)


def as_named(error: BaseException) -> VecwireError:
    """A failure as an error that says what it is."""
    if isinstance(error, VecwireError):
        return error
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    return PortError(
        f"not all of it could be done ({error or 'no memory'})",
        errno=number,
        remedy="see the log for what is left out; free what is short, then: vecwire ctl reload",
    )


@dataclass(slots=True)
class Standing:
    """What stands by its name: changed step by step.

    Attributes:
        ports: the open ports.
        cables: the cables.
        switches: the switches.
        homes: for each "cable NAME" and "switch NAME" the number of its worker.
        engines: the workers.
        watches: who watches ports.
    """

    ports: dict[str, TransportPort]
    cables: dict[str, Cable]
    switches: dict[str, Switch]
    homes: dict[str, int]
    engines: Sequence[Engine]
    watches: Watches

    def settle(self, what: str) -> Engine:
        """Chooses the worker for a cable or a switch: the one with the fewest so far."""
        homes = list(self.homes.values())
        self.homes[what] = min(range(len(self.engines)), key=homes.count)
        return self.engines[self.homes[what]]


def unwatched(config: Config, name: str) -> Config:
    """Returns a configuration in which nobody watches a port."""
    port = config.ports[name].model_copy(update={"mirror": None, "trace": False, "capture": None})
    return config.model_copy(update={"ports": {**config.ports, name: port}})


class Joining:
    """Carries the second half of a plan out.

    Args:
        standing: what stands.
        before: the configuration that was in force.
        wanted: what is to be.
        numbers: the horizons' numbers.
    """

    def __init__(self, standing: Standing, before: Config, wanted: Config, numbers: dict[str, int]) -> None:
        self._standing = standing
        self._before = before
        #: What is in force, as far as it has come.
        self.config = wanted
        #: The first failure.
        self.refused: BaseException | None = None
        self._members = {
            name: Membership(**given)  # type: ignore[arg-type]  # what memberships promises
            for name, given in memberships(wanted, numbers).items()
        }

    def _step(self, what: str, do: Callable[[], object], otherwise: Callable[[], Config]) -> None:
        """Does one thing; where it fails, the configuration is as ``otherwise`` says."""
        try:
            do()
        except FAILURES as error:
            logger.error("%s: %s", what, error or type(error).__name__)  # noqa: TRY400 # it explains itself
            self.refused = self.refused or error
            self.config = otherwise()

    def run(self, plan: Plan) -> None:
        """Does all of it, in the order of the plan."""
        for name in plan.make_switches:
            self._step(f"switch {name}", lambda: self._make(name), lambda: self._without("switches", name))  # noqa: B023 # called at once
        for change in plan.change_switches:
            self._step(
                f"switch {change.name}",
                lambda: self._change(change),  # noqa: B023
                lambda: self._as_it_is(change.name),  # noqa: B023
            )
        for seat in plan.join:
            if seat.switch in self.config.switches:
                self._step(
                    seat.port,
                    lambda: self._standing.switches[seat.switch].add(  # noqa: B023
                        self._standing.ports[seat.port],  # noqa: B023
                        self._members[seat.port],  # noqa: B023
                    ),
                    lambda: self._out_of(seat.switch, seat.port),  # noqa: B023
                )
        for name in plan.change:
            self._step(name, lambda: self._take_part(name), lambda: self._old_membership(name))  # noqa: B023
        for name in plan.start_cables:
            self._step(f"cable {name}", lambda: self._start(name), lambda: self._without("cables", name))  # noqa: B023
        for name in plan.impair:
            self._step(name, lambda: self._impair(name), lambda: self._old_impairment(name))  # noqa: B023
        for name in plan.watch:
            self._step(name, lambda: self._watch(name), lambda: self._unwatched(name))  # noqa: B023

    # The steps.

    def _make(self, name: str) -> None:
        wanted, what = self.config.switches[name], f"switch {name}"
        try:
            engine = self._standing.settle(what)
            made = Switch(age=wanted.age, addresses=wanted.addresses, engine=engine).start()
            self._standing.switches[name] = made
        except BaseException:
            self._standing.homes.pop(what, None)
            raise

    def _change(self, change: SwitchChange) -> None:
        switch = self._standing.switches[change.name]
        switch.age = change.age
        if switch.capacity != change.addresses:
            switch.capacity = change.addresses

    def _take_part(self, name: str) -> None:
        for switch, told in self.config.switches.items():
            if name in told.ports:
                self._standing.switches[switch].change(self._standing.ports[name], self._members[name])

    def _start(self, name: str) -> None:
        first, second = (self._standing.ports[end] for end in self.config.cables[name])
        what = f"cable {name}"
        try:
            engine = self._standing.settle(what)
            self._standing.cables[name] = Cable(first, second, engine=engine).start()
        except BaseException:
            self._standing.homes.pop(what, None)
            raise

    def _impair(self, name: str) -> None:
        self._standing.ports[name].impair(self.config.port(name).parsed.impairment)

    def _watch(self, name: str) -> None:
        joined = self.config.joined(name)
        if joined is not None:
            engine = self._standing.engines[self._standing.homes[joined]]
            self._standing.watches.begin(name, self.config.port(name), self._standing.ports, engine)

    # What the configuration is where a step has failed.

    def _with(self, table: str, name: str, **changes: object) -> Config:
        entries = getattr(self.config, table)
        changed = entries[name].model_copy(update=changes)
        return self.config.model_copy(update={table: {**entries, name: changed}})

    def _without(self, table: str, name: str) -> Config:
        entries = {each: told for each, told in getattr(self.config, table).items() if each != name}
        return self.config.model_copy(update={table: entries})

    def _as_it_is(self, name: str) -> Config:
        switch = self._standing.switches[name]
        return self._with("switches", name, age=switch.age, addresses=switch.capacity)

    def _out_of(self, switch: str, port: str) -> Config:
        ports = type(self.config.switches[switch].ports)(
            each for each in self.config.switches[switch].ports if each != port
        )
        return self._with("switches", switch, ports=ports)

    def _old_membership(self, name: str) -> Config:
        old = self._before.port(name)
        return self._with("ports", name, **{key: getattr(old, key) for key in MEMBERSHIP})

    def _old_impairment(self, name: str) -> Config:
        return self._with("ports", name, spec=str(self._standing.ports[name].spec))

    def _unwatched(self, name: str) -> Config:
        return unwatched(self.config, name)
