"""SIGINT and SIGTERM, taken in one place: how a command that runs until it is told to stop is told.

Theory of operation: while ports are being opened a signal raises :class:`Interrupted`, so that it ends even
a slow name look-up. What a signal raises inside a finaliser is lost by Python; a signal is therefore also
kept in mind, and raised again by ``hold``. Once frames move the signals are blocked, in this thread and in
those that it starts from then on, and taken by ``wait`` alone: the main thread sleeps in sigtimedwait(2)
without a timer, and no signal gets lost in a worker.
"""

import signal
import time
from types import FrameType, TracebackType
from typing import NoReturn, Self

LONGEST = 86400.0  # seconds
ENDING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""


class Signals:
    """Takes SIGINT and SIGTERM from here to the end of the context; for the main thread.

    What was ignored before stays ignored: a shell starts its background jobs so, and Ctrl-C is not for them.
    """

    def __init__(self) -> None:
        self._wanted = [each for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN]
        self._before: dict[signal.Signals, object] = {}
        self._held = False
        self._asked = ""

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._interrupt) for each in self._wanted}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            while signal.sigtimedwait(self._wanted, 0):
                pass  # asked again while it was ending already
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]  # what signal.signal gave
        if self._held:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._wanted)

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        self._asked = signal.Signals(number).name
        raise Interrupted(self._asked)

    def hold(self) -> None:
        """Blocks the signals: from now on only ``wait`` takes them.

        Raises:
            Interrupted: One came before.
        """
        self._held = True
        signal.pthread_sigmask(signal.SIG_BLOCK, self._wanted)
        if self._asked:
            raise Interrupted(self._asked)

    def wait(self, seconds: float | None = None) -> bool:
        """Sleeps until one of the signals comes, after ``hold``.

        Args:
            seconds: For how long at most, and for no longer than a day; None is for ever.

        Returns:
            Whether one came.
        """
        if seconds is not None:
            # The kernel takes no time that its clock cannot hold; whoever waits for longer waits again.
            return signal.sigtimedwait(self._wanted, min(max(0.0, seconds), LONGEST)) is not None
        if not self._wanted:
            while True:
                time.sleep(3600)  # sigwait(3) of no signal is an error
        signal.sigwait(self._wanted)
        return True

    def pause(self, seconds: float) -> None:
        """Sleeps, after ``hold``.

        Raises:
            Interrupted: One of the signals came.
        """
        if self.wait(seconds):
            raise Interrupted
