"""Generates traffic: fills batches with stamped frames, and sends them at a rate.

Theory of operation: one number, how many frames were made, says all about the next one: flows take turns, and
each flow counts its own frames and goes through the sizes by itself. So frames that the kernel had no room
for are not kept but made again, with the time at which they are sent then. A batch is cleaned once; after
that only headers and stamps are written, since all that is behind them stays zero.

Frames leave when they are due, as many as are: one by one at a low rate, in batches where they are due faster
than a system call takes. What a pause of the machine has cost beyond 10 ms is not made up for, but counted.
"""

import cython
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.channel import Channel
from cython.cimports.vecwire.path.clock import loosen, monotonic, realtime, sleep_until, tighten
from cython.cimports.vecwire.path.hold import drain
from cython.cimports.vecwire.path.linux import POLLOUT, poll, pollfd
from cython.cimports.vecwire.path.send import transmit
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.wire.stamp import BEGIN, DATA, END, Pattern, Stamp, write_frame
from cython.cimports.vecwire.wire.vnet import VnetHeader

from vecwire.wire.stamp import LEAST_ROOM, MOST_FLOWS

#: How long a sleep is cut short and spent awake, in nanoseconds: what it takes to wake a processor up.
SPIN = cython.declare(int64_t, 30_000)
#: What may be made up for after a pause, in nanoseconds.
ARREARS = cython.declare(int64_t, 10_000_000)
#: How long the loop sleeps at the most before it looks whether it is to stop, in nanoseconds.
PATIENCE = cython.declare(int64_t, 50_000_000)
#: How long a full interface is given before it is tried again, in nanoseconds.
ROOM = cython.declare(int64_t, 20_000)


@cython.cclass
class Generator:
    """Makes the frames of one blast, in order.

    Args:
        pattern: the headers that they have in common.
        sizes: the lengths of frames in octets, which each flow goes through again and again.
        flows: how many flows take turns.
        run: the number of the blast, 16 bits.
        rate: frames a second; 0 for as fast as it goes.

    Raises:
        ValueError: if a number is out of range.

    Attributes:
        frames: how many were made, those taken back left out.
        octets: theirs.
        stalls: how often there was no room to send.
        skipped: frames that were due and not made, since the machine had paused.
    """

    _pattern: Pattern
    _sizes: cython.pointer[uint32_t]
    _size_count: uint32_t
    _longest: uint32_t
    _flows: uint32_t
    _run: uint32_t
    _flow: uint32_t
    _sequence: uint64_t
    frames: uint64_t
    octets: uint64_t
    stalls: uint64_t
    skipped: uint64_t
    _clean: Batch
    _start: cython.double
    _step: uint64_t
    _interval: cython.double
    _stopping: cython.bint

    def __init__(
        self, pattern: Pattern, sizes: list[int], flows: int = 1, run: int = 0, rate: float = 0.0
    ) -> None:
        if self._sizes != cython.NULL:
            raise ValueError("a generator is made once")
        if not sizes or min(sizes) < pattern.least or max(sizes) > 65535:
            raise ValueError(f"frames of this kind have {pattern.least} to 65535 octets")
        if not 1 <= flows <= MOST_FLOWS:
            raise ValueError(f"there are 1 to {MOST_FLOWS} flows, not {flows}")
        if not 0 <= run <= 0xFFFF or rate < 0:
            raise ValueError("a run has 16 bits, and a rate is not negative")
        self._sizes = cython.cast(cython.pointer[uint32_t], calloc(len(sizes), cython.sizeof(uint32_t)))
        if self._sizes == cython.NULL:
            raise MemoryError("no memory for the sizes of frames")
        self._pattern = pattern
        self._size_count = len(sizes)
        for index, size in enumerate(sizes):
            self._sizes[index] = size
        self._longest = max(sizes)
        self._flows = flows
        self._run = run
        self._interval = 1e9 / rate if rate else 0.0
        self.restart()

    def __dealloc__(self) -> None:
        free(self._sizes)

    def restart(self) -> None:
        """Begins the schedule: the next frame is due now."""
        self._start = cython.cast(cython.double, monotonic())
        self._step = 0

    def stop(self) -> None:
        """Has ``run`` come back soon, now and ever after."""
        self._stopping = True

    def counts(self) -> list[int]:
        """How many frames were made of each flow."""
        return [int(self._sequence) + (flow < self._flow) for flow in range(self._flows)]

    def fill(self, batch: Batch, count: int, moment: int) -> None:
        """Replaces the frames of a batch by the next ``count``, stamped with ``moment``.

        Args:
            batch: nobody else writes into it, from the first time that it is filled.
            count: how many, ``batch.depth`` at the most.
            moment: nanoseconds since 1970.

        Raises:
            ValueError: if there is no room for so many or so long frames.
        """
        self._check(batch)
        if not 0 <= count <= batch.slots.depth:
            raise ValueError(f"the batch has {batch.slots.depth} slots, not {count}")
        self.frames += count
        self.octets += self._fill(cython.address(batch.slots), count, moment)
        batch.publish()

    def unsend(self, count: int) -> None:
        """Takes the last ``count`` frames back, which were not sent: they are made again.

        Raises:
            ValueError: if there are not so many.
        """
        if not 0 <= count <= self.frames:
            raise ValueError(f"{self.frames} frames were made, not {count}")
        self.frames -= count
        self._rewind(count)

    def marks(self, batch: Batch, *, begin: bool, first: int = 0) -> int:
        """Replaces the frames of a batch by marks, one a flow from ``first`` on; the flow after the last.

        Args:
            batch: where; see ``fill``.
            begin: whether they say that the blast begins, or how many frames each flow had.
            first: a flow.

        Raises:
            ValueError: if the frames are too long for the batch.
        """
        slots = cython.address(batch.slots)
        stamp: Stamp
        index: uint32_t = 0
        self._check(batch)
        # Frames that are made now are behind all that are counted.
        counts = self.counts()
        last = min(first + slots.depth, self._flows)
        for flow in range(first, last):
            stamp.kind = BEGIN if begin else END
            stamp.run = self._run
            stamp.flow = flow
            stamp.sequence = cython.cast(uint32_t, cython.cast(uint64_t, counts[flow]))
            stamp.nanoseconds = realtime()
            self._put(slots, index, self._sizes[0], cython.address(stamp))
            index += 1
        slots.count = slots.used = index
        slots.plain = True
        slots.stamped = False
        batch.publish()
        return last

    def run(self, channel: Channel, batch: Batch, most: int, seconds: float) -> bool:
        """Sends frames through a channel as they are due, without the GIL.

        Args:
            channel: of a port.
            batch: one of that port's.
            most: how many frames at the most.
            seconds: for how long at the most.

        Returns:
            Whether the channel is there; False where its peer or interface has gone, or is brought back.

        Raises:
            PortError: if the port is joined, or another thread sends through it.
            ValueError: if the frames are too long for the batch.
        """
        self._check(batch)
        endpoint = cython.address(channel.endpoint)
        hold = cython.address(channel.hold)
        slots = cython.address(batch.slots)
        watched: pollfd
        left: uint64_t = most
        end: int64_t = monotonic() + cython.cast(int64_t, seconds * 1e9)
        now: int64_t
        due: int64_t
        count: uint32_t
        index: uint32_t
        octets: uint64_t
        if not channel.enter_send():
            return False
        with cython.nogil:
            slack: cython.int = tighten()
            while left and not self._stopping and not endpoint.lost:
                now = monotonic()
                if now >= end:
                    break
                count = cython.cast(uint32_t, min(left, cython.cast(uint64_t, slots.depth)))
                if self._interval > 0:
                    count = self._due(now, count)
                    if count == 0:
                        due = cython.cast(int64_t, self._start + self._step * self._interval)
                        if due > min(end, now + PATIENCE):
                            sleep_until(min(end, now + PATIENCE), 0)
                        else:
                            sleep_until(due, SPIN)
                        continue
                octets = self._fill(slots, count, realtime())
                endpoint.blocked = 0
                index = 0
                if not hold.count or drain(endpoint, hold):
                    index = transmit(endpoint, slots, 0, count)
                self.octets += octets
                if index < count:
                    self._rewind(count - index)
                    self.stalls += 1
                    watched.fd = endpoint.tx_fd
                    watched.events = POLLOUT
                    if not endpoint.lost and poll(cython.address(watched), 1, 10) == 1:
                        # A socket has room, its interface has none: nothing tells when that changes.
                        sleep_until(monotonic() + ROOM, 0)
                self.frames += index
                self._step += index
                left -= index
            loosen(slack)
        channel.leave_send()
        return not endpoint.lost

    @cython.cfunc
    def _check(self, batch: Batch) -> object:
        """Cleans a batch that is new here."""
        slots = cython.address(batch.slots)
        if self._longest > slots.stride - slots.headroom - 1 or slots.stride - slots.headroom < LEAST_ROOM:
            raise ValueError(f"a frame of {self._longest} octets does not fit a slot of {batch.size}")
        if self._clean is not batch:
            index: uint32_t
            for index in range(slots.depth):
                memset(
                    slots.memory + cython.cast(cython.size_t, index) * slots.stride + slots.headroom,
                    0,
                    slots.stride - slots.headroom,
                )
                memset(cython.address(slots.vnet[index]), 0, cython.sizeof(VnetHeader))
            self._clean = batch
        return None

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _put(
        self,
        slots: cython.pointer[Slots],
        index: uint32_t,
        size: uint32_t,
        stamp: cython.pointer[cython.const[Stamp]],
    ) -> cython.void:
        """Writes a frame into a slot."""
        start: uint32_t = index * slots.stride + slots.headroom
        slots.starts[index] = start
        slots.heads[index] = slots.headroom
        slots.lengths[index] = size
        slots.progress[index] = 0
        write_frame(cython.address(self._pattern.headers), stamp, slots.memory + start, size)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _fill(self, slots: cython.pointer[Slots], count: uint32_t, moment: int64_t) -> uint64_t:
        """Fills a batch with the next frames; their octets."""
        index: uint32_t
        size: uint32_t = self._sizes[0]
        octets: uint64_t = 0
        stamp: Stamp
        stamp.kind = DATA
        stamp.run = self._run
        stamp.nanoseconds = moment
        for index in range(count):
            if self._size_count > 1:
                size = self._sizes[(self._sequence + self._flow) % self._size_count]
            stamp.flow = self._flow
            stamp.sequence = cython.cast(uint32_t, self._sequence)
            self._put(slots, index, size, cython.address(stamp))
            octets += size
            self._flow += 1
            if self._flow == self._flows:
                self._flow = 0
                self._sequence += 1
        slots.count = slots.used = count
        slots.plain = True
        slots.stamped = False
        return octets

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _rewind(self, count: uint32_t) -> cython.void:
        """Goes back by so many frames, which are made again."""
        while count:
            count -= 1
            if self._flow == 0:
                self._flow = self._flows
                self._sequence -= 1
            self._flow -= 1
            self.octets -= self._sizes[(self._sequence + self._flow) % self._size_count]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _due(self, moment: int64_t, most: uint32_t) -> uint32_t:
        """How many frames are due at a moment, ``most`` at the most."""
        behind: cython.double = moment - self._start - self._step * self._interval
        missed: uint64_t
        if behind < 0:
            return 0
        if behind > ARREARS and behind > self._interval:
            missed = cython.cast(uint64_t, (behind - ARREARS) / self._interval)
            self.skipped += missed
            self._step += missed
            behind -= missed * self._interval
        if behind >= (most - 1) * self._interval:
            return most
        return 1 + cython.cast(uint32_t, behind / self._interval)
