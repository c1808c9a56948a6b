"""What each thread of a service may do, as /proc tells it, and what becomes of those that are taken over."""

from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.command import vecwire_command
from peers.net import Namespace, veth, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background

METRICS = 9477
#: The threads that open ports, or have others do so; what they read is the kernel's, or of who is trusted.
#: The main thread's name is its program's.
OPENING = {"main", "vecwire-keeper", "vecwire-guard", "vecwire-call"}
#: The threads that read what strangers wrote: workers, copies and files of two ports, metrics and a client's.
READING = {
    "vecwire-worker0": 1,
    "vecwire-worker1": 1,
    "vecwire-copies": 2,
    "vecwire-disk": 2,
    "vecwire-metrics": 2,
}
SERVICE = f"""
[service]
workers = 2
metrics = "127.0.0.1:{METRICS}"
control = "FOLDER/control"

[ports]
left = {{ spec = "raw,ifname=left0", trace = true, capture = "FOLDER/left.pcapng" }}
tap = {{ spec = "tap,ifname=tap0", capture = "FOLDER/tap.pcap" }}
away = "raw,ifname=away0,netns=AWAY"
guest = "bess,listen=@confined"

[cables]
one = ["left", "tap"]
two = ["away", "guest"]
"""


@pytest.fixture
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Namespace, Background]]:
    """A service with everything that has threads, held as the parameter says; and its namespace."""
    with Namespace("confined", ipv6=False) as here, Namespace("confined-away", ipv6=False) as away:
        veth((here, "left0"), (here, "left1"))
        veth((away, "away0"), (away, "away1"))
        here.tap("tap0")
        path = tmp_path / "service.toml"
        text = SERVICE.replace("FOLDER", str(tmp_path)).replace("AWAY", str(away.path))
        path.write_text(text, encoding="utf-8")
        with here.popen(
            vecwire_command("run", "-v", "--seccomp", request.param, str(path)), name="run"
        ) as running:
            running.wait_for_text("ready\n")
            yield here, running


def threads(pid: int) -> list[tuple[str, dict[str, list[str]]]]:
    """The threads of a process: their names, and what /proc/PID/task/TID/status says."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = task.joinpath("comm").read_text(encoding="utf-8").strip()
            text = task.joinpath("status").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        status = {k: v.split() for k, _, v in (line.partition(":") for line in text.splitlines())}
        found.append(("main" if task.name == str(pid) else name, status))
    return found


@pytest.mark.parametrize(("service", "filtered"), [("require", "2"), ("off", "0")], indirect=["service"])
def test_every_thread_that_reads_what_strangers_wrote_has_nothing(
    service: tuple[Namespace, Background], filtered: str
) -> None:
    """All but those that open ports have no capability, gain none, and have their own system calls alone."""
    here, running = service
    with here.enter(), socket.create_connection(("127.0.0.1", METRICS)) as client:
        client.sendall(b"GET /metrics HT")

        def all_there() -> list[tuple[str, dict[str, list[str]]]] | None:
            found = threads(running.process.pid)
            names = [name for name, _ in found]
            return found if all(names.count(name) == many for name, many in READING.items()) else None

        found = wait_until(all_there, timeout=20, what=f"the threads are {READING}")
        assert {name for name, _ in found} <= OPENING | set(READING)
        for name, status in found:
            sets = [int(status[each][0], 16) for each in ("CapPrm", "CapEff", "CapInh", "CapAmb")]
            assert status["NoNewPrivs"] == ["1"], name
            if name in READING:
                assert sets == [0, 0, 0, 0], name
                assert status["Seccomp"] == [filtered], name
            else:
                # CAP_SYS_ADMIN, to enter the namespace again.
                assert sets[1] & 1 << 21, name
                assert status["Seccomp"] == ["0"], name


def written(folder: Path, name: str) -> bool:
    """Whether the frame of the test is in a file of a port."""
    return any(b"frame" in each.read_bytes() for each in folder.glob(f"{name}-*"))


@pytest.mark.parametrize("service", ["require"], indirect=True)
def test_threads_that_have_nothing_do_their_work(
    service: tuple[Namespace, Background], tmp_path: Path
) -> None:
    """Frames are told, and written to the files that are begun meanwhile; metrics are answered."""
    here, running = service
    with here.enter():
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("left1", 0))
            sender.send(b"\xff" * 6 + b"\2" * 6 + b"\x88\xb5" + b"frame".ljust(46))
        running.wait_for_text("left: 02:02:02:02:02:02 > ff:ff:ff:ff:ff:ff")
        for name in ("left", "tap"):
            assert wait_until(partial(written, tmp_path, name), timeout=20, what=f"the file of {name} has it")
        for page in (b"/metrics", b"/healthz"):
            with socket.create_connection(("127.0.0.1", METRICS), 20) as client:
                client.sendall(b"GET " + page + b" HTTP/1.0\r\n\r\n")
                assert client.makefile("rb").read().startswith(b"HTTP/1.0 200 OK")


#: Has a thread attempt what it is told, as code that has taken it over would, and tells what came of that.
SUBVERTED = """
import ctypes, json, os, signal, socket, sys, threading
from vecwire import confine
from vecwire.confine import Seccomp, seccomp

def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
calls, attempts, told = sys.argv[1], json.loads(sys.argv[2]), {}

def attempt():
    for name, code in attempts.items():
        try:
            exec(code)
            told[name] = "done"
        except OSError as error:
            told[name] = error.errno
        except RuntimeError as error:
            told[name] = str(error)

def serve():
    client = threading.Thread(target=attempt)
    client.start()
    client.join()

held, _, inner = calls.partition(" ")
thread = threading.Thread(target=serve if inner else attempt)
confine.start(thread, Seccomp.REQUIRE, getattr(seccomp, held))
thread.join()
print(json.dumps(told))
"""
#: What fails in each, and the thread lives.
REFUSED = {
    "socket": "socket.socket()",
    "socketpair": "socket.socketpair()",
    "connect": "there.connect('/run/nobody')",
    "bind": "there.bind('/tmp/subverted')",
    "kill": "os.kill(os.getppid(), 0)",
    "chmod": "os.chmod('/tmp', 0o777)",
    "rename": "os.rename('/tmp/subverted', '/tmp/there')",
    "link": "os.symlink('/tmp/subverted', '/tmp/there')",
    "pin-another": "os.sched_setaffinity(os.getppid(), {0})",
    "dumpable": "call('prctl', 4, 1, 0, 0, 0)",
    "executable-memory": "call('mprotect', ctypes.c_void_p(id(told) & ~0xFFF), 4096, 7)",
    "inject": "call('ioctl', 0, 0x5412, b'x')",
}
#: What none but the threads that open files may.
WRITING = {
    "create": "os.open('/tmp/subverted', os.O_CREAT | os.O_WRONLY)",
    "change": "os.open('/etc/passwd', os.O_WRONLY)",
    "unlink": "os.unlink('/tmp/subverted')",
}
#: What none but the threads that answer clients may.
SERVING = {
    "accept": "socket.socket(fileno=os.dup(0)).accept()",
    "sendto": "there.sendto(b'x', '/run/nobody')",
    "thread": "threading.Thread(target=print).start()",
}
DEADLY = {
    "execve": "os.execv('/bin/true', ['true'])",
    "ptrace": "call('ptrace', 0, 0, 0, 0)",
    "mount": "call('mount', b'none', b'/mnt', b'tmpfs', 0, None)",
    "setns": "call('setns', 0, 0)",
    "unshare": "call('unshare', 0x10000000)",
    "bpf": "call('syscall', ctypes.c_long(321), 0, None, 0)",
    "init_module": "call('syscall', ctypes.c_long(175), None, 0, None)",
    "kexec_load": "call('syscall', ctypes.c_long(246), 0, 0, None, 0)",
}


def subverted(calls: str, attempts: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A process of which a thread that is held to some calls attempts something."""
    command = [sys.executable, "-c", SUBVERTED, calls, json.dumps(attempts)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("calls", "attempts"),
    [
        ("WRITER", REFUSED | WRITING | SERVING),
        ("READER", REFUSED | SERVING),
        ("SERVER", REFUSED | WRITING),
        ("SERVER client", REFUSED | WRITING),
    ],
)
def test_a_thread_that_is_taken_over_may_not(calls: str, attempts: dict[str, str]) -> None:
    """What its work does not take fails with EPERM, no thread is made beside it, and the process goes on."""
    done = subverted(calls, attempts)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    if "thread" in attempts:
        assert "can't start new thread" in told.pop("thread")
    assert told == dict.fromkeys(set(attempts) - {"thread"}, errno.EPERM)


@pytest.mark.parametrize("calls", ["WRITER", "READER", "SERVER"])
def test_a_thread_that_is_taken_over_starts_no_program(calls: str) -> None:
    """A process is made neither to be another program nor to be a copy: that ends, or fails."""
    done = subverted(calls, {"fork": "os.fork()"})
    assert done.returncode == -signal.SIGSYS or json.loads(done.stdout) == {"fork": errno.EPERM}


@pytest.mark.parametrize(
    ("calls", "name"), [*(("SERVER", name) for name in DEADLY), ("WRITER", "execve"), ("READER", "execve")]
)
def test_a_thread_that_is_taken_over_ends_the_process(calls: str, name: str) -> None:
    """What only an intruder calls ends the process at once, by SIGSYS: its supervisor starts it anew."""
    done = subverted(calls, {name: DEADLY[name]})
    assert done.returncode == -signal.SIGSYS
    assert not done.stdout
