"""What a run was measured on: the machine, the kernel, the versions of everybody."""

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

#: How each program is asked for its version; the first line that it prints is kept.
_VERSIONS = {
    "iperf3": ("iperf3", "--version"),
    "QEMU": ("qemu-system-x86_64", "--version"),
    "socat": ("socat", "-V"),
    "UML": ("linux.uml", "--version"),
    "OVS": ("ovs-vswitchd", "--version"),
    "DPDK": ("dpkg-query", "--showformat", "${Version}", "--show", "dpdk-dev"),
    "cc": ("cc", "--version"),
    "iproute2": ("ip", "-V"),
}
_PACKAGES = ("vecwire", "scapy", "Cython", "matplotlib")


def describe() -> dict[str, Any]:
    """Everything that a reader needs to judge, or to repeat, a run."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": _system(),
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "virtual": "hypervisor" in _cpuinfo("flags").split(),
        "load": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
        "versions": {name: found for name, argv in _VERSIONS.items() if (found := _version(argv))}
        | {name: found for name in _PACKAGES if (found := _package(name))},
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two descriptions are of one machine in one state, so that their samples may stand together."""
    return all(one.get(key) == other.get(key) for key in ("kernel", "processor", "processors", "versions"))


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _cpuinfo(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _processor() -> str:
    name = _cpuinfo("model name") or platform.machine()
    numbers = [_cpuinfo(key) for key in ("cpu family", "model", "stepping")]
    return f"{name} ({'/'.join(numbers)})" if all(numbers) else name


def _version(argv: tuple[str, ...]) -> str:
    if shutil.which(argv[0]) is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 # the commands above
            argv, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode:
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return next((line for line in lines if any(letter.isdigit() for letter in line)), "")[:100]


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
