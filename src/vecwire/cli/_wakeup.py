"""Signals as a descriptor: for commands that wait for a socket or for keys, and for a signal, at once."""

import os
import select
import signal
from collections.abc import Iterable
from types import TracebackType
from typing import Self


class Wakeup:
    """Takes signals from here to the end of the context; for the main thread.

    None of them interrupts anything: each becomes readable (:func:`signal.set_wakeup_fd`), and is taken where
    the command waits. What was ignored before stays ignored.

    Args:
        numbers: which signals.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._wanted = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
        self._before: dict[signal.Signals, object] = {}
        self._earlier = -1
        self._reader = self._writer = -1

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._earlier = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {each: signal.signal(each, lambda *_: None) for each in self._wanted}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]  # what signal.signal gave
        signal.set_wakeup_fd(self._earlier)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, *others: int, seconds: float | None = None) -> tuple[set[int], set[int]]:
        """Sleeps until a signal comes or a descriptor can be read.

        Args:
            others: the descriptors.
            seconds: for how long at most; None is for ever.

        Returns:
            The signals that came, and the descriptors that can be read.
        """
        timeout = None if seconds is None else max(0.0, seconds)
        ready, _, _ = select.select([self._reader, *others], [], [], timeout)
        signals = set(os.read(self._reader, 4096)) if self._reader in ready else set()
        return signals, {each for each in ready if each != self._reader}
