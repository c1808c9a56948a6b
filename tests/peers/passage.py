"""The way of a frame from a guest, which has virtio-net headers, to a port that takes no offloads."""

from __future__ import annotations

import socket

from vecwire.path.batch import Batch
from vecwire.path.channel import Channel
from vecwire.wire.counters import DROPS
from vecwire.wire.vnet import SHORT, Vnet


class Passage:
    """A channel that receives with virtio-net headers, and one that sends without."""

    def __init__(self) -> None:
        kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
        self._ends = [*socket.socketpair(*kind), *socket.socketpair(*kind)]
        self.guest, near, far, self.sink = self._ends
        for each in self._ends:
            each.setblocking(False)
        self.way_in, self.way_out = Channel(), Channel()
        self.way_in.attach(near.fileno(), near.fileno(), rx_vnet=SHORT, tx_vnet=SHORT)
        self.way_out.attach(far.fileno(), far.fileno())
        self._batch = Batch()
        #: What was received, before anything that is done to what leaves.
        self.received: list[tuple[bytes, Vnet]] = []

    def write(self, octets: bytes, header: Vnet | None = None) -> None:
        """Writes a frame as a guest does."""
        self.guest.send((header or Vnet()).pack() + octets)

    def pass_on(self) -> list[bytes]:
        """Moves what was written; what comes out.

        What was received is left in ``received``, as it is when somebody decides about it.
        """
        self.received.clear()
        while self.way_in.recv(self._batch):
            self.received += zip(map(bytes, self._batch), self._batch.vnet, strict=True)
            assert self.way_out.send(self._batch) == len(self._batch)
        found = []
        try:
            while True:
                found.append(self.sink.recv(1 << 17))
        except BlockingIOError:
            return found

    def dropped(self) -> dict[str, int]:
        """The drops of both channels."""
        counters = [self.way_in.counters(), self.way_out.counters()]
        return {name: each[name] for each in counters for name in DROPS if each[name]}

    def close(self) -> None:
        """Gives the sockets back."""
        for each in self._ends:
            each.close()
