"""The owner of the frames that are delayed on purpose, and its face towards Python; ``impair.py`` judges."""

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.vecwire.path.batch import Batch, copy_frame
from cython.cimports.vecwire.path.impair import ROWS, Impair, Late, admit, pop
from cython.cimports.vecwire.path.linux import MAP_NORESERVE
from cython.cimports.vecwire.wire.counters import COUNTERS, TX_TOO_BIG
from cython.cimports.vecwire.wire.vnet import VnetHeader

from vecwire.host import mapped
from vecwire.path.batch import CACHE_LINE, LEAST_HEADROOM, LONGEST_FRAME
from vecwire.wire.counters import NAMES
from vecwire.wire.vnet import LONG

#: Frames that may wait unless told otherwise, as tc-netem(8) has it, and at the most: places have 32 bits.
USUAL_LIMIT = 1000
MOST_LIMIT = 65_000
#: A share of frames is told in parts of so many.
CERTAIN = cython.declare(uint64_t, 1 << 32)


@cython.cclass
class Impairer:
    """Owns the frames that wait; without ``configure`` it lets everything pass.

    A channel has one, for what it sends. By itself it serves ports that are no channel's, by ``put`` and
    ``take``.
    """

    impair: Impair
    _counters: uint64_t[COUNTERS]

    def configure(
        self,
        *,
        delay: int = 0,
        jitter: int = 0,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        rate: int = 0,
        limit: int = USUAL_LIMIT,
        seed: int = 0,
    ) -> None:
        """Says how frames are impaired from now on; none may wait where ``limit`` changes.

        Args:
            delay: nanoseconds.
            jitter: nanoseconds that the delay varies by, evenly, to either side.
            loss: the share of frames that are dropped, 0 to 1.
            duplicate: the share of the others that are sent twice.
            reorder: the share of frames that wait for nothing.
            rate: bits a second; 0 for no bound.
            limit: how many frames may wait, 1 to 65,000.
            seed: what the random numbers follow from, 64 bits.

        Raises:
            ValueError: if the limit is out of range, or is changed while frames wait.
            MemoryError: if there is no memory for as many; all stays as it was.
        """
        impair = cython.address(self.impair)
        if not 1 <= limit <= MOST_LIMIT:
            raise ValueError(f"a limit is 1 to {MOST_LIMIT} frames, not {limit}")
        on = bool(delay or jitter or loss or duplicate or reorder or rate)
        if limit != impair.limit and on:
            if impair.count:
                raise ValueError(f"{impair.count} frames wait: the limit cannot be changed")
            self._reserve(limit)
        impair.delay = delay
        impair.jitter = jitter
        impair.loss = round(loss * CERTAIN)
        impair.duplicate = round(duplicate * CERTAIN)
        impair.reorder = round(reorder * CERTAIN)
        impair.rate = rate
        impair.free_at = 0
        impair.state = seed
        impair.cuts = bool(loss or duplicate or reorder)
        impair.on = on

    def _reserve(self, limit: uint32_t) -> cython.int:
        """Maps the memory of frames that wait; the kernel gives only what is touched."""
        impair = cython.address(self.impair)
        store = cython.address(impair.store)
        view = cython.address(impair.view)
        lines: uint32_t = -(-(LEAST_HEADROOM + LONGEST_FRAME + 1) // CACHE_LINE) | 1
        # All of it first: until there is, what was mapped before goes on to serve.
        memory = mapped(limit * lines * CACHE_LINE, f"{limit} frames that wait", MAP_NORESERVE)
        # Records of 24 octets first, then numbers of 4, then headers of 12.
        rows: uint32_t = limit + ROWS
        tables = bytearray(limit * cython.sizeof(Late) + 4 * limit + rows * (4 * 4 + LONG))
        octets: cython.uchar[::1] = memory
        columns: cython.uchar[::1] = tables
        self._memory = memory
        self._tables = tables
        self._octets = octets
        self._columns = columns
        impair.heap = cython.cast(cython.pointer[Late], cython.address(self._columns[0]))
        impair.spares = cython.cast(cython.pointer[uint32_t], impair.heap + limit)
        numbers: cython.pointer[uint32_t] = impair.spares + limit
        store.memory = cython.address(self._octets[0])
        store.depth = limit
        store.capacity = limit
        store.stride = lines * CACHE_LINE
        store.headroom = LEAST_HEADROOM
        store.starts = numbers
        store.lengths = numbers + rows
        store.heads = numbers + 2 * rows
        store.progress = numbers + 3 * rows
        store.vnet = cython.cast(cython.pointer[VnetHeader], numbers + 4 * rows)
        view.memory = store.memory
        view.depth = ROWS
        view.capacity = ROWS
        view.stride = store.stride
        view.headroom = store.headroom
        view.plain = False
        view.starts = store.starts + limit
        view.lengths = store.lengths + limit
        view.heads = store.heads + limit
        view.progress = store.progress + limit
        view.vnet = store.vnet + limit
        slot: uint32_t
        for slot in range(limit):
            # The first is used first, and again as soon as it is free.
            impair.spares[slot] = limit - 1 - slot
        impair.spare_count = limit
        impair.limit = limit
        return 0

    @property
    def late(self) -> int:
        """How many frames wait."""
        return self.impair.count

    @property
    def due(self) -> int | None:
        """When the next frame leaves, in nanoseconds of the monotonic clock; None where none waits."""
        return self.impair.heap[0].due if self.impair.count else None

    def counters(self) -> dict[str, int]:
        """What ``put`` has counted, by name."""
        return {NAMES[i]: self._counters[i] for i in range(COUNTERS) if self._counters[i]}

    def put(self, batch: Batch, index: int, moment: int) -> bool:
        """Judges a frame of a batch; True where it leaves now, as it is, after what ``take`` gives.

        Args:
            batch: where it is.
            index: its place there.
            moment: the time in nanoseconds, which never goes back.

        Raises:
            IndexError: if there is no such frame.
        """
        if not 0 <= index < batch.slots.count:
            raise IndexError(f"the batch holds {batch.slots.count} frames; there is no frame {index}")
        if not self.impair.on:
            return True
        return admit(
            cython.address(self.impair),
            cython.address(self._counters[0]),
            cython.NULL,
            cython.address(batch.slots),
            index,
            moment,
        )

    def take(self, batch: Batch, moment: int) -> int:
        """Moves frames that are due into a batch, whose frames they replace; how many they are.

        A frame that is too long for a slot of the batch is dropped, and counted.
        """
        impair = cython.address(self.impair)
        slots = cython.address(batch.slots)
        until: uint64_t = moment
        batch.clear()
        slots.plain = False
        slots.stamped = False
        while slots.count < slots.depth and impair.count and impair.heap[0].due <= until:
            if copy_frame(slots, slots.count, cython.address(impair.store), pop(impair)):
                slots.count += 1
                slots.used = slots.count
            else:
                self._counters[TX_TOO_BIG] += 1
        batch.publish()
        return slots.count

    def forget(self) -> int:
        """Drops all that waits; how many frames they were."""
        impair = cython.address(self.impair)
        count: int = impair.count
        while impair.count:
            pop(impair)
        return count
