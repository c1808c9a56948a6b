"""Copies of a port's frames: to another port, to the log, and changed in a running service."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.frames import frame
from peers.lan import BROADCAST, PATIENCE, address, lan, send_all
from peers.net import Namespace, veth, wait_until
from vecwire import Mirror, PortError, Trace
from vecwire.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vecwire import Port


@pytest.fixture(autouse=True)
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("mirror", ipv6=False) as made, made.enter():
        yield made


def heard(port: Port, count: int) -> list[bytes]:
    """The next frames that a port receives, so many of them."""
    found: list[bytes] = []
    batch = port.batch()

    def came() -> bool:
        port.recv(batch)
        found.extend(bytes(each) for each in batch)
        return len(found) >= count

    wait_until(came, timeout=PATIENCE, what=f"{count} copies came")
    return found


def probe(namespace: Namespace) -> tuple[vecwire.transports.TransportPort, vecwire.transports.TransportPort]:
    """A port for copies, and where they arrive."""
    veth((namespace, "probe0"), (namespace, "probe1"))
    return vecwire.open("raw,ifname=probe0"), vecwire.open("raw,ifname=probe1")


def test_what_a_port_receives_and_sends_is_copied(namespace: Namespace) -> None:
    """Frames of both ways arrive at the mirror once, those of other ports do not, and nobody misses any."""
    sink, reader = probe(namespace)
    with sink, reader, lan(3) as net, Mirror(sink, engine=net.switch.engine) as mirror:
        mirror.add(net.ports[0])
        assert mirror.ports == (net.ports[0],)
        received = frame(1, source=address(0), destination=BROADCAST)
        sent = frame(2, source=address(1), destination=address(0))
        net.exchange(0, received)
        net.exchange(1, sent)
        net.say(2, address(1))
        net.say(1, address(2))
        assert heard(reader, 2) == [received, sent]
        mirror.remove(net.ports[0])
        net.exchange(0, received)
        mirror.add(net.ports[0])
        net.exchange(1, sent)
        assert heard(reader, 1) == [sent]


def test_a_mirror_is_for_ports_of_its_engine(namespace: Namespace) -> None:
    """A port copied to itself, one of no engine, and a sink that is in use are refused."""
    sink, reader = probe(namespace)
    with sink, reader, lan(2) as net, Mirror(sink, engine=net.switch.engine) as mirror:
        with pytest.raises(PortError, match="to itself"):
            mirror.add(sink)
        with pytest.raises(PortError, match="not in this engine"):
            mirror.add(reader)
        with pytest.raises(PortError, match="joined by"), Mirror(net.ports[0], engine=net.switch.engine):
            pass


def test_frames_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A traced port has a line for each frame, beside a capture; what is too much is counted."""
    caplog.set_level(logging.DEBUG, "vecwire.trace")
    with lan(2) as net:
        with Trace(net.ports[0], engine=net.switch.engine, name="guest", rate=2):
            net.exchange(0, *(frame(each, source=address(0), destination=BROADCAST) for each in range(5)))
        lines = [record.getMessage() for record in caplog.records if record.name == "vecwire.trace"]
    line = f"guest: {address(0)} > {BROADCAST}  type 0x88b5  60 octets"
    assert lines == [line, line, "guest: 3 frames more, too many to tell"]


def test_a_reload_changes_what_is_done_to_frames(tmp_path: Path, namespace: Namespace) -> None:
    """Impairments, mirror and trace come and go by the file, and no port is opened anew."""
    path = tmp_path / "lan.toml"
    for name in ("left", "right", "probe"):
        veth((namespace, f"{name}0"), (namespace, f"{name}1"))

    def write(options: str = "", more: str = "") -> None:
        path.write_text(
            '[ports]\nleft = "raw,ifname=left0"\nprobe = "raw,ifname=probe0"\n'
            f'right = {{ spec = "raw,ifname=right0{options}"{more} }}\n'
            '[switches.lan]\nports = ["left", "right"]\n',
            encoding="utf-8",
        )

    write()
    service = Service(path)
    service.start()
    try:
        service.reload()
        ports = service.ports
        with (
            vecwire.open("raw,ifname=left1") as left,
            vecwire.open("raw,ifname=right1") as right,
            vecwire.open("raw,ifname=probe1") as reader,
        ):
            write(",loss=100%", ', mirror = "probe", trace = true')
            assert service.reload()["changed"] == ["right"]
            octets = frame(1, destination=BROADCAST)
            send_all(left, [octets])
            assert heard(reader, 1) == [octets]
            # The copy leaves first.
            wait_until(
                lambda: service.port_states("right")[0].counters["tx_lost"] == 1,
                timeout=PATIENCE,
                what="the frame is lost",
            )
            assert service.port_states("right")[0].spec.endswith(",loss=100%")
            write()
            assert service.reload()["changed"] == ["right"]
            send_all(left, [octets])
            assert heard(right, 1) == [octets]
            service.set_port("right", {"delay": "20ms", "mirror": "probe"})
            assert ports["right"].impairment.delay == 0.02
            send_all(left, [octets])
            assert heard(right, 1) == heard(reader, 1) == [octets]
            service.set_port("right", {"delay": None, "mirror": None})
            assert not ports["right"].impairment
        assert service.ports == ports
    finally:
        service.close()
