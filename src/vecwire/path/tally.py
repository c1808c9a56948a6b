"""Judges what arrives of a blast: lost, reordered, twice, corrupted, and how late.

Theory of operation: each flow has its highest number so far, and one bit for each of the 1,024 numbers up to
it that says whether that frame has come.

- A number above the highest moves the window on; those that were passed over are expected from then on.
- One below it is **reordered** (RFC 4737, section 3: a packet whose number is below the next expected one),
  unless its bit is set: then it is a **duplicate** (RFC 5560, section 2: one more copy than was sent).
- One below the window is **late**: whether it is a duplicate is not known any more. It counts as lost.
- **Lost** is what is expected and has not come.

Where a flow begins is its number 0 if a mark at the begin of the blast was seen, and the first number that
came if not: then somebody has looked in while it was going on. A mark at the end says how many frames there
were, so that the last ones can be lost too. Numbers on the wire have 32 bits, and are extended by what is
nearest to the highest (RFC 1982).

Memory is bounded: 64 runs, of which the one that was silent for longest makes room for another, and 32,768
flows in each.
"""

import cython
from cython.cimports.libc.stdint import int32_t, int64_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import free, realloc
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.channel import Channel
from cython.cimports.vecwire.path.clock import monotonic, realtime
from cython.cimports.vecwire.path.histogram import enter
from cython.cimports.vecwire.path.io import receive
from cython.cimports.vecwire.path.linux import POLLIN, poll, pollfd
from cython.cimports.vecwire.path.slots import Slots, lay_open
from cython.cimports.vecwire.path.tally import MOST_RUNS, WINDOW, WORDS, Flow, Run
from cython.cimports.vecwire.wire.stamp import BEGIN, CORRUPTED, DATA, END, FOREIGN, Stamp, read_frame
from cython.cimports.vecwire.wire.vnet import NEEDS_CSUM

from vecwire.path.histogram import Histogram
from vecwire.wire.stamp import MOST_FLOWS

#: Milliseconds that the loop sleeps at the most before it looks whether it is to stop.
PATIENCE = cython.declare(cython.int, 50)
#: What is counted, with its meaning, in the order in which it is shown.
MEANINGS = {
    "frames": "stamped frames, each time that one came",
    "octets": "their octets",
    "expected": "frames that were sent, as far as numbers and marks tell",
    "received": "of those, frames that came",
    "lost": "of those, frames that did not come, or too late",
    "reordered": "frames that came after one with a higher number",
    "duplicates": "frames that had come before",
    "late": "frames that came more than 1,024 numbers late, counted as lost",
    "corrupted": "frames with a wrong checksum",
    "foreign": "frames without a stamp",
    "early": "frames that came before they were sent, by their clock and ours",
    "flows": "flows that were seen",
}


@cython.cclass
class Tally:
    """Counts what arrives; see the module's text, and ``MEANINGS`` for what each attribute counts."""

    runs: Run[MOST_RUNS]
    _latest: uint32_t
    _stopping: cython.bint
    latency: Histogram
    frames: uint64_t
    octets: uint64_t
    received: uint64_t
    expected: uint64_t
    duplicates: uint64_t
    reordered: uint64_t
    late: uint64_t
    corrupted: uint64_t
    foreign: uint64_t
    early: uint64_t
    flows: uint64_t
    ended: uint64_t
    first: int64_t
    last: int64_t

    def __init__(self) -> None:
        if self.latency is not None:
            raise ValueError("a tally is made once")
        #: Nanoseconds from when a frame was sent until it was received, of frames that came once.
        self.latency = Histogram()

    def __dealloc__(self) -> None:
        index: uint32_t
        for index in range(MOST_RUNS):
            free(self.runs[index].flows)

    def stop(self) -> None:
        """Has ``run`` come back soon, now and ever after."""
        self._stopping = True

    @property
    def lost(self) -> int:
        """Frames that are expected and have not come."""
        return self.expected - self.received

    def counts(self) -> dict[str, int]:
        """All that is counted, by name: ``MEANINGS`` tells what each is."""
        return {name: getattr(self, name) for name in MEANINGS}

    def take(self, run: int, flow: int, sequence: int, *, kind: str = "data", latency: int = 0) -> None:
        """Takes one stamp, as if a frame with it had come.

        Args:
            run: the number of the blast.
            flow: below 32,768.
            sequence: the number of the frame, of which the low 32 bits count.
            kind: "data", "begin" or "end".
            latency: nanoseconds since it was sent.

        Raises:
            ValueError: if there can be no such flow.
        """
        if not 0 <= flow < MOST_FLOWS:
            raise ValueError(f"a flow is 0 to {MOST_FLOWS - 1}, not {flow}")
        stamp: Stamp
        stamp.kind = {"data": DATA, "begin": BEGIN, "end": END}[kind]
        stamp.run = run
        stamp.flow = flow
        stamp.sequence = cython.cast(uint32_t, cython.cast(uint64_t, sequence & 0xFFFFFFFF))
        now: int64_t = realtime()
        stamp.nanoseconds = now - latency
        self._take(cython.address(stamp), now)

    def judge(self, batch: Batch, moment: int) -> None:
        """Judges the frames of a batch.

        Args:
            batch: what was received.
            moment: when, in nanoseconds since 1970.
        """
        self._judge(cython.address(batch.slots), moment)

    def run(self, channel: Channel, batch: Batch, seconds: float, most: int = 0) -> bool:
        """Receives frames through a channel and judges them, without the GIL.

        Args:
            channel: of a port.
            batch: one of that port's.
            seconds: for how long at the most.
            most: how many stamped frames there are when it ends; 0 for any number.

        Returns:
            Whether the channel is there; False where its peer or interface has gone, or is brought back.

        Raises:
            PortError: if the port is joined, or another thread receives from it.
        """
        endpoint = cython.address(channel.endpoint)
        slots = cython.address(batch.slots)
        watched: pollfd
        end: int64_t = monotonic() + cython.cast(int64_t, seconds * 1e9)
        enough: uint64_t = most
        now: int64_t
        if not channel.enter_recv():
            return False
        with cython.nogil:
            while not self._stopping and not (enough and self.frames >= enough):
                now = monotonic()
                if now >= end:
                    break
                if receive(endpoint, slots):
                    self._judge(slots, realtime())
                    continue
                if endpoint.lost:
                    break
                watched.fd = endpoint.rx_fd
                watched.events = POLLIN
                now = (end - now) // 1_000_000 + 1
                poll(
                    cython.address(watched),
                    1,
                    cython.cast(cython.int, min(now, cython.cast(int64_t, PATIENCE))),
                )
            lay_open(slots)
        channel.leave_recv()
        return not endpoint.lost

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _judge(self, slots: cython.pointer[cython.const[Slots]], moment: int64_t) -> cython.void:
        """Judges the frames of a batch that came at a moment."""
        stamp: Stamp
        index: uint32_t
        verdict: cython.int
        for index in range(slots.count):
            verdict = read_frame(
                slots.memory + slots.starts[index],
                slots.lengths[index],
                (slots.vnet[index].flags & NEEDS_CSUM) != 0,
                cython.address(stamp),
            )
            if verdict == FOREIGN:
                self.foreign += 1
            elif verdict == CORRUPTED:
                self.corrupted += 1
            else:
                if stamp.kind == DATA:
                    self.octets += slots.lengths[index]
                self._take(cython.address(stamp), moment)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _run_of(self, number: uint32_t) -> cython.pointer[Run]:
        """What is known of a run; where there is no room for one more, the oldest is forgotten."""
        index: uint32_t
        oldest: uint32_t = 0
        run: cython.pointer[Run] = cython.address(self.runs[self._latest])
        if run.known and run.number == number:
            return run
        for index in range(MOST_RUNS):
            run = cython.address(self.runs[index])
            if run.known and run.number == number:
                self._latest = index
                return run
            if run.seen < self.runs[oldest].seen:
                oldest = index
        run = cython.address(self.runs[oldest])
        free(run.flows)
        memset(run, 0, cython.sizeof(Run))
        run.known = True
        run.number = number
        self._latest = oldest
        return run

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _flow_of(self, run: cython.pointer[Run], number: uint32_t) -> cython.pointer[Flow]:
        """What is known of a flow; NULL where there is no memory for it."""
        room: uint32_t
        if number >= run.room:
            room = 16 if run.room == 0 else run.room
            while room <= number:
                room *= 2
            flows = cython.cast(
                cython.pointer[Flow],
                realloc(run.flows, cython.cast(cython.size_t, room) * cython.sizeof(Flow)),
            )
            if flows == cython.NULL:
                return cython.NULL
            memset(flows + run.room, 0, cython.cast(cython.size_t, room - run.room) * cython.sizeof(Flow))
            run.flows = flows
            run.room = room
        return run.flows + number

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take(self, stamp: cython.pointer[cython.const[Stamp]], moment: int64_t) -> cython.void:
        """Takes a stamp that came at a moment."""
        run: cython.pointer[Run] = self._run_of(stamp.run)
        flow: cython.pointer[Flow] = self._flow_of(run, stamp.flow)
        ahead: int64_t
        number: uint64_t
        late: int64_t
        bit: uint64_t
        if flow == cython.NULL:
            self.foreign += 1
            return
        run.seen = cython.cast(uint64_t, moment)
        if stamp.kind == BEGIN:
            run.begun = True
            return
        if not flow.known:
            flow.known = True
            self.flows += 1
            flow.base = 0 if run.begun else stamp.sequence
            flow.following = flow.base
        # The number in full: the one nearest to the highest.
        ahead = cython.cast(int32_t, stamp.sequence - cython.cast(uint32_t, flow.following))
        if stamp.kind == END:
            if ahead > 0:
                self._pass(flow, flow.following + ahead)
            if not flow.ended:
                flow.ended = True
                self.ended += 1
            return
        self.frames += 1
        if self.first == 0:
            self.first = moment
        self.last = moment
        if ahead >= 0:
            number = flow.following + ahead
            self._pass(flow, number + 1)
        elif -ahead > WINDOW or cython.cast(uint64_t, -ahead) > flow.following - flow.base:
            self.late += 1
            return
        else:
            number = flow.following + ahead
            bit = cython.cast(uint64_t, 1) << (number % 64)
            if flow.bits[number // 64 % WORDS] & bit:
                self.duplicates += 1
                return
            self.reordered += 1
        flow.bits[number // 64 % WORDS] |= cython.cast(uint64_t, 1) << (number % 64)
        self.received += 1
        late = moment - cython.cast(int64_t, stamp.nanoseconds)
        if late < 0:
            self.early += 1
            late = 0
        enter(cython.address(self.latency.counts), cython.cast(uint64_t, late))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _pass(self, flow: cython.pointer[Flow], following: uint64_t) -> cython.void:
        """Moves a flow's window on: all numbers up to ``following`` are expected."""
        number: uint64_t
        self.expected += following - flow.following
        if following - flow.following >= WINDOW:
            memset(cython.address(flow.bits[0]), 0, WORDS * 8)
        else:
            for number in range(flow.following, following):
                flow.bits[number // 64 % WORDS] &= ~(cython.cast(uint64_t, 1) << (number % 64))
        flow.following = following
