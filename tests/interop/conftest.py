"""What all interop tests share: a missing peer fails, unless the environment says that it may be missing."""

from __future__ import annotations

import os
import shutil

import pytest

from prepare import PEERS


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fails or skips a test marked `needs(COMMAND...)` where a command is not installed."""
    for mark in item.iter_markers("needs"):
        for command in mark.args:
            if shutil.which(command):
                continue
            reason = f"{command} is not installed (Debian: {PEERS[command]})"
            if os.environ.get("VECWIRE_TEST_WITHOUT_PEERS") == "1":
                pytest.skip(reason)
            pytest.fail(f"{reason}; VECWIRE_TEST_WITHOUT_PEERS=1 skips what needs it", pytrace=False)
