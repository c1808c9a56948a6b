"""What a service writes of a port's frames to files: as its own file says, while frames move."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers import tshark
from peers.command import vecwire_command
from peers.frames import frame
from peers.lan import PATIENCE, send_all
from peers.net import Namespace, namespaces, veth, wait_until
from vecwire.capture import CaptureReader
from vecwire.errors import PortError
from vecwire.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FRAMES = [frame(number, 60 + number) for number in range(100)]


@dataclass
class Site:
    """A service whose switch has two ports, ``left`` and ``right``.

    Attributes:
        path: its file.
        service: the service.
        stations: ports at the other ends of both links.
    """

    path: Path
    service: Service
    stations: tuple[vecwire.Port, vecwire.Port]

    def apply(self, options: str) -> list[str]:
        """Gives the port ``right`` other options; which ports a reload has changed."""
        self.path.write_text(
            f'[ports]\nleft = "raw,ifname=left0"\nright = {{ spec = "raw,ifname=right0"{options} }}\n'
            '[switches.lan]\nports = ["left", "right"]\n',
            encoding="utf-8",
        )
        return self.service.reload()["changed"]

    def send(self, frames: list[bytes]) -> None:
        """Sends frames from the left; returns once they have arrived."""
        send_all(self.stations[0], frames)
        batch, heard = self.stations[1].batch(), list[bytes]()

        def came() -> bool:
            self.stations[1].recv(batch)
            heard.extend(bytes(each) for each in batch)
            return len(heard) >= len(frames)

        wait_until(came, timeout=PATIENCE, what="the frames arrive", interval=0.001)
        assert heard == frames


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running service."""
    with Namespace("files", ipv6=False) as made, made.enter(), contextlib.ExitStack() as stack:
        for name in ("left", "right"):
            veth((made, f"{name}0"), (made, f"{name}1"))
        service = Service(tmp_path / "service.toml")
        stack.callback(service.close)
        stations = tuple(
            stack.enter_context(vecwire.open(f"raw,ifname={name}1")) for name in ("left", "right")
        )
        service.start()
        yield Site(tmp_path / "service.toml", service, (stations[0], stations[1]))


def read(*paths: Path) -> list[bytes]:
    """The frames of files, as far as they are written."""
    found: list[bytes] = []
    for path in paths:
        with path.open("rb") as file, contextlib.suppress(PortError):
            found.extend(record.frame for record in CaptureReader(file))
    return found


def test_a_reload_begins_and_ends_it(site: Site, tmp_path: Path) -> None:
    """Frames are written from then on and until then; the port stays open, and others look as well."""
    site.apply("")
    port = site.service.ports["right"]
    folder = tmp_path / "files"
    folder.mkdir()
    option = f', capture = "{folder}/right.pcapng"'
    site.send(FRAMES[:1])
    assert site.apply(f"{option}, trace = true") == ["right"]
    site.send(FRAMES[1:50])
    first, second = folder / "right-00001.pcapng", folder / "right-00002.pcapng"
    wait_until(lambda: read(first) == FRAMES[1:50], timeout=PATIENCE, what="they are in the file")
    os.close(site.service.capture("right"))
    site.service.set_port("right", {"capture_keep": 5})
    site.send(FRAMES[50:60])
    assert site.apply("") == ["right"]
    site.send(FRAMES[60:])
    assert site.service.ports["right"] is port
    # What is ended is whole.
    assert (read(first), read(second)) == (FRAMES[1:50], FRAMES[50:60])
    assert sorted(folder.iterdir()) == [first, second]


def test_files_are_bounded(site: Site, tmp_path: Path) -> None:
    """None is longer than its bound, and the last are kept."""
    site.apply(f', capture = "{tmp_path}/x.pcap", capture_size = 4096, capture_keep = 2')
    for _ in range(3):
        site.send(FRAMES)
    site.apply("")
    files = sorted(tmp_path.glob("x-*.pcap"))
    assert len(files) == 2
    assert all(path.stat().st_size <= 4096 for path in files)
    found = read(*files)
    assert found == (FRAMES * 3)[-len(found) :]


def test_a_full_disk_ends_the_capture_alone(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told in the log with the file's name; frames move and are traced on, and it can begin again."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", str(small)], check=True)
    try:
        caplog.set_level(logging.DEBUG, "vecwire.trace")
        site.apply(f', capture = "{small}/x.pcapng", trace = true')

        def full() -> bool:
            site.send(FRAMES)
            return any("No space left on device" in record.getMessage() for record in caplog.records)

        wait_until(full, timeout=PATIENCE, what="it is told")
        (told,) = [record for record in caplog.records if "No space left" in record.getMessage()]
        assert told.levelno == logging.ERROR
        assert "right: " in told.getMessage()
        assert f"{small}/x-00001.pcapng" in told.getMessage()
        assert read(small / "x-00001.pcapng")[:100] == FRAMES
        caplog.clear()

        def traced() -> bool:
            site.send(FRAMES[:1])
            return bool(caplog.records)

        wait_until(traced, timeout=PATIENCE, what="frames are traced, after a second at the latest")
        (small / "x-00001.pcapng").unlink()
        site.apply("")
        site.apply(f', capture = "{small}/x.pcapng"')
        site.send(FRAMES)
        site.apply("")
        assert read(small / "x-00001.pcapng") == FRAMES
    finally:
        site.service.close()
        subprocess.run(["umount", str(small)], check=True)


def test_a_file_that_cannot_be_made_is_told(site: Site, tmp_path: Path) -> None:
    """A reload says so, and leaves the port as it was, not watched; the next one tries again."""
    with pytest.raises(PortError, match="nowhere"):
        site.apply(f', capture = "{tmp_path}/nowhere/x.pcapng"')
    site.send(FRAMES)
    (tmp_path / "nowhere").mkdir()
    assert site.service.reload()["changed"] == ["right"]
    site.send(FRAMES)
    site.service.close()
    assert read(tmp_path / "nowhere" / "x-00001.pcapng") == FRAMES


FILE = """
[ports]
left = {{ spec = "raw,ifname=left0", trace = true, capture = "{folder}/left.pcapng" }}
right = {{ spec = "raw,ifname=right0", capture = "{folder}/none/right.pcapng" }}
[switches.lan]
ports = ["left", "right"]
"""


@pytest.mark.needs("tshark")
def test_a_process_begins_with_it(tmp_path: Path) -> None:
    """A service that starts with captures writes them; where it cannot, frames move all the same."""
    file = tmp_path / "vecwire.toml"
    file.write_text(FILE.format(folder=tmp_path), encoding="utf-8")
    with namespaces("host", "one", "two", ipv6=False) as (host, one, two):
        veth((host, "left0"), (one, "eth0"), addresses_b=["10.0.0.1/24"])
        veth((host, "right0"), (two, "eth0"), addresses_b=["10.0.0.2/24"])
        with host.popen(vecwire_command("run", str(file)), name="service") as service:
            service.wait_for_text("ready\n")
            one.wait_reachable("10.0.0.2")
            assert one.ping("10.0.0.2", count=3).lost == 0
            service.process.send_signal(signal.SIGTERM)
            assert service.wait() == 0
            assert "right: the capture cannot be written to" in service.errors
    found = tshark.decode(tmp_path / "left-00001.pcapng", ["icmp.type"])
    assert not [complaint for each in found for complaint in each.complaints]
    types = [kind for each in found for kind in each.fields["icmp.type"]]
    assert types.count("8") >= 3
    assert types.count("0") >= 3
