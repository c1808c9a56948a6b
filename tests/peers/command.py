"""The `vecwire` command as tests run it: as this user, and as one who is nobody special."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import vecwire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOBODY = 65534


def vecwire_command(*arguments: str) -> list[str]:
    """The command that runs `vecwire` with the arguments, by the interpreter of the test."""
    return [sys.executable, "-m", "vecwire", *arguments]


def ordinary(argv: Sequence[str], *, tun: bool = False) -> list[str]:
    """The command that runs `argv` as an ordinary user without any capability, where `reachable` shows.

    Args:
        argv: A command.
        tun: Whether /dev/net/tun is open.
    """
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return reachable(["setpriv", *user, "--inh-caps=-all", "--bounding-set=-all", *argv], tun=tun)


def reachable(argv: Sequence[str], *, tun: bool = False) -> list[str]:
    """The command that runs `argv` where an ordinary user finds all that it needs.

    It sees the host through a mount namespace in which the interpreter can be reached, even where that is
    in the home directory of root, and /dev/net/tun is open to everyone or to nobody.

    Args:
        argv: A command.
        tun: Whether /dev/net/tun is open.
    """
    lines = [
        "set -e",
        "mount -t tmpfs -o mode=755,dev tmpfs /mnt",
        *uncover(),
        "mknod -m 666 /mnt/tun c 10 200" if tun else "install -m 600 /dev/null /mnt/tun",
        "mount --bind /mnt/tun /dev/net/tun",
        "cd /",
        f"exec {shlex.join(argv)}",
    ]
    return ["unshare", "--mount", "--", "sh", "-c", "\n".join(lines)]


@functools.cache
def users_may_have_namespaces() -> bool:
    """Whether an ordinary user may make user namespaces on this host."""
    argv = ordinary(["unshare", "--user", "--map-root-user", "--net", "true"])
    return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


def uncover() -> Iterator[str]:
    """The commands that make what a test needs reachable for everyone, and nothing else beside it."""
    package = Path(vecwire.__file__).resolve().parent
    needed = {Path(sys.prefix), Path(sys.base_prefix), package.parent}
    closed: dict[Path, list[Path]] = {}
    for path in sorted(needed):
        barred = next((each for each in reversed(path.parents) if not each.stat().st_mode & 1), None)
        if barred is not None:
            closed.setdefault(barred, []).append(path)
    for barred, paths in closed.items():
        kept = [f"/mnt/{index}-{path.name}" for index, path in enumerate(paths)]
        for path, keep in zip(paths, kept, strict=True):
            yield f"mkdir {keep}; mount --bind {os.fspath(path)} {keep}"
        yield f"mount -t tmpfs -o mode=755 tmpfs {os.fspath(barred)}"
        for path, keep in zip(paths, kept, strict=True):
            yield f"mkdir -p {os.fspath(path)}; mount --bind {keep} {os.fspath(path)}"
