"""Errors: whose fault, in one line, with the place or the remedy, across process boundaries."""

import errno
import os
import pickle

import pytest

from vecwire.errors import (
    ClosedError,
    ConfigError,
    Fault,
    PortError,
    SpecError,
    UnsupportedError,
    VecwireError,
)

TEXT = "tap,ifname=tap0,depth=1025"
EXAMPLES = [
    SpecError(
        "wrong", option="depth", given="1025", allowed="less", suggestion="1024", text=TEXT, start=22, end=26
    ),
    UnsupportedError("no packet sockets", remedy="run it as root", errno=errno.EPERM),
    PortError("cannot bind", errno=errno.EADDRINUSE, remedy="stop the other one"),
    PortError("the peer's name is not known"),
    ClosedError("recv() on a closed port"),
    ConfigError([Fault(message="no spec", file="a.toml", line=3, key="ports.a", remedy="add it")]),
    ConfigError([Fault(message="a", file="a.toml"), Fault(message="b", file="a.toml", line=2)]),
]


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (SpecError, ValueError),
        (PortError, OSError),
        (ClosedError, ValueError),
        (ConfigError, ValueError),
        (UnsupportedError, Exception),
    ],
)
def test_is_a_vecwire_error_and_a_standard_one(kind: type[VecwireError], standard: type[Exception]) -> None:
    """Each error is caught by vecwire's base class and by the standard class of the same fault."""
    assert issubclass(kind, VecwireError)
    assert issubclass(kind, standard)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_survives_pickling(error: VecwireError) -> None:
    """An error keeps its text and every attribute on its way to another process."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # its own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert getattr(copy, "errno", None) == getattr(error, "errno", None)
    assert getattr(copy, "strerror", None) == getattr(error, "strerror", None)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_text_is_one_line(error: VecwireError) -> None:
    """The text of an error is a single line, so that a log keeps it together."""
    assert str(error)
    assert str(error).splitlines() == [str(error)]


def test_message_of_several_lines_becomes_one() -> None:
    """A line end in a message turns into a space."""
    assert str(VecwireError("one\ntwo\r\nthree")) == "one two three"


def test_port_error_carries_the_errno_as_an_os_error_does() -> None:
    """A PortError's errno and strerror are those of the system call, and its text says them."""
    error = PortError("cannot open tap0", errno=errno.EBUSY)
    assert (error.errno, error.strerror) == (errno.EBUSY, os.strerror(errno.EBUSY))
    assert str(error) == f"cannot open tap0: {os.strerror(errno.EBUSY)}"
    assert error.remedy == ""


def test_port_error_without_errno_has_none() -> None:
    """A failure that is no system call's has neither errno nor strerror."""
    error = PortError("dst does not resolve")
    assert (error.errno, error.strerror, str(error)) == (None, None, "dst does not resolve")


def test_unsupported_error_says_the_remedy_apart_from_the_message() -> None:
    """The remedy is an attribute and a note of the traceback, not a part of the message."""
    error = UnsupportedError("no raw IP", remedy="grant CAP_NET_RAW", errno=errno.EPERM)
    assert str(error) == f"no raw IP: {os.strerror(errno.EPERM)}"
    assert error.remedy == "grant CAP_NET_RAW"
    assert error.errno == errno.EPERM
    assert error.__notes__ == ["remedy: grant CAP_NET_RAW"]


def test_spec_error_text_ends_in_its_suggestion() -> None:
    """A suggestion is asked as a question at the end of the line, and only where there is one."""
    assert str(SpecError("unknown", suggestion="depth")) == "unknown; did you mean depth?"
    assert str(SpecError("unknown")) == "unknown"


def test_explain_puts_carets_under_the_fault() -> None:
    """The explanation is the message, the text, and a line of carets exactly under the place."""
    assert SpecError("too many", text=TEXT, start=22, end=26).explain().splitlines() == [
        "too many",
        "  tap,ifname=tap0,depth=1025",
        "                        ^^^^",
    ]


def test_explain_without_a_text_is_the_message_alone() -> None:
    """An error of Python arguments has no text to show."""
    assert SpecError("too many", option="depth").explain() == "too many"


def test_explain_marks_a_place_behind_the_end() -> None:
    """A place that is empty and at the end of the text still gets one caret."""
    assert SpecError("more", text="tap", start=3, end=3).excerpt() == "tap\n   ^"


def test_excerpt_is_of_the_line_at_fault_alone() -> None:
    """Of a text of several lines only the one at fault is shown, and the carets end with it."""
    text = "tap,\nifname=a\n,depth=0"
    assert SpecError("no", text=text, start=12, end=len(text)).excerpt() == "ifname=a\n       ^"
    assert SpecError("no", text=text, start=4, end=6).excerpt() == "tap,\n    ^"


@pytest.mark.parametrize("start", [0, 150, 295])
def test_excerpt_cuts_a_long_line_around_the_fault(start: int) -> None:
    """Of a line longer than the width a part is shown that holds the fault, the cuts marked by dots."""
    text = "".join(chr(ord("a") + place % 26) for place in range(300))
    line, carets = SpecError("no", text=text, start=start, end=start + 5).excerpt(width=40).split("\n")
    assert len(line) <= 40 + 2 * len("...")
    assert line[carets.index("^") : len(carets)] == text[start : start + 5]
    assert line.startswith("...") is (start > 0)
    assert line.endswith("...") is (start < 295)


@pytest.mark.parametrize("cookie", ["rx_cookie=", "rxcookie = ", "RX_COOKIE='", 'a = "tx_cookie=\\"'])
def test_excerpt_covers_cookies(cookie: str) -> None:
    """What keeps strangers out of a tunnel is not shown, however it is written; the carets stay in place."""
    text = f"l2tpv3,{cookie}0x5ec7e7,mtv=1"
    excerpt = SpecError("no", text=text, start=text.index("mtv"), end=text.index("mtv") + 3).excerpt()
    assert excerpt == f"l2tpv3,{cookie}********,mtv=1\n{' ' * text.index('mtv')}^^^"


def test_excerpt_keeps_columns_under_unusual_characters() -> None:
    """Carets stand right under characters of double width, and tabs and controls do not move them."""
    assert SpecError("no", text="\t\x1b漢字=x", start=2, end=4).excerpt() == " ?漢字=x\n  ^^^^"


def test_at_gives_an_error_its_place_and_keeps_the_rest() -> None:
    """The same error with a place has every attribute of the one without, and the excerpt as a note."""
    bare = SpecError("no", option="depth", given="0", allowed="more", suggestion="1")
    placed = bare.at("depth=0", 6, 7)
    assert (placed.text, placed.start, placed.end) == ("depth=0", 6, 7)
    assert (placed.option, placed.given, placed.allowed, placed.suggestion) == ("depth", "0", "more", "1")
    assert str(placed) == str(bare)
    assert placed.__notes__ == ["depth=0\n      ^"]
    assert not hasattr(bare, "__notes__")


def test_config_error_tells_every_fault_with_its_place_and_remedy() -> None:
    """The text is the first fault and how many more there are; the explanation has all of them."""
    first = Fault(
        message="no option 'x'",
        file="a.toml",
        line=3,
        key="ports.a",
        suggestion="y",
        excerpt="tap,x\n    ^",
        remedy="write y",
    )
    error = ConfigError([first, Fault(message="cannot be read", file="a.toml")])
    assert str(error) == "a.toml:3: ports.a: no option 'x'; did you mean y? (and 1 more)"
    assert error.remedy == "write y"
    assert error.explain().splitlines() == [
        "a.toml has 2 errors",
        "a.toml:3: ports.a: no option 'x'; did you mean y?",
        "  tap,x",
        "      ^",
        "  remedy: write y",
        "a.toml: cannot be read",
    ]
    assert ConfigError([first]).explain().splitlines()[0] == "a.toml has 1 error"
