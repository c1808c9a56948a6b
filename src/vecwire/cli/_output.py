"""How subcommands print: results to standard output, errors to standard error."""

import json
import sys
from typing import Any

from vecwire.errors import ConfigError, SpecError, VecwireError


def print_json(value: dict[str, Any]) -> None:
    """Prints one object on one line, at once, so that a reader at the other end of a pipe sees it now."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    """Prints one line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_error(error: VecwireError) -> None:
    """Prints what went wrong to standard error: the place in a spec or a file, the remedy if one is known."""
    text = error.explain() if isinstance(error, SpecError | ConfigError) else str(error)
    sys.stderr.write(f"vecwire: {text}\n")
    if error.remedy and not isinstance(error, ConfigError):  # which has told the remedy of each fault
        sys.stderr.write(f"  remedy: {error.remedy}\n")
    sys.stderr.flush()
