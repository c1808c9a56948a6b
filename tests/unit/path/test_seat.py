"""What a turn that takes too long costs its port: a debt, and turns of fewer messages."""

from __future__ import annotations

import ctypes

import pytest

from oracle.compiled import function
from vecwire.path import seat

TURN = 200_000
MOST_DEBT = 500 * TURN
LEAST_PAID = TURN // 20
DEPTH = 64
POINTER = ctypes.c_void_p


class Slots(ctypes.Structure):
    """The beginning of ``struct Slots`` of ``path/slots.pxd``."""

    _fields_ = (("memory", POINTER), ("depth", ctypes.c_uint32))


class Endpoint(ctypes.Structure):
    """The beginning of ``struct Endpoint`` of ``path/io.pxd``: descriptors and flags, and the bound."""

    _fields_ = (("flags", ctypes.c_int * 9), ("most", ctypes.c_uint32))


class Seat(ctypes.Structure):
    """The beginning of ``struct Seat`` of ``path/seat.pxd``."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("endpoint", ctypes.POINTER(Endpoint)),
        ("slots", ctypes.POINTER(Slots)),
        ("debt", ctypes.c_uint64),
    )


weigh = function(seat, "weigh", None, ctypes.POINTER(Seat), ctypes.c_uint32, ctypes.c_uint64)
repay = function(seat, "repay", ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)


@pytest.fixture
def port() -> Seat:
    """A port that owes nothing."""
    made = Seat()
    made.endpoint = ctypes.pointer(Endpoint())
    made.slots = ctypes.pointer(Slots(depth=DEPTH))
    return made


@pytest.mark.parametrize("took", [0, 1, TURN])
def test_a_turn_in_time_costs_nothing(port: Seat, took: int) -> None:
    """Up to a fifth of a millisecond a turn is a turn, of as many messages as there are."""
    weigh(port, DEPTH, took)
    assert (port.debt, port.endpoint.contents.most) == (0, 0)


@pytest.mark.parametrize(
    ("messages", "took", "debt", "most"),
    [
        (64, 4 * TURN, 3 * TURN, 16),
        (64, TURN + 1, 1, 63),
        (1, 8 * TURN, 7 * TURN, 1),
        (64, 1000 * TURN, MOST_DEBT, 1),
        (1, 2**63, MOST_DEBT, 1),
    ],
)
def test_a_long_turn_is_owed_for(port: Seat, messages: int, took: int, debt: int, most: int) -> None:
    """What a turn took too long is the debt, up to a bound; the next have as few messages as fit."""
    weigh(port, messages, took)
    assert (port.debt, port.endpoint.contents.most) == (debt, most)


def test_debts_add_up_and_are_paid_by_the_time_of_others(port: Seat) -> None:
    """Each long turn adds to the debt; what others had is taken off, and never more than is owed."""
    for _ in range(3):
        weigh(port, 1, 3 * TURN)
    assert port.debt == 6 * TURN
    assert repay(port.debt, 4 * TURN) == 2 * TURN
    assert repay(2 * TURN, 4 * TURN) == 0


def test_no_debt_is_for_ever() -> None:
    """A round in which others took no time that was measured pays something, too."""
    debt, rounds = TURN, 0
    while debt:
        debt = repay(debt, 0)
        rounds += 1
    assert rounds == TURN // LEAST_PAID


def test_short_turns_bring_full_batches_back(port: Seat) -> None:
    """After a port's turns are in time again, they grow by one, until nothing bounds them but the batch."""
    weigh(port, 1, 8 * TURN)
    sizes = []
    while port.endpoint.contents.most:
        weigh(port, port.endpoint.contents.most, 1000)
        sizes.append(port.endpoint.contents.most)
    assert sizes == [*range(2, DEPTH + 1), 0]


@pytest.mark.parametrize(("messages", "took"), [(7, 1000), (8, TURN), (8, TURN * 8 // 9 + 1)])
def test_a_bound_is_raised_only_where_one_more_would_have_been_in_time(
    port: Seat, messages: int, took: int
) -> None:
    """A turn of fewer messages than allowed says nothing; one that nearly took too long says no."""
    weigh(port, 64, 8 * TURN)
    weigh(port, messages, took)
    assert port.endpoint.contents.most == 8
