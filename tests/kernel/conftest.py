"""What tests against the kernel share: every worker is held to its system calls."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import pytest

from vecwire.confine import Seccomp
from vecwire.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def confined() -> Iterator[None]:
    """Engines of this process that say nothing of it give up all that a worker does not need.

    VECWIRE_TEST_CONFINE=off is for tools that make system calls of their own in every thread.
    """
    mode = Seccomp(os.environ.get("VECWIRE_TEST_CONFINE", Seccomp.REQUIRE))
    whole = Engine.__init__

    @functools.wraps(whole)
    def held(self: Engine, **named: Any) -> None:
        whole(self, **{**named, "confine": named.get("confine") or mode})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", held)
        yield
