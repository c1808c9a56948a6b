"""The contract of a port. This file moves nothing: it says what every port does, and who owns what.

- **Memory** belongs to the caller: a batch is made once, by ``port.batch()``, and given to every ``recv``.
  The port writes into it during a call and keeps nothing of it afterwards.
- **recv** replaces the frames of a batch and returns how many there are; 0 means that none are waiting.
- **send** sends frames in order and returns how many are done with: the kernel took them, they were dropped
  and counted, or the batch's mask passes over them. The caller keeps the rest. It never blocks. While the
  peer is away it takes nothing: ``wait(write=True)`` waits until there is one.
- Neither raises for what a network does: EAGAIN and ENOBUFS end a call early, EINTR is retried, a bad
  frame is a counted drop, a lost peer is waited for. Both release the GIL.
- **close** gives back every descriptor, filter and path, once; after it every call but ``close`` itself
  raises ``ClosedError``.
- One thread may receive while another sends. Two that do the same with one port get a ``PortError``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, runtime_checkable

from vecwire.path.batch import Batch
from vecwire.wire.counters import DROPS, MAXIMA, MEANINGS, RX_DROPS, TX_DROPS


@dataclass(frozen=True, slots=True)
class PortInfo:
    """What was opened.

    Attributes:
        transport: its name, as in the spec.
        spec: the canonical text of the spec.
        descriptors: the descriptors in use, by role: ``rx``, ``tx``, ``listen``.
        ifname: the network interface, where there is one.
        mtu: the longest layer-3 packet that a frame carries, in octets.
        overhead: octets that the encapsulation adds on the outer network, the inner Ethernet header included.
        offloads: the offloads in force, by name.
        refused: what the host refused, and why: the port works without it.
        up: whether frames can move now; False while a peer or an interface is waited for.
    """

    transport: str
    spec: str
    descriptors: Mapping[str, int]
    ifname: str | None = None
    mtu: int = 1500
    overhead: int = 0
    offloads: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    up: bool = True


@dataclass(frozen=True, slots=True)
class PortStats:
    """The counters of a port at one moment; ``meanings`` says what each counts.

    Attributes:
        counters: every counter by name.
    """

    counters: Mapping[str, int]

    def __getattr__(self, name: str) -> int:
        # Only what is no attribute comes here; "counters" does while the object is being copied.
        if name == "counters" or name not in self.counters:
            raise AttributeError(f"there is no counter named {name}")
        return self.counters[name]

    def __sub__(self, earlier: "PortStats") -> "PortStats":
        """What was counted since ``earlier``; of maxima there is no difference: they stay as they are."""
        return PortStats(
            {
                name: value if name in MAXIMA else value - earlier.counters[name]
                for name, value in self.counters.items()
            }
        )

    @property
    def rx_dropped(self) -> int:
        """Frames received and dropped, for any reason."""
        return sum(self.counters[name] for name in RX_DROPS)

    @property
    def tx_dropped(self) -> int:
        """Frames not sent, for any reason."""
        return sum(self.counters[name] for name in TX_DROPS)

    @property
    def dropped(self) -> int:
        """Frames that came to an end at this port: not received, not passed on by a switch, or not sent."""
        return sum(self.counters[name] for name in DROPS)

    @property
    def meanings(self) -> Mapping[str, str]:
        """What each counter counts, in one phrase."""
        return MEANINGS


@runtime_checkable
class Port(Protocol):
    """Moves Ethernet frames to and from one transport, a batch at a time; see the module's text."""

    @property
    def info(self) -> PortInfo:
        """What was opened, and whether it is up."""
        ...

    @property
    def stats(self) -> PortStats:
        """The counters as they stand now."""
        ...

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        ...

    def batch(self, depth: int | None = None) -> Batch:
        """A batch that fits the port: ``depth`` slots, the spec's by default."""
        ...

    def recv(self, batch: Batch) -> int:
        """Receives frames into ``batch``, whose frames they replace.

        Returns:
            How many frames the batch holds; 0 where none are waiting.

        Raises:
            ClosedError: if the port is closed.
        """
        ...

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends the frames of ``batch`` from ``first`` on, in order.

        Returns:
            How many frames are done with: taken by the kernel, dropped and counted, or passed over since
            ``batch.mask`` does not accept them.

        Raises:
            ClosedError: if the port is closed.
            ValueError: if there is no frame ``first``, or one was given a length that leaves its slot.
        """
        ...

    def wait(self, timeout: float | None = None, *, write: bool = False) -> bool:
        """Waits until frames can be received, or sent with ``write``.

        Args:
            timeout: seconds; None waits for ever.
            write: wait for room to send, not for frames.

        Returns:
            Whether that is so; False where the time ran out.

        Raises:
            ClosedError: if the port is closed.
        """
        ...

    def fileno(self) -> int:
        """A descriptor that poll(2) finds readable when frames may be received; it stays the same.

        Raises:
            ClosedError: if the port is closed.
        """
        ...

    def close(self) -> None:
        """Gives everything back; again and again does no harm."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
