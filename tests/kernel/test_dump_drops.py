"""What `vecwire dump` tells of frames that nobody took in time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import fill, frame
from peers.net import Namespace, veth
from vecwire.capture import sockets
from vecwire.capture.sockets import Tap
from vecwire.cli._dumping import Dump, Lines, Show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire.transports import TransportPort

COUNT = 4000
SMALL = 64 * 1024


@pytest.fixture
def ends() -> Iterator[tuple[TransportPort, TransportPort]]:
    """Ports at both ends of a veth pair, and nobody else who talks."""
    with Namespace("drops", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "right0"))
        with (
            vecwire.open("raw,ifname=left0") as left,
            vecwire.open("raw,ifname=right0,timestamps=1") as right,
        ):
            yield left, right


@pytest.mark.parametrize("ring", [False, True])
def test_what_the_kernel_drops_is_told_once(
    ends: tuple[TransportPort, TransportPort],
    ring: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of what a socket or a ring had no room for, each frame is the kernel's, and none the port's as well."""
    left, right = ends
    if ring:
        monkeypatch.setattr(sockets, "BUFFER", 2 * sockets.BLOCK)
    with contextlib.closing(Tap(right.info.descriptors["rx"], outgoing=False, ring=ring)) as tap:
        assert (tap.ring is not None) == ring
        if not ring:
            with socket.socket(fileno=os.dup(right.info.descriptors["rx"])) as receiver:
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        batch = left.batch(100)
        for _ in range(COUNT // 100):
            fill(batch, [frame(number, 1514) for number in range(100)])
            assert left.send(batch) == 100
        dropped = tap.dropped
        assert 0 < dropped < COUNT
        # The socket's own number moves as the tap's does, but for what a ring had no room for.
        assert right.stats.rx_missed == (0 if ring else dropped)
        dump, sink = Dump(right, tap, count=None), Lines(json=False, snaplen=64)
        Show(json=False, every=None, writes=False).end(dump, sink)
        told = capsys.readouterr().err.splitlines()
        assert told[0].endswith(f"{dropped:,} dropped by the kernel, 0 by the port")
        assert told[1:] == []
        Show(json=True, every=None, writes=False).end(dump, sink)
        assert json.loads(capsys.readouterr().out)["kernel_dropped"] == dropped
