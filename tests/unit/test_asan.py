"""What a sanitized run takes for a fault."""

from __future__ import annotations

import asan

LEAKS = """
=================================================================
==7==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 96 byte(s) in 1 object(s) allocated from:
    #0 0x1 in calloc (/bin/python+0x1)
    #1 0x2 in __pyx_f_7vecwire_4path_5batch_made build/cython/src/vecwire/path/batch.c:1:2
    #2 0x3 in slot_tp_init Objects/typeobject.c:1:2

Direct leak of 80 byte(s) in 1 object(s) allocated from:
    #0 0x1 in malloc (/bin/python+0x1)
    #1 0x2 in gc_alloc Modules/gcmodule.c:2283:17
    #2 0x3 in __pyx_f_7vecwire_4path_5batch_made build/cython/src/vecwire/path/batch.c:1:2

Direct leak of 64 byte(s) in 1 object(s) allocated from:
    #0 0x1 in __interceptor_malloc (/bin/python+0x1)
    #1 0x2 in malloc tools/<stdin>:18:69
    #2 0x3 in __pyx_f_7vecwire_4path_5batch_made build/cython/src/vecwire/path/batch.c:1:2
"""


def test_every_fault_is_of_concern() -> None:
    """A wrong access is told whole, wherever it was."""
    report = (
        "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x6020000036d6\n    #0 0x1 in memcpy\n"
    )
    assert asan.of_concern(report) == report


def test_only_leaks_of_the_compiled_modules_are_of_concern() -> None:
    """What Python has allocated and kept is not told; what a compiled module has, is."""
    assert "leak of 96" in asan.of_concern(LEAKS)
    assert "leak of 64" in asan.of_concern(LEAKS)
    assert "leak of 80" not in asan.of_concern(LEAKS)
    assert asan.of_concern(LEAKS.replace("vecwire/path", "pydantic_core")) == ""
