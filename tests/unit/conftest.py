"""A service that moves nothing, and where it listens, for all who ask one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peers.controlled import Fake, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fake() -> Iterator[Fake]:
    """The service."""
    made = Fake()
    yield made
    made.close()


@pytest.fixture
def path(fake: Fake, tmp_path: Path) -> Iterator[str]:
    """Where it listens."""
    with serving(fake, tmp_path / "control.sock"):
        yield str(tmp_path / "control.sock")
