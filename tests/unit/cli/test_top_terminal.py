"""``vecwire top`` in real runs: on a terminal, which it gives back, and elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from typing import TYPE_CHECKING, Self

import pyte
import pytest

from peers.command import vecwire_command
from peers.controlled import Fake, serving
from peers.net import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Terminal:
    """A command on a terminal of its own, whose screen can be read."""

    def __init__(self, argv: list[str], *, columns: int = 80, lines: int = 24) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.raw = bytearray()
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            argv,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65536):
                with self._lock:
                    self.raw += data
                    self._stream.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def text(self) -> str:
        """What is on the screen."""
        with self._lock:
            return "\n".join(self.screen.display)

    def type(self, keys: bytes) -> None:
        """Types keys."""
        os.write(self.master, keys)

    def wait_for(self, what: str | Callable[[str], bool]) -> str:
        """Waits until the screen has a text, or is as it should be, and returns it."""
        test = (lambda text: what in text) if isinstance(what, str) else what
        try:
            return wait_until(
                lambda: text if test(text := self.text) else None, timeout=30, what=f"{what} is shown"
            )
        except TimeoutError as error:
            raise AssertionError(self.text) from error

    def wait(self) -> int:
        """Waits for the end of the command; its exit code."""
        return self.process.wait(30)

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was: its settings, its screen, its cursor."""
        return bool(
            termios.tcgetattr(self.slave) == self.before
            and self.raw.count(b"\x1b[?1049h") == self.raw.count(b"\x1b[?1049l") > 0
            and self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.slave)
        self._reader.join(5)
        os.close(self.master)


def top(path: str, *arguments: str) -> Terminal:
    """The command on a terminal."""
    return Terminal(vecwire_command("top", "--socket", path, "--interval", "0.1", *arguments))


def test_a_session(fake: Fake, path: str) -> None:
    """From the table to the details and back, a filter, another order, and out."""
    with top(path) as terminal:
        terminal.wait_for("guest1")
        terminal.wait_for(lambda text: text.splitlines()[23].startswith("q quit"))
        fake.count("a", tx_full=1_000_000)
        terminal.wait_for(" M")
        terminal.type(b"\x1b[B")
        terminal.type(b"\x1b[B\r")
        terminal.wait_for("no client is connected")
        terminal.wait_for("Esc back")
        terminal.type(b"\x1b")
        terminal.wait_for("port▲")
        terminal.type(b"/uplink\r")
        terminal.wait_for(lambda text: "[uplink]" in text and "guest1" not in text)
        terminal.type(b"s")
        terminal.wait_for("state▲")
        terminal.type(b"q")
        assert terminal.wait() == 0
        wait_until(lambda: terminal.restored, timeout=30, what="the terminal is as before")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(path: str, number: signal.Signals) -> None:
    """However it is ended, the terminal is as it was."""
    with top(path) as terminal:
        terminal.wait_for("guest1")
        terminal.process.send_signal(number)
        assert terminal.wait() == 0
        wait_until(lambda: terminal.restored, timeout=30, what="the terminal is as before")


def test_a_stopped_one_gives_the_terminal_back_meanwhile(path: str) -> None:
    """Ctrl-Z leaves the screen to the shell; when it goes on it draws again."""
    with top(path) as terminal:
        terminal.wait_for("guest1")
        terminal.process.send_signal(signal.SIGTSTP)
        os.waitpid(terminal.process.pid, os.WUNTRACED)
        wait_until(lambda: terminal.restored, timeout=30, what="the terminal is as before")
        terminal.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not terminal.restored, timeout=30, what="it draws again")
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_another_size_is_drawn_at_once(path: str) -> None:
    """When the terminal grows the columns that have room come."""
    with Terminal(vecwire_command("top", "--socket", path, "--interval", "3600"), columns=80) as terminal:
        terminal.wait_for("guest1")
        with terminal._lock:
            terminal.screen.resize(lines=24, columns=120)
        terminal.resize(120, 24)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.wait_for("cable backhaul")
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_a_service_that_goes_and_comes_back(fake: Fake, tmp_path: Path) -> None:
    """It is said that the service is gone, the last reading stays, and it is asked until it is back."""
    path = tmp_path / "control.sock"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        first.enter_context(serving(fake, path))
        terminal = stack.enter_context(top(str(path)))
        terminal.wait_for("guest1")
        first.close()
        terminal.wait_for(lambda text: "asking again" in text and "guest1" in text)
        stack.enter_context(serving(fake, path))
        terminal.wait_for(lambda text: "asking again" not in text and "received" in text)
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_a_count_ends_it_on_a_terminal_too(path: str) -> None:
    """After -n readings it ends by itself."""
    with top(path, "-n", "2") as terminal:
        assert terminal.wait() == 0
        wait_until(lambda: terminal.restored, timeout=30, what="the terminal is as before")


def test_no_service_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    """The exit code is 1, with what to do, and the screen is not touched."""
    with top(str(tmp_path / "nothere")) as terminal:
        assert terminal.wait() == 1
        terminal.wait_for("start it with: vecwire run FILE")
        assert b"\x1b[?1049h" not in terminal.raw


# Elsewhere.


def test_in_a_pipe_readings_are_lines(path: str) -> None:
    """Without a terminal each reading is a line for each port."""
    argv = vecwire_command("top", "--socket", path, "--interval", "0.1", "-n", "2")
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    lines = done.stdout.splitlines()
    assert [line.partition("  ")[2].partition(":")[0] for line in lines] == 2 * [
        *("uplink", "guest1 (waiting)", "a", "b")
    ]


def test_readings_as_objects(path: str) -> None:
    """With --json each reading is one object: the service, and the ports with rates."""
    argv = vecwire_command("top", "--socket", path, "--interval", "0.1", "--json", "-n", "2")
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    first, second = map(json.loads, done.stdout.splitlines())
    assert second["seconds"] > first["seconds"] > 0
    assert first["service"]["pid"] == 4711
    port = first["ports"][1]
    assert (port["name"], port["up"], port["why"]) == ("guest1", False, "no client is connected")
    assert port["counters"]["tx_down"] == 7
    assert port["per_second"]["rx_frames"] == 0
    assert port["batch"] == {"rx": 0, "tx": 0}


def test_a_signal_ends_the_lines(path: str) -> None:
    """SIGINT ends it with 0."""
    argv = vecwire_command("top", "--socket", path, "--interval", "0.1")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
