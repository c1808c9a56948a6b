"""Runs a command as systemd would run it by a unit, where systemd is not process 1.

Each restriction of the unit is applied by what the kernel has for it, read from the unit's own text:

- the user, the capability sets and no-new-privileges by setpriv(1);
- the file system by a mount namespace: everything is read-only but the runtime directory and a /tmp of its
  own (ProtectSystem=strict, PrivateTmp), homes are empty but for the interpreter (ProtectHome), and /dev
  has what DevicePolicy=closed and DeviceAllow leave;
- SystemCallFilter, SystemCallArchitectures, RestrictAddressFamilies, RestrictNamespaces and
  MemoryDenyWriteExecute by one seccomp filter, with the answers of systemd's: EPERM, EAFNOSUPPORT, ENOSYS.

What has no part here are the directives about what the service does not touch at all: clocks, logs, modules.
"""

from __future__ import annotations

import base64
import errno
import functools
import platform
import re
import shlex
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

from peers.command import NOBODY, uncover
from peers.unitfile import system_calls, words

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where a confined command may write, and where it finds its file: what RuntimeDirectory and
#: ConfigurationDirectory make, below /mnt, so that nothing is made on the host.
RUNTIME = "/mnt/run"
CONFIG = "/mnt/vecwire.toml"
_READ_ONLY = r"""
findmnt -rno TARGET | grep -vE '^/(dev|proc|sys)(/|$)' | while read -r target; do
  mount -o remount,bind,ro "$(printf %b "$target")" 2>/dev/null || true
done
"""
_LOAD, _EQUAL, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # linux/bpf_common.h
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data, linux/seccomp.h
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
_NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
}  # linux/sched.h
_WRITE, _EXECUTE = 2, 4  # PROT_WRITE, PROT_EXEC
_DEVICES = {"null": "1 3", "zero": "1 5", "full": "1 7", "random": "1 8", "urandom": "1 9"}
_TUN = "10 200"

#: Puts the filter in force, which takes no-new-privileges or CAP_SYS_ADMIN, and becomes the command.
_LAUNCHER = """
import base64, ctypes, os, sys
program = base64.b64decode(sys.argv[1])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
wanted = Program(len(program) // 8, program)
if libc.prctl(22, 2, ctypes.byref(wanted), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[2], sys.argv[2:])
"""


def confined(argv: Sequence[str], directives: dict[str, list[str]], config: str = "") -> list[str]:
    """The command that runs `argv` under the restrictions of a unit's [Service] section.

    Args:
        argv: a command.
        directives: the section.
        config: what the file CONFIG holds.
    """
    filter_text = base64.b64encode(seccomp(directives)).decode()
    launcher = [sys.executable, "-c", _LAUNCHER, filter_text, *argv]
    lines = [
        "set -e",
        "mount -t tmpfs -o mode=755,dev tmpfs /mnt",
        *uncover(),
        *_devices(words(directives, "DeviceAllow")),
        f"printf %s {shlex.quote(config)} > {CONFIG}; chmod 644 {CONFIG}",
        f"mkdir {RUNTIME}",
        # As by systemd, each mount is made read-only by itself; those that are not come afterwards.
        _READ_ONLY,
        *([] if _in_tmp() else ["mount -t tmpfs -o mode=1777 tmpfs /tmp"]),
        f"mount -t tmpfs -o mode=755,uid={NOBODY},gid={NOBODY} tmpfs {RUNTIME}",
        f"cd /; umask {directives['UMask'][0]}",
        f"exec {shlex.join([*_setpriv(directives), *launcher])}",
    ]
    return ["unshare", "--mount", "--", "sh", "-c", "\n".join(lines)]


def seccomp(directives: dict[str, list[str]]) -> bytes:
    """The seccomp filter of a section: struct sock_filter by struct sock_filter."""
    numbers = _numbers()
    parts = [
        _load(_ARCH) + _when(_EQUAL, _AUDIT_ARCH[platform.machine()], negated=True, then=_fail(errno.EPERM)),
        _load(_NUMBER),
    ]
    families = [getattr(socket, name) for name in words(directives, "RestrictAddressFamilies")]
    closed = sum(
        flag for name, flag in _NAMESPACES.items() if name not in words(directives, "RestrictNamespaces")
    )
    known = b"".join(_when(_EQUAL, family, then=_allow()) for family in families)
    checks = {
        "socket": _load(_argument(0)) + known + _fail(errno.EAFNOSUPPORT),
        "unshare": _any_bit_fails(0, closed),
        "clone": _any_bit_fails(0, closed),
        # Its flags are in memory, where a filter cannot look: systemd has programs use clone.
        "clone3": _fail(errno.ENOSYS),
        # Zero is any kind of namespace.
        "setns": _load(_argument(1)) + _when(_EQUAL, 0, then=_fail(errno.EPERM)) + _any_bit_fails(1, closed),
    }
    if directives["MemoryDenyWriteExecute"] == ["yes"]:
        both = struct.pack("=HBBI", _AND, 0, 0, _WRITE | _EXECUTE)
        checks["mmap"] = (
            _load(_argument(2)) + both + _when(_EQUAL, _WRITE | _EXECUTE, then=_fail(errno.EPERM)) + _allow()
        )
        checks["mprotect"] = checks["pkey_mprotect"] = _any_bit_fails(2, _EXECUTE)
    parts += [_when(_EQUAL, numbers[name], then=check) for name, check in checks.items() if name in numbers]
    allowed = sorted(numbers[name] for name in system_calls(directives) - set(checks) if name in numbers)
    parts += [_when(_EQUAL, number, then=_allow()) for number in allowed]
    return b"".join([*parts, _fail(errno.EPERM)])


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _argument(number: int) -> int:
    """Where the lower half of an argument is, on a little-endian machine."""
    return _ARGUMENTS + 8 * number


def _allow() -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW)


def _fail(number: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, _ERRNO | number)


def _when(test: int, value: int, *, then: bytes, negated: bool = False) -> bytes:
    """Does `then`, which ends the filter, if what is loaded passes a test; else goes on behind it."""
    skip = len(then) // 8
    return struct.pack("=HBBI", test, *((skip, 0) if negated else (0, skip)), value) + then


def _any_bit_fails(argument: int, bits: int) -> bytes:
    return _load(_argument(argument)) + _when(_ANY_BIT, bits, then=_fail(errno.EPERM)) + _allow()


@functools.cache
def _numbers() -> dict[str, int]:
    """The numbers of this machine's system calls, as its C headers have them."""
    argv = ["cc", "-dM", "-E", "-"]
    source = "#include <sys/syscall.h>\n"
    text = subprocess.run(argv, input=source, capture_output=True, text=True, check=True, timeout=30).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)\n", text)}


def _devices(allowed: list[str]) -> list[str]:
    """The commands that leave of /dev what a service may use."""
    assert allowed == ["/dev/net/tun", "rw"]
    return [
        "mount -t tmpfs -o mode=755,dev tmpfs /dev",
        "mkdir /dev/net /dev/shm",
        *(f"mknod -m 666 /dev/{name} c {numbers}" for name, numbers in _DEVICES.items()),
        f"mknod -m 666 /dev/net/tun c {_TUN}",
    ]


def _in_tmp() -> bool:
    """Whether the interpreter is in /tmp, which then cannot be an empty one."""
    return any(path.startswith("/tmp/") for path in (sys.executable, sys.prefix, *sys.path))  # noqa: S108


def _setpriv(directives: dict[str, list[str]]) -> list[str]:
    assert directives["DynamicUser"] == directives["NoNewPrivileges"] == ["yes"]
    ambient, bounding = (
        ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in words(directives, directive))
        for directive in ("AmbientCapabilities", "CapabilityBoundingSet")
    )
    return [
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps=-all,{ambient}", f"--ambient-caps=-all,{ambient}", f"--bounding-set=-all,{bounding}"),
    ]
