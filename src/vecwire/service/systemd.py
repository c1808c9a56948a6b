"""What a service tells systemd: that it is ready, reloads, ends, and is alive (sd_notify(3)).

The protocol is one datagram of lines ``NAME=value`` to a Unix socket, whose address systemd gives in
NOTIFY_SOCKET. Not run by systemd, there is no such variable, and nothing is told to anybody.

Sources: sd_notify(3) for the lines, sd_watchdog_enabled(3) for the watchdog, systemd.service(5) for
``Type=notify-reload``, which wants RELOADING=1 with the time, and READY=1 again when all is applied.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

logger = logging.getLogger("vecwire.service")


def monotonic_microseconds() -> int:
    """The time of CLOCK_MONOTONIC, in microseconds: what sd_notify(3) wants with RELOADING=1."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Notifier:
    """Tells systemd about this process; does nothing where systemd did not start it.

    A message that cannot be sent is logged and otherwise ignored: the service runs on.

    Args:
        environment: Where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked for; this process's by
            default.
        clock: Microseconds of CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], int] = monotonic_microseconds,
    ) -> None:
        environment = os.environ if environment is None else environment
        self._clock = clock
        self._address = _address_of(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog_of(environment)

    @property
    def active(self) -> bool:
        """Whether somebody wants to be told."""
        return bool(self._address)

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two calls of ``watchdog``: half of what systemd waits; None where it does not.

        Half is what sd_watchdog_enabled(3) recommends.
        """
        return self._watchdog

    def ready(self, status: str = "") -> bool:
        """Tells that the service is up, or that a reload is done; whether that was sent."""
        return self._send("READY=1", *_status(status))

    def reloading(self, status: str = "") -> bool:
        """Tells that the file is being applied anew; ``ready`` must follow. Whether that was sent."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._clock()}", *_status(status))

    def stopping(self, status: str = "") -> bool:
        """Tells that the service is ending; whether that was sent."""
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """Tells people how things are, in the line that ``systemctl status`` shows; whether that was sent."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """Tells that the service is alive; due every ``watchdog_interval``. Whether that was sent."""
        return self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> bool:
        if not self._address or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.connect(self._address)
                notify.send("\n".join(lines).encode(), socket.MSG_NOSIGNAL)
        except OSError as error:
            logger.warning("systemd could not be told %s: %s", lines[0], error)
            return False
        return True


def _status(text: str) -> tuple[str, ...]:
    """The line with a status, in which a line break would begin another assignment."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()


def _address_of(given: str) -> str:
    """The address of a socket: a path, or an abstract name behind ``@``; empty where it is neither."""
    if given.startswith("@") and len(given) > 1:
        return "\0" + given[1:]
    if given.startswith("/"):
        return given
    if given:
        logger.warning("NOTIFY_SOCKET=%s is neither a path nor an abstract name: systemd is not told", given)
    return ""


def _watchdog_of(environment: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life; None where nobody waits for them, or for another process's."""
    given = environment.get("WATCHDOG_USEC")
    if given is None or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not given.isascii() or not given.isdigit() or int(given) == 0:
        logger.warning("WATCHDOG_USEC=%s is no time: there is no watchdog", given)
        return None
    return int(given) / 2 / 1_000_000
