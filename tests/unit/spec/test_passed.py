"""``fd=``: what is said with it, and what is not said any more."""

from __future__ import annotations

import pytest

from vecwire.errors import SpecError
from vecwire.spec import SPEC_CLASSES, BessSpec, HybridSpec, RawSpec, TapSpec, parse

SESSIONS = "rx_session=1,tx_session=2"


@pytest.mark.parametrize(
    "text",
    [
        "raw,fd=3",
        "raw,fd=3,tx_fd=4,promisc=0",
        "tap,fd=0",
        "hybrid,fd=3,tx_fd=4",
        "gre,fd=3,v6=1,rx_key=1,tx_key=2",
        f"l2tpv3,fd=3,udp=1,{SESSIONS}",
        f"l2tpv3,fd=3,{SESSIONS}",
        "bess,fd=guest.0-a",
        'bess,fd="a, b"',
        "tap,fd=0x10",
    ],
)
def test_it_takes_the_place_of_what_says_what_to_open(text: str) -> None:
    """With ``fd`` no name and no address is needed, nothing is asked of the host, and the text comes back."""
    spec = parse(text)
    assert spec.requirements == ()
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "told", "at"),
    [
        ("raw,fd=3,ifname=eth1", "ifname contradicts fd", "ifname=eth1"),
        ("tap,netns=lab,fd=3", "netns contradicts fd", "netns=lab"),
        ("gre,fd=3,src=10.0.0.1", "src contradicts fd", "src=10.0.0.1"),
        (f"l2tpv3,fd=3,udp=1,srcport=1701,{SESSIONS}", "srcport contradicts fd", "srcport=1701"),
        ("bess,fd=3,listen=@a", "listen contradicts fd", "listen=@a"),
        ("bess,fd=3,src=@a", "src contradicts fd", "src=@a"),
        ("hybrid,fd=3", "fd needs tx_fd: give both or neither", "fd=3"),
        ("hybrid,ifname=tap0,tx_fd=3", "tx_fd needs fd", "tx_fd=3"),
        ("raw,ifname=eth1,tx_fd=3", "tx_fd needs fd", "tx_fd=3"),
        ("raw,fd=3,tx_fd=3", "tx_fd is the same as fd", "tx_fd=3"),
        ("tap,tx_fd=3", "tap has no option tx_fd: it belongs to raw and hybrid", "tx_fd"),
        ("tap,fd=-1", "fd must be a descriptor's number", "-1"),
        ("tap,fd=0x80000000", "fd must be a descriptor's number", "0x80000000"),
        ("tap,fd=03", "a leading zero is not clear", "03"),
        ("tap,fd=a:b", "fd must be a descriptor's number", "a:b"),
        ("raw", "raw needs ifname", "raw"),
        ("gre,src=10.0.0.1", "gre needs dst", "gre"),
        ("l2tpv3,fd=3", "l2tpv3 needs rx_session and tx_session", "l2tpv3"),
        ("bess", "dst or listen is needed", "bess"),
    ],
)
def test_contradictions_are_told_with_their_place(text: str, told: str, at: str) -> None:
    """Whoever names a descriptor and something to open, or too little, is told which word is too many."""
    with pytest.raises(SpecError) as caught:
        parse(text)
    assert told in caught.value.message
    assert caught.value.text[caught.value.start : caught.value.end] == at


def test_python_gets_the_same_errors() -> None:
    """A spec that is made by hand needs a name or a descriptor too."""
    with pytest.raises(SpecError, match="raw needs ifname"):
        RawSpec()
    with pytest.raises(SpecError, match="ifname contradicts fd"):
        TapSpec(ifname="tap0", fd=3)
    assert TapSpec(fd="7") == TapSpec(fd=7)


@pytest.mark.parametrize("name", SPEC_CLASSES)
def test_every_transport_can_be_passed(name: str) -> None:
    """Each spec class has the option, and some place that it stands for."""
    options = {option.name: option for option in SPEC_CLASSES[name].options()}
    assert "fd" in options
    assert any(option.place for option in options.values() if option.name != "netns")


def test_what_is_handed_over_keeps_all_but_its_place() -> None:
    """The spec for whoever gets the descriptors says how frames are treated, and not where they are from."""
    spec = RawSpec(ifname="eth1", netns="lab", depth=8, promisc=False).handed(5, 6)
    assert spec == RawSpec(fd=5, tx_fd=6, depth=8, promisc=False)
    assert BessSpec(listen="/run/a", mac="02:00:00:00:00:01").handed(3) == BessSpec(
        fd=3, mac="02:00:00:00:00:01"
    )
    assert HybridSpec(ifname="tap%d").handed(3, 4) == HybridSpec(fd=3, tx_fd=4)
