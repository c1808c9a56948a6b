"""When frames were received, as the kernel says, on every transport."""

import time

import numpy as np
import pytest

import vecwire
from peers.frames import LEFT, RIGHT, frame, mac, ours
from peers.ports import TRANSPORTS, joined

PATIENCE = 10.0


def exchange(sender: vecwire.Port, receiver: vecwire.Port, into: vecwire.Batch, count: int) -> list[int]:
    """Sends frames; the times at which they were received, in the order of their coming."""
    out = sender.batch()
    out.extend(frame(number, 100) for number in range(count))
    assert sender.send(out) == count
    moments: list[int] = []
    while len(moments) < count:
        assert receiver.wait(PATIENCE)
        receiver.recv(into)
        assert len(into.timestamps) == len(into)
        moments += [moment for moment, each in zip(into.timestamps, into, strict=True) if ours(each)]
    return moments


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_frames_have_the_time_of_their_arrival(kind: str) -> None:
    """With ``timestamps=1`` each frame has a time between its sending and its being there, in order."""
    with joined(kind, ",timestamps=1") as ends:
        for sender, receiver in ((ends.left, ends.right), (ends.right, ends.left)):
            into = receiver.batch()
            before = time.time_ns()
            moments = exchange(sender, receiver, into, 5)
            assert before <= moments[0]
            assert moments == sorted(moments)
            assert moments[-1] <= time.time_ns()
            assert np.asarray(into.timestamps).dtype == np.uint64


@pytest.mark.parametrize("kind", sorted({*TRANSPORTS} - {"memory"}))
def test_nobody_who_has_not_asked_is_told(kind: str) -> None:
    """Without the option frames have no time, whatever the batch held before."""
    with joined(kind) as ends:
        for sender, receiver in ((ends.left, ends.right), (ends.right, ends.left)):
            into = receiver.batch()
            into.append(frame(9), timestamp=7)
            assert exchange(sender, receiver, into, 5) == [0] * 5


def test_tags_come_back_beside_the_time() -> None:
    """A VLAN tag that comes in a control message of its own is put back, and the frame has its time."""
    tagged = mac(RIGHT) + mac(LEFT) + bytes.fromhex("8100006488b5") + bytes(50)
    with joined("raw", ",timestamps=1") as ends:
        out, into = ends.left.batch(), ends.right.batch()
        out.append(tagged)
        assert ends.left.send(out) == 1
        found: list[tuple[bytes, int]] = []
        while not found:
            assert ends.right.wait(PATIENCE)
            ends.right.recv(into)
            found = [
                (bytes(each), moment)
                for each, moment in zip(into, into.timestamps, strict=True)
                if each[12:14] == tagged[12:14]
            ]
        assert found[0][0] == tagged
        assert found[0][1] > 0


def test_pieces_have_the_time_of_the_whole() -> None:
    """Datagrams that came in one piece are frames that came at one time."""
    with joined("l2tpv3-udp", ",timestamps=1") as ends:
        into = ends.right.batch()
        moments = exchange(ends.left, ends.right, into, 32)
        assert all(moments)
        assert len(set(moments)) < len(moments)
