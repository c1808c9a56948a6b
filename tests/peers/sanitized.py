"""Whether the compiled modules are sanitized, and the interpreter with them (``tools/asan.py``); leaks."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

_runtime: Any = ctypes.CDLL(None)
#: The runtime of AddressSanitizer is in this process.
SANITIZED = hasattr(_runtime, "__asan_init")
#: How many times as long as usual is waited for what must happen: every access is looked at, and
#: the many processes of the tests begin slowly.
SLOWNESS = 5.0 if SANITIZED else 1.0


def report_leaks() -> None:
    """Has LeakSanitizer report what was allocated, is still there, and that nothing points to any more."""
    if SANITIZED:
        gc.collect()
        _runtime.__lsan_do_recoverable_leak_check()
