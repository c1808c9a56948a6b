"""The terminal of ``vecwire top``: keys that come at once, the alternate screen, and both given back."""

import os
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

#: What a terminal sends for keys that are no characters (xterm's ctlseqs, "PC-Style Function Keys").
_SEQUENCES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "pgup",
    "\x1b[6~": "pgdn",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
}
_SINGLE = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x03": "ctrl-c"}
_LONGEST = max(map(len, _SEQUENCES))


class Keys:
    """Makes keys of the octets of a terminal, however they are cut."""

    def __init__(self) -> None:
        self._text = ""

    @property
    def pending(self) -> bool:
        """Whether what came may be the beginning of a key: an escape alone is one, if nothing follows."""
        return bool(self._text)

    def feed(self, data: bytes) -> list[str]:
        """Returns the keys that are complete."""
        self._text += data.decode(errors="ignore")
        keys: list[str] = []
        while self._text:
            key, length = self._first()
            if not length:
                break
            self._text = self._text[length:]
            if key:
                keys.append(key)
        return keys

    def flush(self) -> list[str]:
        """Returns what the rest is, when nothing follows it."""
        rest, self._text = self._text, ""
        return ["escape"] if rest == "\x1b" else []

    def _first(self) -> tuple[str, int]:
        """Returns the first key and its length; no length where more must come, no key for what is none."""
        text = self._text
        if text[0] != "\x1b":
            return _SINGLE.get(text[0], text[0] if text[0].isprintable() else ""), 1
        for sequence, key in _SEQUENCES.items():
            if text.startswith(sequence):
                return key, len(sequence)
        if len(text) < _LONGEST and any(each.startswith(text) for each in _SEQUENCES):
            return "", 0
        if text[1:2] not in {"[", "O"}:
            return "escape", 1
        # A key that means nothing here: up to its final character.
        end = next((at for at, char in enumerate(text[2:], 2) if "@" <= char <= "~"), None)
        return "", len(text) if end is None else end + 1


class Screen:
    """Holds the terminal from here to the end of the context; as it was before, whatever happens.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._keyboard = sys.stdin.fileno()
        self._before: list[Any] | None = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._keyboard)
        try:
            tty.setcbreak(self._keyboard, termios.TCSADRAIN)
            # Drawn by this thread alone, when there is something new: no timer runs in between.
            self._live = Live(
                console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop"
            )
            self._live.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._live is not None:
                self._live.stop()
        finally:
            self._live = None
            if self._before is not None:
                termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)
                self._before = None

    @property
    def keyboard(self) -> int:
        """The descriptor that gives the keys."""
        return self._keyboard

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.size

    def read(self) -> bytes:
        """Returns what was typed; nothing where the terminal is gone."""
        try:
            return os.read(self._keyboard, 1024)
        except OSError:
            return b""

    def show(self, lines: list[Text]) -> None:
        """Draws the lines, from the first line of the screen."""
        if self._live is not None:
            self._live.update(Text("\n").join(lines), refresh=True)
