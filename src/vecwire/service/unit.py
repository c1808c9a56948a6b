"""The service's unit for systemd: the file of the package, with the paths of this installation."""

import re
import sys
from importlib import resources
from pathlib import Path

NAME = "vecwire.service"
PROGRAM = "/usr/bin/vecwire"
CONFIG = "/etc/vecwire/vecwire.toml"
_PLAIN = re.compile(r"[\w/.+@:-]+")


def unit_text(program: str | None = None, config: str = CONFIG) -> str:
    """The unit's text.

    Args:
        program: the path of the ``vecwire`` command; by default the one beside this interpreter, or where
            distributions have it.
        config: the path of the service's file.

    Raises:
        ValueError: if systemd does not take a path: one that is not absolute, or no text of one line, or a
            program's with quotes in it.
    """
    program = program or own_program()
    for path in (program, config):
        if not Path(path).is_absolute():
            raise ValueError(f"{path} is not an absolute path")
        if not path.isprintable():
            raise ValueError(f"{path!r} does not fit in a line")
    if set(program) & set("\"'\\"):
        raise ValueError(f"systemd runs no program with such a name: {program}")
    text = resources.files("vecwire.service").joinpath(NAME).read_text(encoding="utf-8")
    # In what follows the program, "$" begins a variable.
    command = f"{_word(program)} run {_word(config).replace('$', '$$')}"
    return text.replace(f"{PROGRAM} run {CONFIG}", command)


def own_program() -> str:
    """The path of the command beside this interpreter, or else where distributions have it."""
    beside = Path(sys.executable).with_name("vecwire")
    return str(beside) if beside.exists() else PROGRAM


def _word(path: str) -> str:
    """A path as one word of ExecStart (systemd.service(5)), where ``%`` begins a specifier."""
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return path if _PLAIN.fullmatch(path) else f'"{escaped}"'
