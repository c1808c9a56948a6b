"""The command under test, `vecwire cable SPEC SPEC`, as a background process of a test."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

from peers import reference
from peers.background import Background
from vecwire import PortStats

if TYPE_CHECKING:
    from types import TracebackType


class Cable:
    """A running cable, ready: frames flow. As a context it ends cleanly or the test fails.

    With VECWIRE_TEST_CABLE=reference in the environment it is the one of `reference.py`.

    Args:
        specs: The two ends.
        timeout: Seconds until it must be ready.
    """

    def __init__(self, *specs: str, timeout: float = 10) -> None:
        self.process = Background([*_command(), *specs, "--json"], name="cable")
        try:
            self.ready = self.process.wait_for_event("ready", timeout=timeout)
        except BaseException:
            self.process.kill()
            raise

    def stop(self) -> dict[str, Any]:
        """Ends it with SIGTERM and returns its last JSON line, the counters.

        Raises:
            AssertionError: Its exit status is not 0, or its last line is no JSON object.
        """
        status = self.process.stop()
        lines = self.process.output.splitlines()
        events = self.process.events()
        assert status == 0, f"the cable ends cleanly on SIGTERM: {self.process.describe()}"
        assert len(events) > 1, f"the cable prints counters: {self.process.describe()}"
        assert lines[-1].startswith("{"), f"the counters come last: {self.process.describe()}"
        return events[-1]

    def stats(self) -> list[PortStats]:
        """The counters of both ports, once it has ended; nothing of the reference, which has no offloads."""
        ports = self.process.events()[-1]["ports"]
        return [PortStats(port["counters"]) for port in ports if "counters" in port]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.process.returncode is None:
            self.stop()
            return
        self.process.kill()
        if error is not None:
            error.add_note(self.process.describe())


def _command() -> list[str]:
    if os.environ.get("VECWIRE_TEST_CABLE") == "reference":
        return [sys.executable, os.fspath(reference.__file__)]
    return [sys.executable, "-m", "vecwire", "cable"]
