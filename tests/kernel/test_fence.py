"""In a build with AddressSanitizer: the octets behind a received frame may not be touched in the path."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import pytest

import vecwire
from peers.accounting import cable
from peers.frames import fill, frame
from peers.net import Namespace, veth, wait_until
from peers.sanitized import SANITIZED
from vecwire.transports import TransportPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire import Batch

pytestmark = pytest.mark.skipif(not SANITIZED, reason="nothing is forbidden in an ordinary build")
PATIENCE = 5.0
#: No multiple of 8, the octets that AddressSanitizer looks at together.
LENGTH = 61


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in, with the veth pairs left0-left1 and right0-right1."""
    with Namespace("fence", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "left1"))
        veth((made, "right0"), (made, "right1"))
        yield made


def forbidden(batch: Batch, beyond: int) -> bool:
    """Whether the octet that is so many behind the first frame's last one may not be touched."""
    runtime: Any = ctypes.CDLL(None)
    memory = ctypes.c_char.from_buffer(batch.data.cast("B"))
    at = ctypes.addressof(memory) + batch.starts[0] + LENGTH - 1 + beyond
    return bool(runtime.__asan_address_is_poisoned(ctypes.c_void_p(at)))


@pytest.mark.usefixtures("namespace")
def test_a_worker_cannot_read_behind_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a worker's memory a frame's last octet may be read, and the next one not."""
    made: list[Batch] = []
    opened = TransportPort.batch

    def batch(port: TransportPort, depth: int | None = None) -> Batch:
        made.append(opened(port, depth))
        return made[-1]

    with (
        vecwire.open("raw,ifname=left0") as a,
        vecwire.open("raw,ifname=right0") as b,
        vecwire.open("raw,ifname=left1") as near,
    ):
        out = near.batch()
        fill(out, [frame(1, LENGTH)])
        monkeypatch.setattr(TransportPort, "batch", batch)
        with cable(a, b):
            assert near.send(out) == 1
            wait_until(lambda: b.stats.tx_frames == 1, timeout=PATIENCE, what="the frame has passed")
        (held,) = [each for each in made if len(each)]
        assert [forbidden(held, beyond) for beyond in (0, 1, 2, 100)] == [False, True, True, True]


@pytest.mark.usefixtures("namespace")
def test_users_may_read_all_of_a_batch() -> None:
    """What a port's ``recv`` has filled is the user's, the octets behind its frames too."""
    with vecwire.open("raw,ifname=left0") as port, vecwire.open("raw,ifname=left1") as near:
        out, into = near.batch(), port.batch()
        fill(out, [frame(1, LENGTH)])
        assert near.send(out) == 1
        wait_until(lambda: port.recv(into), timeout=PATIENCE, what="the frame comes")
        assert [forbidden(into, beyond) for beyond in (0, 1, 100)] == [False, False, False]
