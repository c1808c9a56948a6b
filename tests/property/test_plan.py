"""Plans for any two configurations: carried out in order they lead from the one to the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from vecwire.service.config import Config, from_document, memberships
from vecwire.service.plan import Plan, difference

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ["a", "b", "c", "d", "e"]
SPELLINGS = ["tap,ifname={0}", "transport=tap,iface={0},depth=64", "tap,ifname={0},depth=3", "raw,ifname={0}"]


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Draws a configuration of few names, so that two of them have much in common."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    places = {name: draw(st.sampled_from(["", "s", "t", "x", "y"])) for name in names}
    cables = {cable: [name for name in names if places[name] == cable][:2] for cable in "xy"}
    cables = {cable: draw(st.permutations(ends)) for cable, ends in cables.items() if len(ends) == 2}
    switches: dict[str, dict[str, Any]] = {
        switch: {
            "ports": draw(st.permutations([name for name in names if places[name] == switch])),
            **draw(st.fixed_dictionaries({}, optional={"age": st.integers(1, 2), "flood_rate": st.just(5)})),
        }
        for switch in draw(st.lists(st.sampled_from("st"), unique=True))
    }
    joined = {name for ends in cables.values() for name in ends}
    options = st.fixed_dictionaries(
        {}, optional={"vlan": st.integers(1, 2), "horizon": st.sampled_from("hk"), "flood_rate": st.just(0)}
    )
    ports = {
        name: {
            "spec": draw(st.sampled_from(SPELLINGS)).format(name),
            **({} if name in joined else draw(options)),
        }
        for name in names
    }
    service = draw(st.fixed_dictionaries({}, optional={"workers": st.integers(1, 2)}))
    return from_document(
        {"service": service, "ports": ports, "cables": cables, "switches": switches}, "property"
    )


@dataclass
class Running:
    """A service as a model: it refuses what a real one could not do."""

    ports: dict[str, str] = field(default_factory=dict)
    cables: dict[str, frozenset[str]] = field(default_factory=dict)
    switches: dict[str, tuple[float, int]] = field(default_factory=dict)
    seats: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)

    def carry_out(self, plan: Plan, new: Config) -> None:
        """Does what the plan says, in its order."""
        self.end(plan)
        for name in plan.open:
            assert name not in self.ports
            self.ports[name] = new.port(name).canonical
        self.begin(plan, new)

    def end(self, plan: Plan) -> None:
        """Does what comes before ports are opened."""
        for name in plan.end_cables:
            del self.cables[name]
        for seat in plan.leave:
            assert self.seats.pop(seat.port)[0] == seat.switch
        for name in plan.end_switches:
            assert name not in {switch for switch, _ in self.seats.values()}
            del self.switches[name]
        for name in plan.close:
            assert self.is_free(name)
            del self.ports[name]

    def begin(self, plan: Plan, new: Config) -> None:
        """Does what comes after ports were opened."""
        told = membership(new)
        for name in plan.make_switches:
            assert name not in self.switches
            self.switches[name] = (new.switches[name].age, new.switches[name].addresses)
        for change in plan.change_switches:
            assert self.switches[change.name] != (change.age, change.addresses)
            self.switches[change.name] = (change.age, change.addresses)
        for seat in plan.join:
            assert self.is_free(seat.port)
            assert seat.port in self.ports
            assert seat.switch in self.switches
            self.seats[seat.port] = (seat.switch, told[seat.port])
        for name in plan.change:
            switch, before = self.seats[name]
            assert before != told[name]
            self.seats[name] = (switch, told[name])
        for name in plan.start_cables:
            ends = frozenset(new.cables[name])
            assert name not in self.cables
            assert all(end in self.ports and self.is_free(end) for end in ends)
            self.cables[name] = ends

    def is_free(self, port: str) -> bool:
        """Whether a port is in nothing."""
        return port not in self.seats and not any(port in ends for ends in self.cables.values())


def membership(config: Config) -> dict[str, dict[str, object]]:
    """How ports take part, horizons by their names: their numbers are the service's."""
    return {
        name: {**told, "horizon": config.port(name).horizon} for name, told in memberships(config).items()
    }


def running(config: Config) -> Running:
    """The service that a configuration means."""
    told = membership(config)
    return Running(
        {name: port.canonical for name, port in config.ports.items()},
        {name: frozenset(ends) for name, ends in config.cables.items()},
        {name: (switch.age, switch.addresses) for name, switch in config.switches.items()},
        {port: (name, told[port]) for name, switch in config.switches.items() for port in switch.ports},
    )


def touched(plan: Plan) -> set[str]:
    """Every port that a plan does something to."""
    return {*plan.close, *plan.open, *plan.change, *(seat.port for seat in (*plan.leave, *plan.join))}


@given(configs(), configs())
def test_a_plan_leads_from_the_old_to_the_new(old: Config, new: Config) -> None:
    """Carried out step by step, each of which is possible, a plan makes the old state the new one."""
    state = running(old)
    state.carry_out(difference(old, new), new)
    assert state == running(new)


@given(configs())
def test_the_first_plan_makes_all(new: Config) -> None:
    """From nothing a plan makes what the file says."""
    state = Running()
    state.carry_out(difference(None, new), new)
    assert state == running(new)


@given(configs())
def test_the_same_configuration_gives_an_empty_plan(config: Config) -> None:
    """What did not change is not touched."""
    plan = difference(config, from_document(config.model_dump(exclude_unset=True), "again"))
    assert plan.empty
    assert plan.keep == tuple(config.ports)
    assert not touched(plan)


@given(configs(), configs())
def test_what_did_not_change_is_not_touched(old: Config, new: Config) -> None:
    """A port with the same spec, place and membership is in no field but keep, nor is its cable ended."""
    plan = difference(old, new)
    one, other = membership(old), membership(new)
    for name in old.ports.keys() & new.ports.keys():
        if old.port(name).canonical == new.port(name).canonical:
            assert name in plan.keep
            assert name not in {*plan.close, *plan.open}
            if old.joined(name) == new.joined(name) and one.get(name) == other.get(name):
                assert name not in touched(plan)
    for name, ends in old.cables.items():
        if set(ends) <= set(plan.keep) and set(new.cables.get(name, ())) == set(ends):
            assert name not in {*plan.end_cables, *plan.start_cables}
    assert set(plan.keep) == (old.ports.keys() & new.ports.keys()) - set(plan.close)


@given(configs(), configs())
def test_a_summary_has_each_name_once(old: Config, new: Config) -> None:
    """Each port is added, removed, changed or kept; so is each cable and switch that is told."""
    summary: Mapping[str, list[str]] = difference(old, new).summary()
    names = [name for key in ("added", "removed", "changed", "kept") for name in summary[key]]
    assert len(names) == len(set(names))
    assert old.ports.keys() | new.ports.keys() <= set(names)
