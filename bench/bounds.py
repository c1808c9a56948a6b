"""What a measurement is held to, told beside its table."""

from __future__ import annotations


def judge(met: bool, wanted: str, found: str) -> None:
    """Prints whether a bound is met.

    Args:
        met: whether it is.
        wanted: the bound, in words.
        found: what was measured.
    """
    print(f"{'met' if met else 'MISSED':>6}: {wanted}: {found}", flush=True)
