"""What the event loop has done by a thread, so that it goes on meanwhile.

``asyncio.to_thread`` has a pool whose threads are started by Python alone, which waits for ever for one that
has no memory to begin with, and the loop with it. Here each call has a thread, and is given up where that
ends.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from vecwire.host import LOOK, start

T = TypeVar("T")
NAME = "vecwire-call"


async def in_thread(do: Callable[[], T]) -> T:
    """Calls a function in a thread of its own; gives or raises what that does.

    A call that is cancelled goes on to its end, and nobody hears of it.

    Raises:
        PortError: if the kernel gives no thread.
        MemoryError: if there is no memory for one.
    """
    given: Future[T] = Future()

    def call() -> None:
        # From here on it cannot be cancelled.
        if not given.set_running_or_notify_cancel():
            return
        try:
            given.set_result(do())
        except BaseException as error:  # noqa: BLE001 # raised again by who waits
            given.set_exception(error)

    try:
        thread = threading.Thread(target=call, name=NAME)
    except RuntimeError as error:
        # "can't allocate lock", as Python calls it.
        raise MemoryError(f"no memory for the thread {NAME}") from error
    start(thread)
    heard = asyncio.wrap_future(given)
    while not (await asyncio.wait([heard], timeout=LOOK))[0]:
        if not thread.is_alive() and not given.done():
            heard.cancel()
            raise MemoryError(f"no memory for the thread {NAME}")
    return await heard
