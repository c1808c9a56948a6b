"""A histogram of fixed memory for values of any magnitude: log-linear, as HdrHistogram's.

Theory of operation: values below 256 have a bucket each. Above, every power of two is cut into 128 buckets of
one width, so that a bucket is never wider than 1/128 of its values: what it tells, its middle, is off by less
than 0.4 %. 64-bit values need 7,552 buckets, 59 KiB; to record is a shift and an increment.
"""

from math import ceil

import cython
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.histogram import BUCKETS, LINEAR, Counts
from cython.cimports.vecwire.path.linux import leading_zeros

#: What a percentile is off by at the most, as a share of it.
ERROR = 2.0**-8


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.inline
def bucket_of(value: uint64_t) -> uint32_t:
    """The bucket of a value."""
    shift: uint32_t = 0
    if value >= 2 * LINEAR:
        shift = 56 - leading_zeros(value)
    return shift * LINEAR + cython.cast(uint32_t, value >> shift)


def enter(counts: cython.pointer[Counts], value: uint64_t) -> cython.void:
    """Counts a value."""
    counts.buckets[bucket_of(value)] += 1
    counts.count += 1
    counts.total += value
    counts.least = min(counts.least, value)
    counts.most = max(counts.most, value)


@cython.cclass
class Histogram:
    """How often values from 0 to 2**64 - 1 occurred."""

    counts: Counts

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets all values."""
        memset(cython.address(self.counts), 0, cython.sizeof(Counts))
        self.counts.least = ~cython.cast(uint64_t, 0)

    def record(self, value: int) -> None:
        """Counts a value.

        Raises:
            OverflowError: if it is negative or has more than 64 bits.
        """
        enter(cython.address(self.counts), value)

    def __len__(self) -> int:
        return self.counts.count

    @property
    def least(self) -> int:
        """The least value, exactly; 0 where there is none."""
        return self.counts.least if self.counts.count else 0

    @property
    def most(self) -> int:
        """The greatest value, exactly; 0 where there is none."""
        return self.counts.most

    @property
    def mean(self) -> float:
        """The mean of all values, exactly as long as their sum has 64 bits; 0 where there is none."""
        return int(self.counts.total) / int(self.counts.count) if self.counts.count else 0.0

    def percentile(self, share: float) -> int:
        """The value that ``share`` percent of all are not above, to within ``ERROR`` of it.

        The nearest rank is taken: one of the values counted is in the bucket whose middle this is.

        Args:
            share: more than 0, and 100 at the most.

        Returns:
            The value; 0 where there is none.

        Raises:
            ValueError: if there is no such percentile.
        """
        if not 0 < share <= 100:
            raise ValueError(f"a percentile is above 0 and not above 100: {share}")
        rank: uint64_t = max(1, ceil(int(self.counts.count) * share / 100))
        seen: uint64_t = 0
        index: uint32_t
        for index in range(BUCKETS):
            seen += self.counts.buckets[index]
            if seen >= rank and self.counts.buckets[index]:
                return max(self.counts.least, min(self.counts.most, middle(index)))
        return 0


def middle(index: int) -> int:
    """The value that a bucket stands for."""
    if index < 2 * LINEAR:
        return index
    shift = index // LINEAR - 1
    return ((index - shift * LINEAR) << shift) + (1 << shift >> 1)
