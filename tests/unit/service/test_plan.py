"""What a reload does: only the difference, each part of it in its field."""

from collections.abc import Mapping
from typing import Any

import pytest

from vecwire.service.config import Config, from_document
from vecwire.service.plan import Move, Plan, Restart, Seat, SwitchChange, difference


def config(
    ports: Mapping[str, Any],
    cables: Mapping[str, list[str]] | None = None,
    switches: Mapping[str, Any] | None = None,
    **service: object,
) -> Config:
    """A configuration; a port is its spec or its table, a switch the list of its ports or its table."""

    def port(name: str, value: object) -> dict[str, Any]:
        table = dict(value) if isinstance(value, Mapping) else {"spec": value}
        return {**table, "spec": table.get("spec") or f"tap,ifname={name}"}

    return from_document(
        {
            "service": service,
            "ports": {name: port(name, value) for name, value in ports.items()},
            "cables": cables or {},
            "switches": {
                name: value if isinstance(value, Mapping) else {"ports": value}
                for name, value in (switches or {}).items()
            },
        },
        "test",
    )


ABC = {"a": "", "b": "", "c": ""}
LAN = config(ABC, switches={"lan": ["a", "b", "c"]})


def test_the_first_plan_opens_all() -> None:
    """From nothing everything is opened, made and started, and no setting needs a restart."""
    new = config({**ABC, "d": "", "e": ""}, {"x": ["d", "e"]}, {"lan": ["a", "b"]}, workers=4)
    assert difference(None, new) == Plan(
        open=("a", "b", "c", "d", "e"),
        make_switches=("lan",),
        join=(Seat("a", "lan"), Seat("b", "lan")),
        start_cables=("x",),
    )


def test_the_same_is_nothing_to_do() -> None:
    """A file that did not change gives an empty plan that keeps all."""
    plan = difference(LAN, LAN)
    assert plan == Plan(keep=("a", "b", "c"))
    assert plan.empty
    assert plan.summary() == {
        "added": [],
        "removed": [],
        "changed": [],
        "kept": ["a", "b", "c"],
        "restart": [],
    }
    assert difference(None, config({})).empty


@pytest.mark.parametrize(
    "spec", ["transport=tap,ifname=a", "vec0:tap,iface=a", "tap, ifname = 'a'", "tap,ifname=a,depth=0x40"]
)
def test_another_spelling_is_the_same(spec: str) -> None:
    """A spec that means the same is the same."""
    assert difference(LAN, config({**ABC, "a": spec}, switches={"lan": ["c", "b", "a"]})).empty


def test_another_spec_opens_the_port_anew() -> None:
    """A port with another spec leaves, is closed, opened and joins again; the others are not named."""
    plan = difference(LAN, config({**ABC, "b": "tap,ifname=b,depth=3"}, switches={"lan": ["a", "b", "c"]}))
    assert plan == Plan(
        leave=(Seat("b", "lan"),), close=("b",), open=("b",), join=(Seat("b", "lan"),), keep=("a", "c")
    )
    assert plan.summary()["changed"] == ["b"]


def test_a_port_that_is_gone_is_closed_and_a_new_one_opened() -> None:
    """A port under another name is another port, though its spec is the same."""
    new = config({"a": "", "b": "", "z": "tap,ifname=c"}, switches={"lan": ["a", "b", "z"]})
    plan = difference(LAN, new)
    assert plan == Plan(
        leave=(Seat("c", "lan"),), close=("c",), open=("z",), join=(Seat("z", "lan"),), keep=("a", "b")
    )
    assert (plan.summary()["added"], plan.summary()["removed"]) == (["z"], ["c"])


@pytest.mark.parametrize(
    "options", [{"vlan": 3}, {"tagged": [1]}, {"horizon": "x"}, {"flood_rate": 1}, {"addresses": 1}]
)
def test_another_membership_is_changed_in_place(options: dict[str, object]) -> None:
    """What a port is in its switch changes while it is open."""
    plan = difference(LAN, config({**ABC, "b": options}, switches={"lan": ["a", "b", "c"]}))
    assert plan == Plan(change=("b",), keep=("a", "b", "c"))
    assert not plan.empty
    assert (plan.summary()["changed"], plan.summary()["kept"]) == (["b"], ["a", "c"])


def test_what_a_switch_gives_its_ports_changes_those_without_their_own() -> None:
    """Another default of a switch is another membership of the ports that have none of their own."""
    ports = {"a": {"flood_rate": 7, "addresses": 7}, "b": {"flood_rate": 7}, "c": ""}
    old = config(ports, switches={"lan": ["a", "b", "c"]})
    bound = {"ports": ["a", "b", "c"], "addresses_per_port": 9}
    assert difference(old, config(ports, switches={"lan": bound})).change == ("b", "c")
    rate = {"ports": ["a", "b", "c"], "flood_rate": 9}
    assert difference(old, config(ports, switches={"lan": rate})).change == ("c",)


def test_saying_the_default_changes_nothing() -> None:
    """A key that is written out with its default is no change."""
    written = {"ports": ["a", "b", "c"], "age": 300, "addresses": 65536, "flood_rate": 0}
    new = config({**ABC, "a": {"flood_rate": 0, "tagged": []}}, switches={"lan": written})
    assert difference(LAN, new).empty


def test_renumbered_horizons_change_nothing() -> None:
    """A horizon is its name: that another now appears first changes no port of it."""
    old = config({"a": "", "b": {"horizon": "x"}, "c": {"horizon": "x"}}, switches={"lan": ["a", "b", "c"]})
    new = config(
        {"a": {"horizon": "first"}, "b": {"horizon": "x"}, "c": {"horizon": "x"}},
        switches={"lan": ["a", "b", "c"]},
    )
    assert difference(old, new) == Plan(change=("a",), keep=("a", "b", "c"))


def test_a_switch_changes_in_place() -> None:
    """Another age or bound reaches the switch while it runs."""
    plan = difference(
        LAN, config(ABC, switches={"lan": {"ports": ["a", "b", "c"], "age": 5, "addresses": 9}})
    )
    assert plan == Plan(change_switches=(SwitchChange("lan", 5.0, 9),), keep=("a", "b", "c"))
    assert plan.summary()["changed"] == ["switch lan"]


def test_a_port_moves_between_switches_open() -> None:
    """A port that goes to another switch stays open."""
    old = config(ABC, switches={"lan": ["a", "b"], "dmz": ["c"]})
    new = config(ABC, switches={"lan": ["a"], "dmz": ["c", "b"]})
    plan = difference(old, new)
    assert plan == Plan(
        leave=(Seat("b", "lan"),),
        join=(Seat("b", "dmz"),),
        keep=("a", "b", "c"),
        moves=(Move("b", "switch lan", "switch dmz"),),
    )
    assert plan.summary()["changed"] == ["b"]


def test_a_switch_under_another_name_is_another() -> None:
    """Its ports leave it before it ends, and join the new one; none is closed."""
    plan = difference(LAN, config(ABC, switches={"net": ["a", "b", "c"]}))
    assert (plan.end_switches, plan.make_switches) == (("lan",), ("net",))
    assert [seat.port for seat in plan.leave] == [seat.port for seat in plan.join] == ["a", "b", "c"]
    assert (plan.close, plan.open, plan.keep) == ((), (), ("a", "b", "c"))


def test_a_port_moves_from_a_switch_to_a_cable_and_to_nothing() -> None:
    """A port may go anywhere while it is open."""
    plan = difference(LAN, config(ABC, {"x": ["a", "b"]}, {"lan": []}))
    assert plan.moves == (
        Move("a", "switch lan", "cable x"),
        Move("b", "switch lan", "cable x"),
        Move("c", "switch lan", None),
    )
    assert (plan.start_cables, plan.join, plan.end_switches) == (("x",), (), ())


def test_a_cable_goes_on_whichever_end_is_named_first() -> None:
    """A cable has no direction."""
    old = config(ABC, {"x": ["a", "b"]})
    assert difference(old, config(ABC, {"x": ["b", "a"]})).empty


@pytest.mark.parametrize(
    ("new", "ended", "started"),
    [
        (config(ABC, {"x": ["a", "c"]}), ("x",), ("x",)),
        (config({**ABC, "a": "tap,ifname=a,depth=3"}, {"x": ["a", "b"]}), ("x",), ("x",)),
        (config(ABC, {"y": ["a", "b"]}), ("x",), ("y",)),
        (config({"a": ""}), ("x",), ()),
    ],
)
def test_a_cable_ends_and_starts(new: Config, ended: tuple[str, ...], started: tuple[str, ...]) -> None:
    """A cable with another end, or with an end that is opened anew, begins anew."""
    plan = difference(config(ABC, {"x": ["a", "b"]}), new)
    assert (plan.end_cables, plan.start_cables) == (ended, started)


def test_settings_of_the_service_are_told_and_no_more() -> None:
    """Another setting of [service] needs a restart: it is told, and touches no port."""
    plan = difference(LAN, config(ABC, switches={"lan": ["a", "b", "c"]}, workers=2, log="json", pin=False))
    assert plan == Plan(
        keep=("a", "b", "c"), restart=(Restart("workers", 1, 2), Restart("log", "text", "json"))
    )
    assert not plan.empty
    assert plan.summary()["restart"] == ["service.workers", "service.log"]
