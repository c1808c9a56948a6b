"""The service's unit for systemd: the file of the package, with the paths of this installation."""

import shlex
import sys
from importlib import resources
from pathlib import Path

NAME = "vecwire.service"
PROGRAM = "/usr/bin/vecwire"
CONFIG = "/etc/vecwire/vecwire.toml"


def unit_text(program: str | None = None, config: str = CONFIG) -> str:
    """The unit's text.

    Args:
        program: the path of the ``vecwire`` command; by default the one beside this interpreter, or where
            distributions have it.
        config: the path of the service's file.

    Raises:
        ValueError: if a path is not absolute: systemd takes no other.
    """
    program = program or _own_program()
    for path in (program, config):
        if not Path(path).is_absolute():
            raise ValueError(f"{path} is not an absolute path")
    text = resources.files("vecwire.service").joinpath(NAME).read_text(encoding="utf-8")
    before, after = (f"{a} run {b}" for a, b in ((PROGRAM, CONFIG), (_word(program), _word(config))))
    return text.replace(before, after)


def _own_program() -> str:
    beside = Path(sys.executable).with_name("vecwire")
    return str(beside) if beside.exists() else PROGRAM


def _word(path: str) -> str:
    """A path as one word of ExecStart (systemd.service(5)), where ``%`` and ``$`` mean something."""
    return shlex.quote(path).replace("%", "%%").replace("$", "$$")
