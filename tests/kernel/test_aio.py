"""Ports on an event loop, on asyncio and on trio, over real transports and over the fake."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

import vecwire
from peers.frames import frame, ours
from peers.net import Namespace, veth
from peers.ports import TRANSPORTS, joined
from vecwire import ClosedError, aio
from vecwire.testing import pair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vecwire import Batch, Port

PATIENCE = 20.0


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Runs a coroutine function on each event loop; one that does not end is a failure."""

    def within(main: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(PATIENCE):
                return await main()

        return anyio.run(bounded, backend=request.param)

    return within


async def collect(port: Port, count: int) -> list[bytes]:
    """Receives until there are so many frames of ours."""
    found: list[bytes] = []
    async for batch in aio.frames(port):
        found += [bytes(each) for each in batch if ours(each)]
        if len(found) >= count:
            break
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what nothing tells of, while other tasks go on."""
    while not condition():  # noqa: ASYNC110  (the state of a port has no event)
        await anyio.sleep(0.01)


def filled(port: Port, frames: list[bytes]) -> Batch:
    """A batch of the port's with frames."""
    batch = port.batch()
    batch.extend(frames)
    return batch


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_frames_go_and_come(run: Any, kind: str) -> None:
    """What one task sends another receives, both ways at once, on every transport."""
    frames = [frame(number, 100) for number in range(20)]

    async def main() -> None:
        with joined(kind) as ends:
            for sender, receiver in ((ends.left, ends.right), (ends.right, ends.left)):
                got: list[bytes] = []

                async def receive(port: Port = receiver, into: list[bytes] = got) -> None:
                    into += await collect(port, len(frames))

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(receive)
                    await aio.send(sender, filled(sender, frames))
                assert got == frames

    run(main)


@pytest.mark.parametrize("kind", ["memory", "bess"])
def test_a_sender_waits_for_a_slow_reader(run: Any, kind: str) -> None:
    """Where nobody reads, a sender waits, other tasks go on, and no frame is lost or sent twice."""
    total = 4000

    async def main() -> None:
        with joined(kind) as ends:
            sent = 0

            async def send() -> None:
                nonlocal sent
                while sent < total:
                    out = filled(ends.left, [frame(sent + at, 1400) for at in range(50)])
                    await aio.send(ends.left, out)
                    sent += 50

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                while not ends.left.stats.tx_stalls:
                    await anyio.lowlevel.checkpoint()
                assert sent < total
                got = await collect(ends.right, total)
            assert got == [frame(number, 1400) for number in range(total)]

    run(main)


def test_masked_frames_are_passed_over(run: Any) -> None:
    """A batch with a mask is done with, and only what it accepts arrives."""

    async def main() -> None:
        with joined("bess") as ends:
            out = filled(ends.left, [frame(number) for number in range(6)])
            np.asarray(out.mask)[::2] = 0
            await aio.send(ends.left, out)
            assert await collect(ends.right, 3) == [frame(1), frame(3), frame(5)]

    run(main)


def test_a_receiver_that_is_cancelled_loses_nothing(run: Any) -> None:
    """A task is cancelled while it waits and while frames come; whoever receives next has what it has not."""
    total = 300

    async def main() -> None:
        with joined("bess") as ends:
            got: list[bytes] = []

            async def receive(scope: anyio.CancelScope, limit: int) -> None:
                with scope:
                    async for batch in aio.frames(ends.right):
                        got.extend(bytes(each) for each in batch)
                        if len(got) >= limit:
                            scope.cancel()

            async with anyio.create_task_group() as tasks:
                idle = anyio.CancelScope()
                tasks.start_soon(receive, idle, total)
                await anyio.lowlevel.checkpoint()
                idle.cancel()
            for first in range(0, total, 30):
                await aio.send(ends.left, filled(ends.left, [frame(first + at) for at in range(30)]))
                await receive(anyio.CancelScope(), first + 15)
            assert got + await rest(ends.right) == [frame(number) for number in range(total)]

    async def rest(port: Port) -> list[bytes]:
        batch = port.batch()
        found: list[bytes] = []
        while port.recv(batch):
            found += [bytes(each) for each in batch]
        return found

    run(main)


def test_a_sender_that_is_cancelled_sent_the_first_frames(run: Any) -> None:
    """A task that waits for room is cancelled; what has arrived is a beginning, in order, as counted."""

    async def main() -> None:
        with joined("bess") as ends:
            out = filled(ends.left, [frame(number, 1400) for number in range(64)])
            with anyio.CancelScope() as scope:

                async def send() -> None:
                    while True:
                        await aio.send(ends.left, out)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send)
                    while not ends.left.stats.tx_stalls:
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
            taken = ends.left.stats.tx_frames
            got = await collect(ends.right, taken)
            assert got == [frame(number % 64, 1400) for number in range(taken)]

    run(main)


def test_closing_ends_whoever_waits(run: Any) -> None:
    """A loop over frames ends when the port is closed, and a sender has an error."""

    async def main() -> None:
        with joined("bess") as ends:
            ended = anyio.Event()

            async def receive() -> None:
                async for _ in aio.frames(ends.left):
                    pass
                ended.set()

            async def send() -> None:
                out = filled(ends.left, [frame(1, 1400)] * 64)
                with contextlib.suppress(ClosedError):
                    while True:
                        await aio.send(ends.left, out)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(send)
                while not ends.left.stats.tx_stalls:
                    await anyio.lowlevel.checkpoint()
                aio.close(ends.left)
                aio.close(ends.left)
                await ended.wait()
            assert [batch async for batch in aio.frames(ends.left)] == []

    run(main)


def test_a_lost_peer_is_waited_for(run: Any) -> None:
    """A receiver and a sender go on with the next client after the one before has gone."""

    async def main() -> None:
        with vecwire.open("bess,listen=@vecwire-aio") as server:
            for number in range(3):
                with vecwire.open("bess,dst=@vecwire-aio") as client:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(aio.send, server, filled(server, [frame(number)]))
                        tasks.start_soon(aio.send, client, filled(client, [frame(10 + number)]))
                        assert await collect(server, 1) == [frame(10 + number)]
                        assert await collect(client, 1) == [frame(number)]

    run(main)


def test_a_lost_interface_is_waited_for(run: Any) -> None:
    """A loop over the frames of an interface goes on when the interface has gone and come again."""

    async def main(namespace: Namespace) -> None:
        veth((namespace, "left0"), (namespace, "right0"))
        with vecwire.open("raw,ifname=left0") as port:
            got: list[bytes] = []
            enough = anyio.Event()

            async def receive() -> None:
                async for batch in aio.frames(port):
                    got.extend(bytes(each) for each in batch if ours(each))
                    if got and len(got) >= wanted:
                        enough.set()

            async with anyio.create_task_group() as tasks:
                wanted = 1
                tasks.start_soon(receive)
                with vecwire.open("raw,ifname=right0") as far:
                    await aio.send(far, filled(far, [frame(1)]))
                    await enough.wait()
                namespace.ip("link del left0")
                await until(lambda: not port.info.up)
                veth((namespace, "left0"), (namespace, "right0"))
                enough = anyio.Event()
                wanted = 2
                await until(lambda: port.info.up)
                with vecwire.open("raw,ifname=right0") as far:
                    await aio.send(far, filled(far, [frame(2)]))
                    await enough.wait()
                assert got == [frame(1), frame(2)]
                tasks.cancel_scope.cancel()

    with Namespace("aio", ipv6=False) as namespace, namespace.enter():
        run(lambda: main(namespace))


def test_a_frame_that_does_not_fit_is_an_error(run: Any) -> None:
    """What ``port.send`` raises, ``send`` raises."""

    async def main() -> None:
        left, right = pair()
        with left, right:
            out = filled(left, [frame(1)])
            with pytest.raises(ValueError, match="no frame"):
                await aio.send(left, out, 2)
            out.lengths[0] = 2**31
            with pytest.raises(ValueError, match="there is room"):
                await aio.send(left, out)

    run(main)
