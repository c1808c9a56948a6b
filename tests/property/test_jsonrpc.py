"""JSON-RPC of the control socket, whatever comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from oracle.answers import hold_answer, hold_message
from peers.controlled import Fake
from vecwire.service.dispatch import Dispatcher
from vecwire.service.jsonrpc import Lines, RpcError
from vecwire.service.methods import METHODS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# One that sends a descriptor needs a service.
NAMES = st.sampled_from([name for name, method in METHODS.items() if not method.descriptor]) | st.text()
PARAMETERS = st.sampled_from(["name", "switch", "port", "options", "nam"]) | st.text()
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": JSON,
        "method": NAMES | JSON,
        "params": st.dictionaries(PARAMETERS, JSON, max_size=3) | JSON,
    },
)
LINES = st.binary() | st.builds(
    lambda value: json.dumps(value).encode(), NEARLY | st.lists(NEARLY, max_size=4) | JSON
)


class Anything(Fake):
    """Takes every option."""

    def add_port(self, name: str, options: Any) -> None:
        """Takes it."""


def answer(line: bytes) -> bytes:
    """Returns what the service answers to a line."""
    return asyncio.run(Dispatcher(Anything()).answer(line)).line


@given(LINES)
@example(b"[" * 100_000)
@example(b'{"jsonrpc": "2.0", "id": NaN, "method": "status"}')
@example(b'{"jsonrpc": "2.0", "id": 1e999, "method": "status"}')
@example(b"\xff\xfe")
@example(b"1" * 5000)
def test_every_line_is_a_message(line: bytes) -> None:
    """Whatever the octets are, they are requests or told to be none, and at least one of either."""
    hold_message(line)


@given(LINES)
@example(b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "status"}')
def test_every_answer_is_a_response(line: bytes) -> None:
    """What goes back is one line of JSON: a response, or as many as the batch has requests with an id."""
    hold_answer(line, answer(line))


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 7)))
def test_lines_do_not_depend_on_how_a_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    """The lines are those of the whole, however its pieces come; empty ones are left out."""
    whole = b"\n".join(lines)
    found: list[bytes] = []
    cutter = Lines()
    rest = whole
    for cut in cuts:
        found += cutter.feed(rest[:cut])
        rest = rest[cut:]
    found += cutter.feed(rest)
    end = cutter.end()
    assert [*found, *([end] if end else [])] == [
        line for line in map(bytes.strip, whole.split(b"\n")) if line
    ]


@given(st.lists(st.binary(max_size=30)), st.integers(1, 20))
def test_a_limit_is_kept(pieces: list[bytes], limit: int) -> None:
    """No line is longer than the limit, and no more than that is kept of one that has no end."""
    lines = Lines(limit)
    with contextlib.suppress(RpcError):
        for piece in pieces:
            assert all(len(line) <= limit for line in lines.feed(piece))
            assert len(lines.end()) <= limit
