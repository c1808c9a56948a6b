"""The cookies of tunnels stay with whoever has given them: no log, output or file of a command has one."""

from __future__ import annotations

import contextlib
import logging
import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.background import Background
from peers.command import vecwire_command
from peers.frames import frame
from peers.net import Namespace
from vecwire.client import Client
from vecwire.engine import Engine
from vecwire.errors import ConfigError, SpecError
from vecwire.mirror import Mirror
from vecwire.wrappers import Traced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METRICS = "127.0.0.1:9477"
COOKIE = 0x5EC7E7
SWITCH = '[switches.lan]\nports = ["t"]\n'
#: However it is written.
SPELT = (f"{COOKIE:x}", f"{COOKIE:X}", str(COOKIE))


def tunnel(number: int, *, spelling: str = "rx_cookie={},tx_cookie={}") -> str:
    """The spec of a tunnel whose far end is not there."""
    ports = f"srcport={2 * number + 5000},dstport={2 * number + 5001}"
    cookies = spelling.format(hex(COOKIE), COOKIE)
    return (
        f"vec0:transport=l2tpv3,udp=1,src=127.0.0.1,dst=127.0.0.1,{ports},rx_session=1,tx_session=2,{cookies}"
    )


@pytest.fixture
def here() -> Iterator[Namespace]:
    """A namespace with a loopback interface; the thread is in it."""
    with Namespace("cookies", ipv6=False) as made, made.enter():
        made.up("lo")
        yield made


def hides(text: str | bytes, where: str) -> None:
    """Asserts that a text has no cookie, and tells of one."""
    told = text.decode(errors="replace") if isinstance(text, bytes) else text
    assert not [each for each in SPELT if each in told], f"{where}: {told}"
    assert "cookie=hidden" in told, f"{where} tells of no tunnel: {told}"


@pytest.mark.usefixtures("here")
def test_commands_hide_cookies(tmp_path: Path) -> None:
    """With all that is said at -vv, no command shows a cookie, neither in its events nor in a capture."""
    commands = {
        "cable": ["cable", "--json", "--stats", "0.1", tunnel(1), tunnel(2)],
        "switch": ["switch", tunnel(3), tunnel(4, spelling="rxcookie = '{}', txcookie={}")],
        "dump": ["dump", "--json", "-w", str(tmp_path / "dump.pcapng"), tunnel(5)],
        "sink": ["sink", "--json", tunnel(6)],
        "blast": ["blast", "--json", "--rate", "10", tunnel(7)],
        "wrong": ["cable", tunnel(8), tunnel(9) + ",mtv=1"],
        "long": ["cable", tunnel(8), tunnel(9, spelling="rx_cookie={}00000000,tx_cookie={}")],
    }
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(Background(vecwire_command(words[0], "-vv", *words[1:]), name=name))
            for name, words in commands.items()
        }
        for name in ("wrong", "long"):
            refused = running.pop(name)
            assert refused.wait(30) == 2
            assert not [each for each in SPELT if each in refused.errors], refused.describe()
        for each in running.values():
            each.wait_for(lambda out, err: "ready" in out + err or None, timeout=30, what="it is ready")
        running["cable"].wait_for_event("stats")
    for name, each in running.items():
        hides(each.output + each.errors, name)
    hides((tmp_path / "dump.pcapng").read_bytes(), "the capture")


@pytest.mark.usefixtures("here")
def test_what_python_shows_hides_cookies(caplog: pytest.LogCaptureFixture) -> None:
    """Traces of a port without a name, and what cables, mirrors and ports are shown as."""
    caplog.set_level(logging.DEBUG)
    with vecwire.open(tunnel(1)) as left, vecwire.open(tunnel(2)) as right:
        for shown in (left, Traced(left), vecwire.Cable(left, right), Mirror(left, engine=Engine())):
            hides(repr(shown), "its repr")
        batch = left.batch(1)
        batch.append(frame(1))
        assert Traced(left).send(batch) == 1
    hides(caplog.text, "the log")


@pytest.mark.parametrize("options", [["--json"], ["-vv"]], ids=["json", "text"])
@pytest.mark.usefixtures("here")
def test_a_service_hides_cookies(tmp_path: Path, options: list[str]) -> None:
    """Its log, its metrics and its captures have none: of its file, of what is added, of what is wrong."""
    file, control = tmp_path / "vecwire.toml", str(tmp_path / "control.sock")
    line = f't = {{ spec = "{tunnel(1)}", trace = true, capture = "{tmp_path}/t.pcapng" }}\n'
    file.write_text(f"{SWITCH}[ports]\n{line}", encoding="utf-8")
    argv = vecwire_command("run", *options, "--control", control, "--metrics", METRICS, str(file))
    with Background(argv, name="service") as service:
        service.wait_for(lambda out, _: "ready" in out or None, timeout=30, what="it is ready")
        with Client(control) as client:
            client.add_port("more", {"spec": tunnel(2, spelling="rxcookie = '{}', txcookie={}")})
            with pytest.raises((SpecError, ConfigError)):
                client.add_port("wrong", {"spec": tunnel(3, spelling="rx_cookie={},tx_cookie={}=")})
            assert [hex(COOKIE) in port.spec for port in client.ports()] == [True, True]
        with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=30) as page:
            hides(page.read(), "metrics")
        file.write_text(f"[ports]\n{line} {line}", encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for_text("not reloaded")
        assert service.stop() == 0
        hides(service.output + service.errors, "the service")
        (made,) = tmp_path.glob("t-*.pcapng")
        hides(made.read_bytes(), "the capture")
        # Where an error of the file goes when it is begun: to the journal, too.
        again = Background(argv, name="again")
        with again:
            assert again.wait(30) == 2
        assert not [each for each in SPELT if each in again.output + again.errors], again.describe()
