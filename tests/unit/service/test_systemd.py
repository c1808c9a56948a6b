"""What systemd is told: the lines of sd_notify(3), on the socket that it names, and the watchdog's times."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from peers.net import open_descriptors
from vecwire.service.systemd import Notifier, monotonic_microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The socket of somebody who is told, and its address as NOTIFY_SOCKET has it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@vecwire-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        made.settimeout(10)
        yield made, name


@pytest.mark.parametrize(
    ("tell", "lines"),
    [
        (lambda notifier: notifier.ready(), ["READY=1"]),
        (lambda notifier: notifier.ready("2 of 3 ports up"), ["READY=1", "STATUS=2 of 3 ports up"]),
        (lambda notifier: notifier.reloading(), ["RELOADING=1", "MONOTONIC_USEC=7000000"]),
        (lambda notifier: notifier.stopping("bye"), ["STOPPING=1", "STATUS=bye"]),
        (lambda notifier: notifier.status("a\nREADY=1"), ["STATUS=a READY=1"]),
        (lambda notifier: notifier.watchdog(), ["WATCHDOG=1"]),
    ],
    ids=["ready", "ready-status", "reloading", "stopping", "status", "watchdog"],
)
def test_each_message_is_one_datagram(
    manager: tuple[socket.socket, str], tell: Callable[[Notifier], bool], lines: list[str]
) -> None:
    """The lines are those of the manual, in one datagram; a status cannot bring lines of its own."""
    told, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name}, clock=lambda: 7_000_000)
    assert notifier.active
    assert tell(notifier)
    assert told.recv(4096).decode().split("\n") == lines


def test_nothing_stays_open(manager: tuple[socket.socket, str]) -> None:
    """No descriptor is kept between two messages."""
    told, name = manager
    before = open_descriptors()
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert told.recv(4096)
    assert open_descriptors() == before


@pytest.mark.parametrize("given", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_systemd_nobody_is_told(given: dict[str, str]) -> None:
    """Started by hand, the same calls do nothing."""
    notifier = Notifier(given)
    assert not notifier.active
    assert not notifier.ready()
    assert not notifier.watchdog()


@pytest.mark.parametrize("given", ["vsock:2:1234", "relative", "@"])
def test_an_address_of_another_kind_is_told(given: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is a warning, and the service runs on."""
    assert not Notifier({"NOTIFY_SOCKET": given}).ready()
    assert f"NOTIFY_SOCKET={given}" in caplog.text


def test_a_manager_that_is_gone_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be sent is a warning."""
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "READY=1" in caplog.text


def test_an_empty_status_is_not_sent(manager: tuple[socket.socket, str]) -> None:
    """There is nothing to tell."""
    assert not Notifier({"NOTIFY_SOCKET": manager[1]}).status("")


@pytest.mark.parametrize(
    ("given", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_wants(
    given: dict[str, str], interval: float | None
) -> None:
    """Half of the time, as sd_watchdog_enabled(3) says; none where it is another process's or no time."""
    assert Notifier(given).watchdog_interval == interval


def test_this_process_s_environment_is_the_default(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments the variables that systemd sets are used."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager[1])
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    notifier = Notifier()
    assert (notifier.active, notifier.watchdog_interval) == (True, 1.0)


def test_the_time_is_the_kernel_s() -> None:
    """Microseconds of CLOCK_MONOTONIC, which systemd compares with its own."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    now = monotonic_microseconds()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
