"""Makes a fresh machine ready: system packages where root may install them, ``.venv``, and vecwire in it.

Run by ``make``, with nothing but Python's standard library: ``python3 tools/prepare.py GOAL [GOAL...]``. A
goal is an extra of ``pyproject.toml`` (test, lint, docs, bench, fuzz), ``peers`` for the programs that the
tests run against, ``sanitizers`` for clang and what its sanitizers need, or ``valgrind``. What is there
already is left alone, so a second run takes no time; the package is built anew when its sources change.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "prepared"
OLDEST = (3, 11)
EXTRAS = ("test", "lint", "docs", "bench", "fuzz")
OTHERS = ("peers", "sanitizers", "valgrind")
MADE_BY_BUILDING = ("__pycache__", ".egg-info")
BUILT_FROM = ("pyproject.toml", "setup.py", "src", "README.md", "LICENSE")

#: The programs that tests run against, and Debian's packages for them.
PEERS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ping": "iputils-ping",
    "ethtool": "ethtool",
    "iperf3": "iperf3",
    "tshark": "tshark",
    "tcpdump": "tcpdump",
    "socat": "socat",
    "linux.uml": "user-mode-linux",
    "qemu-system-x86_64": "qemu-system-x86",
    "systemd-analyze": "systemd",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "systemd-socket-activate": "systemd",
}

#: What builds with sanitizers, and tells where in the source a fault is; Debian's packages for them.
SANITIZERS = {"clang": "clang", "llvm-symbolizer": "llvm"}


def say(text: str) -> None:
    """Tells what is being done, where the person is looking."""
    print(f"vecwire: {text}", flush=True)  # noqa: T201  (this is a program for a terminal)


def missing_build_packages() -> set[str]:
    """Debian's packages that are wanting for a virtual environment and a compiler."""
    wanted: set[str] = set()
    # What setuptools will call.
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        wanted |= {"gcc", "libc6-dev"}
    if not Path("/usr/include/linux/if_packet.h").exists():
        wanted |= {"libc6-dev", "linux-libc-dev"}
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        wanted.add("python3-dev")
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        wanted.add("python3-venv")
    return wanted


def missing_peers() -> set[str]:
    """Debian's packages of the peers that are not installed."""
    return {package for program, package in PEERS.items() if shutil.which(program) is None}


def missing_sanitizers() -> set[str]:
    """Debian's packages for building with sanitizers that are not installed."""
    wanted = {package for program, package in SANITIZERS.items() if shutil.which(program) is None}
    if "clang" not in wanted:
        name = f"libclang_rt.asan-{platform.machine()}.so"
        command = ["clang", f"-print-file-name={name}"]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
        if Path(found.stdout.strip()).is_absolute():
            return wanted
    return {*wanted, "libclang-rt-dev"}


def install(packages: set[str], why: str, *, needed: bool) -> None:
    """Installs Debian's packages, or says how to where that is not allowed here."""
    if not packages:
        return
    names = sorted(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        say(f"{why} are missing; as root: apt-get install {' '.join(names)}")
        if needed:
            raise SystemExit(77)
        return
    say(f"installing {' '.join(names)} ({why})")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *names],
    ):
        done = subprocess.run(  # noqa: S603  (the commands are written here)
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            say(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            raise SystemExit(1)


def interpreter() -> str:
    """Which Python runs this, and would run what is installed."""
    return f"{Path(sys.executable).resolve()}-{'.'.join(map(str, sys.version_info[:3]))}"


def fingerprint(extras: list[str]) -> str:
    """What the installed package was built from, and with what beside it."""
    digest = hashlib.sha256(f"{interpreter()} {extras}".encode())
    for top in BUILT_FROM:
        path = ROOT / top
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not any(part.endswith(MADE_BY_BUILDING) for part in file.parts):
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def prepare_venv(extras: list[str]) -> None:
    """Makes ``.venv`` and installs vecwire in it, built as a wheel would be."""
    known = STAMP.read_text(encoding="utf-8").split("\n") if STAMP.exists() else []
    same = known[:1] == [interpreter()] and works()
    extras = sorted({*extras, *known[2:]}) if same else sorted(set(extras))
    stamp = [interpreter(), fingerprint(extras), *extras]
    if same and known == stamp:
        return
    if not same:
        say("making .venv")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)  # noqa: S603
    what = f".[{','.join(extras)}]" if extras else "."
    say(f"building and installing {what} (about a minute)")
    # What an earlier build has copied would be installed again, modules that are no more included.
    for left in (*ROOT.glob("build/lib*"), *ROOT.glob("build/bdist*"), *ROOT.glob("src/*.egg-info")):
        shutil.rmtree(left)
    subprocess.run(  # noqa: S603
        [str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", what],
        cwd=ROOT,
        check=True,
    )
    STAMP.write_text("\n".join(stamp), encoding="utf-8")


def works() -> bool:
    """Whether the interpreter of ``.venv`` is still there and runs."""
    python = VENV / "bin" / "python"
    if not python.exists():
        return False
    done = subprocess.run([str(python), "-c", "import pip"], capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def main(goals: list[str]) -> None:
    """Makes everything ready for the goals."""
    if sys.version_info < OLDEST:
        raise SystemExit(f"vecwire: Python 3.11 or later is needed; this is {sys.version.split()[0]}")
    unknown = set(goals) - {*EXTRAS, *OTHERS}
    if unknown:
        raise SystemExit(
            f"no such goal: {' '.join(sorted(unknown))}; there are {', '.join((*EXTRAS, *OTHERS))}"
        )
    install(missing_build_packages(), "a compiler and Python's headers", needed=True)
    if "peers" in goals:
        install(missing_peers(), "the programs that tests run against", needed=False)
    if "sanitizers" in goals:
        install(missing_sanitizers(), "clang and its sanitizers", needed=True)
    if "valgrind" in goals and shutil.which("valgrind") is None:
        install({"valgrind"}, "what watches memory", needed=True)
    prepare_venv([goal for goal in goals if goal in EXTRAS])


if __name__ == "__main__":
    main(sys.argv[1:])
