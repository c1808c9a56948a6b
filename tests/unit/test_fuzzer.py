"""What the fuzzer's targets and its report are made of."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import fuzzer_report
from oracle import compiled, structs
from oracle.exact import Exact
from oracle.received import Receiver
from vecwire.wire import counters

if TYPE_CHECKING:
    from pathlib import Path

FIGURES: dict[str, Any] = {
    "target": "gre",
    "seconds": 30.0,
    "executions": 90_000,
    "per_second": 3000,
    "edges": 305,
    "corpus": 32,
    "corpus_octets": 867,
    "failed": False,
    "inputs": [],
}


def test_structures_are_those_that_are_declared() -> None:
    """What is read from the ``.pxd`` files has the sizes that compiled modules and other tests know."""
    assert structs.constant("COUNTERS") == counters.size()
    assert structs.constant("MOST_BLOCK") == 16 << 20
    for name in ("VnetHeader", "Train", "Segments"):
        assert ctypes.sizeof(structs.struct(name)) == ctypes.sizeof(getattr(compiled, name))
    with pytest.raises(KeyError):
        structs.struct("Nothing")


def test_a_view_keeps_its_memory() -> None:
    """The octets are there for as long as the view of them is, and may be none."""
    view = Exact(b"what it holds").view
    gc.collect()
    others = [Exact(b"something else") for _ in range(100)]
    assert bytes(view) == b"what it holds"
    assert len(others) == 100
    assert bytes(Exact(b"")) == b""


@pytest.mark.parametrize("room", [60, 59])
def test_a_message_is_received_into_no_more_than_its_room(room: int) -> None:
    """A frame that fits to the octet is delivered; with an octet less of room it is cut, and counted."""
    incoming, outgoing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with incoming, outgoing:
        frame = os.urandom(60)
        outgoing.send(frame)
        received = Receiver(incoming.fileno()).receive(room)
    assert received.frames == [frame] * (room == 60)
    assert received.dropped == ["rx_truncated"] * (room == 59)


def test_figures_go_between_their_marks(tmp_path: Path) -> None:
    """A page gets the figures where its marks are, again and again, and keeps all else."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- fuzz: begin -->\nold\n<!-- fuzz: end -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        fuzzer_report.write(page, [FIGURES, {**FIGURES, "target": "raw", "failed": True}])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- fuzz: begin -->\n")
    assert text.endswith("<!-- fuzz: end -->\nafter\n")
    assert "old" not in text
    assert text.count("| `gre` | 90,000 | 3,000 | 305 | 32 (867 octets) | nothing |") == 1
    assert "Broken: raw." in text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    """Where a page has no place for figures, that is said, and nothing is written."""
    page = tmp_path / "page.md"
    page.write_text("text\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="no place for figures"):
        fuzzer_report.write(page, [FIGURES])
    assert page.read_text(encoding="utf-8") == "text\n"
