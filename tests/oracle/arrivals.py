"""What a sink should count, the plain way: sets and lists of all that came, nothing forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 1024


@dataclass
class Arrivals:
    """The frames of one flow that came, in order; numbers may go beyond 32 bits.

    Attributes:
        base: The number that the flow begins with; None until one has come.
    """

    base: int | None
    came: set[int] = field(default_factory=set)
    following: int = 0
    received: int = 0
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    frames: int = 0

    def take(self, number: int) -> None:
        """A frame has come."""
        self.frames += 1
        if self.base is None:
            self.base = self.following = number
        if number < max(self.base, self.following - WINDOW):
            self.late += 1
        elif number in self.came:
            self.duplicates += 1
        else:
            self.came.add(number)
            self.received += 1
            self.reordered += number < self.following
        self.following = max(self.following, number + 1)

    def end(self, total: int) -> None:
        """The blast has told how many there were."""
        if self.base is None:
            self.base = self.following = total
        self.following = max(self.following, total)

    @property
    def expected(self) -> int:
        """Frames that must have been sent."""
        return self.following - (self.base or 0)

    @property
    def lost(self) -> int:
        """Those that have not come."""
        return self.expected - self.received
