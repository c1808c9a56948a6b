"""L2TPv3 over UDP is delivered exactly where RFC 3931 finds our frame in it, else one counter says why."""

from __future__ import annotations

from fuzzing import l2tpv3, tunnel

ENDS = l2tpv3.ends([(True, False)])


def target(octets: bytes) -> None:
    """Judges a message; or one that the other end makes of a frame."""
    tunnel.judge(ENDS, octets)


def seeds() -> list[bytes]:
    """What every tunnel begins with."""
    return tunnel.seeds(ENDS)
