"""A clock of the day that jumps: nothing but the times of day that captures hold takes any notice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.background import Background
from peers.command import vecwire_command
from peers.faults import Page, environment
from peers.faulty import passes
from peers.frames import fill, frame
from peers.net import Namespace, veth, wait_until
from vecwire.capture import CaptureReader
from vecwire.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0
JUMPS = (DAY, -DAY)
SERVICE = """
[ports]
left = { spec = "raw,ifname=left0,delay=30ms,rate=100mbit", flood_rate = 1000 }
right = "raw,ifname=right0"
[switches.lan]
ports = ["left", "right"]
age = 60
"""


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace with two veth pairs; the thread is in it."""
    with Namespace("clock", ipv6=False) as made, made.enter():
        for name in ("left", "right"):
            veth((made, f"{name}0"), (made, f"{name}1"))
        yield made


def now(page: Page) -> float:
    """The time of day that a process sees."""
    program = "import time; print(time.time())"
    argv = [sys.executable, "-c", program]
    return float(subprocess.run(argv, env=environment(page), check=True, capture_output=True).stdout)


def test_the_clock_of_the_test_jumps(tmp_path: Path) -> None:
    """The layer does what the tests below lean on: a day more, and a day less."""
    with Page(tmp_path / "page") as page:
        for jump in JUMPS:
            page.jump(jump)
            assert abs(now(page) - time.time() - jump) < 60


@pytest.mark.parametrize("jump", JUMPS, ids=["ahead", "back"])
def test_a_service_does_not_notice(host: Namespace, tmp_path: Path, jump: float) -> None:
    """Addresses neither age nor last, delayed frames leave in their time, and uptime goes on."""
    path, control = tmp_path / "clock.toml", str(tmp_path / "control")
    path.write_text(SERVICE, encoding="utf-8")
    with (
        Page(tmp_path / "page") as page,
        Background(
            host.command(vecwire_command("run", "--control", control, str(path))),
            env=environment(page),
            name="service",
        ) as running,
        vecwire.open("raw,ifname=left1") as left,
        vecwire.open("raw,ifname=right1") as right,
    ):
        client = Client(control, timeout=20)
        running.wait_for_text("ready\n", timeout=60)
        wait_until(lambda: passes(left, right, 1), timeout=10, what="a frame passes")
        wait_until(lambda: client.stations("lan"), timeout=10, what="an address is known")
        before = client.status().uptime
        page.jump(jump)
        stations = client.stations("lan")
        assert [station.mac for station in stations] == ["02:00:00:00:00:aa"]
        assert all(0 <= station.idle < 60 for station in stations)
        assert before <= client.status().uptime < before + 60
        # Delayed on the way back, and delivered.
        wait_until(lambda: passes(right, left, 2), timeout=10, what="a delayed frame passes")
        assert all(0 <= port.since < 120 for port in client.ports())
        client.reload()
        client.close()
        assert running.returncode is None


@pytest.mark.parametrize("jump", JUMPS, ids=["ahead", "back"])
def test_a_capture_has_the_new_time(host: Namespace, tmp_path: Path, jump: float) -> None:
    """Files are not begun because of it, statistics tell no absurd duration, and it ends in its own time."""
    path = tmp_path / "x.pcapng"
    argv = vecwire_command(
        "dump", "--json", "-w", str(path), "--rotate-time", "600", "--count", "40", "tap,ifname=tap0"
    )
    host.tap("tap0")
    with Page(tmp_path / "page") as page, Background(host.command(argv), env=environment(page)) as running:
        running.wait_for_event("ready", timeout=60)
        with vecwire.open("raw,ifname=tap0") as source:
            batch = source.batch(20)
            fill(batch, [frame(number) for number in range(20)])
            source.send(batch)
            (written,) = wait_until(
                lambda: list(tmp_path.glob("x-*.pcapng")), timeout=20, what="the first file is begun"
            )
            wait_until(lambda: written.stat().st_size > 1500, timeout=20, what="the first frames are written")
            page.jump(jump)
            source.send(batch)
        assert running.wait(30) == 0, running.describe()
        end = json.loads(running.output.splitlines()[-1])
        assert end["frames"] == 40
        assert end["files"] == 1
        assert 0 <= end["seconds"] < 120
    (only,) = tmp_path.glob("x-*.pcapng")
    with only.open("rb") as file:
        times = [record.time / 1e9 for record in CaptureReader(file)]
    assert abs(times[0] - time.time()) < 600
    assert abs(times[-1] - time.time() - jump) < 600
