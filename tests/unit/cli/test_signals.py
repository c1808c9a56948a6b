"""How SIGINT and SIGTERM are taken."""

import signal
import threading

import pytest

from vecwire.cli._signals import Interrupted, Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_opening_a_signal_interrupts(number: signal.Signals) -> None:
    """Before ``hold`` a signal raises; afterwards everything is as it was."""
    before = signal.getsignal(number)
    with Signals(), pytest.raises(Interrupted):
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_held_signals_are_for_wait(number: signal.Signals) -> None:
    """After ``hold`` only ``wait`` takes a signal, however early it came; afterwards nothing is blocked."""
    with Signals() as signals:
        signals.hold()
        assert signals.wait(0) is False
        signal.pthread_kill(threading.get_ident(), number)
        assert signals.wait() is True
        assert signals.wait(0) is False
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_asking_twice_does_no_harm() -> None:
    """A second Ctrl-C while the command is ending already does not interrupt that."""
    with Signals() as signals:
        signals.hold()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert signals.wait() is True


def test_what_is_ignored_stays_ignored() -> None:
    """A background job of a shell, for which SIGINT is ignored, is not ended by it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals() as signals:
            signals.hold()
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            assert signals.wait(0) is False
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert signals.wait() is True
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


class Finalised:
    """Takes a signal where Python loses what it raises."""

    def __del__(self) -> None:
        """Raises, and nobody hears."""
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_loses_is_kept_in_mind() -> None:
    """What was raised in a finaliser, and lost, is raised again by ``hold``."""
    with Signals() as signals:
        thing = Finalised()
        del thing
        with pytest.raises(Interrupted):
            signals.hold()
