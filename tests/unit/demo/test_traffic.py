"""Ping and TCP of the demo, over the loopback of this host."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from vecwire.demo.traffic import Pinged, Stream, _echo
from vecwire.wire.checksum import checksum

T = TypeVar("T")


def here(do: Callable[[], T]) -> T:
    """Calls a function where the test is."""
    return do()


def test_an_echo_request_has_a_right_checksum() -> None:
    """The checksum over the whole message, its own included, is 0 (RFC 792)."""
    for data in (b"", b"a", b"ab" * 28):
        assert checksum(_echo(8, 0x1234, 7, data)) == 0


@pytest.mark.parametrize(
    ("times", "summary"),
    [
        ([], "0 of 3 answered"),
        ([1.0, 2.0, 4.5], "3 of 3 answered, rtt min/avg/max 1.000/2.500/4.500 ms"),
    ],
)
def test_the_summary_of_a_ping(times: list[float], summary: str) -> None:
    """A ping is summed up in ping's words, and without times where nothing was answered."""
    assert Pinged(84, 3, times).summary == summary


def test_a_stream_counts_what_arrives() -> None:
    """Octets and seconds are there when it has stopped, and all of its threads are gone."""
    with Stream.start(here, here, "127.0.0.1") as stream:
        while not stream.octets:
            pass
        stream.stop()
    assert stream.bits_per_second > 0
    assert not any(thread.is_alive() for thread in stream._threads)


def test_a_stream_can_be_given_up() -> None:
    """Leaving the context ends a stream whose threads are in the middle of it."""
    with Stream.start(here, here, "127.0.0.1") as stream:
        pass
    assert not any(thread.is_alive() for thread in stream._threads)
