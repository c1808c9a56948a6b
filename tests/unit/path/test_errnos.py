"""The table of errnos: every row has a source, and the compiled rules say what the rows say."""

import ctypes
import errno
from pathlib import Path

import pytest

from oracle.compiled import Rule, function
from vecwire.path import errnos
from vecwire.path.errnos import RECEIVE, SEND, UNKNOWN_RECEIVE, UNKNOWN_SEND, Meaning
from vecwire.wire.counters import NAMES, RX_DROPS, TX_DROPS

#: The actions by number: the first enumeration of errnos.pxd, one a line.
DECLARATIONS = Path(errnos.__file__).with_name("errnos.pxd").read_text(encoding="utf-8")
ACTIONS = [line.strip().lower() for line in DECLARATIONS.split("\n\n")[0].splitlines()[1:]]

on_receive = function(errnos, "on_receive", Rule, ctypes.c_int)
on_send = function(errnos, "on_send", Rule, ctypes.c_int)

ROWS = [("receive", number, meaning) for number, meaning in RECEIVE.items()] + [
    ("send", number, meaning) for number, meaning in SEND.items()
]
IDS = [f"{way} {errno.errorcode[number]}" for way, number, _ in ROWS]
EVERY_ERRNO = sorted(errno.errorcode)


def told(rule: Rule) -> tuple[str, str]:
    """The action and the counter of a compiled rule, by name."""
    return ACTIONS[rule.action], NAMES[rule.counter] if rule.counter >= 0 else ""


def test_the_actions_are_five() -> None:
    """The compiled rules know the five actions of the table."""
    assert ACTIONS == ["drop", "wait", "note", "doubt", "lost"]


@pytest.mark.parametrize(("way", "number", "meaning"), ROWS, ids=IDS)
def test_every_row_is_whole(way: str, number: int, meaning: Meaning) -> None:
    """A row names a known action, a source, and a counter exactly where its action counts something."""
    assert number in errno.errorcode
    assert meaning.action in ACTIONS
    assert len(meaning.source) > 10, "no source"
    # An end that is told twice is counted once: as lost.
    end = (way, number) == ("receive", errno.ECONNRESET)
    assert bool(meaning.counter) == (meaning.action in {"drop", "note", "doubt"} and not end)
    assert way == "send" or meaning.action != "doubt", "nothing is received twice"
    if meaning.action in {"drop", "doubt"} and way == "send":
        assert meaning.counter in TX_DROPS
    elif meaning.counter:
        assert meaning.counter in {"rx_errors", "unreachable"}


@pytest.mark.parametrize(("way", "number", "meaning"), ROWS, ids=IDS)
def test_rules_are_the_rows(way: str, number: int, meaning: Meaning) -> None:
    """The compiled rule for an errno is what its row says."""
    rule = on_receive(number) if way == "receive" else on_send(number)
    assert told(rule) == (meaning.action, meaning.counter)


@pytest.mark.parametrize("number", EVERY_ERRNO, ids=[errno.errorcode[number] for number in EVERY_ERRNO])
def test_every_errno_has_a_rule(number: int) -> None:
    """Every errno of this host has the rule of its row, or where it has none the rule for the unknown."""
    receiving, sending = RECEIVE.get(number, UNKNOWN_RECEIVE), SEND.get(number, UNKNOWN_SEND)
    assert told(on_receive(number)) == (receiving.action, receiving.counter)
    assert told(on_send(number)) == (sending.action, sending.counter)


@pytest.mark.parametrize("number", [0, -1, -11, 255, 256, 512, 2**31 - 1, -(2**31)])
def test_any_number_has_a_rule(number: int) -> None:
    """A number that is no errno reads no memory but the table's."""
    for rule in (on_receive(number), on_send(number)):
        assert 0 <= rule.action < len(ACTIONS)
        assert -1 <= rule.counter < len(NAMES)


def test_the_unknown() -> None:
    """For an unknown reason a receiver is recovered, and a frame is dropped and counted."""
    assert UNKNOWN_RECEIVE.action == "lost"
    assert (UNKNOWN_SEND.action, UNKNOWN_SEND.counter) == ("drop", "tx_refused")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM])
def test_what_passes_is_waited_for(number: int) -> None:
    """A full buffer or a shortage of memory drops nothing, neither way (in the seed it was fatal)."""
    assert RECEIVE[number].action == SEND[number].action == "wait"


@pytest.mark.parametrize(
    "number",
    [errno.EMSGSIZE, errno.ENETDOWN, errno.EPERM, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINVAL],
)
def test_one_frame_is_one_frame(number: int) -> None:
    """An errno about one frame drops that frame and goes on to the next (the seed: latched dead)."""
    assert SEND[number].action in {"drop", "doubt"}


#: What the kernel makes of ICMP's and ICMPv6's errors: icmp_err_convert and tab_unreach, and the others.
REPORTS = [
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENOPROTOOPT,
    errno.ECONNREFUSED,
    errno.EMSGSIZE,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.EACCES,
    errno.EPROTO,
]


@pytest.mark.parametrize("number", REPORTS, ids=[errno.errorcode[number] for number in REPORTS])
def test_what_anybody_can_forge_costs_no_frame_and_no_port(number: int) -> None:
    """An errno that an ICMP message can bring about is no reason to drop at once, or to give up a socket."""
    assert RECEIVE[number].action == "note"
    assert SEND[number].action in {"note", "doubt"}


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOTCONN, errno.EBADF, errno.EBADFD])
def test_a_gone_peer_is_lost_both_ways(number: int) -> None:
    """A peer or a device that is gone is lost to sender and receiver alike."""
    assert RECEIVE[number].action == SEND[number].action == "lost"


def test_a_peer_that_left_frames_unread_is_heard_to_the_end() -> None:
    """ECONNRESET is told before what the peer had sent: receiving goes on to the end, sending is over."""
    assert RECEIVE[errno.ECONNRESET].action == "note"
    assert SEND[errno.ECONNRESET].action == "lost"


def test_an_interrupt_has_no_row() -> None:
    """EINTR is retried where the call is made, and never judged by the table."""
    assert errno.EINTR not in RECEIVE
    assert errno.EINTR not in SEND


def test_receiving_drops_count_as_received() -> None:
    """What receiving drops is no drop of a frame: the kernel gave an error in the place of one."""
    assert {meaning.counter for meaning in RECEIVE.values() if meaning.action == "drop"} == {"rx_errors"}
    assert "rx_errors" not in RX_DROPS
