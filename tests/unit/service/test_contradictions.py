"""What keys of a service's file must hold together, and what is a warning."""

import pytest

from vecwire.errors import ConfigError, Fault
from vecwire.service.config import examine, loads

MASH = """[ports]
a = { spec = "tap,ifname=a", horizon = "mesh" }
b = { spec = "tap,ifname=b", horizon = "mash" }
c = { spec = "tap,ifname=c", horizon = "mesh" }
[switches.s]
ports = ["a", "b", "c"]
"""
SESSIONS = """
c = "l2tpv3,src=::1,dst=::2,v6=1,rx_session=1,tx_session=1"
d = "l2tpv3,src=::1,dst=::2,v6=1,rx_session=2,tx_session=2"
"""
TUNNELS = """
c = "l2tpv3,udp=1,src=::1,dst=::2,v6=1,srcport=5,dstport=5,rx_session=1,tx_session=1"
d = "l2tpv3,udp=1,src=::1,dst=::3,v6=1,srcport=5,dstport=5,rx_session=2,tx_session=2"
"""
TWO = '[ports]\na = "tap,ifname=tap0"\nb = "tap,ifname=tap1"\n'


def faults(text: str) -> list[Fault]:
    """What is wrong in a text; each fault has its remedy."""
    with pytest.raises(ConfigError) as caught:
        loads(text, "x.toml")
    assert all(fault.line and fault.remedy for fault in caught.value.faults)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('[cables]\nc = ["a", "bb"]', "cables.c[1]", "there is no port 'bb'"),
        ('[switches.s]\nports = ["a", "c"]', "switches.s.ports[1]", "there is no port 'c'"),
        ('[cables]\nc = ["a", "a"]', "cables.c[1]", "in cable c twice"),
        ('[switches.s]\nports = ["a", "b", "a"]', "switches.s.ports[2]", "in switch s twice"),
        (
            '[cables]\nc = ["a", "b"]\n[switches.s]\nports = ["b"]',
            "switches.s.ports[0]",
            "is in cable c already, and cannot be in switch s",
        ),
        (
            '[switches.s]\nports = ["a"]\n[switches.t]\nports = ["a"]',
            "switches.t.ports[0]",
            "in switch s already",
        ),
        ('c = { spec = "tap,ifname=c", mirror = "n" }', "ports.c.mirror", "there is no port 'n'"),
        (
            'c = { spec = "tap,ifname=c", capture = "/x" }\nd = { spec = "tap,ifname=d", capture = "/x/." }',
            "ports.d.capture",
            "port c are written there already",
        ),
        (
            'c = { spec = "tap,ifname=c", mirror = "a" }\n[cables]\nx = ["a", "b"]',
            "ports.c.mirror",
            "port 'a' is in cable x",
        ),
        (
            (
                'c = { spec = "tap,ifname=c", mirror = "b" }\nd = { spec = "tap,ifname=d", mirror = "b" }\n'
                '[switches.s]\nports = ["c"]\n[switches.t]\nports = ["d"]'
            ),
            "ports.d.mirror",
            "copies of port c in switch s already",
        ),
        ('[ports.c]\nspec = "tap,ifname=c"\nvlan = 2\ntagged = [2]', "ports.c.tagged", "VLAN 2"),
        (
            'c = { spec = "tap,ifname=c", vlan = 2 }\n[cables]\nx = ["a", "c"]',
            "ports.c.vlan",
            "for ports of switch",
        ),
        (
            'c = { spec = "tap,ifname=c", tagged = [] }\n[cables]\nx = ["a", "c"]',
            "ports.c.tagged",
            "in cable x",
        ),
        (
            'c = { spec = "tap,ifname=c", flood_rate = 0 }\n[cables]\nx = ["c", "a"]',
            "ports.c.flood_rate",
            "cable x",
        ),
        ("[switches.s]\naddresses = 5\naddresses_per_port = 6", "switches.s.addresses_per_port", "at most 5"),
        (
            'c = { spec = "tap,ifname=c", addresses = 9 }\n[switches.s]\nports = ["c"]\naddresses = 5',
            "ports.c.addresses",
            "at most 5",
        ),
        ('c = "transport=tap,iface=tap0,depth=3"', "ports.c", "tap tap0 is opened by port a"),
        ('c = "hybrid,ifname=tap1"', "ports.c", "tap tap1 is opened by port b"),
        ('c = "bess,listen=/a"\nd = "bess,listen=/a,netns=n"', "ports.d", "socket /a is opened by port c"),
        ('c = "bess,listen=@a"\nd = "bess,listen=@a"', "ports.d", "socket @a is opened by port c"),
        ('c = "bess,fd=guest"\nd = "bess,fd=guest"', "ports.d", "descriptor guest is opened by port c"),
        ('c = "tap,fd=7"\nd = "raw,fd=7"', "ports.d", "descriptor 7 is opened by port c"),
        (
            TUNNELS,
            "ports.d",
            "UDP port 5 of ::1",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_contradiction_is_told(text: str, key: str, message: str) -> None:
    """What keys must hold together is judged, at the key that breaks it."""
    found = [fault for fault in faults(TWO + text) if fault.key == key]
    assert len(found) == 1
    assert message in found[0].message


@pytest.mark.parametrize(
    "text",
    [
        'c = "tap,ifname=tap0,netns=other"',
        'c = "tap,ifname=tap%d"\nd = "tap,ifname=tap%d"',
        'c = "bess,listen=@a"\nd = "bess,listen=@a,netns=n"',
        'c = "bess,dst=/a"\nd = "bess,dst=/a"',
        SESSIONS,
        'c = { spec = "tap,ifname=c", vlan = 2 }',
        '[cables]\nx = ["a", "b"]\n[switches.x]\nports = []',
    ],
)
def test_what_does_not_contradict_passes(text: str) -> None:
    """What only looks alike is right: other namespaces, patterns, other sessions, a vlan without a switch."""
    assert loads(TWO + text)


def test_a_port_that_is_absent_gets_the_nearest_name_and_the_list() -> None:
    """The remedy names the ports that there are."""
    (fault,) = faults('[ports]\nguest1 = "tap,ifname=a"\n[switches.s]\nports = ["gest1"]')
    assert fault.suggestion == "guest1"
    assert fault.remedy.endswith("guest1")
    (alone,) = faults('[switches.s]\nports = ["gest1"]')
    assert alone.remedy == "define it in [ports]"


@pytest.mark.parametrize(
    ("text", "key", "line", "message"),
    [
        (f'{TWO}[switches.s]\nports = ["b"]', "ports.a", 2, "no cable and no switch"),
        (
            '[ports]\na = "raw,ifname=e"\nb = "raw,ifname=e,depth=3"\n[cables]\nc = ["a", "b"]',
            "ports.b",
            3,
            "every frame of interface e",
        ),
        (
            f'{TWO}c = {{ spec = "tap,ifname=c", capture_keep = 2 }}\n[switches.s]\nports = ["a", "b", "c"]',
            "ports.c.capture_keep",
            4,
            "files that port c does not write",
        ),
        (
            MASH,
            "ports.b.horizon",
            3,
            "'mash'; did you mean mesh?",
        ),
    ],
)
def test_what_looks_like_a_slip_is_a_warning(text: str, key: str, line: int, message: str) -> None:
    """What is allowed and yet unusual is told, with its place, and is no error."""
    (warning,) = examine(text, "x.toml").warnings
    assert (warning.key, warning.line) == (key, line)
    assert message in str(warning)
    assert warning.remedy
