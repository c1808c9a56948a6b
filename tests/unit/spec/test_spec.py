"""Specs: what is accepted, what it means, and how what is wrong is refused."""

import dataclasses
import itertools
import pickle
import re
from typing import Any

import pytest

from vecwire.spec import (
    SPEC_CLASSES,
    BessSpec,
    GreSpec,
    HybridSpec,
    L2tpv3Spec,
    Option,
    RawSpec,
    Spec,
    SpecError,
    TapSpec,
    parse,
    public,
)

GRE: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
L2TPV3: dict[str, Any] = {**GRE, "rx_session": 1, "tx_session": 2}
UDP: dict[str, Any] = {"udp": True, "srcport": 1701, "dstport": 1702}
GRE_TEXT = "gre,src=10.0.0.1,dst=10.0.0.2"
SAMPLES = {"mac": "02:00:00:00:00:01", "mtu": "1500", "src": "a", "dst": "a"}
SAMPLES |= {
    "delay": "1ms",
    "jitter": "1us",
    "rate": "1kbit",
    "loss": "1%",
    "duplicate": "1%",
    "reorder": "1%",
}
L2TPV3_TEXT = "l2tpv3,src=10.0.0.1,dst=10.0.0.2,rx_session=1,tx_session=2"


def refused(text: str) -> SpecError:
    """Returns the error with which a text is refused."""
    with pytest.raises(SpecError) as caught:
        parse(text)
    return caught.value


def at_fault(text: str) -> str:
    """Returns the part of a text that its error points at."""
    error = refused(text)
    assert error.text == text
    return text[error.start : error.end]


# What UML users write: the examples of the kernel's how-to, their variables filled in.
UML_EXAMPLES = [
    ("vec0:transport=tap,ifname=tap0,depth=128,gro=1", TapSpec(ifname="tap0", depth=128)),
    ("vec1:transport=hybrid,ifname=tap0,depth=128,gro=1", HybridSpec(ifname="tap0", depth=128)),
    ("vec0:transport=raw,ifname=p-veth0,depth=128,gro=1", RawSpec(ifname="p-veth0", depth=128)),
    (
        "vec0:transport=gre,src=192.168.128.1,dst=192.168.129.1",
        GreSpec(src="192.168.128.1", dst="192.168.129.1"),
    ),
    (
        "vec12:transport=gre,src=10.0.0.1,dst=10.0.0.2,rx_key=0xffffffff,tx_key=7,sequence=1,pin_sequence=1",
        GreSpec(**GRE, rx_key=0xFFFFFFFF, tx_key=7, sequence=True, pin_sequence=True),
    ),
    (
        (
            "vec0:transport=l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.1,srcport=1706,dstport=1707,depth=128,"
            "rx_session=0xffffffff,tx_session=0xffff"
        ),
        L2tpv3Spec(
            udp=True,
            src="127.0.0.1",
            dst="127.0.0.1",
            srcport=1706,
            dstport=1707,
            depth=128,
            rx_session=0xFFFFFFFF,
            tx_session=0xFFFF,
        ),
    ),
    (
        (
            "vec0:transport=l2tpv3,v6=1,src=fd00::1,dst=fd00::2,rx_session=1,tx_session=2,rx_cookie=0xdeadbeefcafebabe,"
            "tx_cookie=3,cookie64=1,counter=1,pin_counter=1,udp=0"
        ),
        L2tpv3Spec(
            v6=True,
            src="fd00::1",
            dst="fd00::2",
            rx_session=1,
            tx_session=2,
            rx_cookie=0xDEADBEEFCAFEBABE,
            tx_cookie=3,
            cookie64=True,
            counter=True,
            pin_counter=True,
        ),
    ),
    ("transport=bess,dst=/tmp/x,src=/tmp/y", BessSpec(dst="/tmp/x", src="/tmp/y")),  # noqa: S108 # not opened
    (
        "vec0:transport=raw,ifname=eth0,bpffile=/etc/uml.bpf,bpfflash=1,mac=02:00:00:00:00:01,vec=0,headroom=2",
        RawSpec(
            ifname="eth0",
            bpffile="/etc/uml.bpf",
            bpfflash=True,
            mac="02:00:00:00:00:01",
            vec=False,
            headroom=2,
        ),
    ),
]


@pytest.mark.parametrize(("text", "spec"), UML_EXAMPLES, ids=lambda value: type(value).__name__)
def test_takes_what_uml_users_write(text: str, spec: Spec) -> None:
    """A UML command line's text means the spec that its options say."""
    assert parse(text) == spec
    assert parse(text.partition(":")[2] if text.startswith("vec") else text) == spec


@pytest.mark.parametrize(("text", "spec"), UML_EXAMPLES, ids=lambda value: type(value).__name__)
def test_canonical_text_parses_back(text: str, spec: Spec) -> None:
    """The text of a spec parses to an equal spec, whose text is the same."""
    assert parse(str(parse(text))) == spec
    assert str(parse(str(spec))) == str(spec)


def test_canonical_text_names_the_transport_first_and_no_default() -> None:
    """The canonical text holds the transport, its own options, then the common ones, all without defaults."""
    assert str(parse("depth=0x80,gro=1,iface=tap0,transport=tap")) == "transport=tap,ifname=tap0,depth=128"


def test_canonical_text_quotes_what_it_must() -> None:
    """A value that holds a separator or a quote is quoted and escaped, and no other."""
    assert str(BessSpec(dst='/a,b="c\\')) == r'transport=bess,dst="/a,b=\"c\\"'
    assert str(BessSpec(dst=" /a")) == 'transport=bess,dst=" /a"'
    assert str(TapSpec(ifname="a", filter="tcp port 80 ")) == "transport=tap,ifname=a,filter=tcp port 80"
    assert str(TapSpec(ifname="a", filter="len = 60")) == 'transport=tap,ifname=a,filter="len = 60"'
    assert str(BessSpec(dst="/a b\\c:@")) == "transport=bess,dst=/a b\\c:@"


def test_canonical_text_shows_large_numbers_in_hexadecimal() -> None:
    """Numbers up to 16 bits are decimal, larger ones hexadecimal."""
    text = str(GreSpec(src="a", dst="b", rx_key=0xFFFF, tx_key=0x10000))
    assert text == "transport=gre,src=a,dst=b,rx_key=65535,tx_key=0x10000"


# The rows of the seed's faults that are about parsing.


def test_seed_row_1_options_have_no_bound() -> None:
    """Ten thousand options are read to the last: the one at fault is found, and nothing overflows."""
    text = "tap,ifname=tap0," + ",".join(f"x{number}=1" for number in range(10_000))
    assert at_fault(text) == "x0"
    assert refused("tap," + ",".join(["depth=64"] * 10_000)).message == "depth is given twice"


@pytest.mark.parametrize("text", ["tap,ifname", "transport=tap,ifname=tap0,depth", "tap,ifname=tap0,gro"])
def test_seed_row_1_a_key_without_value_is_an_error(text: str) -> None:
    """A key without a value is not dropped: it is the place of the error."""
    assert at_fault(text) == text.rpartition(",")[2]
    assert "has no value" in refused(text).message


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('bess,dst="/run/a,b=c"', "/run/a,b=c"),
        ("bess,dst='/run/a,b=c'", "/run/a,b=c"),
        (r'bess,dst="/run/\"a\\b"', r'/run/"a\b'),
        (r"bess,dst='it\'s'", "it's"),
        ("""bess,dst="it's" """, "it's"),
        (r"bess,dst=/a\b", r"/a\b"),
        ('bess,dst=" /a "', " /a "),
    ],
)
def test_seed_row_1_a_quoted_value_holds_anything(text: str, path: str) -> None:
    """Inside quotes commas and equals signs are plain characters, and quotes are escaped by a backslash."""
    assert parse(text) == BessSpec(dst=path)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("rawXYZ", "raw"),
        ("raw0", "raw"),
        ("tapp", "tap"),
        ("l2tp", "l2tpv3"),
        ("TAP", "tap"),
        ("greX", "gre"),
    ],
)
def test_seed_row_2_a_transport_is_matched_exactly(given: str, meant: str) -> None:
    """A name that begins like a transport is none: it is refused, and the nearest one suggested."""
    for text in (f"transport={given},ifname=eth0", f"vec0:{given},ifname=eth0"):
        assert at_fault(text) == given
        assert refused(text).suggestion == meant
        assert refused(text).option == "transport"


@pytest.mark.parametrize("name", ["udp", "cookie64", "counter", "pin_counter", "v6"])
def test_seed_row_12_what_is_not_given_is_off(name: str) -> None:
    """Every switch of l2tpv3 that is not given is off, not undefined."""
    assert getattr(parse(L2TPV3_TEXT), name) is False


@pytest.mark.parametrize("name", ["sequence", "pin_sequence", "v6"])
def test_seed_row_12_what_is_not_given_is_off_for_gre_too(name: str) -> None:
    """Every switch of gre that is not given is off, and there are no keys."""
    spec = parse(GRE_TEXT)
    assert getattr(spec, name) is False
    assert (spec.rx_key, spec.tx_key) == (None, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_seed_row_13_keys_and_sessions_span_the_unsigned_range(value: int) -> None:
    """Keys, sessions and cookies of 2^31 and above are accepted, in decimal and in hexadecimal."""
    for shown in (str(value), hex(value), f"0X{value:X}"):
        gre = parse(f"{GRE_TEXT},rx_key={shown},tx_key={shown}")
        l2tpv3 = parse(
            f"l2tpv3,src=a,dst=b,rx_session={shown},tx_session={shown},rx_cookie={shown},tx_cookie={shown}"
        )
        assert isinstance(gre, GreSpec)
        assert isinstance(l2tpv3, L2tpv3Spec)
        assert (gre.rx_key, gre.tx_key) == (value, value)
        assert (l2tpv3.rx_session, l2tpv3.tx_session) == (value, value)
        assert (l2tpv3.rx_cookie, l2tpv3.tx_cookie) == (value, value)


@pytest.mark.parametrize("value", ["0x", "cafe", "-1", "+1", "1_0", "1.0", "0xg", "0b1", "٣", "1 2"])
def test_seed_row_13_a_bad_number_is_not_taken_as_parsed(value: str) -> None:
    """A cookie, key, session or depth that is no number is an error at that number."""
    for text in (
        f"{L2TPV3_TEXT},tx_cookie=1,rx_cookie={value}",
        f"{GRE_TEXT},tx_key=1,rx_key={value}",
        f"l2tpv3,src=a,dst=b,tx_session=1,rx_session={value}",
        f"tap,ifname=a,depth={value}",
    ):
        assert at_fault(text) == value


@pytest.mark.parametrize("value", ["0x10000000000000000", "18446744073709551616", "9" * 5000])
def test_seed_row_13_a_number_past_the_range_is_refused(value: str) -> None:
    """A number that no field can hold is refused, however long, and does not wrap."""
    assert at_fault(f"{L2TPV3_TEXT},cookie64=1,tx_cookie=1,rx_cookie={value}") == value


@pytest.mark.parametrize(("depth", "good"), [(0, False), (1, True), (1024, True), (1025, False), (-1, False)])
def test_seed_row_15_depth_is_bounded(depth: int, good: bool) -> None:
    """Depth is 1 to 1024, UIO_MAXIOV, in text and in Python."""
    if good:
        assert parse(f"tap,ifname=a,depth={depth}").depth == TapSpec(ifname="a", depth=depth).depth == depth
    else:
        assert at_fault(f"tap,ifname=a,depth={depth}") == str(depth)
        with pytest.raises(SpecError, match="depth must be an integer from 1 to 1024"):
            TapSpec(ifname="a", depth=depth)


# Syntax.


@pytest.mark.parametrize(
    "text",
    [
        "tap,ifname=tap0,depth=32",
        "transport=tap,ifname=tap0,depth=32",
        "ifname=tap0,depth=32,transport=tap",
        "vec3:tap,ifname=tap0,depth=32",
        " vec3: tap , ifname = tap0 , depth = 0x20 ",
        "tap,\n  ifname=tap0,\n  depth=32\n",
        "\ttransport = 'tap',\r\nifname=\"tap0\",depth='32'",
    ],
)
def test_forms_of_the_same_spec(text: str) -> None:
    """Order, form of the transport, white space and quotes do not change what a text means."""
    assert parse(text) == TapSpec(ifname="tap0", depth=32)


@pytest.mark.parametrize(
    ("text", "fault", "message"),
    [
        ("tap,,ifname=a", ",", "there is nothing in front of ','"),
        (",tap", ",", "there is nothing in front of ','"),
        ("tap,ifname=a, ", ",", "there is nothing after ','"),
        ("vec0:", ":", "there is nothing after ':'"),
        ("tap,=a", "=", "there is no option in front of '='"),
        ("tap,ifname=", "ifname=", "ifname has no value"),
        ("tap,ifname= ,depth=1", "ifname= ", "ifname has no value"),
        ("tap,ifname=''", "ifname=''", "ifname has no value"),
        ("tap,ifname='a", "'", "the value of ifname has an opening quote and no closing one"),
        ('bess,dst="/a\\"', '"', "the value of dst has an opening quote and no closing one"),
        ("tap,ifname='a'b,depth=1", "b", "'b' follows the closing quote of ifname, where only a comma may"),
        (
            "bess,dst=/it's",
            "'",
            "' inside the value of dst: put a comma in front of an option, or quote the value",
        ),
        (
            "bess,dst=/a=b",
            "=",
            "= inside the value of dst: put a comma in front of an option, or quote the value",
        ),
        (
            r"bess,dst='/a\n'",
            r"\n",
            r"'\\n' inside the value of dst: a backslash stands before a quote or another backslash",
        ),
        ("tap,ifname=a,\x1b=1", "\x1b", r"tap has no option '\x1b'"),
        ("tap,ifname=a b", "a b", None),
        ("bess,dst=/a\nb", "/a\nb", None),
    ],
)
def test_bad_syntax_is_shown_at_its_place(text: str, fault: str, message: str | None) -> None:
    """Each fault of syntax has a message of its own and points at the characters at fault."""
    assert at_fault(text) == fault
    assert message is None or refused(text).message == message


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_spec_is_refused(text: str) -> None:
    """A text without anything in it is an error that asks for a transport."""
    assert refused(text).message == "the spec is empty: a transport is needed"


def test_a_value_to_quote_is_suggested_quoted() -> None:
    """A value that lacks its quotes is suggested with them, unless a comma was more likely forgotten."""
    assert refused("bess,dst=/a=b").suggestion == 'dst="/a=b"'
    assert refused("tap,ifname=a,depth=64 mtu=1500").suggestion is None


# Names.


@pytest.mark.parametrize(
    ("text", "fault", "meant"),
    [
        ("tap,ifnam=a", "ifnam", "ifname"),
        ("tap,ifname=a,dpeth=1", "dpeth", "depth"),
        ("tap,ifname=a,IFNAME=b", "IFNAME", "ifname"),
        (f"{L2TPV3_TEXT},tx_sesion=1", "tx_sesion", "tx_session"),
        ("tarnsport=tap,ifname=a,transport=tap", "tarnsport", "transport"),
        ("tap,ifname=a,zzz=1", "zzz", None),
        ("tap,ifname=a,tap", "tap", None),
        ("tap,ifname=a,zzz", "zzz", None),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_name(text: str, fault: str, meant: str | None) -> None:
    """An option that no transport has is the place of the error, and a near name is suggested."""
    assert at_fault(text) == fault
    assert refused(text).suggestion == meant


@pytest.mark.parametrize(
    ("text", "fault", "owners"),
    [
        ("tap,src=1.2.3.4", "src", "gre, l2tpv3 and bess"),
        (f"{GRE_TEXT},ifname=a", "ifname", "raw, tap and hybrid"),
        (f"{GRE_TEXT},txsession=1", "txsession", "l2tpv3"),
        ("tap,ifname=a,promisc=1", "promisc", "raw"),
    ],
)
def test_an_option_of_another_transport_is_refused_with_its_owners(
    text: str, fault: str, owners: str
) -> None:
    """An option that belongs elsewhere is refused, and the error says to which transports it belongs."""
    assert at_fault(text) == fault
    assert refused(text).message.endswith(f"has no option {fault}: it belongs to {owners}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ifname=tap0", "no transport is given: write transport= and raw, tap, hybrid, gre, l2tpv3 or bess"),
        ("ifname=tap0,tap", "a bare transport stands first: move tap there, or write transport=tap"),
        (
            "ifname,depth=1",
            "no transport is given: write transport= and raw, tap, hybrid, gre, l2tpv3 or bess",
        ),
        ("transport", "transport has no value"),
        ("zzz", "unknown transport 'zzz': there are raw, tap, hybrid, gre, l2tpv3 and bess"),
        ("tap,transport=tap", "transport is given twice, as tap and as transport"),
        ("transport=tap,ifname=a,transport=raw", "transport is given twice"),
    ],
)
def test_the_transport_is_named_once(text: str, message: str) -> None:
    """A text without a transport, or with two, is refused."""
    assert refused(text).message == message
    assert refused(text).option == "transport"


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_an_option_is_given_once_under_whatever_name(transport: str) -> None:
    """An option that is given again, under its name or an alias, is an error at the second place."""
    for option in SPEC_CLASSES[transport].options():
        value = SAMPLES.get(option.name, "1")
        names = (option.name, *option.aliases)
        for first, second in itertools.product(names, repeat=2):
            text = f"{transport},{first}={value},{second}={value}"
            error = refused(text)
            assert error.message.startswith(f"{option.name} is given twice")
            assert (error.start, error.end) == (text.rindex(second), len(text))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            (
                "l2tpv3,local=1.2.3.4,remote=1.2.3.5,udp=1,src_port=1,dst_port=2,rxsession=3,txsession=4,rxcookie=5,"
                "txcookie=6,counter=1,pincounter=1"
            ),
            (
                "l2tpv3,src=1.2.3.4,dst=1.2.3.5,udp=1,srcport=1,dstport=2,rx_session=3,tx_session=4,rx_cookie=5,"
                "tx_cookie=6,counter=1,pin_counter=1"
            ),
        ),
        ("gre,ipv6=on,src=::1,dst=::2,rxkey=1,txkey=2,seq=1,pinsequence=1", None),
        ("raw,dev=eth0", "raw,ifname=eth0"),
        ("hybrid,iface=tap0", "hybrid,ifname=tap0"),
    ],
)
def test_aliases_are_the_options_that_they_stand_for(text: str, same: str | None) -> None:
    """A text with aliases means the same as one with names."""
    same = same or "gre,v6=1,src=::1,dst=::2,rx_key=1,tx_key=2,sequence=1,pin_sequence=1"
    assert parse(text) == parse(same)


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_no_name_means_two_options(transport: str) -> None:
    """Within a transport every name and alias stands for one option."""
    names = [name for option in SPEC_CLASSES[transport].options() for name in (option.name, *option.aliases)]
    assert len(names) == len(set(names))
    assert "transport" not in names


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("raw", "ifname"),
        ("tap,depth=1", "ifname"),
        ("gre,src=a", "dst"),
        ("gre", "src and dst"),
        ("l2tpv3,src=a,dst=b", "rx_session and tx_session"),
        ("l2tpv3,udp=1", "src, dst, rx_session and tx_session"),
    ],
)
def test_every_missing_option_is_named(text: str, missing: str) -> None:
    """What is missing is said all at once, at the transport that needs it."""
    transport = text.partition(",")[0]
    assert refused(text).message == f"{transport} needs {missing}"
    assert at_fault(text) == transport


# Values.

GOOD_VALUES = [
    (GRE_TEXT + ",rx_key=0,tx_key=0", "rx_key", 0),
    ("tap,ifname=tap%d", "ifname", "tap%d"),
    ("tap,ifname=%dtap", "ifname", "%dtap"),
    ("raw,ifname=" + "x" * 15, "ifname", "x" * 15),
    ("raw,ifname=eth0.100", "ifname", "eth0.100"),
    ("raw,ifname=ü", "ifname", "ü"),
    ("raw,ifname=e,mac=02-AB-00-00-00-FF", "mac", "02:ab:00:00:00:ff"),
    ("raw,ifname=e,netns=blue", "netns", "blue"),
    ("raw,ifname=e,netns=/proc/1/ns/net", "netns", "/proc/1/ns/net"),
    ("raw,ifname=e,promisc=no", "promisc", False),
    ("gre,src=0.0.0.0,dst=10.0.0.2", "src", "0.0.0.0"),  # noqa: S104 # not bound
    ("gre,src=host.example.,dst=my_host-1", "src", "host.example."),
    ("gre,v6=1,src=::,dst=FD00:0:0::0001", "dst", "fd00::1"),
    ("gre,v6=1,src=fe80::1%eth0,dst=fe80::2%eth0", "dst", "fe80::2%eth0"),
    ("gre,v6=1,src=a,dst=b", "dst", "b"),
    (L2TPV3_TEXT + ",udp=1,srcport=l2tp,dstport=0x6aa", "dstport", 0x6AA),
    (L2TPV3_TEXT + ",udp=1,srcport=l2tp,dstport=65535", "srcport", "l2tp"),
    ("bess,dst=@uml", "dst", "@uml"),
    ("bess,dst=" + "x" * 107, "dst", "x" * 107),
    ("bess,listen=run/sock", "listen", "run/sock"),
    ("bess,dst=/\udcff", "dst", "/\udcff"),
    ("raw,ifname=e,delay=50ms", "delay", 0.05),
    ("raw,ifname=e,delay=1.5s", "delay", 1.5),
    ("raw,ifname=e,delay=1ns", "delay", 1e-9),
    ("raw,ifname=e,delay=0", "delay", 0.0),
    ("raw,ifname=e,delay=1000s", "delay", 1000.0),
    ("raw,ifname=e,delay=1ms,jitter=0.25us", "jitter", 250e-9),
    ("raw,ifname=e,loss=0.1%", "loss", 0.001),
    ("raw,ifname=e,loss=100%", "loss", 1.0),
    ("raw,ifname=e,loss=0", "loss", 0.0),
    ("raw,ifname=e,rate=2.5Gbit", "rate", 2_500_000_000),
    ("raw,ifname=e,rate=300bit", "rate", 300),
    ("raw,ifname=e,limit=65000", "limit", 65_000),
    ("raw,ifname=e,seed=0", "seed", 0),
]


@pytest.mark.parametrize(("text", "name", "value"), GOOD_VALUES)
def test_good_values_are_taken(text: str, name: str, value: object) -> None:
    """Each value is taken in its normal form, and its spec's text parses back to it."""
    spec = parse(text)
    assert getattr(spec, name) == value
    assert parse(str(spec)) == spec


@pytest.mark.parametrize("word", ["1", "on", "yes", "true", "ON", "True"])
def test_words_that_switch_on(word: str) -> None:
    """A boolean takes 1 and the usual words for it."""
    assert parse(f"{GRE_TEXT},sequence={word}") == GreSpec(**GRE, sequence=True)


@pytest.mark.parametrize("word", ["0", "off", "no", "false", "OFF"])
def test_words_that_switch_off(word: str) -> None:
    """A boolean takes 0 and the usual words for it."""
    assert parse(f"tap,ifname=a,vec={word}") == TapSpec(ifname="a", vec=False)


BAD_VALUES = [
    ("raw,ifname=", "x" * 16),
    ("raw,ifname=", "ü" * 8),
    ("raw,ifname=", "a/b"),
    ("raw,ifname=", "eth0:1"),
    ("raw,ifname=", "a b"),
    ("raw,ifname=", "à"),  # its second octet is white space to the kernel
    ("raw,ifname=", "eth%d"),
    ("raw,ifname=", ".."),
    ("tap,ifname=", "tap%d%d"),
    ("tap,ifname=", "tap%s"),
    ("tap,ifname=", "tap%"),
    ("tap,ifname=a,mtu=", "575"),
    ("tap,ifname=a,mtu=", "65536"),
    ("tap,ifname=a,headroom=", "1025"),
    ("tap,ifname=a,depth=", "064"),
    ("tap,ifname=a,gro=", "2"),
    ("tap,ifname=a,gro=", "-1"),
    ("tap,ifname=a,mac=", "00:00:00:00:00:00"),
    ("tap,ifname=a,mac=", "01:00:5e:00:00:01"),
    ("tap,ifname=a,mac=", "ff:ff:ff:ff:ff:ff"),
    ("tap,ifname=a,mac=", "02:00:00:00:00"),
    ("tap,ifname=a,mac=", "02:00:00:00:00:001"),
    ("tap,ifname=a,mac=", "02:00-00:00:00:01"),
    ("tap,ifname=a,mac=", "020000000001"),
    ("tap,ifname=a,netns=", ".."),
    ("tap,ifname=a,bpffile=", "a\x00b"),
    ("tap,ifname=a,filter=", "ip\x00"),
    ("gre,dst=a,src=", "10.0.0"),
    ("gre,dst=a,src=", "10.0.0.256"),
    ("gre,dst=a,src=", "0x7f000001"),
    ("gre,dst=a,src=", "-a"),
    ("gre,dst=a,src=", "a..b"),
    ("gre,dst=a,src=", "a b"),
    ("gre,dst=a,src=", "a." * 127),
    ("gre,dst=a,src=", "224.0.0.1"),
    ("gre,src=a,dst=", "255.255.255.255"),
    ("gre,src=a,dst=", "0.0.0.0"),  # noqa: S104 # not bound
    ("gre,v6=1,src=a,dst=", "::"),
    ("gre,v6=1,src=a,dst=", "ff02::1"),
    ("gre,v6=1,src=a,dst=", "[fd00::1]"),
    ("gre,v6=1,src=a,dst=", "::ffff:10.0.0.1"),
    ("gre,src=a,dst=", "\ud800"),
    (f"{GRE_TEXT},tx_key=1,rx_key=", "0x100000000"),
    ("l2tpv3,src=a,dst=b,tx_session=1,rx_session=", "0"),
    ("l2tpv3,src=a,dst=b,rx_session=1,tx_session=", "0x0"),
    ("l2tpv3,src=a,dst=b,rx_session=1,tx_session=", "4294967296"),
    (f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=", "0"),
    (f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=", "65536"),
    (f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=", "0xfffff"),
    (f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=", "-1"),
    (f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=", "a b"),
    (f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=", "0xzz"),
    ("bess,dst=", "x" * 108),
    ("bess,dst=", "ü" * 54),
    ("bess,dst=", "@"),
    ("bess,dst=", "/a\ud800"),
]


@pytest.mark.parametrize(("before", "value"), BAD_VALUES)
def test_bad_values_are_refused_at_their_place(before: str, value: str) -> None:
    """A value out of what its option allows is the place of the error, which says what is allowed."""
    for text in (before + value, f"{before}'{value}',vec=1"):
        error = refused(text)
        assert text[error.start : error.end].strip("'") == value
        assert error.given == value
        assert error.option == before.rstrip("=").rpartition(",")[2]
        assert error.allowed
        assert error.message.startswith(f"{error.option} must be {error.allowed}, not ")


def test_a_reason_follows_what_is_allowed() -> None:
    """Where the phrase of what is allowed leaves a question, the error answers it."""
    assert refused("tap,ifname=a,depth=010").message.endswith("not '010': a leading zero is not clear")
    assert refused("bess,dst=" + "x" * 108).message.endswith(": it has 108 octets")
    assert refused("gre,src=[::1],dst=a").message.endswith("an address stands here without brackets")
    assert refused("gre,v6=1,dst=a,src=::ffff:10.0.0.1").message.endswith("write 10.0.0.1 and v6=0")


def test_a_long_value_is_cut_in_the_message_alone() -> None:
    """An error does not repeat a value of any length; it keeps it whole as an attribute."""
    error = refused("raw,ifname=" + "x" * 10_000)
    assert len(error.message) < 300
    assert error.given == "x" * 10_000


# Options together.


@pytest.mark.parametrize(
    ("text", "fault", "message"),
    [
        (f"{GRE_TEXT},rx_key=0", "rx_key=0", "rx_key needs tx_key: give both or neither"),
        (f"{GRE_TEXT},txkey=1", "txkey=1", "tx_key needs rx_key: give both or neither"),
        (f"{GRE_TEXT},pin_sequence=1", "pin_sequence=1", "pin_sequence needs sequence=1"),
        (f"{L2TPV3_TEXT},rx_cookie=1", "rx_cookie=1", "rx_cookie needs tx_cookie: give both or neither"),
        (f"{L2TPV3_TEXT},tx_cookie=1", "tx_cookie=1", "tx_cookie needs rx_cookie: give both or neither"),
        (
            f"{L2TPV3_TEXT},cookie64=1",
            "cookie64=1",
            "cookie64 needs rx_cookie and tx_cookie",
        ),
        (
            f"{L2TPV3_TEXT},rx_cookie=1,tx_cookie=0x100000000",
            "tx_cookie=0x100000000",
            "tx_cookie must be at most 0xffffffff without cookie64=1, and is more",
        ),
        (
            f"{L2TPV3_TEXT},cookie64=0,rx_cookie=0x100000000,tx_cookie=1",
            "rx_cookie=0x100000000",
            "rx_cookie must be at most 0xffffffff without cookie64=1, and is more",
        ),
        (f"{L2TPV3_TEXT},pin_counter=1", "pin_counter=1", "pin_counter needs counter=1"),
        (f"{L2TPV3_TEXT},srcport=1", "srcport=1", "srcport needs udp=1"),
        (f"{L2TPV3_TEXT},udp=0,dst_port=1", "dst_port=1", "dstport needs udp=1"),
        (f"{L2TPV3_TEXT},udp=1", "udp=1", "udp needs srcport"),
        (f"{L2TPV3_TEXT},udp=1,srcport=1", "udp=1", "udp needs dstport"),
        ("bess", "bess", "dst or listen is needed"),
        ("transport=bess,vec=1", "transport=bess", "dst or listen is needed"),
        ("bess,listen=/a,dst=/b", "listen=/a", "dst and listen contradict each other: give one of them"),
        (
            "bess,listen=/a,src=/b",
            "src=/b",
            "src contradicts listen: a server's own address is that of listen",
        ),
        ("bess,dst=/a,src=/a", "src=/a", "src is the same as dst"),
        (
            "bess,dst=/a,filter=ip,bpffile=/b",
            "bpffile=/b",
            "bpffile contradicts filter: one filter decides which frames come in",
        ),
        ("gre,src=::1,dst=a", "src=::1", "src is an IPv6 address, but v6 is 0"),
        ("gre,src=1.2.3.4,dst=::1", "dst=::1", "dst is an IPv6 address, but v6 is 0"),
        ("gre,v6=1,src=::1,dst=1.2.3.4", "dst=1.2.3.4", "dst is an IPv4 address, but v6 is 1"),
    ],
)
def test_contradictions_are_refused_at_the_option_that_makes_them(
    text: str, fault: str, message: str
) -> None:
    """Options that do not go together are an error that points at one that is given."""
    assert refused(text).message == message
    assert at_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("gre,src=::1,dst=a", "v6=1"),
        ("gre,v6=1,src=1.2.3.4,dst=a", "v6=0"),
        (f"{L2TPV3_TEXT},rx_cookie=1,tx_cookie=0x100000000", "cookie64=1"),
    ],
)
def test_the_option_that_would_mend_a_contradiction_is_suggested(text: str, suggestion: str) -> None:
    """Where one other option resolves the contradiction, the error suggests it."""
    assert refused(text).suggestion == suggestion


# From Python.


@pytest.mark.parametrize(
    ("spec_class", "arguments"),
    [
        (TapSpec, {"ifname": ""}),
        (TapSpec, {"ifname": None}),
        (TapSpec, {"ifname": b"tap0"}),
        (TapSpec, {"ifname": "a", "depth": "64"}),
        (TapSpec, {"ifname": "a", "depth": True}),
        (TapSpec, {"ifname": "a", "depth": 64.0}),
        (TapSpec, {"ifname": "a", "depth": None}),
        (TapSpec, {"ifname": "a", "depth": 10**5000}),
        (TapSpec, {"ifname": "a", "gro": "1"}),
        (TapSpec, {"ifname": "a", "gro": 2}),
        (TapSpec, {"ifname": "a", "mac": ""}),
        (TapSpec, {"ifname": "a", "filter": " "}),
        (TapSpec, {"ifname": "a", "filter": "ip", "bpffile": "b"}),
        (GreSpec, {**GRE, "rx_key": 1}),
        (GreSpec, {**GRE, "v6": True}),
        (L2tpv3Spec, {**L2TPV3, "udp": True}),
        (L2tpv3Spec, {**L2TPV3, **UDP, "srcport": 0}),
        (L2tpv3Spec, {**L2TPV3, **UDP, "srcport": b"1"}),
        (L2tpv3Spec, {**L2TPV3, "rx_session": 0}),
        (BessSpec, {}),
        (BessSpec, {"dst": "x" * 108}),
    ],
)
def test_python_arguments_are_checked_as_text_is(spec_class: type[Spec], arguments: dict[str, Any]) -> None:
    """A spec that is built from wrong arguments is refused by the same error, without a place."""
    with pytest.raises(SpecError) as caught:
        spec_class(**arguments)
    assert (caught.value.text, caught.value.start, caught.value.end) == ("", 0, 0)
    assert caught.value.option is not None


def test_python_arguments_are_normalised_as_text_is() -> None:
    """Equal meanings make equal specs, whichever form they came in."""
    written = {**UDP, "udp": 1, "srcport": "0x6a5"}
    assert L2tpv3Spec(**L2TPV3, **written) == L2tpv3Spec(**L2TPV3, **UDP)
    assert TapSpec(ifname="a", mac="02-00-00-00-00-0A").mac == "02:00:00:00:00:0a"
    assert TapSpec(ifname="a", vec=0).vec is False  # type: ignore[arg-type]


def test_a_spec_is_a_value() -> None:
    """Specs are frozen, hashed and compared by value, copied with changes, and pickled."""
    spec = TapSpec(ifname="tap0")
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.depth = 1  # type: ignore[misc]
    assert len({spec, parse("tap,ifname=tap0"), HybridSpec(ifname="tap0")}) == 2
    assert dataclasses.replace(spec, depth=7) == TapSpec(ifname="tap0", depth=7)
    with pytest.raises(SpecError):
        dataclasses.replace(spec, depth=0)
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 # its own bytes
    assert not hasattr(spec, "__dict__")


def test_the_base_is_no_transport() -> None:
    """The class that all specs share cannot be made: it opens nothing."""
    with pytest.raises(TypeError, match="abstract"):
        Spec()  # type: ignore[abstract]


# What a spec tells about itself.


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_every_option_is_described(transport: str) -> None:
    """Every option has a meaning that is a sentence, and a default that it would itself accept."""
    for option in SPEC_CLASSES[transport].options():
        assert isinstance(option, Option)
        assert option.meaning.endswith(".")
        assert option.meaning[0].isupper()
        assert option.required or option.check(option.default) == option.default
        assert option.kind.allowed
        assert option.kind.placeholder


def test_own_options_come_before_the_common_ones() -> None:
    """The table of a transport begins with what is its own."""
    assert [option.name for option in RawSpec.options()][:3] == ["ifname", "tx_fd", "promisc"]


@pytest.mark.parametrize(
    ("spec", "encapsulation", "overhead"),
    [
        (RawSpec(ifname="a"), 0, 0),
        (TapSpec(ifname="a"), 0, 0),
        (HybridSpec(ifname="a"), 0, 0),
        (BessSpec(dst="/a"), 0, 0),
        (parse(GRE_TEXT), 4, 20 + 4 + 14),
        (parse(f"{GRE_TEXT},rx_key=0,tx_key=0"), 8, 20 + 8 + 14),
        (parse(f"{GRE_TEXT},rx_key=1,tx_key=1,sequence=1,pin_sequence=1"), 12, 20 + 12 + 14),
        (parse("gre,v6=1,src=::1,dst=::2,sequence=1"), 8, 40 + 8 + 14),
        (parse(L2TPV3_TEXT), 4, 20 + 4 + 14),
        (parse(f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=2"), 8, 50),
        (parse(f"{L2TPV3_TEXT},rx_cookie=0,tx_cookie=0,counter=1"), 12, 20 + 12 + 14),
        (
            parse(
                f"{L2TPV3_TEXT},udp=1,srcport=1,dstport=2,rx_cookie=1,tx_cookie=1,cookie64=1,counter=1,pin_counter=1"
            ),
            20,
            50 + 8 + 4,
        ),
        (
            parse(
                "l2tpv3,v6=1,src=a,dst=b,rx_session=1,tx_session=2,udp=1,srcport=1,dstport=2,rx_cookie=1,tx_cookie=1"
            ),
            12,
            40 + 8 + 12 + 14,
        ),
    ],
)
def test_overhead(spec: Spec, encapsulation: int, overhead: int) -> None:
    """The octets of the headers are those of the RFCs, and what they leave of the MTU is the inner MTU."""
    assert spec.encapsulation_octets == encapsulation
    assert spec.overhead == overhead
    assert sum(octets for _, octets in spec.headers) == overhead
    assert spec.inner_mtu() == 1500 - overhead
    assert spec.inner_mtu(9000) == 9000 - overhead


def test_inner_mtu_refuses_a_network_without_room() -> None:
    """An outer MTU that the headers fill leaves no MTU, and one octet more leaves one."""
    spec = parse(GRE_TEXT)
    assert spec.inner_mtu(39) == 1
    with pytest.raises(ValueError, match="38 octets of headers"):
        spec.inner_mtu(38)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("raw,ifname=a", ["CAP_NET_RAW"]),
        ("tap,ifname=a", ["/dev/net/tun", "CAP_NET_ADMIN"]),
        ("hybrid,ifname=a", ["/dev/net/tun", "CAP_NET_ADMIN", "CAP_NET_RAW"]),
        (GRE_TEXT, ["CAP_NET_RAW"]),
        (L2TPV3_TEXT, ["CAP_NET_RAW"]),
        (f"{L2TPV3_TEXT},udp=1,srcport=1024,dstport=2", []),
        (f"{L2TPV3_TEXT},udp=1,srcport=1023,dstport=2", ["CAP_NET_BIND_SERVICE"]),
        ("bess,dst=/a", []),
        ("bess,dst=/a,netns=blue", ["CAP_SYS_ADMIN"]),
        ("raw,ifname=a,netns=/n", ["CAP_NET_RAW", "CAP_SYS_ADMIN"]),
    ],
)
def test_requirements(text: str, needed: list[str]) -> None:
    """A spec says what the host must allow, one sentence for each, and nothing where any user may."""
    requirements = parse(text).requirements
    assert [need.split(",")[0].split(" ")[0] for need in requirements] == needed
    assert all(need.endswith(".") for need in requirements)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("transport=tap,ifname=tap0", "transport=tap,ifname=tap0"),
        ("x=1,rx_cookie=0xdead,tx_cookie=7,y=2", "x=1,rx_cookie=hidden,tx_cookie=hidden,y=2"),
        ('rx_cookie="1,2",mtu=1400', "rx_cookie=hidden,mtu=1400"),
        (
            "vec0:transport=l2tpv3,rxcookie=7,txcookie='8'",
            "vec0:transport=l2tpv3,rxcookie=hidden,txcookie=hidden",
        ),
        ("l2tpv3, rx_cookie = 0x12 ,tx_cookie= 0x13", "l2tpv3, rx_cookie = hidden ,tx_cookie= hidden"),
        ("l2tpv3,rx-cookie=7,TX_COOKIE=8,cookie64=1", "l2tpv3,rx-cookie=hidden,TX_COOKIE=hidden,cookie64=1"),
        ("l2tpv3,rx_cookie=7=8", "a spec that cannot be read"),
    ],
)
def test_cookies_are_not_public(text: str, shown: str) -> None:
    """What authenticates a tunnel is left out of the text that logs and metrics show."""
    assert public(text) == shown


def test_every_spec_has_a_public_text() -> None:
    """The canonical text, with a word in the place of each cookie."""
    tunnel = "l2tpv3,udp=1,src=192.0.2.1,dst=192.0.2.2,srcport=1701,dstport=1701,rx_session=1,tx_session=2"
    spec = parse(f"{tunnel},rx_cookie=0xdeadbeef,tx_cookie=0xfeedface")
    assert "rx_cookie=hidden,tx_cookie=hidden" in spec.public
    assert not re.search("deadbeef|feedface|3735928559|4277009102", spec.public)
    plain = parse("tap,ifname=tap0,mtu=1400")
    assert plain.public == str(plain)
