"""A seat: a port's place in a worker, and what is done there besides receiving.

Theory of operation: most seats need nothing but frames. One that holds frames which the kernel did not take,
or whose port is lost, is put on its worker's rota, and only what is on the rota is looked at between two
rounds: a switch of many ports costs no more than those that are busy.

A turn is one batch, which bounds what a port may ask for as long as a frame in is a frame or a few out. It
does not where a super-frame says that it is a thousand segments, or is for hundreds of ports. So such turns
are timed: one that takes too long leaves its port in debt, for as long as which others come first where they
have something to do, and the next turns are of as few messages as fit the time. A turn that takes twice its
time ends: what is still to be cut is held where it was to leave, and cut in turns of its own, as long as
which others come first again. Until then a port whose frames wait behind that receives no more.
"""

import errno as errnos

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.hold import drain, give_up, offer
from cython.cimports.vecwire.path.impair import impede
from cython.cimports.vecwire.path.seat import MIRRORS, TURN, Seat
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.path.witness import Book
from cython.cimports.vecwire.wire.counters import LOST, RX_ERRORS, TX_DOWN, TX_UNREACHABLE, UNREACHABLE

EIO = cython.declare(cython.int, errnos.EIO)
MILLISECOND = cython.declare(uint64_t, 1_000_000)
# Milliseconds between two tries after ENOBUFS, at the most; nanoseconds after which frames are given up.
LAST_RETRY = cython.declare(uint32_t, 64)
LONGEST_HOLD = cython.declare(uint64_t, 1_000_000_000)
# Nanoseconds of debt that a port may have.
MOST_DEBT = cython.declare(uint64_t, 100_000_000)
# What a round of others pays off at the least, so that no debt is for ever.
LEAST_PAID = cython.declare(uint64_t, 10_000)
# An error that no call of receive or transmit explains, so many times in a row, means that the port is lost.
FRUITLESS = cython.declare(uint32_t, 100)


def note(seat: cython.pointer[Seat]) -> cython.void:
    """Puts a seat on the rota, where frames wait in it or it is lost."""
    if not seat.listed and (seat.hold.count or seat.impair.count or seat.endpoint.lost):
        seat.listed = True
        seat.following = seat.rota.first
        seat.rota.first = seat


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def send_out(seat: cython.pointer[Seat], slots: cython.pointer[Slots]) -> cython.void:
    """Offers frames to a seat's port; the table of frames can be offered again afterwards."""
    index: uint32_t
    if seat.impair.on:
        impede(seat.impair, seat.endpoint, seat.hold, slots, 0, slots.count, now())
        note(seat)
    else:
        offer(seat.endpoint, seat.hold, slots)
    if seat.hold.count or seat.endpoint.lost or seat.endpoint.blocked:
        # What was begun goes on from the copy that is held.
        for index in range(slots.count):
            slots.progress[index] = 0
        note(seat)


def reflect(seat: cython.pointer[Seat], slots: cython.pointer[Slots]) -> cython.void:
    """Gives a copy of frames to whoever watches the seat's port."""
    purpose: uint32_t
    for purpose in range(MIRRORS):
        if seat.mirrors[purpose] != cython.NULL and slots.count:
            send_out(seat.mirrors[purpose], slots)


def deliver(seat: cython.pointer[Seat], slots: cython.pointer[Slots]) -> cython.void:
    """Sends frames through a seat's port: what the kernel does not take is held or dropped, and counted."""
    reflect(seat, slots)
    send_out(seat, slots)


def hand_over(book: cython.pointer[Book]) -> cython.void:
    """Sends the records of a book to whoever watches drops; the book is empty afterwards."""
    send_out(cython.cast(cython.pointer[Seat], book.sink), book.slots)
    book.slots.count = 0


def judge(seat: cython.pointer[Seat]) -> cython.void:
    """Sees whether an error of a descriptor was told by a call; one that never is means that it is lost."""
    counters = cython.address(seat.endpoint.counters[0])
    explained: uint64_t = (
        counters[UNREACHABLE] + counters[RX_ERRORS] + counters[TX_UNREACHABLE] + counters[TX_DOWN]
    )
    if seat.slots.count or seat.endpoint.lost or explained != seat.explained:
        seat.fruitless = 0
    else:
        seat.fruitless += 1
        if seat.fruitless > FRUITLESS:
            seat.endpoint.lost = EIO
            counters[LOST] += 1
    seat.explained = explained


def retry(seat: cython.pointer[Seat]) -> cython.void:
    """Sends what is held after ENOBUFS, less and less often, and gives it up when it has grown too old.

    An interface without a carrier refuses every frame so, for as long as it has none.
    """
    moment: uint64_t = now()
    before: uint32_t = seat.hold.count
    if moment < seat.retry_at:
        return
    drain(seat.endpoint, seat.hold)
    if seat.hold.count < before:
        seat.retry_delay = 1
        seat.stuck_since = moment
    elif moment - seat.stuck_since > LONGEST_HOLD:
        give_up(seat.endpoint, seat.hold)
    elif seat.retry_delay < LAST_RETRY:
        seat.retry_delay *= 2
    seat.retry_at = moment + seat.retry_delay * MILLISECOND


def weigh(seat: cython.pointer[Seat], messages: uint32_t, took: uint64_t) -> cython.void:
    """Notes how many nanoseconds a turn of so many messages, one or more, took."""
    endpoint = seat.endpoint
    if took > TURN:
        seat.debt = min(seat.debt + took - TURN, MOST_DEBT)
        endpoint.most = max(cython.cast(uint32_t, messages * TURN // took), 1)
    elif endpoint.most and messages >= endpoint.most and took * (messages + 1) <= TURN * messages:
        # Slowly, and only where there was one for each place and one more would have been in time.
        endpoint.most = endpoint.most + 1 if endpoint.most < seat.slots.depth else 0


def repay(debt: uint64_t, spent: uint64_t) -> uint64_t:
    """What is left of a debt after a round in which others had so many nanoseconds."""
    spent = max(spent, LEAST_PAID)
    return debt - spent if debt > spent else 0
