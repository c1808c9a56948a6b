"""A record of a BESS socket is a frame as it is, or is counted: cut, or a runt; an empty one ends nothing."""

from __future__ import annotations

import socket

from fuzzing.lasting import lasting
from oracle.received import Receiver

INCOMING, OUTGOING = lasting(*socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
RECEIVER = Receiver(INCOMING.fileno(), flags=("seqpacket",))


def target(octets: bytes) -> None:
    """Sends a record; the first octet says by how much the room for it is too small."""
    missing, record = octets[:1], octets[1:]
    short = (missing or b"\0")[0] % 4
    OUTGOING.send(record)
    received = RECEIVER.receive(max(len(record) - short, 1))
    if len(record) > max(len(record) - short, 1):
        assert received.dropped == ["rx_truncated"]
    elif len(record) < 14:
        assert received.dropped == ["rx_runt"]
    else:
        assert received.frames == [record]
        assert not received.dropped
        return
    assert received.frames == []


def seeds() -> list[bytes]:
    """Nothing, a runt, the shortest frame, a frame that is cut."""
    return [b"\0", b"\0" + bytes(13), b"\0" + bytes(14), b"\1" + bytes(60)]
