"""The worker: one thread without the GIL around one epoll set, which moves frames between ports.

Theory of operation: every port has a seat. A readable port gives one batch, which is offered to the seat's
peer in the memory that it was received in; then the next readable port has its turn, so that a busy port
cannot starve another. A seat asks to be told of room to send only while frames are held for it. Where the
kernel says ENOBUFS there is nothing to be told of (the queue of the interface is full, the socket is not), so
the seat tries again a millisecond later, and then less and less often.

A port whose peer or interface is gone leaves the epoll set. Its owner is asked to bring it back, with the
GIL, when the descriptor that it gave for that wakes, or else after a growing delay. Idle, the worker sleeps
without a timer.
"""

import errno as errnos
import os
from collections.abc import Callable

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.channel import Channel
from cython.cimports.vecwire.path.hold import drain, offer
from cython.cimports.vecwire.path.io import receive
from cython.cimports.vecwire.path.linux import (
    CLOCK_MONOTONIC,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    clock_gettime,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    errno,
    read,
    timespec,
)
from cython.cimports.vecwire.path.worker import Seat
from cython.cimports.vecwire.wire.counters import LOST, RX_ERRORS, TX_DOWN, TX_UNREACHABLE, UNREACHABLE

EINTR = cython.declare(cython.int, errnos.EINTR)
EIO = cython.declare(cython.int, errnos.EIO)
ENOBUFS = cython.declare(cython.int, errnos.ENOBUFS)
MILLISECOND = cython.declare(uint64_t, 1_000_000)
FIRST_DELAY = cython.declare(uint32_t, 50)
LAST_DELAY = cython.declare(uint32_t, 1000)
# Milliseconds between two tries after ENOBUFS, at the most; nanoseconds after which frames are given up.
LAST_RETRY = cython.declare(uint32_t, 64)
LONGEST_HOLD = cython.declare(uint64_t, 1_000_000_000)
# An error that no call of receive or transmit explains, so many times in a row, means that the port is lost.
FRUITLESS = cython.declare(uint32_t, 100)
RX = cython.declare(uint64_t, 0)
TX = cython.declare(uint64_t, 1)
WAKE = cython.declare(uint64_t, 2)
ROLES = cython.declare(uint64_t, 4)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def now() -> uint64_t:
    """Nanoseconds of the monotonic clock."""
    time: timespec
    clock_gettime(CLOCK_MONOTONIC, cython.address(time))
    return cython.cast(uint64_t, time.tv_sec) * 1_000_000_000 + cython.cast(uint64_t, time.tv_nsec)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
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


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
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
        seat.endpoint.counters[TX_DOWN] += seat.hold.count
        seat.hold.count = 0
    elif seat.retry_delay < LAST_RETRY:
        seat.retry_delay *= 2
    seat.retry_at = moment + seat.retry_delay * MILLISECOND


@cython.cclass
class Worker:
    """Moves frames between channels until it is stopped.

    Args:
        channels: the ports' channels; each is claimed by the caller.
        batches: for each, the batch that it is received into.
        peers: for each, the index of the channel that its frames go to.
        poll: microseconds to look again before sleeping, once there was something to do.

    Raises:
        OSError: if the epoll set or its event descriptor cannot be made.
    """

    seats: cython.pointer[Seat]
    count: uint32_t
    epoll: cython.int
    wake: cython.int
    stopping: cython.bint
    poll: uint32_t
    wakeups: uint64_t
    _channels: list[Channel]
    _batches: list[Batch]
    _recover: Callable[[int], bool]

    def __init__(
        self, channels: list[Channel], batches: list[Batch], peers: list[int], poll: int = 0
    ) -> None:
        self.epoll = -1
        self.wake = -1
        self._channels = channels
        self._batches = batches
        self.poll = poll
        self.count = len(channels)
        self.seats = cython.cast(cython.pointer[Seat], calloc(max(1, self.count), cython.sizeof(Seat)))
        if self.seats == cython.NULL:
            raise MemoryError("no memory for the seats of a worker")
        index: uint32_t
        channel: Channel
        batch: Batch
        for index in range(self.count):
            channel = channels[index]
            batch = batches[index]
            seat = cython.address(self.seats[index])
            seat.endpoint = cython.address(channel.endpoint)
            seat.hold = cython.address(channel.hold)
            seat.slots = cython.address(batch.slots)
            seat.peer = peers[index]
            seat.rx_watched = -1
            seat.tx_watched = -1
            seat.wake_watched = -1
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))
        event: epoll_event
        event.events = EPOLLIN
        event.data.u64 = self.count * ROLES
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.wake, cython.address(event)) < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self) -> None:
        free(self.seats)
        if self.epoll >= 0:
            os.close(self.epoll)
        if self.wake >= 0:
            os.close(self.wake)

    def run(self, recover: Callable[[int], bool]) -> None:
        """Moves frames until ``stop``; the GIL is released but for calls of ``recover``.

        Args:
            recover: called with the index of a channel that is lost, to bring it back; says whether it did.
        """
        self._recover = recover
        with cython.nogil:
            self._run()

    def stop(self) -> None:
        """Ends ``run`` soon; may be called from any thread."""
        self.stopping = True
        os.eventfd_write(self.wake, 1)

    def _run(self) -> cython.int:
        events: epoll_event[64]
        index: uint32_t
        ready: cython.int
        timeout: cython.int
        i: cython.int
        key: uint64_t
        flags: uint32_t
        moment: uint64_t
        active: uint64_t = 0
        wait: uint64_t
        due: uint64_t
        drop: uint64_t = 0
        for index in range(self.count):
            self._watch(index)
        while not self.stopping:
            timeout = -1
            for index in range(self.count):
                seat = cython.address(self.seats[index])
                if seat.retries or (seat.ailing and seat.wake_watched < 0):
                    due = seat.retry_at if seat.retries else seat.due
                    moment = now()
                    wait = (due - moment) // MILLISECOND + 1 if due > moment else 0
                    if timeout < 0 or wait < cython.cast(uint64_t, timeout):
                        timeout = cython.cast(cython.int, wait)
            if active and timeout != 0:
                # Something moved lately: look again at once, and sleep only when the time for that is over.
                if now() - active < cython.cast(uint64_t, self.poll) * 1000:
                    timeout = 0
                else:
                    active = 0
            ready = epoll_wait(self.epoll, events, 64, timeout)
            if ready > 0:
                self.wakeups += 1
                if self.poll:
                    active = now()
            for i in range(ready):
                key = events[i].data.u64
                flags = events[i].events
                index = cython.cast(uint32_t, key // ROLES)
                if index == self.count:
                    read(self.wake, cython.address(drop), 8)
                    continue
                seat = cython.address(self.seats[index])
                if key % ROLES == WAKE:
                    # Asked at once; and not again for that reason before the time is due.
                    seat.due = 0
                    seat.rests = True
                    continue
                if flags & EPOLLOUT or key % ROLES == TX:
                    drain(seat.endpoint, seat.hold)
                if key % ROLES == RX and flags & (EPOLLIN | EPOLLERR | EPOLLHUP):
                    self._forward(index)
                    if flags & (EPOLLERR | EPOLLHUP):
                        judge(seat)
            for index in range(self.count):
                self._attend(index)
        for index in range(self.count):
            drain(self.seats[index].endpoint, self.seats[index].hold)
        return 0

    def _forward(self, index: uint32_t) -> cython.void:
        """Moves one batch from a port to its peer."""
        seat = cython.address(self.seats[index])
        peer = cython.address(self.seats[seat.peer])
        if receive(seat.endpoint, seat.slots):
            offer(peer.endpoint, peer.hold, seat.slots)

    def _attend(self, index: uint32_t) -> cython.void:
        """Sees to what a seat needs besides frames: room to send, another try, or a new peer."""
        seat = cython.address(self.seats[index])
        if seat.retries:
            retry(seat)
        if seat.endpoint.lost:
            if not seat.ailing:
                seat.ailing = True
                seat.delay = FIRST_DELAY
                seat.due = 0
                seat.rests = False
                drain(seat.endpoint, seat.hold)
                self._watch(index)
            if seat.due <= now():
                with cython.gil:
                    self._ask(index)
                # A listener that woke it rests until then; one that had rested is listened to again.
                seat.rests = seat.rests and seat.due == 0
                seat.due = now() + seat.delay * MILLISECOND
                if seat.delay < LAST_DELAY:
                    seat.delay *= 2
                self._watch(index)
            if not seat.endpoint.lost:
                seat.ailing = False
                seat.fruitless = 0
                self._watch(index)
        if seat.hold.count == 0 or seat.endpoint.blocked != ENOBUFS:
            seat.retries = False
        elif not seat.retries:
            seat.retries = True
            seat.retry_delay = 1
            seat.stuck_since = now()
            seat.retry_at = seat.stuck_since + MILLISECOND
        if (seat.hold.count != 0 and not seat.retries) != seat.waits_for_room:
            self._watch(index)

    def _ask(self, index: uint32_t) -> cython.void:
        """Asks the owner of a lost port to bring it back."""
        self._recover(index)

    def _watch(self, index: uint32_t) -> cython.void:
        """Brings the epoll set in line with a seat's descriptors and with what it waits for."""
        seat = cython.address(self.seats[index])
        channel_wake: cython.int = -1
        event: epoll_event
        memset(cython.address(event), 0, cython.sizeof(epoll_event))
        rx: cython.int = -1 if seat.ailing and seat.endpoint.lost else seat.endpoint.rx_fd
        tx: cython.int = -1 if seat.ailing and seat.endpoint.lost else seat.endpoint.tx_fd
        seat.waits_for_room = seat.hold.count != 0 and not seat.retries and tx >= 0
        if seat.endpoint.lost and not seat.rests:
            with cython.gil:
                channel_wake = cython.cast(Channel, self._channels[index]).wake_fd
        if seat.rx_watched >= 0 and seat.rx_watched != rx:
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, seat.rx_watched, cython.address(event))
            seat.rx_watched = -1
        if seat.tx_watched >= 0 and (seat.tx_watched != tx or not seat.waits_for_room or tx == rx):
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, seat.tx_watched, cython.address(event))
            seat.tx_watched = -1
        if seat.wake_watched >= 0 and seat.wake_watched != channel_wake:
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, seat.wake_watched, cython.address(event))
            seat.wake_watched = -1
        if rx >= 0:
            event.events = EPOLLIN | (EPOLLOUT if seat.waits_for_room and tx == rx else 0)
            event.data.u64 = index * ROLES + RX
            epoll_ctl(
                self.epoll, EPOLL_CTL_ADD if seat.rx_watched < 0 else EPOLL_CTL_MOD, rx, cython.address(event)
            )
            seat.rx_watched = rx
        if tx >= 0 and tx != rx and seat.waits_for_room and seat.tx_watched < 0:
            event.events = EPOLLOUT
            event.data.u64 = index * ROLES + TX
            epoll_ctl(self.epoll, EPOLL_CTL_ADD, tx, cython.address(event))
            seat.tx_watched = tx
        if channel_wake >= 0 and seat.wake_watched < 0:
            event.events = EPOLLIN
            event.data.u64 = index * ROLES + WAKE
            epoll_ctl(self.epoll, EPOLL_CTL_ADD, channel_wake, cython.address(event))
            seat.wake_watched = channel_wake
