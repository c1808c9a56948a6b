"""Where keys stand in TOML: every one is found, in its own line, and never in a wrong one."""

import pytest

from vecwire.errors import ConfigError
from vecwire.service._toml import Places, dotted, parse

TEXT = '''\
# comment = 1
[service]   # [not.a.table]
log = "text"

[ports]
a = "raw,ifname=eth1"   # b = 1
"b.c" = { spec = "x = 1", vlan = 1 }
long = """
[not.a.table]
no = 1 \\""" still text"""
d.vlan = 2
d.tagged = [
  1, # one
  2,

  [3, { x = 4 }],
]
[ports.e]
'vlan' = 5
[[items]]
x = 1
[[items]]
x = 2
[items.sub]
y = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("service",), 2),
        (("service", "log"), 3),
        (("ports",), 5),
        (("ports", "a"), 6),
        (("ports", "b.c"), 7),
        (("ports", "b.c", "vlan"), 7),
        (("ports", "long"), 8),
        (("ports", "d"), 11),
        (("ports", "d", "vlan"), 11),
        (("ports", "d", "tagged"), 12),
        (("ports", "d", "tagged", 0), 13),
        (("ports", "d", "tagged", 1), 14),
        (("ports", "d", "tagged", 2), 16),
        (("ports", "d", "tagged", 2, 1, "x"), 16),
        (("ports", "e"), 18),
        (("ports", "e", "vlan"), 19),
        (("items", 0, "x"), 21),
        (("items", 1, "x"), 23),
        (("items", 1, "sub", "y"), 25),
    ],
    ids=str,
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_key_has_its_line(path: tuple[str | int, ...], line: int, end: str) -> None:
    """Each key and item is found in its line, whatever stands in comments and in text, for both line ends."""
    assert Places(TEXT.replace("\n", end)).line(path) == line


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (("ports", "a", "spec"), ("ports", "a")),
        (("ports", "zzz", "spec"), ("ports",)),
        (("not",), ()),
        (("ports", "no"), ("ports",)),
        (("ports", "d", "tagged", 7), ("ports", "d", "tagged")),
    ],
)
def test_what_is_not_there_has_the_place_around_it(
    path: tuple[str | int, ...], known: tuple[str | int, ...]
) -> None:
    """A key that does not stand in the text gets the line of the nearest thing around it, or none."""
    places = Places(TEXT)
    assert places.around(path) == known
    assert places.line(path) == places.line(known)
    assert places.line(()) is None


def test_what_is_not_understood_ends_the_walk() -> None:
    """Places up to what is no TOML stay right, and nothing behind it is made up."""
    places = Places("[a]\nb = 1\n??? c = 2\n[d]\n")
    assert places.line(("a", "b")) == 2
    assert places.around(("d",)) == ()


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "remedy"),
    [
        ("\na = raw,ifname=b", 2, "", "invalid value", "quotes"),
        ("a = 1\na = 2", 2, "a", "given twice, first in line 1", "once"),
        ("[a]\nb=1\n[a]\nc=1", 3, "a", "given twice, first in line 1", "once"),
        ("a = {b = 1, b = 2}", 1, "a.b", "given twice", "once"),
        ('a = "b', 1, "", "unterminated string", "close the quote"),
        ('a = "b\nc = 1', 1, "", "illegal character", "close the quote"),
        ("a = [1,\n", 1, "", "unclosed", "close the bracket"),
        ('a = "c:\\x"', 1, "", "unescaped", "backslash twice"),
        ("a b = 1", 1, "", "expected '='", "in quotes"),
        ('a = "b" c', 1, "", "expected newline", "with its line"),
        ("[ports", 1, "", "expected ']'", "close the bracket"),
        ("= 1", 1, "", "invalid statement", "name = value"),
        ("a = {b = 1}\na.c = 2", 2, "", "cannot", "one place"),
        ("a = " + "[" * 100_000, None, "", "nested too deep", "brackets"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_toml_is_told(text: str, line: int | None, key: str, message: str, remedy: str) -> None:
    """An error of the syntax has its line, its key where that is known, and a remedy."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.toml")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.key) == ("x.toml", line, key)
    assert message in fault.message
    assert remedy in fault.remedy


def test_a_syntax_error_is_shown_with_a_caret() -> None:
    """The line is shown, with a caret under the column that the parser tells."""
    with pytest.raises(ConfigError) as caught:
        parse("[ports]\n\ta = raw", "x.toml")
    assert caught.value.faults[0].excerpt == " a = raw\n     ^"


def test_a_syntax_error_shows_no_cookie() -> None:
    """Of a line that holds a spec the cookies are covered."""
    with pytest.raises(ConfigError) as caught:
        parse('a = "l2tpv3,rx_cookie=0x5ec7e7,tx_cookie=7" b', "x.toml")
    assert caught.value.faults[0].excerpt.startswith('a = "l2tpv3,rx_cookie=********,tx_cookie=*" b\n')


def test_a_path_is_written_as_in_toml() -> None:
    """Names that need quotes have them; items of arrays have their number in brackets."""
    assert dotted(("ports", "a.b", "tagged", 1)) == 'ports."a.b".tagged[1]'
    assert dotted(('a\n"', "")) == '"a\\u000a\\u0022".""'
