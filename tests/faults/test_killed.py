"""kill -9 at any moment, and the next start: nothing that a dead process has left stops it.

``VECWIRE_KILLS`` says how often each command is killed, ``VECWIRE_FAULTS_SEED`` when.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.command import vecwire_command
from peers.faults import SEED
from peers.faulty import exchange
from peers.frames import fill, frame
from peers.net import Namespace, veth, wait_until
from peers.ports import LOOPBACK, RIGHT4
from vecwire.capture import CaptureReader
from vecwire.capture.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vecwire.transports import TransportPort

KILLS = int(os.environ.get("VECWIRE_KILLS", "2"))
TUNNEL = LOOPBACK["l2tpv3-udp"]
#: Seconds in which a start takes place, and a while of running.
WITHIN = 0.9


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace with everything that the commands use; the thread is in it."""
    with Namespace("killed", ipv6=False) as made, made.enter():
        made.up("lo", f"{RIGHT4}/8")
        veth((made, "left0"), (made, "left1"))
        made.tap("tap0")
        yield made


def chance(what: str) -> random.Random:
    """What decides when something is killed."""
    return random.Random(f"{SEED} {what}")  # noqa: S311 # reproducible, not secret


def arguments(command: str, folder: Path) -> list[str]:
    """A command with sockets, a lock, taps that stay and taps that go."""
    specs = ["raw,ifname=left0", TUNNEL[0]]
    guest = f"bess,listen={folder / 'guest.sock'}"
    match command:
        case "cable":
            return ["cable", *specs]
        case "switch":
            return ["switch", *specs, guest, "tap,ifname=tap0", "hybrid,ifname=made0"]
        case _:
            path = folder / "killed.toml"
            lines = [
                f'{name} = "{spec}"'
                for name, spec in zip(
                    "abcde", [*specs, guest, "tap,ifname=tap0", "hybrid,ifname=made0"], strict=True
                )
            ]
            path.write_text(
                "\n".join(["[ports]", *lines, "[switches.lan]", 'ports = ["a", "b", "c", "d", "e"]'])
            )
            control = folder / "run" / "control.sock"
            return ["run", "--control", str(control), "--metrics", "9478", str(path)]


@pytest.mark.parametrize("command", ["cable", "switch", "run"])
def test_the_next_start_succeeds(host: Namespace, tmp_path: Path, command: str) -> None:
    """However often a command is killed, and whenever, it starts again and moves frames."""
    argv = vecwire_command(*arguments(command, tmp_path))
    moments = chance(command)
    with vecwire.open("raw,ifname=left1") as left, vecwire.open(TUNNEL[1]) as right:
        for _ in range(KILLS):
            with host.popen(argv) as running:
                try:
                    running.process.wait(moments.uniform(0, WITHIN))
                except subprocess.TimeoutExpired:
                    running.process.send_signal(signal.SIGKILL)
                assert running.wait(10) == -signal.SIGKILL, f"seed {SEED}: {running.describe()}"
        with host.popen(argv) as running:
            running.wait_for_text("ready\n", timeout=30)
            exchange(left, right)
            running.process.send_signal(signal.SIGINT)
            assert running.wait(20) == 0, running.describe()
    left_over = [path.name for path in tmp_path.rglob("*.sock")]
    assert not left_over
    names = host.run(["ls", "/sys/class/net"]).stdout.split()
    assert "made0" not in names


def pump(port: TransportPort, first: int) -> int:
    """Sends a batch of frames; the number of the next one."""
    batch = port.batch(32)
    fill(batch, [frame(first + number, 400) for number in range(32)])
    port.send(batch)
    return first + 32


@pytest.mark.needs("tshark")
def test_what_a_killed_dump_wrote_is_read(host: Namespace, tmp_path: Path) -> None:
    """The frames that are in the file are read by tshark, in order, up to the last one that is whole."""
    moments = chance("dump")
    for number in range(KILLS):
        path = tmp_path / f"{number}.pcapng"
        with (
            host.popen(vecwire_command("dump", "-w", str(path), "raw,ifname=left0")) as running,
            vecwire.open("raw,ifname=left1") as source,
        ):
            running.wait_for_text("ready", timeout=30)
            pump_until(source, path, 4096 + 40 * moments.randrange(4000))
            running.process.send_signal(signal.SIGKILL)
            assert running.wait(10) == -signal.SIGKILL
        told = subprocess.run(
            ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "data.data", "-e", "frame.len"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert told.returncode == 0 or "cut short" in told.stderr, f"seed {SEED}: {told.stderr}"
        seen = len(told.stdout.splitlines())
        whole = list(readable(path))
        assert seen == len(whole) > 0
        assert [octets[:18] for octets in whole] == [frame(each, 400)[:18] for each in range(seen)]


def pump_until(source: TransportPort, path: Path, octets: int) -> None:
    """Sends frames until a file is so long."""
    sent = 0

    def enough() -> bool:
        nonlocal sent
        sent = pump(source, sent)
        return path.stat().st_size > octets

    wait_until(enough, timeout=20, what="something is written", interval=0.0005)


def readable(path: Path) -> Iterator[bytes]:
    """The frames of a file up to where it was cut."""
    with path.open("rb") as file:
        try:
            for record in CaptureReader(file):
                yield record.frame
        except CaptureError:
            return
