"""Ports on an event loop: frames come with ``async for`` and go with ``await``, on asyncio and on trio.

>>> import asyncio
>>> from vecwire.aio import frames, send
>>> from vecwire.testing import pair
>>> async def echo(port):
...     async for batch in frames(port):
...         await send(port, batch)

Theory of operation: a port never blocks, and has a descriptor that tells when frames may be received. So a
task waits for the descriptor, and then makes the port's own calls, each of which moves a batch in some
microseconds. anyio waits on whichever loop is running, and brings its cancellation. There is no await between
frames being taken from the port and their being handed over, so a task that is cancelled has lost none.
"""

import contextlib
import time
from typing import Self

from vecwire.errors import UnsupportedError
from vecwire.path.batch import Batch
from vecwire.port import Port

try:
    import anyio
    from anyio.lowlevel import checkpoint
except ImportError as error:
    raise UnsupportedError(
        "vecwire.aio needs anyio, which is not installed", remedy="pip install 'vecwire[aio]'"
    ) from error

__all__ = ["Frames", "close", "frames", "send"]

#: How long a sender waits after the kernel had no room in spite of its word, in seconds: at first, at most.
FIRST_DELAY = 0.001
LAST_DELAY = 0.064
#: How often a sender looks whether its peer is back, or whether the port was closed meanwhile, in seconds.
LOOK_AGAIN = 0.2


class Frames:
    """The frames of a port, a batch at a time; made by ``frames``."""

    def __init__(self, port: Port, batch: Batch | None = None) -> None:
        self._port = port
        self._batch = port.batch() if batch is None else batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        # Others have their turn, and cancellation is noticed, before frames are taken: never after.
        await checkpoint()
        while not self._port.closed:
            if self._port.recv(self._batch):
                return self._batch
            with contextlib.suppress(anyio.ClosedResourceError):
                await anyio.wait_readable(self._port.fileno())
        raise StopAsyncIteration


def frames(port: Port, batch: Batch | None = None) -> Frames:
    """Receives for as long as the port is open, with ``async for``.

    Every batch is the same one, whose frames the next turn replaces. A peer or an interface that is lost is
    waited for. The loop ends when the port is closed with ``vecwire.aio.close``; at any time it may be left
    or cancelled, and another one begun.

    Args:
        port: what to receive from; one task at a time may.
        batch: the memory to receive into; ``port.batch()`` by default.
    """
    return Frames(port, batch)


async def send(port: Port, batch: Batch, first: int = 0) -> None:
    """Sends the frames of a batch from ``first`` on, and returns when all are done with.

    Where the kernel takes no more, it waits for room: that is the back-pressure. While the peer is away it
    waits for that. A frame that is dropped, or that ``batch.mask`` passes over, is done with too.

    A task that is cancelled has sent the first frames and not the rest. To know how many, watch
    ``port.stats.tx_frames``, or use ``port.send`` itself.

    Args:
        port: what to send through; one task at a time may.
        batch: the frames; nobody may change them meanwhile.
        first: the frame to begin with.

    Raises:
        ClosedError: if the port is closed, also meanwhile.
        ValueError: if there is no frame ``first``, or one was given a length that leaves its slot.
    """
    await checkpoint()
    done = first + port.send(batch, first)
    delay = FIRST_DELAY
    while done < len(batch):
        begun = time.monotonic()
        await _room(port)
        taken = port.send(batch, done)
        done += taken
        if taken:
            delay = FIRST_DELAY
        elif time.monotonic() - begun < FIRST_DELAY:
            # The queue of the interface is full while the socket has room: of that nothing tells.
            await anyio.sleep(delay)
            delay = min(2 * delay, LAST_DELAY)


async def _room(port: Port) -> None:
    """Waits until the port may take frames, or until it is time to look again."""
    info = port.info
    descriptor = info.descriptors.get("tx")
    if not info.up or descriptor is None:
        await anyio.sleep(LOOK_AGAIN)
        return
    # The descriptor may be closed and opened anew by whoever receives, and would then never tell.
    with anyio.move_on_after(LOOK_AGAIN):
        await anyio.wait_writable(descriptor)


def close(port: Port) -> None:
    """Closes a port that tasks of this event loop may be waiting for.

    A loop over its frames ends; ``send`` raises ``ClosedError`` soon.

    Raises:
        PortError: if a cable has claimed the port, or another thread is moving frames through it.
    """
    if not port.closed:
        anyio.notify_closing(port.fileno())
        port.close()
