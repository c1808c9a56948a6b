"""A thread's capabilities and no-new-privileges: read, taken, given up.

Both belong to a thread, and a new thread has those of the one that starts it.

Sources: capabilities(7), capset(2), prctl(2), linux/capability.h. There is no library for this on PyPI that
is kept up: python-prctl and pyprctl had their last releases in 2020 and 2021.
"""

import ctypes
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vecwire.errors import UnsupportedError

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


def count() -> int:
    """How many capabilities this kernel has."""
    try:
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii")) + 1
    except OSError:
        # The first that the kernel does not know is an error (prctl(2)).
        number = 0
        while number < 64 and _libc().prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
            number += 1
        return number


def name_of(number: int) -> str:
    """The name of a capability; one that is newer than this table has its number for a name."""
    return NAMES[number] if number < len(NAMES) else f"CAP_{number}"


def _names(told: list[str]) -> frozenset[str]:
    """The capabilities of a set that /proc writes in hexadecimal."""
    mask = int(told[0], 16)
    return frozenset(name_of(number) for number in range(mask.bit_length()) if mask >> number & 1)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def prctl(doing: str, *arguments: int) -> None:
    """Has the kernel change something of the calling thread.

    Args:
        doing: what for, as in ``cannot {doing}``.
        arguments: the option and what goes with it.

    Raises:
        UnsupportedError: if the kernel refuses.
    """
    # It is a variadic function of longs.
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[1:5]]
    if _libc().prctl(arguments[0], *words) < 0:
        raise _refused(doing)


def set_capabilities(effective: Collection[str], permitted: Collection[str], doing: str) -> None:
    """Sets the effective and permitted capabilities, and no inheritable ones (capset(2)).

    Raises:
        UnsupportedError: if the kernel refuses.
    """
    masks = [
        sum(1 << number for number in range(64) if name_of(number) in names)
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
