"""What all tests share: a clear word where the user may not do what they do, or where a peer is missing.

A missing peer fails a test, unless the environment says that it may be missing.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from peers.sanitized import SANITIZED, report_leaks
from prepare import PEERS

ROOT = Path(__file__).parent
NEED_ROOT = tuple(ROOT / name for name in ("kernel", "interop", "faults", "soak"))


def pytest_configure() -> None:
    """Has SIGINT taken, here and in what tests start: a shell's job in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ends the run at once where tests were asked for that this user cannot run."""
    if os.geteuid() != 0 and any(item.path.is_relative_to(each) for item in items for each in NEED_ROOT):
        pytest.exit(
            "tests/kernel, interop, faults and soak make network namespaces: run them as root; "
            "any user can run make test PYTEST_ARGS='tests/unit tests/property'",
            returncode=77,
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fails or skips a test marked `needs(COMMAND...)` where a command is missing; skips `unsanitized`."""
    for mark in item.iter_markers("needs"):
        for command in mark.args:
            if shutil.which(command):
                continue
            reason = f"{command} is not installed (Debian: {PEERS.get(command, command)})"
            if os.environ.get("VECWIRE_TEST_WITHOUT_PEERS") == "1":
                pytest.skip(reason)
            pytest.fail(f"{reason}; VECWIRE_TEST_WITHOUT_PEERS=1 skips what needs it", pytrace=False)
    if SANITIZED:
        for mark in item.iter_markers("unsanitized"):
            pytest.skip(f"sanitized: {mark.args[0]}")


def pytest_sessionfinish() -> None:
    """Looks for leaks, once all tests of a sanitized run are over."""
    report_leaks()
