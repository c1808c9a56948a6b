"""Runs a command, the tests for one, on vecwire built with AddressSanitizer and UndefinedBehaviorSanitizer.

``.venv/bin/python tools/asan.py [--as-fuzzed] COMMAND [ARGUMENT...]``: the command is a program of
``.venv/bin``. It fails where the command does, and where any process that it started has left a report,
whether it was a daemon, was killed or had its output thrown away. With ``--as-fuzzed`` the build is the
fuzzer's, which costs nothing after ``make fuzz``: modules that read no octets of strangers are ordinary ones.

Theory of operation: the sanitizers' runtime has to be in a process before all else. Preloading it would put
it into every program that a test runs, iperf3, QEMU and ``ip`` among them, and would be forgotten wherever
the environment is emptied. So there is a virtual environment whose ``python`` is not a link to the usual one
but a program of its own: the few lines of C below, which have the runtime and its options inside and
otherwise do what ``python`` does. Whatever runs Python with vecwire gets it, through ``sys.executable`` or
through a script's first line, and nothing else does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from prepare import VENV, say
from sanitize import READERS, SANITIZERS, build

ASKED = "address,undefined"
#: What the fuzzer's build is asked for by (``fuzzer.py``), on the command line.
AS_FUZZED = "--as-fuzzed"
#: The options of a process. The allocator may fail as malloc does, since tests ask for that. Leaks are looked
#: for where a test asks, not at the end of each process. What was freed is kept for less long than usual:
#: tests watch how much memory there is.
OPTIONS = {
    "leak_check_at_exit": "0",
    "quarantine_size_mb": "64",
    "abort_on_error": "1",
    "allocator_may_return_null": "1",
    "detect_stack_use_after_return": "1",
    "strict_string_checks": "1",
    "print_stacktrace": "1",
}
#: Python as ``python`` is, but that all its memory comes from malloc, between redzones. The sanitizer's is in
#: front of any that is preloaded: so a library that refuses memory (``tests/faults/inject.c``) is asked here.
LAUNCHER = """
#include <Python.h>
#include <dlfcn.h>

#define PLAIN __attribute__((no_sanitize("address", "undefined")))

const char *__asan_default_options(void) { return OPTIONS; }
const char *__ubsan_default_options(void) { return OPTIONS; }

void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t count, size_t size);
void *__interceptor_realloc(void *memory, size_t size);

static int (*refuses)(void *caller);

PLAIN void *malloc(size_t size)
{
    return refuses && refuses(__builtin_return_address(0)) ? NULL : __interceptor_malloc(size);
}

PLAIN void *calloc(size_t count, size_t size)
{
    return refuses && refuses(__builtin_return_address(0)) ? NULL : __interceptor_calloc(count, size);
}

PLAIN void *realloc(void *memory, size_t size)
{
    return refuses && refuses(__builtin_return_address(0)) ? NULL : __interceptor_realloc(memory, size);
}

int main(int argc, char **argv)
{
    PyPreConfig config;

    refuses = dlsym(RTLD_DEFAULT, "vecwire_refuses_memory");
    PyPreConfig_InitPythonConfig(&config);
    config.allocator = PYMEM_ALLOCATOR_MALLOC;
    if (PyStatus_Exception(Py_PreInitializeFromBytesArgs(&config, argc, argv)))
        return 1;
    return Py_BytesMain(argc, argv);
}
"""


def compile_launcher(program: Path, reports: Path) -> None:
    """Compiles the interpreter; it writes its reports into a folder, a file for each process."""
    options = ":".join(f"{name}={value}" for name, value in {**OPTIONS, "log_path": reports / "of"}.items())
    folders = [str(sysconfig.get_config_var(name)) for name in ("LIBDIR", "LIBPL")]
    command = [
        *("clang", f"-fsanitize={ASKED}", "-g", "-x", "c", "-", "-o", str(program)),
        *(f'-DOPTIONS="{options}"', f"-I{sysconfig.get_paths()['include']}", "-rdynamic"),
        *(f"-L{folder}" for folder in folders),
        *(f"-Wl,-rpath,{folders[0]}", f"-lpython{sysconfig.get_config_var('LDVERSION')}", "-lm", "-ldl"),
        # Libraries of others throw: the runtime looks for who does when the process begins, or not at all.
        *("-Wl,--no-as-needed", "-l:libstdc++.so.6"),
    ]
    subprocess.run(command, input=LAUNCHER, text=True, check=True)  # noqa: S603  (written here)


def make_venv(tree: Path, reports: Path) -> Path:
    """Makes the virtual environment of a sanitized tree beside it: the packages are those of ``.venv``.

    Its own folder of packages holds one file, which puts the sanitized tree in front of them.
    """
    venv = tree.parent / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    programs = venv / "bin"
    programs.mkdir(parents=True)
    shutil.copy(VENV / "pyvenv.cfg", venv)
    compile_launcher(programs / "python", reports)
    for alias in ("python3", f"python{sysconfig.get_python_version()}"):
        (programs / alias).symlink_to("python")
    folder = venv / Path(sysconfig.get_paths()["purelib"]).relative_to(sys.prefix)
    folder.mkdir(parents=True)
    (folder / "sanitized.pth").write_text(f"{tree}\n{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
    for script in (VENV / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        first, _, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            (programs / script.name).write_bytes(f"#!{programs / 'python'}\n".encode() + rest)
            (programs / script.name).chmod(0o755)
    return venv


#: The first caller of an allocation is of the compiled modules, behind the allocator of the launcher or not.
_OURS = r"^ +#1 (\S+ in (m|c|re)alloc .*\n +#2 )?.*vecwire/(path|wire)"


def of_concern(report: str) -> str:
    """What of a report is to be shown: all, but of leaks only what the compiled modules have allocated.

    Python and its libraries keep much until the end without a pointer to it.
    """
    if "LeakSanitizer" not in report:
        return report
    leaks = report.split("\n\n")
    return "\n\n".join(leak for leak in leaks if re.search(_OURS, leak, re.MULTILINE))


def main(command: list[str]) -> int:
    """Builds what is not there, runs the command, and shows what was reported."""
    as_fuzzed = command[:1] == [AS_FUZZED]
    command = command[as_fuzzed:]
    if not command:
        raise SystemExit(__doc__)
    asked, only = (SANITIZERS, READERS) if as_fuzzed else (ASKED, "")
    tree = build(asked, python=VENV / "bin" / "python", only=only)
    reports = tree.parent / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    # Some processes of the tests are nobody's.
    reports.chmod(0o1777)
    programs = make_venv(tree, reports) / "bin"
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(programs / command[0]), *command[1:]], env=environment, check=False)  # noqa: S603
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(reports.iterdir())]
    found = [text for text in map(of_concern, texts) if text]
    for text in found:
        say(text[:6000])
    say(f"{len(found)} reports of the sanitizers")
    return done.returncode or bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
