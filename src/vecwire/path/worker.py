"""The worker: one thread without the GIL around one epoll set, which moves frames between ports.

Theory of operation: every port has a seat. A readable port gives one batch, which goes to the seat's peer, in
a cable, or to its bridge, in a switch, in the memory that it was received in; then the next readable port
has its turn, so that a busy port cannot starve another; a port whose turns take long waits for those whose do
not (``seat.py``). A seat asks to be told of room to send only while
frames are held for it. Where the kernel says ENOBUFS there is nothing to be told of (the queue of the
interface is full, the socket is not), so the seat tries again a millisecond later, and then less and less
often.

Seats come, go and change while frames move. Who wants that posts a message: a function that the worker
calls, with the GIL, between two rounds, and that lasts until the seats are changed. So nothing that the hot
path reads is ever written beside it, and there is no lock. The methods that change seats are for messages,
for whoever has the worker wait in one (``vecwire.engine``), or for when ``run`` is not running.

A port whose peer or interface is gone leaves the epoll set, and the owner is told so, once; when it has
brought the port back, it sends a message that says so. Idle, the worker sleeps without a timer; while frames
are delayed on purpose, a timer tells when the next one is due, to the nanosecond that the kernel gives.
"""

import contextlib
import errno as errnos
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free, realloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.posix.unistd import close
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.bridge import Bridge
from cython.cimports.vecwire.path.channel import Channel
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.forward import forward
from cython.cimports.vecwire.path.hold import drain
from cython.cimports.vecwire.path.home import Home, leave, settle
from cython.cimports.vecwire.path.impair import release
from cython.cimports.vecwire.path.io import Turn, receive
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
    TFD_CLOEXEC,
    TFD_NONBLOCK,
    TFD_TIMER_ABSTIME,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    errno,
    itimerspec,
    read,
    timerfd_create,
    timerfd_settime,
)
from cython.cimports.vecwire.path.plane import Plane
from cython.cimports.vecwire.path.seat import (
    CAPTURE,
    MIRROR,
    MIRRORS,
    TRACE,
    TURN,
    Rota,
    Seat,
    deliver,
    hand_over,
    judge,
    note,
    reflect,
    repay,
    retry,
    weigh,
)
from cython.cimports.vecwire.path.witness import MOST_NAME, Book, Ledger, Witness
from cython.cimports.vecwire.wire.counters import LOST, RX_SUPER

from vecwire.wire.counters import NAMES

logger = logging.getLogger("vecwire.worker")

#: What the copies of frames are made for that ``Worker.mirror`` asks for.
FOR_CAPTURE: int = CAPTURE
FOR_MIRROR: int = MIRROR
FOR_TRACE: int = TRACE
EBADF = cython.declare(cython.int, errnos.EBADF)
EEXIST = cython.declare(cython.int, errnos.EEXIST)
ENOBUFS = cython.declare(cython.int, errnos.ENOBUFS)
ENOENT = cython.declare(cython.int, errnos.ENOENT)
# Times that a descriptor is taken out of the epoll set, where the kernel does not do so the first time.
TRIES = cython.declare(cython.int, 8)
# Milliseconds without anything to do after which the worker may run anywhere again.
IDLE = cython.declare(cython.int, 100)
MILLISECOND = cython.declare(uint64_t, 1_000_000)
# What an event of the epoll set is about: which seat, and which of its descriptors.
RX = cython.declare(uint64_t, 0)
TX = cython.declare(uint64_t, 1)
ROLES = cython.declare(uint64_t, 2)
MESSAGES = cython.declare(uint64_t, 0xFFFFFFFF)
TIMER = cython.declare(uint64_t, 0xFFFFFFFE)
#: Frames that are received at the most once a port is lost: more than the buffer of a record socket holds.
LAST_FRAMES = cython.declare(uint32_t, 65_536)
#: Messages of a port's first turn, where they may be super-frames.
FIRST_TURN = cython.declare(uint32_t, 8)
#: Goes of delayed frames that a seat sends before others have their turn.
ROUNDS = cython.declare(uint32_t, 4)
SECOND = cython.declare(uint64_t, 1_000_000_000)
ONE = cython.declare(uint64_t, 1)


@cython.cfunc
@cython.exceptval(-1)
def checked(result: cython.int) -> cython.int:
    """What a call returned.

    Raises:
        OSError: if that says that it failed.
    """
    if result < 0:
        raise OSError(errno, os.strerror(errno))
    return result


@cython.cclass
class Worker:
    """Moves frames between channels until it is stopped.

    Args:
        poll: microseconds to look again before sleeping, once there was something to do.

    Raises:
        OSError: if the epoll set or its event descriptor cannot be made.
    """

    seats: cython.pointer[cython.pointer[Seat]]
    room: uint32_t
    rota: Rota
    home: Home
    ledger: Ledger
    book: cython.pointer[Book]
    poll: uint32_t
    wakeups: uint64_t
    _held: list[Any]
    _batches: dict[object, Batch]
    _messages: Any
    _lost: Any

    def __cinit__(self) -> None:
        self.epoll = -1
        self.wake = -1
        self.timer = -1
        self.seats = cython.NULL
        self.room = 0
        self.rota.first = cython.NULL
        memset(cython.address(self.rota.turn), 0, cython.sizeof(Turn))
        self.arrears = 0
        self.next_rest = 0
        self.book = cython.NULL
        memset(cython.address(self.home), 0, cython.sizeof(Home))
        self.home.cpu = -1

    def __init__(self, poll: int = 0) -> None:
        if self.epoll >= 0:
            raise ValueError("a worker is made once")
        self.poll = poll
        self._held = []
        self._batches = {}
        self._messages = deque()
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.epoll = checked(epoll_create1(EPOLL_CLOEXEC))
        event: epoll_event
        event.events = EPOLLIN
        event.data.u64 = MESSAGES
        checked(epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.wake, cython.address(event)))
        self.timer = checked(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK))
        event.data.u64 = TIMER
        checked(epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.timer, cython.address(event)))

    def __dealloc__(self) -> None:
        index: uint32_t
        for index in range(self.room):
            free(self.seats[index])
        free(self.seats)
        if self.epoll >= 0:
            close(self.epoll)
        if self.wake >= 0:
            close(self.wake)
        if self.timer >= 0:
            close(self.timer)

    # Who sits where: for messages, or while ``run`` is not running.

    def seat(self, channel: Channel, batch: Callable[[], Batch], shape: object) -> int:
        """Gives a channel, which the caller has claimed, a seat; its number is a free one.

        Args:
            channel: moves the frames.
            batch: makes a batch that the channel may receive into.
            shape: what such batches have in common: seats of one shape share one.

        Raises:
            MemoryError: if there is no memory for it; nothing has changed then.
            OSError: if the kernel does not watch its descriptors; nothing has changed then.
        """
        index: uint32_t = self._held.index(None) if None in self._held else len(self._held)
        if index == self.room:
            room: uint32_t = max(8, 2 * self.room)
            seats = cython.cast(
                cython.pointer[cython.pointer[Seat]],
                realloc(self.seats, room * cython.sizeof(cython.pointer[Seat])),
            )
            if seats == cython.NULL:
                raise MemoryError("no memory for the seats of a worker")
            self.seats = seats
            while self.room < room:
                self.seats[self.room] = cython.NULL
                self.room += 1
        if index == len(self._held):
            self._held.append(None)
        if shape not in self._batches:
            self._batches[shape] = batch()
        shared: Batch = self._batches[shape]
        held: list[Any] = [channel, shared]
        seat = cython.cast(cython.pointer[Seat], calloc(1, cython.sizeof(Seat)))
        if seat == cython.NULL:
            raise MemoryError("no memory for a seat")
        seat.index = index
        seat.endpoint = cython.address(channel.endpoint)
        seat.hold = cython.address(channel.hold)
        seat.impair = cython.address(channel.impairer.impair)
        seat.slots = cython.address(shared.slots)
        seat.rota = cython.address(self.rota)
        seat.rx_watched = -1
        seat.tx_watched = -1
        failed: cython.int = self._watch(seat)
        if failed:
            free(seat)
            raise OSError(failed, os.strerror(failed))
        seat.endpoint.turn = cython.address(self.rota.turn)
        if seat.endpoint.rx_vnet:
            # What its super-frames ask for is not known yet.
            seat.endpoint.most = FIRST_TURN
        self.seats[index] = seat
        self._held[index] = held
        # It is on the rota from the beginning where it is lost, so that its owner is told.
        note(seat)
        return index

    def unseat(self, index: int) -> None:
        """Takes a channel away; what it holds is sent once more, and what is left of that is kept there.

        Raises:
            IndexError: if nobody sits there.
        """
        other: uint32_t
        purpose: uint32_t
        gone = self._seat(index)
        for other in range(self.room):
            seat = self.seats[other]
            if seat == cython.NULL:
                continue
            if seat.peer == gone:
                seat.peer = cython.NULL
            for purpose in range(MIRRORS):
                if seat.mirrors[purpose] == gone:
                    seat.mirrors[purpose] = cython.NULL
            if seat.following == gone:
                seat.following = gone.following
        if self.rota.first == gone:
            self.rota.first = gone.following
        if gone.bridge != cython.NULL:
            bridge: Bridge = self._held[index][2]
            bridge.remove(gone.number)
        if self.book != cython.NULL and self.book.sink == gone:
            self.watch_drops(None)
        gone.endpoint.turn = cython.NULL
        drain(gone.endpoint, gone.hold)
        gone.endpoint.witness = cython.NULL
        gone.endpoint.most = 0
        self._unwatch(index)
        self.seats[index] = cython.NULL
        free(gone)
        self._held[index] = None
        # A batch that nobody needs may stay until the next time.
        with contextlib.suppress(MemoryError):
            self._batches = {
                shape: batch
                for shape, batch in self._batches.items()
                if any(held is not None and held[1] is batch for held in self._held)
            }

    def _unwatch(self, index: uint32_t) -> None:
        """Takes a seat's descriptors out of the epoll set."""
        seat = self.seats[index]
        for _ in range(TRIES):
            seat.rx_watched = self._leave_alone(seat.rx_watched)
            seat.tx_watched = self._leave_alone(seat.tx_watched)

    def _leave_alone(self, fd: cython.int) -> cython.int:
        """Takes a descriptor out of the epoll set; -1, or the descriptor where it is in there still."""
        event: epoll_event
        if fd < 0 or epoll_ctl(self.epoll, EPOLL_CTL_DEL, fd, cython.address(event)) == 0:
            return -1
        # One that is closed or not in the set is no concern of it any more.
        return -1 if errno == EBADF or errno == ENOENT else fd

    def join(self, a: int, b: int) -> None:
        """Makes a cable: the frames of each of two seats go to the other.

        Raises:
            IndexError: if nobody sits there.
        """
        first = self._seat(a)
        second = self._seat(b)
        first.peer = second
        second.peer = first

    def plug(self, index: int, bridge: Bridge) -> int:
        """Gives the frames of a seat to a bridge; returns the seat's number there.

        Raises:
            IndexError: if nobody sits there.
            MemoryError: if there is no memory for one more port.
        """
        seat = self._seat(index)
        held: list[Any] = self._held[index]
        shared: Batch = held[1]
        held.append(bridge)
        try:
            seat.number = bridge.add(seat, shared.slots.capacity)
        except BaseException:
            held.pop()
            raise
        seat.bridge = cython.address(bridge.plane)
        return seat.number

    def mirror(self, index: int, sink: int | None, purpose: int = FOR_CAPTURE) -> None:
        """Gives a copy of every frame received or sent at a seat to the seat ``sink``; None ends that.

        Args:
            index: the seat.
            sink: another seat.
            purpose: ``FOR_CAPTURE``, ``FOR_MIRROR`` or ``FOR_TRACE``: there is one copy for each.

        Raises:
            IndexError: if nobody sits there, or there is no such purpose.
        """
        seat = self._seat(index)
        if not 0 <= purpose < MIRRORS:
            raise IndexError(f"there is no purpose {purpose}")
        seat.mirrors[cython.cast(uint32_t, purpose)] = cython.NULL if sink is None else self._seat(sink)

    def lose(self, index: int, error: int) -> None:
        """Gives up a seat's channel, which its owner knows to be lost; the owner is told as of any other.

        Args:
            index: the seat.
            error: the errno that says why.

        Raises:
            IndexError: if nobody sits there.
        """
        seat = self._seat(index)
        if not seat.endpoint.lost:
            seat.endpoint.lost = error
            seat.endpoint.counters[LOST] += 1
        note(seat)

    def watch_drops(self, sink: int | None) -> None:
        """Gives records of what is dropped, where ``testify`` asks for it, to the seat ``sink``.

        Args:
            sink: the seat; None ends it for all seats.

        Raises:
            IndexError: if nobody sits there.
        """
        index: uint32_t
        if sink is None:
            for index in range(self.room):
                if self.seats[index] != cython.NULL:
                    self.seats[index].endpoint.witness = cython.NULL
            self.book = cython.NULL
            self.ledger = None
            return
        seat = self._seat(sink)
        self.ledger = Ledger()
        self.book = cython.address(self.ledger.book)
        self.book.sink = seat
        self.book.hand_over = hand_over

    def testify(self, index: int, name: str, reasons: Iterable[str]) -> None:
        """Has the drops of a seat be recorded, while ``watch_drops`` is in force.

        Args:
            index: the seat.
            name: what records call it.
            reasons: the names of the counters that are wanted.

        Raises:
            IndexError: if nobody sits there.
            ValueError: if there is no such counter.
        """
        seat = self._seat(index)
        octets: bytes = name.encode()[:MOST_NAME]
        wanted: uint64_t = 0
        for reason in reasons:
            wanted |= cython.cast(uint64_t, 1) << cython.cast(uint32_t, NAMES.index(reason))
        memset(cython.address(seat.witness), 0, cython.sizeof(Witness))
        seat.witness.book = self.book
        seat.witness.wanted = wanted
        seat.witness.name_length = len(octets)
        memcpy(cython.address(seat.witness.name[0]), cython.cast(cython.p_char, octets), len(octets))
        seat.endpoint.witness = cython.address(seat.witness) if self.book != cython.NULL else cython.NULL

    def revive(self, index: int) -> None:
        """Uses a seat's channel again, which its owner has brought back.

        Raises:
            IndexError: if nobody sits there.
        """
        seat = self._seat(index)
        seat.ailing = False
        seat.fruitless = 0
        failed: cython.int = self._watch(seat)
        if failed and not seat.endpoint.lost:
            # What cannot be watched is of no use: its owner is told once more, and tries again later.
            seat.endpoint.lost = failed
            seat.endpoint.counters[LOST] += 1
            note(seat)

    def _seat(self, index: uint32_t) -> cython.pointer[Seat]:
        if index >= self.room or self.seats[index] == cython.NULL:
            raise IndexError(f"nobody has the seat {index}")
        return self.seats[index]

    # From any thread.

    def post(self, message: Callable[[], object]) -> None:
        """Has the worker call ``message``, which raises nothing, between two rounds."""
        self._messages.append(message)
        self.nudge()

    def stop(self) -> None:
        """Ends ``run`` soon, or the next one at once; may be called from any thread."""
        self.stopping = True
        self.nudge()

    def nudge(self) -> None:
        """Has the worker look at what it was told; whoever waits for that does so again now and then."""
        # A counter that is full (eventfd(2)) wakes it as well.
        with contextlib.suppress(OSError):
            os.eventfd_write(self.wake, 1)

    # The loop.

    def run(self, lost: Callable[[int], object]) -> None:
        """Moves frames until ``stop``; the GIL is released but for messages and calls of ``lost``.

        Args:
            lost: called with the number of a seat whose channel is lost; it raises nothing and is quick.
        """
        index: uint32_t
        self._lost = lost
        for index in range(self.room):
            # Whoever was told before may have given up since.
            if self.seats[index] != cython.NULL:
                self.seats[index].ailing = False
        try:
            with cython.nogil:
                self._run()
            self._take_messages()
        finally:
            self._lost = None
            self.stopping = False

    def _run(self) -> cython.int:
        events: epoll_event[64]
        ready: cython.int
        timeout: cython.int
        i: cython.int
        told: cython.bint
        index: uint32_t
        flags: uint32_t
        waiting: uint64_t
        rests: uint64_t
        served: cython.bint
        active: uint64_t = 0
        while not self.stopping:
            self._attend()
            while self.book != cython.NULL and self.book.slots.count:
                hand_over(self.book)
                # The reader may have no room for now.
                self._attend()
            timeout = self._timeout()
            if active and timeout != 0:
                # Something moved lately: look again at once, and sleep only when the time for that is over.
                if now() - active < cython.cast(uint64_t, self.poll) * 1000:
                    timeout = 0
                else:
                    active = 0
            if timeout < 0 and self.home.cpu >= 0:
                timeout = IDLE
            ready = epoll_wait(self.epoll, events, 64, timeout)
            if ready > 0:
                self.wakeups += 1
                if self.poll:
                    active = now()
            elif timeout >= IDLE:
                leave(cython.address(self.home))
            told = False
            served = False
            waiting = 0
            # Held frames are on the rota.
            rests = 0 if self.rota.first == cython.NULL else self._find_rests(events, ready)
            self.contended = ready > 1
            self.spent = 0
            for i in range(ready):
                if events[i].data.u64 == MESSAGES:
                    told = True
                    continue
                if events[i].data.u64 == TIMER:
                    continue
                flags = events[i].events
                if rests >> i & 1:
                    if events[i].data.u64 % ROLES == TX:
                        continue
                    flags &= ~cython.cast(uint32_t, EPOLLOUT)
                if self._must_wait(events[i].data.u64, flags, rests):
                    waiting |= ONE << i
                    if flags & EPOLLOUT:
                        self._dispatch(events[i].data.u64, EPOLLOUT)
                elif flags:
                    self._dispatch(events[i].data.u64, flags)
                    served = True
            if waiting:
                for i in range(ready):
                    if waiting >> i & 1:
                        self._put_off(events[i].data.u64, events[i].events, served)
            if rests:
                self._cut_rests(events, ready, rests, served)
            if told:
                # After all events: a message may take a seat away that one of them was about.
                with cython.gil:
                    self._take_messages()
        leave(cython.address(self.home))
        # There is nobody left to wait.
        self.rota.turn.until = 0
        for index in range(self.room):
            if self.seats[index] != cython.NULL:
                drain(self.seats[index].endpoint, self.seats[index].hold)
        return 0

    def _take_messages(self) -> cython.int:
        """Calls what was posted."""
        drop: uint64_t = 0
        read(self.wake, cython.address(drop), 8)
        while self._messages:
            try:
                self._messages.popleft()()
            except Exception:
                # Whoever posted it sees to it that others are not concerned; frames go on moving.
                logger.exception("a message to the worker failed")
        return 0

    def _timeout(self) -> cython.int:
        """Milliseconds until a seat of the rota is due; -1 where none is."""
        timeout: cython.int = -1
        moment: uint64_t = 0
        wait: uint64_t
        due: uint64_t = 0
        seat = self.rota.first
        while seat != cython.NULL:
            if seat.endpoint.lost and not seat.ailing and not seat.endpoint.ended:
                # All that had come before is moved first.
                timeout = 0
            elif seat.retries or (seat.endpoint.lost and not seat.ailing):
                if not moment:
                    moment = now()
                wait = (seat.retry_at - moment) // MILLISECOND + 1 if seat.retry_at > moment else 0
                if timeout < 0 or wait < cython.cast(uint64_t, timeout):
                    timeout = cython.cast(cython.int, wait)
            if seat.impair.count and (not due or seat.impair.heap[0].due < due):
                due = seat.impair.heap[0].due
            seat = seat.following
        if due != self.due and not self._set_timer(due):
            # Without the timer it is a matter of milliseconds.
            timeout = 1 if timeout < 0 else min(timeout, 1)
        return timeout

    def _set_timer(self, due: uint64_t) -> cython.bint:
        """Has the timer tell of the next delayed frame, in nanoseconds of the monotonic clock; 0 for none."""
        times: itimerspec
        memset(cython.address(times), 0, cython.sizeof(itimerspec))
        times.it_value.tv_sec = due // SECOND
        times.it_value.tv_nsec = due % SECOND
        if timerfd_settime(self.timer, TFD_TIMER_ABSTIME, cython.address(times), cython.NULL) < 0:
            return False
        self.due = due
        return True

    def _must_wait(self, key: uint64_t, flags: uint32_t, rests: uint64_t) -> cython.bint:
        """Whether a port that has something to receive has to let others come first."""
        seat = self.seats[key // ROLES]
        if seat == cython.NULL or key % ROLES != RX or not flags & EPOLLIN:
            return False
        if seat.stalled:
            seat.stalled = rests != 0
            if seat.stalled:
                return True
        if not self.contended:
            # Nobody else wants a turn now, and what nobody wanted is not owed.
            seat.debt = 0
        return seat.debt != 0

    def _put_off(self, key: uint64_t, flags: uint32_t, served: cython.bint) -> cython.void:
        """Has a port in debt wait for its turn if others were served, or take it if nobody else wants one."""
        seat = self.seats[key // ROLES]
        if seat.stalled:
            return
        if served:
            seat.debt = repay(seat.debt, self.spent)
        else:
            seat.debt = 0
            self._dispatch(key, flags & ~EPOLLOUT)

    def _find_rests(self, events: cython.pointer[epoll_event], ready: cython.int) -> uint64_t:
        """Which ports that can send hold what an earlier turn had no time to cut, a bit for each event."""
        rests: uint64_t = 0
        i: cython.int
        for i in range(ready):
            if events[i].data.u64 == MESSAGES or events[i].data.u64 == TIMER:
                continue
            seat = self.seats[events[i].data.u64 // ROLES]
            if seat == cython.NULL or not seat.endpoint.yielded or seat.endpoint.lost or not seat.hold.count:
                continue
            if events[i].events & EPOLLOUT or events[i].data.u64 % ROLES == TX:
                rests |= ONE << i
        return rests

    def _cut_rests(
        self, events: cython.pointer[epoll_event], ready: cython.int, which: uint64_t, served: cython.bint
    ) -> cython.void:
        """Cuts what turns have left, as long as a turn: after others had as long, and from port to port."""
        began: uint64_t
        moment: uint64_t
        k: uint32_t
        i: uint32_t
        if served and self.arrears:
            self.arrears = repay(self.arrears, self.spent)
            return
        began = now()
        self.rota.turn.until = began + TURN
        for k in range(cython.cast(uint32_t, ready)):
            i = (self.next_rest + k) % cython.cast(uint32_t, ready)
            if not which >> i & 1:
                continue
            seat = self.seats[events[i].data.u64 // ROLES]
            drain(seat.endpoint, seat.hold)
            moment = now()
            if moment > self.rota.turn.until:
                self.next_rest = i + 1
                break
        self.arrears = now() - began

    def _dispatch(self, key: uint64_t, flags: uint32_t) -> cython.void:
        """Does what an event of a descriptor asks for."""
        seat = self.seats[key // ROLES]
        if seat == cython.NULL:
            return
        if seat.endpoint.lost and seat.ailing:
            # It could not be taken out of the set.
            self._watch(seat)
            return
        if flags & EPOLLOUT or key % ROLES == TX:
            drain(seat.endpoint, seat.hold)
        if key % ROLES == RX and flags & (EPOLLIN | EPOLLERR | EPOLLHUP):
            self._forward(seat)
            if flags & (EPOLLERR | EPOLLHUP):
                judge(seat)

    def _forward(self, seat: cython.pointer[Seat]) -> cython.void:
        """Moves one batch from a port to where its frames go."""
        supers: uint64_t = seat.endpoint.counters[RX_SUPER]
        began: uint64_t = now()
        took: uint64_t
        rests: uint64_t = self.rota.turn.rests
        cut_off: uint64_t = self.rota.turn.cut_off
        self.rota.turn.until = began + 2 * cython.cast(uint64_t, TURN)
        got: uint32_t = receive(seat.endpoint, seat.slots)
        settle(cython.address(self.home), got)
        if got:
            reflect(seat, seat.slots)
            if seat.peer != cython.NULL:
                deliver(seat.peer, seat.slots)
            elif seat.bridge != cython.NULL:
                forward(cython.cast(cython.pointer[Plane], seat.bridge), seat.number, seat.slots, began)
        # How long plain frames take is of interest only where others wait for that, or turns are bounded.
        if self.contended or seat.endpoint.most or seat.endpoint.counters[RX_SUPER] != supers:
            took = now() - began - (self.rota.turn.rests - rests)
            self.spent += took
            if seat.slots.used:
                weigh(seat, seat.slots.used, took)
        seat.stalled = self.rota.turn.cut_off != cut_off
        if seat.endpoint.lost:
            note(seat)

    def _take_rests(self) -> cython.void:
        """Moves what had come before ports were lost; of a peer that goes on sending, only so much.

        Others may be put on the rota meanwhile, at its beginning, and be lost too.
        """
        left: uint32_t
        seat = self.rota.first
        while seat != cython.NULL:
            if not seat.endpoint.lost or seat.endpoint.ended:
                seat = seat.following
                continue
            left = LAST_FRAMES
            while not seat.endpoint.ended and left:
                self._forward(seat)
                left -= min(left, max(seat.slots.count, 1))
            seat.endpoint.ended = True
            seat = self.rota.first

    def _attend(self) -> cython.void:
        """Sees to what seats need besides frames, and strikes those off the rota that need nothing more."""
        self._take_rests()
        before = cython.address(self.rota.first)
        while before[0] != cython.NULL:
            seat = before[0]
            self._see_to(seat)
            while before[0] != seat:
                # Meanwhile others came in front of it.
                before = cython.address(before[0].following)
            if seat.hold.count == 0 and seat.impair.count == 0 and not seat.endpoint.lost:
                before[0] = seat.following
                seat.listed = False
            else:
                before = cython.address(seat.following)

    def _see_to(self, seat: cython.pointer[Seat]) -> cython.void:
        """Room to send, another try, or word to the owner that the port is lost."""
        if seat.impair.count or seat.retries:
            self.rota.turn.until = now() + TURN
        if seat.impair.count and seat.impair.heap[0].due <= now():
            release(seat.impair, seat.endpoint, seat.hold, now(), ROUNDS)
        if seat.retries:
            retry(seat)
        if seat.endpoint.lost and seat.endpoint.ended and not seat.ailing and seat.retry_at <= now():
            seat.ailing = True
            drain(seat.endpoint, seat.hold)
            # Out of the epoll set before anybody closes the descriptors.
            self._watch(seat)
            with cython.gil:
                if not self._tell(seat.index):
                    seat.ailing = False
                    seat.retry_at = now() + SECOND
        if seat.hold.count == 0:
            seat.unheard = False
        if seat.hold.count == 0 or (seat.endpoint.blocked != ENOBUFS and not seat.unheard):
            seat.retries = False
        elif not seat.retries:
            self._begin_retries(seat)
        if (seat.hold.count != 0 and not seat.retries) != seat.waits_for_room and self._watch(seat):
            # There will be no word of room: it is tried by time.
            seat.unheard = True
            self._begin_retries(seat)

    def _begin_retries(self, seat: cython.pointer[Seat]) -> cython.void:
        """Has what is held tried again by time."""
        seat.retries = True
        seat.retry_delay = 1
        seat.stuck_since = now()
        seat.retry_at = seat.stuck_since + MILLISECOND

    def _tell(self, index: uint32_t) -> cython.bint:
        """Tells the owner of a port that it is lost; False where that could not be, and is to be again."""
        try:
            self._lost(index)
        except Exception:
            logger.exception("a lost port has nobody who looks after it for now")
            return False
        return True

    def _watch(self, seat: cython.pointer[Seat]) -> cython.int:
        """Brings the epoll set in line with a seat's descriptors and with what it waits for.

        Returns:
            0, or the errno with which the kernel refused to watch.
        """
        failed: cython.int = 0
        event: epoll_event
        memset(cython.address(event), 0, cython.sizeof(epoll_event))
        rx: cython.int = -1 if seat.endpoint.lost else seat.endpoint.rx_fd
        tx: cython.int = -1 if seat.endpoint.lost else seat.endpoint.tx_fd
        seat.waits_for_room = seat.hold.count != 0 and not seat.retries and tx >= 0
        if seat.rx_watched >= 0 and seat.rx_watched != rx:
            seat.rx_watched = self._leave_alone(seat.rx_watched)
        if seat.tx_watched >= 0 and (seat.tx_watched != tx or not seat.waits_for_room or tx == rx):
            seat.tx_watched = self._leave_alone(seat.tx_watched)
        if rx >= 0:
            event.events = EPOLLIN | (EPOLLOUT if seat.waits_for_room and tx == rx else 0)
            event.data.u64 = seat.index * ROLES + RX
            failed = self._look_at(rx, seat.rx_watched != rx, cython.address(event))
            if not failed:
                seat.rx_watched = rx
        if tx >= 0 and tx != rx and seat.waits_for_room and not failed:
            event.events = EPOLLOUT
            event.data.u64 = seat.index * ROLES + TX
            failed = self._look_at(tx, seat.tx_watched != tx, cython.address(event))
            if not failed:
                seat.tx_watched = tx
        if failed:
            seat.waits_for_room = False
        return failed

    def _look_at(self, fd: cython.int, new: cython.bint, event: cython.pointer[epoll_event]) -> cython.int:
        """Has the epoll set tell of a descriptor; 0, or the errno."""
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD if new else EPOLL_CTL_MOD, fd, event) == 0:
            return 0
        # One that could not be taken out before is in there still.
        if new and errno == EEXIST and epoll_ctl(self.epoll, EPOLL_CTL_MOD, fd, event) == 0:
            return 0
        return errno
