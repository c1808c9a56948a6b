"""Starts User Mode Linux on hosts whose processor state is larger than UML 6.1 can hold; run as a file.

Theory of operation. UML keeps the floating-point state of guest processes with PTRACE_GETREGSET and
SETREGSET of NT_X86_XSTATE, in a buffer whose size was fixed when it was compiled: 2696 octets, AVX-512 and
PKRU. Where the processor has AMX the state is 11 KB, the kernel refuses to set less than all of it
(EFAULT), and UML panics before init: "Attempted to kill init". UML asks once, when it starts, whether the
register set works, and otherwise falls back to PTRACE_GETFPREGS, which is the 512 octets of FXSAVE. So this
launcher installs a seccomp filter that answers every PTRACE_GETREGSET with ENODEV, and becomes UML.

The fall-back loses the upper halves of AVX registers at each page fault of a guest process. Guests must
therefore not use them: ``environment`` tells glibc so with GLIBC_TUNABLES.
"""

import ctypes
import errno
import os
import struct
import sys
from pathlib import Path

COMMAND = "linux.uml"
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000
AUDIT_ARCH_X86_64 = 0xC000003E
SYS_PTRACE = 101
PTRACE_GETREGSET = 0x4204
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
# Offsets in struct seccomp_data (linux/seccomp.h): the call, the architecture, the first argument's low half.
_CALL, _ARCH, _ARGUMENT = 0, 4, 16
_FILTER = (
    (_LOAD, 0, 0, _ARCH),
    (_EQUAL, 0, 5, AUDIT_ARCH_X86_64),
    (_LOAD, 0, 0, _CALL),
    (_EQUAL, 0, 3, SYS_PTRACE),
    (_LOAD, 0, 0, _ARGUMENT),
    (_EQUAL, 0, 1, PTRACE_GETREGSET),
    (_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.ENODEV),
    (_RETURN, 0, 0, SECCOMP_RET_ALLOW),
)
_WIDE = (
    "AVX",
    "AVX2",
    "AVX512F",
    "AVX512VL",
    "AVX512BW",
    "FMA",
    "AVX_Fast_Unaligned_Load",
    "XSAVEC",
    "XSAVE",
)


def needed() -> bool:
    """Whether this processor's state is too large."""
    return "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()


def command() -> list[str]:
    """How UML is started here."""
    return [sys.executable, "-I", "-S", __file__, COMMAND] if needed() else [COMMAND]


def environment() -> list[str]:
    """What UML's init gets in its environment, from the end of the command line."""
    return [f"GLIBC_TUNABLES=glibc.cpu.hwcaps={','.join(f'-{name}' for name in _WIDE)}"] if needed() else []


def refuse_getregset() -> None:
    """Makes PTRACE_GETREGSET fail with ENODEV in this process and all it becomes and starts.

    Raises:
        OSError: The kernel takes no filter; it needs CAP_SYS_ADMIN.
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _FILTER)
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(_FILTER), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


if __name__ == "__main__":
    refuse_getregset()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 # it becomes UML, without a shell
