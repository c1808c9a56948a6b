"""The control socket, in a directory that is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peers.controlled import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.controlled import Fake, Server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the service listens."""
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def server(fake: Fake, path: Path) -> Iterator[Server]:
    """The service, listening."""
    with serving(fake, path) as made:
        yield made
