"""Giving up what is no longer needed: capabilities, other users' rights, and the way to gain any.

Theory of operation: the service opens its ports with all that it was started with. From then on it needs
just what opening a port again takes: ``needed`` computes that from the specs. ``keep`` gives up the rest, in
this order: the bounding set, while CAP_SETPCAP is there; the user, with PR_SET_KEEPCAPS so that the permitted
set outlives it; then all sets at once with capset(2). No-new-privileges goes with it, so that no program that
is executed later gains anything.

Capabilities and no-new-privileges belong to a thread, and a new thread has those of the one that starts it.
``keep`` therefore refuses to work beside other threads: call it before any is started.

Sources: capabilities(7), prctl(2).
"""

import contextlib
import errno
import logging
import os
import pwd
import re
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from vecwire.confine.capabilities import (
    NAMES,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_KEEPCAPS,
    PR_SET_NO_NEW_PRIVS,
    Privileges,
    count,
    name_of,
    prctl,
    set_capabilities,
)
from vecwire.errors import PortError, UnsupportedError
from vecwire.spec import BessSpec, Spec
from vecwire.transports._sockets import BUFFER

logger = logging.getLogger("vecwire.service")

#: How long a thread that has ended for Python may take to end for the kernel, in seconds.
PATIENCE = 1.0

_NAMED = re.compile(r"^CAP_\w+")
_NUMBER = re.compile(r"[0-9]+")
_MEMORY = (Path("/proc/sys/net/core/rmem_max"), Path("/proc/sys/net/core/wmem_max"))


def needed(specs: Iterable[Spec], *, force_buffers: bool = True, root: bool = False) -> frozenset[str]:
    """The capabilities that it takes to open these specs again, by name.

    Args:
        specs: the specs of all ports.
        force_buffers: whether sockets are to have their large buffers past the host's limits, which takes
            CAP_NET_ADMIN; see ``buffers_are_limited``.
        root: whether user 0 goes on, who reaches the sockets of others by CAP_DAC_OVERRIDE.
    """
    found: set[str] = set()
    for spec in specs:
        if spec.fd is not None:
            # What was passed in is never opened.
            continue
        found |= {match.group() for line in spec.requirements if (match := _NAMED.match(line))}
        if force_buffers:
            found.add("CAP_NET_ADMIN")
        if isinstance(getattr(spec, "srcport", None), str):
            # A service's name; its number shows only where it is looked up.
            found.add("CAP_NET_BIND_SERVICE")
        if spec.netns is not None and spec.netns.startswith("/proc/"):
            # Another process's namespace: PTRACE_MODE_READ_FSCREDS of ptrace(2), as namespaces(7) says.
            found.add("CAP_SYS_PTRACE")
        if root and isinstance(spec, BessSpec) and not (spec.dst or spec.listen or "").startswith("@"):
            found.add("CAP_DAC_OVERRIDE")
    return frozenset(found)


def buffers_are_limited() -> bool:
    """Whether this host's sysctls grant sockets less than they ask for (socket(7)): then force is of use."""
    try:
        return any(int(path.read_text(encoding="ascii")) < BUFFER for path in _MEMORY)
    except (OSError, ValueError):
        return True


def keep_needed(specs: Iterable[Spec], user: str | None = None, *, files: bool = False) -> Privileges:
    """Gives up what it does not take to open these specs again, becomes another user, and says so in the log.

    Args:
        specs: the specs of all ports.
        user: the user to become; None stays who it is.
        files: whether files are opened later: root, where it goes on, reaches those of others by
            CAP_DAC_OVERRIDE.

    Returns:
        What the process may do now.

    Raises:
        PortError: if there is no such user.
        UnsupportedError: if the kernel refuses, or what was given up is still there.
        RuntimeError: if other threads run already.
    """
    root = user is None and os.geteuid() == 0
    kept = needed(specs, force_buffers=buffers_are_limited(), root=root)
    now = keep(kept | {"CAP_DAC_OVERRIDE"} if files and root else kept, user)
    logger.info("goes on as user %d with %s", now.user, ", ".join(sorted(now.effective)) or "no capability")
    if now.user == 0:
        logger.info("user 0 owns what root owns, without any capability: another user (--user) would not")
    return now


def keep(capabilities: Collection[str], user: str | None = None) -> Privileges:
    """Gives up every capability but these, and becomes another user, for good.

    A capability that the process does not have is not missed: what an ordinary user has is enough for some
    ports. The bounding set is reduced where the process has CAP_SETPCAP; where it has not, no-new-privileges
    alone keeps programs from gaining anything.

    Args:
        capabilities: those to keep, by name.
        user: the user to become, with that user's groups; None stays who it is.

    Returns:
        What the process may do now.

    Raises:
        PortError: if there is no such user.
        UnsupportedError: if the kernel refuses, or what was given up is still there.
        RuntimeError: if other threads run already: they would keep everything.
        ValueError: if a capability's name is not known.
    """
    if strange := set(capabilities) - set(NAMES):
        raise ValueError(f"no such capability: {', '.join(sorted(strange))}")
    _be_alone()
    account = None if user is None else account_of(user)
    before = Privileges.read()
    kept = before.permitted & frozenset(capabilities)
    bounded = "CAP_SETPCAP" in before.permitted
    if bounded:
        # Permitted is not yet in force where the process was started as an ordinary user.
        set_capabilities(before.permitted, before.permitted, "take CAP_SETPCAP")
        for number in range(count()):
            if name_of(number) not in kept:
                prctl("reduce the bounding set", PR_CAPBSET_DROP, number)
    if account is not None:
        _become(account)
    prctl("clear the ambient set", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    set_capabilities(kept, kept, "give up capabilities")
    prctl("set no-new-privileges", PR_SET_NO_NEW_PRIVS, 1)
    now = Privileges.read()
    _verify(now, before, kept, account, bounded=bounded)
    return now


def _become(account: pwd.struct_passwd) -> None:
    """Becomes another user; the permitted set stays."""
    prctl("keep capabilities", PR_SET_KEEPCAPS, 1)
    try:
        os.setgroups(_groups(account))
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except OSError as error:
        raise UnsupportedError(
            f"cannot become the user {account.pw_name}",
            errno=error.errno,
            remedy="start as root, or as that user and without the option user",
        ) from error
    finally:
        prctl("keep capabilities no more", PR_SET_KEEPCAPS, 0)


def _verify(
    now: Privileges,
    before: Privileges,
    kept: frozenset[str],
    account: pwd.struct_passwd | None,
    *,
    bounded: bool,
) -> None:
    """Compares what /proc says with what was meant.

    Raises:
        UnsupportedError: if they differ.
    """
    wished = Privileges(
        user=before.user if account is None else account.pw_uid,
        group=before.group if account is None else account.pw_gid,
        groups=before.groups if account is None else frozenset(_groups(account)),
        permitted=kept,
        effective=kept,
        inheritable=frozenset(),
        ambient=frozenset(),
        bounding=before.bounding & kept if bounded else before.bounding,
        no_new_privileges=True,
    )
    if now != wished:
        wrong = [name for name in Privileges.__slots__ if getattr(now, name) != getattr(wished, name)]
        raise UnsupportedError(
            f"privileges were not given up: {', '.join(wrong)}",
            remedy="see Cap and NoNewPrivs in /proc/self/status, and what started the service",
        )


def _be_alone() -> None:
    """Makes sure that the process has one thread.

    A thread that Python has joined may be about to end for the kernel still; it is waited for.

    Raises:
        RuntimeError: if there are others.
    """
    deadline = time.monotonic() + PATIENCE
    tasks = Path("/proc/self/task")
    while len(list(tasks.iterdir())) > 1:
        if threading.active_count() > 1 or time.monotonic() >= deadline:
            names = [_comm(task) for task in tasks.iterdir()]
            raise RuntimeError(
                f"privileges are given up before threads are started; there are {', '.join(sorted(names))}"
            )
        time.sleep(0.001)


def _comm(task: Path) -> str:
    """A thread's name, for an error's text."""
    with contextlib.suppress(OSError):
        return task.joinpath("comm").read_text(encoding="utf-8").strip()
    return task.name


def account_of(user: str) -> pwd.struct_passwd:
    """A user's entry in passwd(5), by name or by number; what is both is a name, as for chown(1).

    Raises:
        PortError: if there is none.
    """
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(user)
    if not _NUMBER.fullmatch(user):
        remedy = f"make it: useradd --system --no-create-home {user}"
        raise PortError(f"there is no user {user}", errno=errno.ENOENT, remedy=remedy)
    try:
        return pwd.getpwuid(int(user))
    except KeyError:
        raise PortError(
            f"no user has the number {user}",
            errno=errno.ENOENT,
            remedy="name a user who is there (getent passwd): the number alone does not say which groups",
        ) from None


def _groups(account: pwd.struct_passwd) -> list[int]:
    """All groups of a user."""
    return sorted(set(os.getgrouplist(account.pw_name, account.pw_gid)))
