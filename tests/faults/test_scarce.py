"""Descriptors, memory and room on the disk that run out: named, waited for, and over when they are back."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.command import vecwire_command
from peers.frames import fill, frame
from peers.net import Namespace, veth, wait_until
from peers.ports import LOOPBACK, RIGHT4
from vecwire.capture import CaptureReader
from vecwire.client import Client
from vecwire.errors import VecwireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.background import Background

METRICS = 9479
#: Runs the command with a limit that is in force once its modules are there.
LIMITED = """
import resource, sys
import vecwire.cli, vecwire.cli.run, vecwire.cli.switch, vecwire.cli.cable, vecwire.service.daemon
import asyncio.unix_events
import concurrent.futures.thread
kind, least = getattr(resource, sys.argv.pop(1)), int(sys.argv.pop(1))
resource.setrlimit(kind, (least, least))
vecwire.cli.main()
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A namespace with a veth pair and both ends of a tunnel's addresses; the thread is in it."""
    with Namespace("scarce", ipv6=False) as made, made.enter():
        made.up("lo", f"{RIGHT4}/8")
        veth((made, "left0"), (made, "left1"))
        yield made


def limited(kind: str, least: int, *arguments: str) -> list[str]:
    """A command of vecwire under a limit of setrlimit(2)."""
    return [sys.executable, "-c", LIMITED, kind, str(least), *arguments]


def spent(process: int) -> float:
    """Seconds of processor time that a process has taken (proc_pid_stat(5))."""
    words = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@functools.cache
def used() -> int:
    """Octets of address space that the modules take by themselves (proc_pid_statm(5))."""
    program = (
        "import vecwire.cli.run, vecwire.service.daemon; print(open('/proc/self/statm').read().split()[0])"
    )
    pages = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, timeout=60
    ).stdout
    return int(pages) * resource.getpagesize()


@contextlib.contextmanager
def out_of_descriptors(process: int) -> Iterator[None]:
    """Lets a process open no more descriptors than it has."""
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{process}/fd")}  # noqa: PTH208 # numbers
    # The lowest that is free would be the next (open(2)); those above stay open.
    lowest = next(number for number in itertools.count() if number not in taken)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)


def config(folder: Path) -> Path:
    """The file of a service that listens in three ways."""
    path = folder / "scarce.toml"
    path.write_text(
        f'[ports]\nleft = "raw,ifname=left0"\nfar = "{LOOPBACK["l2tpv3-udp"][0]}"\n'
        f'guest = "bess,listen={folder / "guest.sock"}"\n[switches.lan]\nports = ["left", "far", "guest"]\n',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def service(host: Namespace, tmp_path: Path) -> Iterator[Background]:
    """A service that listens for clients, for metrics and for a guest."""
    argv = vecwire_command("run", "--control", str(tmp_path / "control"), "--metrics", str(METRICS))
    with host.popen([*argv, str(config(tmp_path))], name="service") as running:
        running.wait_for_text("ready\n", timeout=60)
        yield running


@pytest.mark.parametrize("limit", [12, 16, 20, 32])
def test_too_few_descriptors_to_start(host: Namespace, tmp_path: Path, limit: int) -> None:
    """A start without descriptors enough ends with what to do about it, and nothing left behind."""
    arguments = ("run", "--control", str(tmp_path / "control"), "--duration", "0.1", str(config(tmp_path)))
    ran = host.run(limited("RLIMIT_NOFILE", limit, *arguments), check=False)
    assert "Traceback" not in ran.stderr, ran.stderr
    if ran.returncode:
        assert ran.returncode == 1
        assert "ulimit -n" in ran.stderr
    assert not list(tmp_path.glob("*.sock"))
    assert not (tmp_path / "control").exists()


def test_no_descriptors_for_clients(service: Background, tmp_path: Path) -> None:
    """While none can be taken the service idles; when there are descriptors again, all of them are."""
    pid = service.process.pid
    with contextlib.ExitStack() as stack:
        with out_of_descriptors(pid):
            knocking: list[tuple[int, int, str | tuple[str, int]]] = [
                (socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "control")),
                (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", METRICS)),
                (socket.AF_UNIX, socket.SOCK_SEQPACKET, str(tmp_path / "guest.sock")),
            ]
            for family, kind, address in knocking:
                stack.enter_context(socket.socket(family, kind)).connect(address)
            service.wait_for_text("no client can be taken", timeout=20)
            before = spent(pid)
            # A second of its clock, not of ours: an idle process never has it.
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: spent(pid) - before >= 1, timeout=2, what="it spins")
            assert spent(pid) - before < 1, "it spins"
        with Client(str(tmp_path / "control"), timeout=20) as client:
            wait_until(
                lambda: client.ports("guest")[0].up, timeout=20, what="the guest that has waited was taken"
            )
    assert service.returncode is None


def test_a_port_that_listens_idles_without_descriptors(tmp_path: Path) -> None:
    """The calls of a port sleep while a client is at the door who cannot be taken, and take it later."""
    program = f"""
import vecwire
with vecwire.open("bess,listen={tmp_path / "guest.sock"}") as port:
    port.fileno()
    print("ready", flush=True)
    batch = port.batch()
    while not port.recv(batch):
        port.wait()
    print(len(batch[0]), flush=True)
"""
    from peers.background import Background  # noqa: PLC0415 # a type elsewhere

    with Background([sys.executable, "-c", program], name="listener") as running:
        running.wait_for_text("ready", timeout=30)
        pid = running.process.pid
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as guest:
            with out_of_descriptors(pid):
                guest.connect(str(tmp_path / "guest.sock"))
                before = spent(pid)
                with contextlib.suppress(TimeoutError):
                    wait_until(lambda: spent(pid) - before >= 1, timeout=2, what="it spins")
                assert spent(pid) - before < 1, "it spins"
            guest.send(frame(1, 77))
            running.wait_for_text("77", timeout=20)
            assert running.wait(20) == 0


@pytest.mark.parametrize("megabytes", [0, 16, 128])
def test_no_memory_to_start(host: Namespace, tmp_path: Path, megabytes: int) -> None:
    """A start without memory enough ends with a named error, and nothing left behind."""
    limit = used() + (megabytes << 20)
    arguments = ("run", "--control", str(tmp_path / "control"), "--duration", "0.1", str(config(tmp_path)))
    ran = host.run(limited("RLIMIT_AS", limit, *arguments), check=False)
    assert ran.returncode in {0, 1}, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    assert bool(ran.returncode) == ("vecwire: " in ran.stderr), ran.stderr
    assert not (tmp_path / "control").exists()


def test_a_table_larger_than_memory(host: Namespace) -> None:
    """A switch whose table does not fit says so, in a line."""
    argv = limited(
        "RLIMIT_AS",
        used() + (100 << 20),
        "switch",
        "--addresses",
        "4194304",
        "raw,ifname=left0",
        "tap,ifname=scarce0",
    )
    ran = host.run(argv, check=False)
    assert ran.returncode == 1
    assert "no memory for 4194304 addresses" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 128 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "small", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_while_files_rotate(host: Namespace, small: Path) -> None:
    """The error names the file that has no room; every file can be read, and they hold the first frames."""
    sent = [frame(number, 1000) for number in range(400)]
    argv = vecwire_command("dump", "-w", str(small / "x.pcapng"), "--rotate-size", "40k", "raw,ifname=left0")
    with host.popen(argv, name="dump") as running:
        running.wait_for_text("ready", timeout=30)
        with vecwire.open("raw,ifname=left1") as source:
            batch = source.batch(64)
            for first in range(0, len(sent), 64):
                fill(batch, sent[first : first + 64])
                source.send(batch)
        assert running.wait(30) == 1
        assert "No space left on device" in running.errors
        files = sorted(small.iterdir())
        assert f"{files[-1]}" in running.errors
    found = []
    for path in files:
        if path.stat().st_size:
            with path.open("rb") as file:
                found += [record.frame for record in CaptureReader(file)]
    assert len(files) > 2
    assert found
    assert found == sent[: len(found)]


def test_rotation_that_keeps_few_files_never_fills_the_disk(host: Namespace, small: Path) -> None:
    """Where old files are removed in time, a disk that is smaller than the capture is enough."""
    options = ("--rotate-size", "20k", "--keep", "2", "--count", "400")
    argv = vecwire_command("dump", "-w", str(small / "x.pcapng"), *options, "raw,ifname=left0")
    with host.popen(argv, name="dump") as running, vecwire.open("raw,ifname=left1") as source:
        running.wait_for_text("ready", timeout=30)
        batch = source.batch(10)
        for first in range(0, 400, 10):
            fill(batch, [frame(first + number, 1000) for number in range(10)])
            source.send(batch)
        assert running.wait(30) == 0, running.describe()
    assert len(list(small.iterdir())) == 2


def test_errors_have_their_remedy() -> None:
    """What a port says where there are no descriptors is the world's fault, and tells what to do."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 # numbers
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 # numbers
    assert used <= highest + 1
    taken = [os.dup(0) for _ in range(highest + 1 - used)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with pytest.raises(VecwireError, match="Too many open files") as caught:
            vecwire.open("bess,listen=@scarce")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in taken:
            os.close(number)
    assert "ulimit -n" in caught.value.remedy
