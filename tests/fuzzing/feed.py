"""An input of the fuzzer as the values that a target asks for, one after the other."""

from __future__ import annotations


class Feed:
    """Octets that are taken from the front; behind their end there are zeros.

    Args:
        octets: the input.
    """

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def take(self, count: int) -> bytes:
        """The next octets, fewer where the input ends."""
        taken = self._octets[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, size: int) -> int:
        """The next number of ``size`` octets, the first of them the highest."""
        return int.from_bytes(self.take(size).ljust(size, b"\0"))

    def among(self, count: int) -> int:
        """A number from 0 to ``count`` - 1, out of one octet."""
        return self.number(1) % count

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._octets))
