"""Giving up what is no longer needed: capabilities, other users' rights, and the way to gain any.

Theory of operation: the service opens its ports with all that it was started with. From then on it needs
just what opening a port again takes: ``needed`` computes that from the specs. ``keep`` gives up the rest, in
this order: the bounding set, while CAP_SETPCAP is there; the user, with PR_SET_KEEPCAPS so that the permitted
set outlives it; then all sets at once with capset(2). No-new-privileges goes with it, so that no program that
is executed later gains anything.

Capabilities and no-new-privileges belong to a thread, and a new thread has those of the one that starts it.
``keep`` therefore refuses to work beside other threads: call it before any is started.

Sources: capabilities(7), capset(2), prctl(2), linux/capability.h. There is no library for this on PyPI that
is kept up: python-prctl and pyprctl had their last releases in 2020 and 2021.
"""

import contextlib
import ctypes
import errno
import os
import pwd
import re
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from vecwire.errors import PortError, UnsupportedError
from vecwire.spec import Spec
from vecwire.transports._sockets import BUFFER

#: The names of capabilities, by number (linux/capability.h).
NAMES: tuple[str, ...] = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
        *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
        *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
        *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
        *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
        *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
    )
)

CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
PR_SET_KEEPCAPS = 8  # linux/prctl.h
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
#: How long a thread that has ended for Python may take to end for the kernel, in seconds.
PATIENCE = 1.0

_NAMED = re.compile(r"^CAP_\w+")
_MEMORY = (Path("/proc/sys/net/core/rmem_max"), Path("/proc/sys/net/core/wmem_max"))


@dataclass(frozen=True, slots=True)
class Privileges:
    """What this thread may do, as /proc tells it.

    Attributes:
        user: the effective user's number.
        group: the effective group's number.
        groups: the supplementary groups.
        permitted: the capabilities that it may take.
        effective: those in force.
        inheritable: those that a program with file capabilities may inherit.
        ambient: those that every program inherits.
        bounding: the most that any program could gain.
        no_new_privileges: whether no program gains anything.
    """

    user: int
    group: int
    groups: frozenset[int]
    permitted: frozenset[str]
    effective: frozenset[str]
    inheritable: frozenset[str]
    ambient: frozenset[str]
    bounding: frozenset[str]
    no_new_privileges: bool

    @classmethod
    def read(cls) -> "Privileges":
        """Those of the calling thread, now (proc_pid_status(5))."""
        text = Path("/proc/thread-self/status").read_text(encoding="utf-8")
        told = {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}
        return cls(
            user=int(told["Uid"][1]),
            group=int(told["Gid"][1]),
            groups=frozenset(map(int, told["Groups"])),
            permitted=_names(told["CapPrm"]),
            effective=_names(told["CapEff"]),
            inheritable=_names(told["CapInh"]),
            ambient=_names(told["CapAmb"]),
            bounding=_names(told["CapBnd"]),
            no_new_privileges=told["NoNewPrivs"] == ["1"],
        )


def needed(specs: Iterable[Spec], *, force_buffers: bool = True) -> frozenset[str]:
    """The capabilities that it takes to open these specs again, by name.

    Args:
        specs: the specs of all ports.
        force_buffers: whether sockets are to have their large buffers past the host's limits, which takes
            CAP_NET_ADMIN; see ``buffers_are_limited``.
    """
    found: set[str] = set()
    for spec in specs:
        found |= {match.group() for line in spec.requirements if (match := _NAMED.match(line))}
        if force_buffers:
            found.add("CAP_NET_ADMIN")
        if isinstance(getattr(spec, "srcport", None), str):
            # A service's name; its number shows only where it is looked up.
            found.add("CAP_NET_BIND_SERVICE")
        if spec.netns is not None and spec.netns.startswith("/proc/"):
            # Another process's namespace: PTRACE_MODE_READ_FSCREDS of ptrace(2), as namespaces(7) says.
            found.add("CAP_SYS_PTRACE")
    return frozenset(found)


def buffers_are_limited() -> bool:
    """Whether this host's sysctls grant sockets less than they ask for (socket(7)): then force is of use."""
    try:
        return any(int(path.read_text(encoding="ascii")) < BUFFER for path in _MEMORY)
    except (OSError, ValueError):
        return True


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
        _set(before.permitted, before.permitted, "take CAP_SETPCAP")
        for number in range(_count()):
            if _name(number) not in kept:
                _prctl("reduce the bounding set", PR_CAPBSET_DROP, number)
    if account is not None:
        _become(account)
    _prctl("clear the ambient set", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _set(kept, kept, "give up capabilities")
    _prctl("set no-new-privileges", PR_SET_NO_NEW_PRIVS, 1)
    now = Privileges.read()
    _verify(now, before, kept, account, bounded=bounded)
    return now


def _become(account: pwd.struct_passwd) -> None:
    """Becomes another user; the permitted set stays."""
    _prctl("keep capabilities", PR_SET_KEEPCAPS, 1)
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
        _prctl("keep capabilities no more", PR_SET_KEEPCAPS, 0)


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
    """A user's entry in passwd(5).

    Raises:
        PortError: if there is none.
    """
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise PortError(
            f"there is no user {user}",
            errno=errno.ENOENT,
            remedy=f"make it: useradd --system --no-create-home {user}",
        ) from None


def _groups(account: pwd.struct_passwd) -> list[int]:
    """All groups of a user."""
    return sorted(set(os.getgrouplist(account.pw_name, account.pw_gid)))


def _count() -> int:
    """How many capabilities this kernel has."""
    try:
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii")) + 1
    except OSError:
        # The first that the kernel does not know is an error (prctl(2)).
        number = 0
        while number < 64 and _libc().prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
            number += 1
        return number


def _name(number: int) -> str:
    return NAMES[number] if number < len(NAMES) else f"CAP_{number}"


def _names(told: list[str]) -> frozenset[str]:
    """The capabilities of a set that /proc writes in hexadecimal."""
    mask = int(told[0], 16)
    return frozenset(_name(number) for number in range(mask.bit_length()) if mask >> number & 1)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(doing: str, *arguments: int) -> None:
    """Calls prctl(2).

    Raises:
        UnsupportedError: if the kernel refuses.
    """
    # It is a variadic function of longs.
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[1:5]]
    if _libc().prctl(arguments[0], *words) < 0:
        raise _refused(doing)


def _set(effective: Collection[str], permitted: Collection[str], doing: str) -> None:
    """Sets the effective and permitted capabilities, and no inheritable ones (capset(2)).

    Raises:
        UnsupportedError: if the kernel refuses.
    """
    masks = [
        sum(1 << number for number in range(64) if _name(number) in names)
        for names in (effective, permitted, ())
    ]
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    halves = [mask >> shift & 0xFFFF_FFFF for shift in (0, 32) for mask in masks]
    if _libc().capset(header, (ctypes.c_uint32 * 6)(*halves)) != 0:
        raise _refused(doing)


def _refused(doing: str) -> UnsupportedError:
    return UnsupportedError(
        f"cannot {doing}",
        errno=ctypes.get_errno(),
        remedy="let the container's or unit's system call filter allow prctl(2) and capset(2)",
    )
