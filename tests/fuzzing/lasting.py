"""What a target opens once, for all of its inputs."""

from __future__ import annotations

import atexit
from typing import Protocol, TypeVar


class Closable(Protocol):
    """Has an end."""

    def close(self) -> object:
        """Ends it."""


T = TypeVar("T", bound=Closable)


def lasting(*things: T) -> tuple[T, ...]:
    """Has what is given be closed when the process ends; returns it."""
    for thing in things:
        atexit.register(thing.close)
    return things
