"""A running service whose system calls fail in turn while it is reloaded, asked, scraped and captured from.

``VECWIRE_FAULTS_SHARE`` and ``VECWIRE_FAULTS_SEED`` as in ``test_calls.py``.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.background import Background
from peers.command import vecwire_command
from peers.faults import OURS, SEED, SHARE, Page, cases, environment, sample
from peers.faulty import exchange
from peers.net import Namespace, veth, wait_until
from peers.ports import LOOPBACK, RIGHT4
from vecwire.client import Client
from vecwire.errors import VecwireError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vecwire.transports import TransportPort

METRICS = 9477
PATIENCE = 20.0
PORTS = f"""
[ports]
left = "raw,ifname=left0"
right = "{LOOPBACK["l2tpv3-udp"][0]}"
guest = "bess,listen=@faults-guest"
third = "tap,ifname=tap0"
"""
#: Those that have somebody at their other end always.
UP = {"left", "right", "third"}
PLAIN = PORTS + '[switches.lan]\nports = ["left", "right", "guest", "third"]\n'
OTHER = (
    PORTS.replace(
        '"tap,ifname=tap0"',
        '{ spec = "tap,ifname=tap1", vlan = 7, mirror = "spare", trace = true, capture = "FOLDER/x.pcap" }',
    )
    + 'fourth = "gre,src=127.0.0.1,dst=127.0.0.2,delay=5ms"\nspare = "tap,ifname=tap2"\n'
    '[switches.lan]\nports = ["left", "right", "guest", "third"]\nage = 20\naddresses = 500\n'
    '[switches.more]\nports = ["fourth"]\n'
)
#: What the event loop's own set would answer only if it were no more (those of workers are in test_calls.py);
#: and how Python looks at what it has accepted: that is gone where it fails (socket.accept).
PYTHONS = {"epoll_ctl", "epoll_wait", "getsockname"}


@contextlib.contextmanager
def collected(failed: list[Exception]) -> Iterator[None]:
    """Goes on after what a service that refuses, or cannot be reached, says, and keeps it."""
    try:
        yield
    except (VecwireError, OSError) as error:
        failed.append(error)


@dataclass
class Site:
    """A service under faults, and what asks it.

    Attributes:
        running: its process.
        page: tells which of its calls fail.
        path: its file.
        control: its control socket.
        peers: ports at the other ends of two of its own.
    """

    running: Background
    page: Page
    path: Path
    control: str
    peers: tuple[TransportPort, TransportPort]

    def descriptors(self) -> int:
        """How many descriptors the service has open."""
        return len(os.listdir(f"/proc/{self.running.process.pid}/fd"))  # noqa: PTH208 # numbers

    def act(self) -> list[Exception]:
        """Does everything that a service is asked for; gives what failed of it."""
        failed: list[Exception] = []
        for text in (OTHER, PLAIN):
            self.path.write_text(text.replace("FOLDER", str(self.path.parent)), encoding="utf-8")
            with collected(failed), Client(self.control, timeout=PATIENCE) as client:
                client.reload()
        with collected(failed), Client(self.control, timeout=PATIENCE) as client:
            client.status()
            client.ports()
            client.stations("lan")
            client.capture("left").close()
        with collected(failed), socket.create_connection(("127.0.0.1", METRICS), 2) as asking:
            asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            while asking.recv(1 << 16):
                pass
        return failed

    def settled(self) -> int:
        """How many descriptors it has open once that does not change any more."""
        seen: list[int] = []

        def same() -> bool:
            seen.append(self.descriptors())
            return len(seen) > 50 and len(set(seen[-50:])) == 1

        wait_until(same, timeout=PATIENCE, what="descriptors stay as many")
        return seen[-1]

    def healthy(self, descriptors: int | None = None) -> None:
        """Asserts that the service does all that it did before."""
        assert self.running.returncode is None, self.running.describe()

        def whole() -> bool:
            with contextlib.suppress(VecwireError), Client(self.control, timeout=PATIENCE) as client:
                client.reload()
                ports = client.ports()
                joined = {port.name for port in ports if port.joined == "switch lan"}
                return joined == UP | {"guest"} and {port.name for port in ports if port.up} >= UP
            return False

        wait_until(whole, timeout=PATIENCE, what="the service is what its file says")
        exchange(*self.peers)
        if descriptors is not None:
            wait_until(
                lambda: self.descriptors() == descriptors,
                timeout=PATIENCE,
                what="as many descriptors as before",
            )
        with socket.create_connection(("127.0.0.1", METRICS), PATIENCE) as asking:
            asking.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert asking.recv(15).endswith(b" 200 OK")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that runs with faults at hand; the thread is in its namespace."""
    folder = tmp_path_factory.mktemp("service")
    path, control = folder / "faults.toml", str(folder / "control.sock")
    path.write_text(PLAIN, encoding="utf-8")
    with Namespace("faults-service", ipv6=False) as here, Page(folder / "page") as page, here.enter():
        here.up("lo", f"{RIGHT4}/8")
        veth((here, "left0"), (here, "left1"))
        for name in ("tap0", "tap1", "tap2"):
            here.tap(name)
        argv = vecwire_command("run", "--control", control, "--metrics", f"127.0.0.1:{METRICS}", str(path))
        with (
            Background(here.command(argv), env=environment(page), name="service") as running,
            vecwire.open("raw,ifname=left1") as left,
            vecwire.open(LOOPBACK["l2tpv3-udp"][1]) as right,
        ):
            running.wait_for_text("ready\n", timeout=60)
            yield Site(running, page, path, control, (left, right))


@pytest.mark.parametrize("memory", [0, OURS], ids=["calls", "memory"])
def test_a_service_lives_on_whatever_fails(site: Site, memory: int) -> None:
    """Whatever call or allocation fails, the service answers afterwards, whole, and nothing is left over."""
    for _ in range(3):
        assert not site.act()
    site.healthy()
    descriptors = site.settled()
    site.page.count(memory=memory)
    site.act()
    counts = {call: count for call, count in site.page.counts.items() if (call == "malloc") == bool(memory)}
    site.page.rest()
    every = [case for case in cases(counts) if case.call not in PYTHONS]
    chosen = sample(every, SHARE or (0.3 if memory else 0.005), SEED)
    fired = refused = 0
    for number, case in enumerate(chosen):
        site.page.fail(case, memory=memory)
        refused += bool(site.act())
        fired += site.page.fired
        site.page.rest()
        try:
            site.healthy(descriptors)
        except Exception as error:
            raise AssertionError(f"seed {SEED}, case {number}: {case}: {site.running.describe()}") from error
    assert fired, "no call failed"
    print(f"service: {len(chosen)} cases, {fired} reached, {refused} with a named error")  # noqa: T201 # shown by -s


def test_a_service_ends_after_all_that(site: Site) -> None:
    """It ends when it is told to, and has written no traceback that is its own fault."""
    with Client(site.control, timeout=PATIENCE) as client:
        client.stop()
    assert site.running.wait(PATIENCE) == 0
