"""Time for what a port delays: frames that are late on purpose leave within the port's own calls alone.

So whoever sleeps between two calls, or closes a port after the last one, sleeps and ends by these. They are
for any port: one that delays frames says when the next one leaves, as its ``due``.
"""

import time
from collections.abc import Callable

from vecwire.port import Port

#: Seconds that a frame is given beyond its time, where the kernel has no room for it.
ROOM_SECONDS = 1.0
#: Seconds between two tries to send what it has no room for.
AGAIN_SECONDS = 0.0005
#: Seconds of sleep at the most: a lost port is to be brought back, and somebody may want to end.
LONGEST_SECONDS = 0.05


def due(port: Port) -> float | None:
    """When the next frame that a port delays leaves, in seconds of ``time.monotonic``; None without one."""
    moment: int | None = getattr(port, "due", None)
    return None if moment is None else moment / 1e9


def rest(port: Port, moment: float) -> None:
    """Sleeps until a moment of ``time.monotonic``; frames that the port delays leave meanwhile.

    Raises:
        ClosedError: if the port is closed.
    """
    while (left := moment - time.monotonic()) > 0:
        _sleep(port, left)
        port.wait(0)


def drain(port: Port, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Returns once no frame is delayed any more; False where that was given up, or there is no room for one.

    Args:
        port: the port.
        go_on: asked again and again whether to wait any longer.

    Raises:
        ClosedError: if the port is closed.
    """
    while (moment := due(port)) is not None:
        if time.monotonic() - moment > ROOM_SECONDS or not go_on():
            return False
        _sleep(port, LONGEST_SECONDS)
        port.wait(0)
    return True


def _sleep(port: Port, seconds: float) -> None:
    """Sleeps, not for longer than until the next frame is due."""
    moment = due(port)
    if moment is not None:
        seconds = min(seconds, max(moment - time.monotonic(), AGAIN_SECONDS))
    time.sleep(min(seconds, LONGEST_SECONDS))
