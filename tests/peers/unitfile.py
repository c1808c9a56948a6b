"""A systemd unit as tests see it: its directives, and which system calls it allows."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict


def sections(text: str) -> dict[str, dict[str, list[str]]]:
    """The directives of a unit by section and name, each with its values in order."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(heading[1], defaultdict(list))
        elif line and not line.startswith(("#", ";")):
            name, equals, value = line.partition("=")
            assert equals, line
            section[name].append(value)
    return found


def words(directives: dict[str, list[str]], name: str) -> list[str]:
    """The words of a directive, of all its lines."""
    return [word for line in directives[name] for word in line.split()]


def system_calls(directives: dict[str, list[str]]) -> set[str]:
    """The system calls that a section's SystemCallFilter= allows, groups as systemd on this host has them.

    The first line says that it is a list of what is allowed; each line adds, or takes away behind ``~``
    (systemd.exec(5)). What @default has is always allowed.
    """
    allowed = _group("@default")
    for line in directives["SystemCallFilter"]:
        named = set().union(*(_group(word) for word in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def _group(name: str) -> set[str]:
    """The system calls of a group, and of the groups in it."""
    if not name.startswith("@"):
        return {name.partition(":")[0]}
    argv = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(_group(line) for line in lines if line and not line.startswith("#")))
