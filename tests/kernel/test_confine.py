"""What a worker may not do: its capabilities, its system calls, and who else is touched."""

from __future__ import annotations

import errno
import json
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from peers.command import vecwire_command
from peers.net import Namespace, veth
from vecwire.capture import CaptureWriter, Form
from vecwire.confine import seccomp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background

#: Has a worker call what it is told, as code that has taken it over would, and tells what came of that.
SUBVERTED = """
import ctypes, json, os, signal, socket, subprocess, sys, threading
from vecwire.confine import Seccomp
from vecwire.engine import Engine

def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
attempts, told = json.loads(sys.argv[1]), {}
with Engine(confine=Seccomp.REQUIRE) as engine:
    over = threading.Event()
    def attempt():
        for name, code in attempts.items():
            try:
                exec(code)
                told[name] = "done"
            except OSError as error:
                told[name] = error.errno
            except RuntimeError as error:
                told[name] = str(error)
        over.set()
    engine.worker.post(attempt)
    over.wait()
    print(json.dumps(told))
"""
#: What fails, and the worker lives.
REFUSED = {
    "open": "os.open('/etc/passwd', os.O_RDONLY)",
    "create": "os.open('/tmp/subverted', os.O_CREAT | os.O_WRONLY)",
    "socket": "socket.socket()",
    "socketpair": "socket.socketpair()",
    "connect": "there.connect('/run/nobody')",
    "bind": "there.bind('/tmp/subverted')",
    "setsockopt": "there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)",
    "sendto": "there.sendto(b'x', '/run/nobody')",
    "kill": "os.kill(os.getppid(), 0)",
    "tgkill": "signal.pthread_kill(threading.main_thread().ident, 0) or os.kill(os.getpid(), 0)",
    "unlink": "os.unlink('/tmp/subverted')",
    "chmod": "os.chmod('/tmp', 0o777)",
    "pipe": "os.pipe()",
    "dup": "os.dup(1)",
    "readlink": "os.readlink('/proc/self/exe')",
    "prctl": "call('prctl', 15, b'x', 0, 0, 0)",
    "pin-another": "os.sched_setaffinity(os.getppid(), {0})",
    "executable-memory": "call('mprotect', ctypes.c_void_p(id(told) & ~0xFFF), 4096, 7)",
}
#: What ends the process.
DEADLY = {
    "execve": "os.execv('/bin/true', ['true'])",
    "ptrace": "call('ptrace', 0, 0, 0, 0)",
    "process_vm_readv": "call('process_vm_readv', os.getppid(), None, 0, None, 0, 0)",
    "unshare": "call('unshare', 0x10000000)",
    "setns": "call('setns', 0, 0)",
    "setuid": "call('syscall', ctypes.c_long(105), 0)",
    "mount": "call('mount', b'none', b'/mnt', b'tmpfs', 0, None)",
}


def subverted(attempts: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A process whose worker attempts something."""
    command = [sys.executable, "-c", SUBVERTED, json.dumps(attempts)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_worker_that_is_taken_over_may_not() -> None:
    """What no loop needs fails with EPERM, and the process goes on."""
    done = subverted(REFUSED)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(REFUSED, errno.EPERM)


def test_a_worker_starts_no_thread() -> None:
    """A thread of a worker's would be of no use to anybody, and cannot be had."""
    done = subverted({"thread": "threading.Thread(target=print).start()"})
    assert "can't start new thread" in json.loads(done.stdout)["thread"]


@pytest.mark.parametrize("name", DEADLY)
def test_a_worker_that_is_taken_over_ends_the_process(name: str) -> None:
    """What only an intruder calls ends the process at once, by SIGSYS: its supervisor starts it anew."""
    done = subverted({name: DEADLY[name]})
    assert done.returncode == -signal.SIGSYS
    assert not done.stdout


def test_fork_is_no_way_out() -> None:
    """No process is made, by whatever name."""
    done = subverted({"fork": "os.fork()"})
    assert done.returncode == -signal.SIGSYS or json.loads(done.stdout) == {"fork": errno.EPERM}


def told_of_threads(mode: str) -> dict[str, dict[str, list[str]]]:
    """The status of each thread of a process that runs an engine, by the thread's name."""
    script = f"""
        import json, threading
        from pathlib import Path
        from vecwire.confine import Seccomp
        from vecwire.engine import Engine

        with Engine(confine={mode}) as engine:
            told = {{}}
            for thread in threading.enumerate():
                text = Path(f"/proc/self/task/{{thread.native_id}}/status").read_text()
                lines = [line.partition(":") for line in text.splitlines()]
                told[thread.name] = {{name: value.split() for name, _, value in lines}}
            print(json.dumps(told))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    told: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(("mode", "filtered"), [("Seccomp.ON", "2"), ("Seccomp.OFF", "0")])
def test_the_worker_has_nothing_and_others_keep_theirs(mode: str, filtered: str) -> None:
    """The worker's thread has no capability; the main thread and the keeper have what they had."""
    told = told_of_threads(mode)
    worker = told["vecwire-worker"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(worker[name][0], 16) == 0
    assert (worker["NoNewPrivs"], worker["Seccomp"]) == (["1"], [filtered])
    own = Path("/proc/self/status").read_text(encoding="utf-8")
    mine = next(line.split()[1] for line in own.splitlines() if line.startswith("CapEff"))
    for thread in ("MainThread", "vecwire-keeper"):
        assert told[thread]["CapEff"] == [mine]
        assert (told[thread]["NoNewPrivs"], told[thread]["Seccomp"]) == (["0"], ["0"])


def test_a_library_leaves_its_program_alone() -> None:
    """Unless it is asked to, an engine takes nothing from its thread."""
    told = told_of_threads("None")
    assert told["vecwire-worker"]["CapEff"] == told["MainThread"]["CapEff"]
    assert told["vecwire-worker"]["Seccomp"] == ["0"]


@pytest.mark.parametrize(("mode", "started"), [("ON", True), ("REQUIRE", False)])
def test_a_host_without_the_library_is_told(mode: str, started: bool) -> None:
    """Without libseccomp the engine runs and logs the remedy; where it is required it does not start."""
    script = f"""
        import ctypes.util, json, logging, sys
        from vecwire.confine import Seccomp, seccomp
        from vecwire.engine import Engine
        from vecwire.errors import UnsupportedError

        logging.basicConfig(stream=sys.stderr)
        seccomp._NAMES = ("libnothere.so.2",)
        ctypes.util.find_library = lambda name: None
        try:
            with Engine(confine=Seccomp.{mode}) as engine:
                print(json.dumps(engine.running))
        except UnsupportedError as error:
            print(json.dumps(False))
            print(error.remedy, file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert json.loads(done.stdout) is started
    assert "apt-get install libseccomp2" in done.stderr


@pytest.mark.parametrize("calls", [seccomp.WORKER, seccomp.WRITER, seccomp.READER, seccomp.SERVER])
def test_no_call_is_both_allowed_and_deadly(calls: seccomp.Calls) -> None:
    """Each system call has one answer, and every name is one that libseccomp knows."""
    guarded = {name for name, _ in calls.guarded}
    allowed = {*calls.names, *calls.absent, *guarded}
    assert len(allowed) == len(calls.names) + len(calls.absent) + len(guarded)
    assert not allowed & set(seccomp.DEADLY)
    library = seccomp._library()
    assert not [
        name
        for name in (*allowed, *seccomp.DEADLY)
        if library.seccomp_syscall_resolve_name(name.encode()) == -1
    ]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may write to, with a capture of one frame."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o777)
        with (made / "there.pcap").open("wb") as file:
            CaptureWriter(file, Form.PCAP).write(bytes(60), 0)
        yield made


@pytest.fixture
def host() -> Any:
    """A namespace with a veth pair."""
    with Namespace("confine", ipv6=False) as namespace:
        veth((namespace, "left0"), (namespace, "right0"))
        yield namespace


def statuses(running: Background) -> dict[str, dict[str, list[str]]]:
    """The status of each thread of a command, by its number; the main thread's as ``main``."""
    pid = running.process.pid
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = task.joinpath("status").read_text(encoding="utf-8")
        name = "main" if task.name == str(pid) else task.name
        found[name] = {k: v.split() for k, _, v in (line.partition(":") for line in text.splitlines())}
    return found


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["cable", "raw,ifname=left0", "bess,listen=@a"], {12, 13}),
        (["cable", "--drop", "raw,ifname=left0", "bess,listen=@a"], set()),
        (["switch", "--user", "nobody", "--drop", "raw,ifname=left0", "bess,listen=@a"], set()),
        (["sink", "raw,ifname=left0"], {12, 13}),
        (["sink", "--user", "nobody", "--drop", "raw,ifname=left0"], set()),
        (["blast", "--drop", "raw,ifname=left0"], set()),
        (["dump", "--json", "raw,ifname=left0"], {12, 13}),
        (["dump", "--json", "raw,ifname=left0", "-w", "FOLDER/made.pcap"], {1, 12, 13}),
        (["dump", "--json", "--drop", "raw,ifname=left0", "-w", "FOLDER/made.pcap"], set()),
        (["dump", "--json", "--user", "nobody", "raw,ifname=left0", "-w", "FOLDER/made.pcap"], {12, 13}),
        (
            ["replay", "--json", "FOLDER/there.pcap", "--loop", "0", "--rate", "10", "raw,ifname=left0"],
            {1, 12, 13},
        ),
        (
            [
                "replay",
                "--json",
                "--drop",
                "FOLDER/there.pcap",
                "--loop",
                "0",
                "--rate",
                "10",
                "raw,ifname=left0",
            ],
            set(),
        ),
        (["replay", "--json", "-", "raw,ifname=left0"], {12, 13}),
    ],
)
def test_commands_keep_what_opening_again_takes(
    arguments: list[str], kept: set[int], host: Namespace, folder: Path
) -> None:
    """After opening no other capability is left, in no set, and no program gains any; files need one more."""
    limited = any(
        int(Path(f"/proc/sys/net/core/{name}").read_text(encoding="ascii")) < 4 * 1024 * 1024
        for name in ("rmem_max", "wmem_max")
    )
    wanted = sum(1 << number for number in kept - (set() if limited else {12}))
    arguments = [each.replace("FOLDER", str(folder)) for each in arguments]
    with host.popen(vecwire_command(*arguments), name=arguments[0], stdin=True) as running:
        if "--json" in arguments:
            running.wait_for_event("ready")
        else:
            running.wait_for_text("ready\n")
        main = statuses(running)["main"]
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert int(main[name][0], 16) == wanted, name
        assert main["NoNewPrivs"] == ["1"]
        if "nobody" in arguments:
            assert main["Uid"] == [str(pwd.getpwnam("nobody").pw_uid)] * 4


@pytest.mark.parametrize("command", ["sink", "blast"])
@pytest.mark.parametrize(("mode", "filtered"), [("require", "2"), ("off", "0")])
def test_the_thread_of_a_blast_and_of_a_sink_is_a_worker(
    command: str, mode: str, filtered: str, host: Namespace
) -> None:
    """The one thread beside the main one has no capability, gains none, and has its system calls alone."""
    with host.popen(vecwire_command(command, "--seccomp", mode, "raw,ifname=left0"), name=command) as running:
        running.wait_for_text("ready\n")
        told = statuses(running)
        assert told.pop("main")["Seccomp"] == ["0"]
        (worker,) = told.values()
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(worker[name][0], 16) == 0
        assert (worker["NoNewPrivs"], worker["Seccomp"]) == (["1"], [filtered])


def judged(output: str) -> int:
    """How many frames a sink has told of last."""
    told = [json.loads(line) for line in output.rpartition("\n")[0].splitlines()]
    return max((event["frames"] for event in told if event["event"] == "stats"), default=0)


#: A thread that may open nothing, and events to see what it does.
HELD = ("--seccomp", "require", "--verbose", "--json", "--stats", "0.1")


def test_a_lost_sink_comes_back(host: Namespace) -> None:
    """What is lost is opened again by the main thread, and frames are judged as before."""
    with host.popen(vecwire_command("sink", *HELD, "raw,ifname=left0"), name="sink") as sink:
        sink.wait_for_event("ready")
        host.ip("link del left0")
        veth((host, "left0"), (host, "right0"))
        sink.wait_for_text("is back")
        sent = host.run(vecwire_command("blast", "--count", "500", "--rate", "5000", "raw,ifname=right0"))
        assert "500" in sent.stdout
        sink.wait_for(
            lambda output, _: True if judged(output) == 500 else None, timeout=30, what="all are judged"
        )


def test_a_lost_blast_comes_back(host: Namespace) -> None:
    """The main thread of a blast takes its first client, and the next one when that has gone."""
    with host.popen(vecwire_command("blast", *HELD, "bess,listen=@blast"), name="blast") as blast:
        blast.wait_for_event("ready")
        for _ in range(2):
            with host.enter(), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.settimeout(10)
                client.connect("\0blast")
                for _ in range(100):
                    assert len(client.recv(2048)) == 60


#: Runs the command on a host that has no libseccomp.
WITHOUT_SECCOMP = """
import ctypes.util, runpy
from vecwire.confine import seccomp
seccomp._NAMES = ("libnothere.so.2",)
ctypes.util.find_library = lambda name: None
runpy.run_module("vecwire", run_name="__main__")
"""


@pytest.mark.parametrize("command", ["sink", "blast"])
def test_a_thread_that_cannot_be_held_is_told_before_it_is_ready(command: str, host: Namespace) -> None:
    """Where filters are required and there are none, nothing is said to be ready, and the remedy is told."""
    arguments = [command, "--seccomp", "require", "--duration", "5", "raw,ifname=left0"]
    done = host.run([sys.executable, "-c", WITHOUT_SECCOMP, *arguments], check=False)
    assert done.returncode == 77
    assert "ready" not in done.stdout
    assert "apt-get install libseccomp2" in done.stderr


def test_a_lost_port_comes_back_with_confined_workers(host: Namespace) -> None:
    """The keeper has what it takes, though the worker that tells it of a loss has nothing."""
    with host.popen(
        vecwire_command("cable", "--seccomp", "require", "-v", "raw,ifname=left0", "bess,listen=@a")
    ) as (running):
        running.wait_for_text("ready\n")
        workers = [
            each for name, each in statuses(running).items() if name != "main" and each["Seccomp"] == ["2"]
        ]
        assert [each["CapPrm"] for each in workers] == [["0000000000000000"]]
        host.ip("link del left0")
        running.wait_for_text("is down")
        veth((host, "left0"), (host, "right0"))
        running.wait_for_text("is back")
