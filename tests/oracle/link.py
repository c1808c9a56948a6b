"""A link that impairs frames, in plain Python: what ``vecwire.path.impair`` is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

WORD = (1 << 64) - 1
SECOND = 10**9


class SplitMix:
    """The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def draw(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & WORD
        number = self._state
        number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & WORD
        return number ^ (number >> 31)


@dataclass
class Link:
    """A sorted list of what waits: slow, and plainly right.

    Attributes:
        delay: nanoseconds.
        jitter: nanoseconds.
        loss: the share of frames that are lost.
        duplicate: the share of the others that come twice.
        reorder: the share that waits for nothing.
        rate: bits a second.
        limit: frames that may wait.
        seed: of the random numbers.
    """

    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    rate: int = 0
    limit: int = 1000
    seed: int = 0
    waiting: list[tuple[int, int, int]] = field(default_factory=list)
    free_at: int = 0
    turn: int = 0
    counters: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = SplitMix(self.seed)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def _happens(self, share: float) -> bool:
        return bool(share) and self._numbers.draw() >> 32 < round(share * 2**32)

    def put(self, number: int, octets: int, moment: int) -> list[int]:
        """Judges a frame; the numbers of those that leave at once, none or its own."""
        if self._happens(self.loss):
            self._count("tx_lost")
            return []
        copies = 1
        if self._happens(self.duplicate):
            self._count("tx_duplicated")
            copies = 2
        now: list[int] = []
        for _ in range(copies):
            if self._happens(self.reorder):
                self._count("tx_reordered")
                due = moment
            elif (self.delay or self.rate) and len(self.waiting) == self.limit:
                self._count("tx_limit")
                continue
            else:
                due = self._due(octets, moment)
            if due <= moment and not now:
                now.append(number)
            elif len(self.waiting) == self.limit:
                self._count("tx_limit")
            else:
                if due > moment:
                    self._count("tx_delayed")
                self.waiting.append((due, self.turn, number))
                self.waiting.sort()
                self.turn += 1
        return now

    def _due(self, octets: int, moment: int) -> int:
        due = moment
        if self.rate:
            due = self.free_at = max(self.free_at, moment) + octets * 8 * SECOND // self.rate
        due += self.delay
        if self.jitter:
            due = max(moment, due + self._numbers.draw() % (2 * self.jitter + 1) - self.jitter)
        return due

    def take(self, moment: int) -> list[int]:
        """The numbers of the frames that are due."""
        due = [number for when, _, number in self.waiting if when <= moment]
        self.waiting = [each for each in self.waiting if each[0] > moment]
        return due
