"""Ports for tests that need no host: frames move between two ends in memory.

``pair`` gives two ends that keep the contract of ``vecwire.port`` (the same suite runs over them and over
every transport), with a bound between them, so that back-pressure can be tested too.

>>> from vecwire.testing import pair
>>> left, right = pair()
>>> out, into = left.batch(), right.batch()
>>> out.append(bytes(60))
>>> left.send(out), right.recv(into), len(into[0])
(1, 1, 60)
>>> left.close(), right.close()
(None, None)
"""

import os
import select
import time
from collections import deque
from types import MappingProxyType, TracebackType
from typing import Self

from vecwire.errors import ClosedError
from vecwire.path.batch import Batch
from vecwire.port import PortInfo, PortStats
from vecwire.wire.counters import NAMES
from vecwire.wire.vnet import Vnet

SHORTEST = 14


class _Lane:
    """One direction: a bounded queue, and two event descriptors that say what it is ready for.

    It is closed when the end that reads it is: nothing is taken into it then.
    """

    def __init__(self, capacity: int) -> None:
        self.frames: deque[tuple[bytes, Vnet, int]] = deque()
        self.capacity = capacity
        self.closed = False
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        self.filled = os.eventfd(0, flags)
        self.room = os.eventfd(1, flags)

    def show(self) -> None:
        """Brings the event descriptors in line with the queue."""
        for event, ready in (
            (self.filled, bool(self.frames)),
            (self.room, len(self.frames) < self.capacity and not self.closed),
        ):
            if ready:
                os.eventfd_write(event, 1)
            elif select.select([event], [], [], 0)[0]:
                os.eventfd_read(event)


class MemoryPort:
    """One end of a pair; see ``vecwire.port`` for the contract. Made by ``pair``."""

    def __init__(self, incoming: _Lane, outgoing: _Lane, depth: int) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._depth = depth
        self._closed = False
        self._counters = dict.fromkeys(NAMES, 0)

    def _alive(self) -> None:
        if self._closed:
            raise ClosedError("the memory port was used after it was closed")

    @property
    def info(self) -> PortInfo:
        """What was opened, and whether it is up."""
        descriptors = {} if self._closed else {"rx": self._incoming.filled, "tx": self._outgoing.room}
        return PortInfo(
            transport="memory",
            spec="memory",
            descriptors=MappingProxyType(descriptors),
            offloads=("virtio-net header", "tcp super-frames", "udp super-frames"),
            up=not self._closed and not self._outgoing.closed,
        )

    @property
    def stats(self) -> PortStats:
        """The counters as they stand now."""
        return PortStats(dict(self._counters))

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def batch(self, depth: int | None = None) -> Batch:
        """A batch that fits the port."""
        return Batch(depth or self._depth)

    def recv(self, batch: Batch) -> int:
        """Receives frames into ``batch``; how many it holds then.

        Raises:
            ClosedError: if the port is closed.
        """
        self._alive()
        batch.clear()
        lane = self._incoming
        taken = False
        while lane.frames and len(batch) < min(batch.depth, self._depth):
            frame, vnet, moment = lane.frames.popleft()
            taken = True
            if len(frame) > batch.size:
                self._counters["rx_truncated"] += 1
                continue
            batch.append(frame, vnet, timestamp=moment)
            self._counters["rx_frames"] += 1
            self._counters["rx_octets"] += len(frame)
            self._counters["rx_super"] += vnet.gso_type != 0
        self._counters["rx_calls"] += taken
        lane.show()
        return len(batch)

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends the frames of ``batch`` from ``first`` on; how many are done with.

        Raises:
            ClosedError: if the port is closed.
            ValueError: if there is no frame ``first``, or one was given a length that leaves its slot.
        """
        self._alive()
        if not 0 <= first <= len(batch):
            raise ValueError(f"the batch holds {len(batch)} frames; there is no frame {first} to begin with")
        lane = self._outgoing
        done = first
        mask = batch.mask
        # All of them are looked at before any is sent: a length that leaves its slot is an error.
        frames = [bytes(frame) for frame in batch]
        while done < len(batch):
            if not mask[done]:
                done += 1
                continue
            frame, vnet = frames[done], batch.vnet(done)
            reason = self._reason(frame, vnet)
            if reason is not None:
                self._counters[reason] += 1
            elif lane.closed or len(lane.frames) == lane.capacity:
                self._counters["tx_stalls"] += 1
                break
            else:
                lane.frames.append((frame, vnet, time.time_ns()))
                self._counters["tx_frames"] += 1
                self._counters["tx_octets"] += len(frame)
                self._counters["tx_super"] += vnet.gso_type != 0
            done += 1
        self._counters["tx_calls"] += done > first
        lane.show()
        return done - first

    def _reason(self, frame: bytes, vnet: Vnet) -> str | None:
        """The counter of the reason why a frame cannot be sent; None where it can."""
        if len(frame) < SHORTEST:
            return "tx_runt"
        if not vnet.suits(frame):
            return "tx_bad_offload"
        return None

    def wait(self, timeout: float | None = None, *, write: bool = False) -> bool:
        """Waits until frames can be received, or sent with ``write``; False where the time ran out.

        Raises:
            ClosedError: if the port is closed.
        """
        self._alive()
        ready, _, _ = select.select(
            [self._outgoing.room if write else self._incoming.filled], [], [], timeout
        )
        return bool(ready)

    def fileno(self) -> int:
        """A descriptor that is readable when frames may be received.

        Raises:
            ClosedError: if the port is closed.
        """
        self._alive()
        return self._incoming.filled

    def close(self) -> None:
        """Gives everything back; again and again does no harm."""
        if self._closed:
            return
        self._closed = True
        self._incoming.closed = True
        if self._outgoing.closed:
            # The other end is closed too: nobody looks at either lane any more.
            for lane in (self._incoming, self._outgoing):
                os.close(lane.filled)
                os.close(lane.room)
        else:
            self._incoming.show()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pair(depth: int = 64, capacity: int = 256) -> tuple[MemoryPort, MemoryPort]:
    """Two ports, each of which receives what the other sends.

    Args:
        depth: frames a call moves at the most.
        capacity: frames that wait between the ends before ``send`` takes no more.
    """
    there, back = _Lane(capacity), _Lane(capacity)
    return MemoryPort(back, there, depth), MemoryPort(there, back, depth)
