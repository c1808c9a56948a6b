"""Changes that the control socket asks for: judged as a file is, and pure."""

import pytest

from vecwire.errors import ConfigError, PortError
from vecwire.service.config import loads
from vecwire.service.edit import with_options, with_port, without_port
from vecwire.service.plan import Seat, difference

CONFIG = loads(
    """
[service]
workers = 2
[ports]
a = "tap,ifname=tap0"
b = { spec = "tap,ifname=tap1", vlan = 5, horizon = "mesh" }
c = "tap,ifname=tap2"
d = "tap,ifname=tap3"
[cables]
x = ["c", "d"]
[switches.lan]
ports = ["a", "b"]
age = 60
"""
)


def test_a_port_is_added_to_a_switch() -> None:
    """The new configuration has the port in its switch, and the plan says no more than that."""
    new = with_port(CONFIG, "e", {"spec": "tap,ifname=tap4", "vlan": 7, "switch": "lan"})
    plan = difference(CONFIG, new)
    assert (plan.open, plan.join, plan.close, plan.change) == (("e",), (Seat("e", "lan"),), (), ())
    assert new.port("e").vlan == 7
    assert difference(new, without_port(new, "e")).close == ("e",)
    assert without_port(new, "e") == CONFIG


def test_a_port_may_be_added_by_its_spec_alone() -> None:
    """A port without a switch is opened, and in nothing."""
    assert with_port(CONFIG, "e", "tap,ifname=tap4").joined("e") is None


def test_a_port_that_is_removed_ends_its_cable() -> None:
    """A cable without one of its ends is none: it ends with the port."""
    new = without_port(CONFIG, "c")
    assert new.cables == {}
    assert difference(CONFIG, new).end_cables == ("x",)
    assert CONFIG.cables == {"x": ("c", "d")}


def test_options_of_a_port_are_changed_and_taken_away() -> None:
    """What is named changes, None takes away, the rest stays."""
    new = with_options(CONFIG, "b", {"vlan": None, "tagged": [1, 2]})
    port = new.port("b")
    assert port.vlan is None
    assert port.tagged == frozenset({1, 2})
    assert port.horizon == "mesh"
    plan = difference(CONFIG, new)
    assert (plan.change, plan.open, plan.close, plan.leave) == (("b",), (), (), ())


@pytest.mark.parametrize("name", ["aa", "zzzz"])
def test_a_port_that_is_not_there_is_told(name: str) -> None:
    """A name without a port is answered with the nearest, or with those that there are."""
    with pytest.raises(PortError, match=f"there is no port '{name}'") as removed:
        without_port(CONFIG, name)
    with pytest.raises(PortError) as changed:
        with_options(CONFIG, name, {})
    assert str(removed.value) == str(changed.value)
    assert removed.value.remedy.endswith("a, b, c, d")
    assert ("did you mean a?" in str(removed.value)) is (name == "aa")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spec": "tap,ifname=tap4", "switch": "lann"}, "no switch 'lann'; did you mean lan"),
        ({"spec": "tap,ifname=tap4", "switch": 3}, "no switch 3"),
        ({"spec": "tap,ifname=tap0"}, "opened by port a already"),
        ({"spec": "tap,ifnam=x"}, "did you mean ifname"),
        ({"spec": "tap,ifname=tap4", "vlan": 0}, "from 1 to 4094"),
        ({}, "spec is missing"),
    ],
)
def test_a_wrong_addition_is_told(options: dict[str, object], message: str) -> None:
    """What a file would not pass the control socket does not either."""
    with pytest.raises(ConfigError, match=message) as caught:
        with_port(CONFIG, "e", options)
    assert all(fault.file == "<control>" and fault.remedy for fault in caught.value.faults)


def test_a_name_is_taken_once() -> None:
    """A port is not replaced by another of its name."""
    with pytest.raises(ConfigError, match="there is a port 'a' already"):
        with_port(CONFIG, "a", "tap,ifname=tap9")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a", {"spec": "tap,ifname=x"}, "'spec' cannot be set"),
        ("a", {"vlna": 3}, "did you mean vlan"),
        ("a", {"vlan": 0}, "from 1 to 4094"),
        ("c", {"vlan": 3}, "in cable x"),
    ],
)
def test_a_wrong_option_is_told(name: str, options: dict[str, object], message: str) -> None:
    """What cannot be changed on an open port, or not to that, is refused with the reason."""
    with pytest.raises(ConfigError, match=message):
        with_options(CONFIG, name, options)


def test_an_impairment_is_changed_in_the_spec() -> None:
    """What impairs a port is given by its options, and the port stays open; without a value it goes."""
    new = with_options(CONFIG, "a", {"delay": "50ms", "loss": "1%", "limit": 5000})
    assert new.port("a").spec == "transport=tap,ifname=tap0,delay=50ms,loss=1%,limit=5000"
    plan = difference(CONFIG, new)
    assert (plan.impair, plan.open, plan.close, plan.change) == (("a",), (), (), ())
    assert plan.summary()["changed"] == ["a"]
    back = with_options(new, "a", {"delay": None, "loss": None, "limit": None})
    assert difference(CONFIG, back).empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": "50"}, "needs a unit"),
        ({"jitter": "1ms"}, "jitter needs"),
        ({"loss": "101%"}, "loss must be"),
    ],
)
def test_a_wrong_impairment_is_refused(options: dict[str, str], message: str) -> None:
    """An impairment is judged as in a spec."""
    with pytest.raises(ConfigError, match=message):
        with_options(CONFIG, "a", options)


def test_a_capture_comes_and_goes() -> None:
    """A port is watched anew when what is said of its capture changes, and stays open."""
    new = with_options(CONFIG, "a", {"capture": "/x/a.pcapng"})
    assert (difference(CONFIG, new).watch, difference(CONFIG, new).open) == (("a",), ())
    kept = with_options(new, "a", {"capture_keep": 3})
    assert (difference(new, kept).unwatch, difference(new, kept).watch) == (("a",), ("a",))
    gone = with_options(kept, "a", {"capture": None})
    assert (difference(kept, gone).unwatch, difference(kept, gone).watch) == (("a",), ())


def test_a_mirror_comes_and_goes() -> None:
    """A port is watched where it is joined, otherwise when that changes, and no more without its mirror."""
    spare = with_port(CONFIG, "e", "tap,ifname=tap4")
    new = with_options(spare, "a", {"mirror": "e", "trace": True})
    assert (difference(spare, new).watch, difference(spare, new).unwatch) == (("a",), ())
    assert difference(new, new).empty
    gone = without_port(new, "e")
    assert gone.port("a").mirror is None
    plan = difference(new, gone)
    assert (plan.unwatch, plan.watch, plan.close) == (("a",), ("a",), ("e",))
