"""Specs for any input: text becomes a spec or an error with a place; a spec becomes text and itself again."""

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from oracle.specs import hold
from vecwire.spec import SPEC_CLASSES, L2tpv3Spec, Option, Spec, SpecError, parse
from vecwire.spec.kinds import (
    Boolean,
    Duration,
    Expression,
    FilePath,
    Host,
    Integer,
    Interface,
    Kind,
    Mac,
    Namespace,
    Port,
    Rate,
    Share,
    TapInterface,
    UnixAddress,
)
from vecwire.spec.text import quote, scan

NAMES = sorted(
    {
        name
        for kind in SPEC_CLASSES.values()
        for option in kind.options()
        for name in (option.name, *option.aliases)
    }
)
PIECES = [
    *SPEC_CLASSES, *NAMES, "transport", "vec0:", "=", ",", "'", '"', "\\", " ", "\n", "0x", "1", "%d", "@",
    ":", "::1", "10.0.0.1", "on", "\x00", "\x1b", "\x85", "\u2028", "\ud800", "\udcff", "漢", "٣",
]  # fmt: skip
SPECLIKE = st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join)
OF_LINE = st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs"))
LETTERS = string.ascii_letters + string.digits
HOSTS = st.text(LETTERS, min_size=1, max_size=63).map(lambda name: f"{name}.example")


def _texts(maximum: int) -> st.SearchStrategy[str]:
    return st.text(OF_LINE, min_size=1, max_size=maximum)


def _fits(maximum: int) -> Any:
    return lambda text: len(text.encode()) <= maximum


def _outcome(make: Callable[[], Spec]) -> Spec | SpecError:
    """Returns what is made, or the error that says why not; any other error is the test's."""
    try:
        return make()
    except SpecError as error:
        return error


VALUES: dict[type[Kind], st.SearchStrategy[Any]] = {
    Boolean: st.booleans(),
    Interface: st.text(LETTERS + "._-@=,'\"\\", min_size=1, max_size=15).filter(
        lambda name: name not in {".", ".."}
    ),
    Mac: st.binary(min_size=6, max_size=6)
    .filter(lambda mac: any(mac) and not mac[0] & 1)
    .map(lambda mac: mac.hex(":")),
    Port: st.integers(1, 65535) | st.text(string.ascii_lowercase, min_size=1, max_size=15),
    UnixAddress: _texts(107).filter(_fits(107)).filter(lambda path: path != "@"),
    FilePath: _texts(200),
    Expression: _texts(200).map(str.strip).filter(bool),
    Namespace: _texts(200).filter(lambda name: name not in {".", ".."}),
    Duration: st.integers(0, 1000 * 10**9).map(lambda nanoseconds: nanoseconds / 1e9),
    Rate: st.integers(0, 10**12),
    Share: st.integers(0, 10**9).map(lambda parts: parts / 1e9),
}
VALUES[TapInterface] = VALUES[Interface] | st.sampled_from(["tap%d", "%d"])


def _value(option: Option, *, v6: bool) -> st.SearchStrategy[Any]:
    """Returns a strategy of the values that an option allows."""
    if isinstance(option.kind, Integer):
        return st.integers(option.kind.minimum, option.kind.maximum)
    if isinstance(option.kind, Host):
        addresses = st.ip_addresses(v=6 if v6 else 4).filter(
            lambda ip: not ip.is_multicast and not ip.is_unspecified and not getattr(ip, "ipv4_mapped", None)
        )
        return HOSTS | addresses.map(str).filter(lambda text: text != "255.255.255.255")
    return VALUES[type(option.kind)]


@st.composite
def arguments(draw: st.DrawFn) -> tuple[type[Spec], dict[str, Any]]:
    """Draws a spec class and arguments for it, each right by itself, not always right together."""
    spec_class = draw(st.sampled_from(list(SPEC_CLASSES.values())))
    v6 = draw(st.booleans())
    chosen = {
        option.name: draw(_value(option, v6=v6))
        for option in spec_class.options()
        if option.required or draw(st.booleans())
    }
    if "v6" in (option.name for option in spec_class.options()):
        chosen["v6"] = v6
    return spec_class, chosen


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Draws a right spec: what contradicts the rest is taken out, option by option."""
    spec_class, chosen = draw(arguments())
    while True:
        try:
            return spec_class(**chosen)
        except SpecError as error:
            assume(error.option in chosen)
            chosen.pop(error.option or "")
            assume(all(option.name in chosen for option in spec_class.options() if option.required))


@given(specs())
def test_round_trip(spec: Spec) -> None:
    """The text of any spec parses to an equal spec, and the text of that is the same."""
    text = str(spec)
    assert parse(text) == spec
    assert str(parse(text)) == text
    assert len(text.splitlines()) == 1


@given(specs(), st.data())
def test_every_way_to_write_a_spec_means_the_same(spec: Spec, data: st.DataObject) -> None:
    """Order, aliases, quotes, white space and the form of the transport do not change the meaning."""
    space = st.sampled_from(["", " ", "\n", "\t "])
    items = []
    for option in spec.options():
        value = getattr(spec, option.name)
        if value is None or (value == option.default and data.draw(st.booleans())):
            continue
        name = data.draw(st.sampled_from([option.name, *option.aliases]))
        shown = option.show(value)
        mark = data.draw(st.sampled_from(["'", '"', None]))
        written = (
            mark + shown.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark if mark else quote(shown)
        )
        items.append(
            f"{data.draw(space)}{name}{data.draw(space)}={data.draw(space)}{written}{data.draw(space)}"
        )
    items = data.draw(st.permutations(items))
    if data.draw(st.booleans()):
        items.insert(0, spec.transport)
    else:
        items.insert(data.draw(st.integers(0, len(items))), f"transport={spec.transport}")
    prefix = data.draw(st.sampled_from(["", "vec0:", " vec17: "]))
    assert parse(prefix + ",".join(items)) == spec


@given(
    st.text()
    | SPECLIKE
    | st.sampled_from([*SPEC_CLASSES]).flatmap(lambda name: SPECLIKE.map(f"{name},".__add__))
)
@example("\x1b==")
@example("tap,ifname=" + "9" * 5000)
@example("bess,dst=/\ud800")
def test_any_text_is_a_spec_or_an_error_with_a_place(text: str) -> None:
    """Whatever the text, the answer is a spec that round-trips, or an error of one line with a place."""
    hold(text)


@given(arguments(), st.none() | st.integers() | st.text() | st.floats() | st.binary(max_size=3), st.data())
def test_any_arguments_are_a_spec_or_an_error(drawn: Any, odd: object, data: st.DataObject) -> None:
    """Whatever a spec class is given, it makes a spec that round-trips, or raises a SpecError."""
    spec_class, chosen = drawn
    chosen[data.draw(st.sampled_from([option.name for option in spec_class.options()]))] = odd
    outcome = _outcome(lambda: spec_class(**chosen))
    if isinstance(outcome, Spec):
        assert parse(str(outcome)) == outcome
        return
    assert str(outcome).isprintable()
    assert outcome.option in {option.name for option in spec_class.options()}


@given(st.lists(st.tuples(st.text(LETTERS + "_", min_size=1), st.text(min_size=1)), min_size=1))
def test_quoting_is_undone_by_scanning(pairs: list[tuple[str, str]]) -> None:
    """Any text whatever is a value once it is quoted, and its place in the text is where it stands."""
    text = ",".join(f"{key}={quote(value)}" for key, value in pairs)
    assume(not text.lstrip().startswith("vec"))
    items = scan(text)
    assert [(item.key, item.value) for item in items] == pairs
    assert [text[item.key_start : item.key_end] for item in items] == [key for key, _ in pairs]
    assert [text[item.value_start : item.value_end] for item in items] == [quote(value) for _, value in pairs]


BORDERS = [
    pytest.param(option, id=f"{spec_class.transport}-{option.name}")
    for spec_class in SPEC_CLASSES.values()
    for option in spec_class.options()
    if isinstance(option.kind, Integer)
]


@pytest.mark.parametrize("option", BORDERS)
@given(beyond=st.integers(1, 2**70))
def test_ranges_end_where_they_say(option: Option, beyond: int) -> None:
    """An integer option takes both borders of its range, decimal and hexadecimal, and nothing beyond them."""
    assert isinstance(option.kind, Integer)
    low, high = option.kind.minimum, option.kind.maximum
    for value in (low, high):
        assert option.read(str(value)) == option.read(hex(value)) == option.check(value) == value
    for value in (low - beyond, high + beyond):
        with pytest.raises(SpecError, match=option.name):
            option.check(value)
        for text in (str(value), hex(value)):
            with pytest.raises(SpecError, match=option.name):
                option.read(text)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.booleans())
def test_cookies_fit_their_width(rx_cookie: int, tx_cookie: int, cookie64: bool) -> None:
    """Cookies of 4 octets are refused where they need 8, and only there."""
    fits = cookie64 or max(rx_cookie, tx_cookie) < 2**32
    text = f"l2tpv3,src=a,dst=b,rx_session=1,tx_session=1,cookie64={int(cookie64)}"
    text += f",rx_cookie={rx_cookie},tx_cookie={tx_cookie:#x}"
    if fits:
        spec = parse(text)
        assert isinstance(spec, L2tpv3Spec)
        assert (spec.rx_cookie, spec.tx_cookie) == (rx_cookie, tx_cookie)
    else:
        with pytest.raises(SpecError, match="without cookie64=1"):
            parse(text)
