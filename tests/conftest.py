"""What all tests share: a clear word where the user may not do what many of them do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
NEED_ROOT = tuple(ROOT / name for name in ("kernel", "interop", "faults"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ends the run at once where tests were asked for that this user cannot run."""
    if os.geteuid() != 0 and any(item.path.is_relative_to(each) for item in items for each in NEED_ROOT):
        pytest.exit(
            "tests/kernel, tests/interop and tests/faults make network namespaces: run them as root; "
            "any user can run make test PYTEST_ARGS='tests/unit tests/property'",
            returncode=77,
        )
