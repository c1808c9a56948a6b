"""A process in the background of a test: its output collected, its events waited for, its end certain."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from peers.sanitized import SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

T = TypeVar("T")


class ProcessError(RuntimeError):
    """A background process ended, or stayed silent, where it should not have; the text holds its output."""


class Background:
    """Runs a command beside the test and keeps everything that it prints.

    Two threads drain standard output and standard error, so that the process never blocks on a full pipe.
    The process leads a session of its own: `stop` ends it and whatever it has started.

    Args:
        argv: The command.
        name: What error messages call it; the command's first word if empty.
        stdin: Whether `write` is going to be used.
        env: The whole environment of the process; the test's own if None.
    """

    def __init__(
        self, argv: Sequence[str], *, name: str = "", stdin: bool = False, env: dict[str, str] | None = None
    ) -> None:
        self.argv = list(argv)
        self.name = name or os.path.basename(argv[0])  # noqa: PTH119 a word of a command, not a file
        self._changed = threading.Condition()
        self._text = {"stdout": bytearray(), "stderr": bytearray()}
        self._open = 2
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._drain, args=(pipe, self._text[key]), daemon=True)
            for key, pipe in (("stdout", self.process.stdout), ("stderr", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _drain(self, pipe: Any, into: bytearray) -> None:
        while data := os.read(pipe.fileno(), 65536):
            with self._changed:
                into += data
                self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything printed on standard output so far."""
        with self._changed:
            return self._text["stdout"].decode(errors="replace")

    @property
    def errors(self) -> str:
        """Everything printed on standard error so far."""
        with self._changed:
            return self._text["stderr"].decode(errors="replace")

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal, None while the process runs."""
        return self.process.poll()

    def describe(self) -> str:
        """The command, its state and the end of its output, for an error message."""
        return (
            f"{self.name}: {' '.join(self.argv)}\nexit status: {self.returncode}\n"
            f"--- standard output\n{self.output[-6000:]}\n--- standard error\n{self.errors[-6000:]}"
        )

    def write(self, text: str) -> None:
        """Writes to the standard input of the process.

        Raises:
            ProcessError: The process no longer reads.
        """
        pipe = self.process.stdin
        if pipe is None:
            raise ProcessError(f"{self.name} was started without a standard input")
        try:
            pipe.write(text.encode())
            pipe.flush()
        except BrokenPipeError as error:
            raise ProcessError(f"no longer reads its input: {self.describe()}") from error

    def wait_for(
        self,
        find: Callable[[str, str], T | None],
        *,
        timeout: float,
        what: str,
        nudge: Callable[[], None] | None = None,
        every: float = 0.25,
    ) -> T:
        """Waits until `find(output, errors)` returns something other than None, and returns that.

        Args:
            find: Looks at all of standard output and standard error.
            timeout: Seconds.
            what: What is waited for, for the error message.
            nudge: Called when nothing has been printed for a while, to wake the process up.
            every: Seconds of silence before each nudge.

        Raises:
            ProcessError: The process ended, or the time ran out, before that.
        """
        deadline = time.monotonic() + timeout * SLOWNESS
        with self._changed:
            while True:
                ended = self._open == 0
                texts = (self._text[key].decode(errors="replace") for key in ("stdout", "stderr"))
                found = find(*texts)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    break
                if not self._changed.wait(min(left, every) if nudge else left) and nudge:
                    nudge()
        if ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
        fault = "ended before" if ended else f"not within {timeout:g} s"
        raise ProcessError(f"{what}: {fault}\n{self.describe()}")

    def wait_for_text(self, text: str, *, timeout: float = 10) -> None:
        """Waits until `text` has been printed on either stream."""
        self.wait_for(
            lambda out, err: True if text in out or text in err else None,
            timeout=timeout,
            what=f"{self.name} prints {text!r}",
        )

    def events(self) -> list[dict[str, Any]]:
        """The JSON objects printed so far on standard output, one a line; other lines are passed over."""
        return _events(self.output)

    def wait_for_event(self, event: str, *, timeout: float = 10) -> dict[str, Any]:
        """Waits for the line `{"event": EVENT, ...}` on standard output and returns the object."""

        def find(out: str, _err: str) -> dict[str, Any] | None:
            return next((found for found in _events(out) if found.get("event") == event), None)

        return self.wait_for(find, timeout=timeout, what=f"{self.name} prints the event {event!r}")

    def wait(self, timeout: float = 10) -> int:
        """Waits for the end of the process and of its output, and returns its exit status.

        Raises:
            ProcessError: It still runs after `timeout` seconds.
        """
        try:
            status = self.process.wait(timeout * SLOWNESS)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"still runs after {timeout:g} s: {self.describe()}") from None
        self._finish()
        return status

    def stop(self, timeout: float = 5) -> int:
        """Ends the process and returns its exit status: SIGTERM, after `timeout` seconds SIGKILL."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout * SLOWNESS)
        return self.kill()

    def kill(self) -> int:
        """Ends the process and all it started, at once, and returns its exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait(10)
        self._finish()
        return status

    def _finish(self) -> None:
        for reader in self._readers:
            reader.join(1)
        for pipe, reader in zip((self.process.stdout, self.process.stderr), self._readers, strict=True):
            if pipe is not None and not reader.is_alive():
                pipe.close()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _events(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found
