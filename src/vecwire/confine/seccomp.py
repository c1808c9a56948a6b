"""The system calls of threads that read what strangers wrote, and the filter that leaves them no others.

Three answers: what the thread's work needs is allowed; what only somebody who has taken it over would call
ends the process; everything else fails with EPERM, and is logged by the kernel where it audits (dmesg, or
``ausearch -m seccomp``). So a call that nobody has foreseen, of another libc or Python, is an error in one
thread and not the end of the service.

A worker's loop makes a few calls, which are known one by one. What is written in plain Python makes more: the
interpreter may read a module or a line of source at any moment. It is given what reads files and what moves
octets over open descriptors, and beside that what its own work takes: writing files, or answering clients.

libseccomp knows the numbers of each architecture and makes the program. It is called through ctypes: the six
functions have not changed since its version 2.4. Its own Python bindings come with distributions, for their
own interpreter alone; pyseccomp had its last release in 2021.

Sources: seccomp(2), seccomp.h of libseccomp, seccomp_rule_add(3), seccomp_attr_set(3); clone(2), open(2).
"""

import ctypes
import errno
import functools
import os
import termios
from dataclasses import dataclass

from vecwire import host
from vecwire.errors import UnsupportedError

ALLOW = 0x7FFF0000  # linux/seccomp.h
KILL_PROCESS = 0x80000000
FAIL = 0x00050000 | errno.EPERM
ABSENT = 0x00050000 | errno.ENOSYS
_BAD_ARCHITECTURE, _LOG, _SPECULATE, _OPTIMIZE = 2, 6, 7, 8  # enum scmp_filter_attr, seccomp.h
_EQUAL, _MASKED_EQUAL = 4, 7  # enum scmp_compare, seccomp.h
_UNKNOWN = -1  # __NR_SCMP_ERROR, seccomp.h
_PROT_EXEC = 4
_CLONE_THREAD = 0x00010000  # linux/sched.h
_PR_SET_NAME = 15  # linux/prctl.h
#: Flags of open(2) with which nothing is only read: O_ACCMODE, O_CREAT, O_TRUNC, and O_PATH beside them.
_CHANGING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_PATH
_NAMES = ("libseccomp.so.2",)

#: What moves frames, waits, and keeps time.
FRAMES = (
    *("recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "read", "readv", "write", "writev"),
    *("epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "timerfd_settime", "poll", "ppoll"),
    *("clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "restart_syscall"),
    *("sched_getaffinity", "sched_yield", "getcpu"),
)
#: What Python and libc need between batches, and at a thread's end: locks, memory, signals, closing.
AROUND = (
    *("futex", "brk", "munmap", "madvise", "mremap", "close", "fstat", "newfstatat", "statx", "stat"),
    *("rt_sigprocmask", "rt_sigreturn", "sigaltstack", "set_robust_list", "rseq", "getrandom"),
    *("getpid", "gettid", "exit", "exit_group"),
)
#: What the interpreter may call anywhere, beside that: it reads modules, and lines of source for a traceback.
PYTHON = (
    *("read", "readv", "pread64", "write", "writev", "lseek", "fcntl", "poll", "ppoll", "select", "pselect6"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time"),
    *("restart_syscall", "sched_yield", "getcpu", "getrusage", "sysinfo", "uname", "membarrier"),
    *("lstat", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd"),
    *("getuid", "geteuid", "getgid", "getegid", "getppid", "sched_getaffinity"),
)
#: What writes to files that are open, and what makes the next one and does away with the oldest.
FILES = ("fsync", "fdatasync", "ftruncate", "fallocate", "pwrite64", "pwritev")
OPENING = ("open", "openat", "unlink", "unlinkat")
#: What takes clients of a socket that listens already, answers them, and ends them.
CLIENTS = (
    *("accept", "accept4", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown"),
    *("getsockname", "getpeername", "getsockopt", "setsockopt"),
)

#: One rule by an argument of a call: which, mask or None for all of it, value.
Guard = tuple[int, int | None, int]
#: Nothing that could be run.
_MEMORY: tuple[tuple[str, Guard], ...] = (("mmap", (2, _PROT_EXEC, 0)), ("mprotect", (2, _PROT_EXEC, 0)))
#: Reading files; Python asks of each whether it is a terminal.
_READING: tuple[tuple[str, Guard], ...] = (
    ("open", (1, _CHANGING, 0)),
    ("openat", (2, _CHANGING, 0)),
    ("ioctl", (1, None, termios.TCGETS)),
)


@dataclass(frozen=True, slots=True)
class Calls:
    """What a thread may call.

    Attributes:
        names: the calls that it may make, whatever their arguments.
        guarded: others, by what their arguments are; of several rules for one any may hold.
        absent: those that the kernel is to say it does not have, so that libc makes an older one.
    """

    names: tuple[str, ...]
    guarded: tuple[tuple[str, Guard], ...] = ()
    absent: tuple[str, ...] = ()


#: The loop that moves frames; of processors, its own alone.
WORKER = Calls((*FRAMES, *AROUND), (*_MEMORY, ("sched_setaffinity", (0, None, 0))))
#: Writes to descriptors that others have opened.
WRITER = Calls((*AROUND, *PYTHON, *FILES), (*_MEMORY, *_READING))
#: Reads frames from a socket, tells of them, and packs them into files, the next of which it opens itself.
READER = Calls(
    (*AROUND, *PYTHON, *FILES, *OPENING, "getsockopt"),
    (*_MEMORY, ("ioctl", (1, None, termios.TCGETS))),
)
#: Answers clients, each in a thread of its own, which is held to the same. The flags of clone3 are in memory,
#: where no filter sees them.
SERVER = Calls(
    (*AROUND, *PYTHON, *CLIENTS),
    (
        *_MEMORY,
        *_READING,
        ("clone", (0, _CLONE_THREAD, _CLONE_THREAD)),
        ("ioctl", (1, None, termios.FIONBIO)),
        ("prctl", (0, None, _PR_SET_NAME)),
    ),
    absent=("clone3",),
)
#: What none of them calls by mistake.
DEADLY = (
    *("execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise"),
    *("fork", "vfork", "setns", "unshare", "mount", "umount2", "pivot_root", "chroot", "open_tree"),
    *("move_mount", "fsopen", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("keyctl", "add_key", "request_key", "init_module", "finit_module", "delete_module", "kexec_load"),
    *("kexec_file_load", "open_by_handle_at", "pidfd_getfd", "setuid", "setgid", "setreuid", "setregid"),
    *("setresuid", "setresgid", "setgroups", "capset", "reboot", "swapon", "personality", "modify_ldt"),
)


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp`` of seccomp.h."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    """libseccomp, with the functions' types.

    Raises:
        UnsupportedError: if this host has none.
    """
    library = host.library("seccomp", _NAMES, doing="filters of system calls", package="libseccomp2")
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_release.restype = None
    library.seccomp_load.argtypes = (ctypes.c_void_p,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    return library


def apply(calls: Calls = WORKER) -> None:
    """Leaves the calling thread some system calls, for good, and sets its no-new-privileges.

    Threads that it starts, where it may start any, have the filter too.

    Args:
        calls: what it may still call.

    Raises:
        UnsupportedError: if this host has no libseccomp, or its kernel takes no filter.
    """
    library = _library()
    context = library.seccomp_init(FAIL)
    if not context:
        raise UnsupportedError(
            "libseccomp cannot make a filter", errno=errno.ENOMEM, remedy="give the process more memory"
        )
    try:
        # What an old kernel does beside a filter against speculation costs more than the filter.
        for attribute, value in (
            (_BAD_ARCHITECTURE, KILL_PROCESS),
            (_LOG, 1),
            (_SPECULATE, 1),
            (_OPTIMIZE, 2),
        ):
            # Not every version knows each; the filter holds without.
            library.seccomp_attr_set(context, attribute, value)
        for action, names in ((ALLOW, calls.names), (KILL_PROCESS, DEADLY), (ABSENT, calls.absent)):
            for name in names:
                _add(library, context, action, name)
        for name, (argument, mask, value) in calls.guarded:
            whole = _Comparison(argument, _EQUAL, value, 0)
            compared = whole if mask is None else _Comparison(argument, _MASKED_EQUAL, mask, value)
            _add(library, context, ALLOW, name, compared)
        _check(library.seccomp_load(context), "load a filter of system calls")
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, action: int, name: str, *compared: _Comparison) -> None:
    """Adds a rule for one system call, where this architecture has it."""
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == _UNKNOWN:
        # This version of the library is older than the call, and nobody makes it.
        return
    array = (_Comparison * max(1, len(compared)))(*compared)
    _check(library.seccomp_rule_add_array(context, action, number, len(compared), array), f"filter {name}")


def _check(result: int, doing: str) -> None:
    if result < 0:
        raise UnsupportedError(
            f"cannot {doing}",
            errno=-result,
            remedy=f"use a kernel with CONFIG_SECCOMP_FILTER; {os.strerror(-result)}",
        )
