"""The clients, blocking and for asyncio, with a control socket at the other end."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from peers.controlled import PORTS, Fake
from peers.net import open_descriptors, wait_until
from vecwire.client import DEFAULT_PATH, AsyncClient, Client
from vecwire.errors import ConfigError, PortError, SpecError, UnsupportedError
from vecwire.service.methods import METHODS
from vecwire.service.state import CaptureState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Both:
    """Calls a method of either client in the same way."""

    def __init__(self, kind: type[Client | AsyncClient], path: str) -> None:
        self._client: Any = kind(path, timeout=30)
        self._loop = asyncio.new_event_loop() if kind is AsyncClient else None

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            result = getattr(self._client, name)(*arguments)
            return self._loop.run_until_complete(result) if self._loop else result

        return call

    def close(self) -> None:
        """Ends it."""
        self._client.close()
        if self._loop:
            self._loop.close()


@pytest.fixture(params=[Client, AsyncClient])
def client(path: str, request: pytest.FixtureRequest) -> Iterator[Both]:
    """A client of either kind."""
    made = Both(request.param, path)
    yield made
    made.close()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_both_have_every_method(kind: type) -> None:
    """Each method of the control socket has one of that name, with the parameters of the table."""
    for name, method in METHODS.items():
        wanted = ["self", *(parameter.name for parameter in method.parameters)]
        assert list(inspect.signature(getattr(kind, name)).parameters) == wanted


def test_what_is_told_comes_as_it_was(fake: Fake, client: Both) -> None:
    """The values are those of the service, field by field."""
    assert client.status() == fake.status()
    assert client.ports() == list(PORTS)
    assert client.ports("guest1") == [PORTS[1]]
    assert client.switches() == fake.switch_states()
    assert client.cables() == fake.cable_states()
    assert client.stations("lan") == fake.stations("lan")
    assert client.stations("lan", "uplink") == fake.stations("lan", "uplink")
    assert [each["name"] for each in client.methods()] == list(METHODS)


def test_what_is_asked_is_done(fake: Fake, client: Both) -> None:
    """Each call reaches the service with its arguments."""
    assert client.flush("lan", "guest1") == 1
    client.reset()
    assert client.reload()["added"] == ["guest2"]
    client.add_port("c", {"spec": "tap,ifname=x", "switch": "lan", "tagged": frozenset({7, 3})})
    client.set_port("c", {"vlan": None})
    client.remove_port("c")
    client.stop()
    assert fake.stopped.wait(30)
    assert fake.told == [
        ("flush", "lan", "guest1"),
        ("reset", None),
        ("reload",),
        ("add_port", "c", {"spec": "tap,ifname=x", "switch": "lan", "tagged": [3, 7]}),
        ("set_port", "c", {"vlan": None}),
        ("remove_port", "c"),
    ]


def test_errors_come_as_they_were_raised(fake: Fake, client: Both) -> None:
    """The kind of an error, its message and its remedy are those of the service; the client goes on."""
    with pytest.raises(PortError, match="there is no port named guest") as missing:
        client.ports("guest")
    assert missing.value.remedy == "did you mean guest1?"
    with pytest.raises(ConfigError) as wrong:
        client.add_port("c", {"spec": "tap,ifname=x", "vlan": 9999})
    assert [(each.key, each.line, each.allowed) for each in wrong.value.faults] == [
        ("ports.c.vlan", None, "1 to 4094"),
        ("", 2, None),
    ]
    spec = SpecError("no such option", suggestion="ifname").at("tap,ifnam=x", 4, 9)
    for error in (
        spec,
        UnsupportedError("not allowed", remedy="be root", errno=1),
        PortError("lost", errno=19, remedy="plug it in"),
    ):
        fake.status_error = error
        with pytest.raises(type(error)) as raised:
            client.status()
        assert str(raised.value) == str(error)
        assert raised.value.remedy == error.remedy
        assert getattr(raised.value, "errno", None) == getattr(error, "errno", None)
    assert len(client.ports()) == len(PORTS)


def test_a_wrong_spec_keeps_its_place(fake: Fake, client: Both) -> None:
    """The excerpt with carets is the same on this side."""
    error = SpecError("no such option", suggestion="ifname").at("tap,ifnam=x", 4, 9)
    fake.status_error = error
    with pytest.raises(SpecError) as raised:
        client.status()
    assert raised.value.explain() == error.explain()


def test_a_capture_gives_frames(fake: Fake, client: Both) -> None:
    """The socket gives a record a frame, and the end of the service's end."""
    with client.capture("a") as frames:
        (service,) = fake.captures
        service.send(b"one")
        service.send(b"two")
        assert (frames.recv(100), frames.recv(100)) == (b"one", b"two")
    with pytest.raises(PortError, match="no port named nothere"):
        client.capture("nothere")


def test_what_a_capture_has_had_is_told(fake: Fake, client: Both) -> None:
    """How many frames its reader was given, and how many came too fast, are those of the service."""
    fake.counted = (3, 4)
    assert client.captured("a") == CaptureState("a", 3, 4)


def test_a_capture_of_drops_gives_records(fake: Fake, client: Both) -> None:
    """The socket gives a record a drop; port and reasons are told to the service as they were given."""
    with client.capture_drops("b", ["tx", "rx_runt"]) as records:
        fake.captures[0].send(b"one")
        assert records.recv(100) == b"one"
    client.capture_drops().close()
    assert fake.told == [("capture_drops", "b", ["tx", "rx_runt"]), ("capture_drops", None, [])]


def test_nothing_stays_open(fake: Fake, client: Both) -> None:
    """A client that is closed has no descriptor left, and goes on when it is asked again."""
    before = open_descriptors()
    client.status()
    client._client.close()
    client._client.close()
    wait_until(lambda: set(open_descriptors()) <= set(before), timeout=30, what="both ends are closed")
    assert client.status() == fake.status()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_missing_socket_says_what_to_do(kind: type[Client | AsyncClient], tmp_path: Path) -> None:
    """Where nobody listens the remedy is how to start a service; so it is for what a dead one has left."""
    path = tmp_path / "control.sock"
    for _ in range(2):
        client = Both(kind, str(path))
        with pytest.raises(PortError, match="no service listens at") as raised:
            client.status()
        assert raised.value.remedy.startswith("start it with: vecwire run")
        client.close()
        if not path.exists():
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_path_that_cannot_be_is_told(kind: type[Client | AsyncClient]) -> None:
    """A path too long for the kernel is an error of vecwire's."""
    client = Both(kind, "/" + "x" * 200)
    with pytest.raises(PortError, match="cannot be reached"):
        client.status()
    client.close()


class Odd:
    """Answers each connection with the same octets, and hangs up when it is told to."""

    def __init__(self, path: Path, answer: bytes, *, hang_up: bool) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self._answer = answer
        self._hang_up = hang_up
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            peer.recv(4096)
            peer.sendall(self._answer)
            if self._hang_up:
                peer.close()
            else:
                self._kept.append(peer)

    def close(self) -> None:
        """Ends it."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in [self.listener, *self._kept]:
            each.close()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("answer", "hang_up", "message"),
    [
        (b"", True, "hung up before it answered"),
        (b'{"jsonrpc"', True, "hung up before it answered"),
        (b"hello\n", False, "is not understood"),
        (b"[]\n", False, "is not understood"),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {"version": "9"}}\n', False, "is not understood"),
        (b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1}}\n', False, "is not understood"),
        (b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 2, "message": "m", "data": 7}}\n', False, "is not"),
        (b"", False, "has not answered within"),
    ],
)
def test_what_is_no_answer_is_told(
    kind: type[Client | AsyncClient], tmp_path: Path, answer: bytes, message: str, *, hang_up: bool
) -> None:
    """A service that hangs up, answers nonsense or does not answer is an error with something to do."""
    odd = Odd(tmp_path / "odd.sock", answer, hang_up=hang_up)
    client = Both(kind, str(tmp_path / "odd.sock"))
    client._client._timeout = 0.2 if message.startswith("has not") else 30
    with pytest.raises(PortError, match=message) as raised:
        client.status()
    assert raised.value.remedy
    client.close()
    odd.close()


def test_a_later_service_may_tell_more(tmp_path: Path) -> None:
    """Fields that this version does not know are left out."""
    state = {
        **json.loads(
            json.dumps(
                Fake().status(),
                default=lambda value: {name: getattr(value, name) for name in value.__dataclass_fields__},
            )
        ),
        "moon": "full",
    }
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "result": state}).encode() + b"\n"
    odd = Odd(tmp_path / "odd.sock", line, hang_up=False)
    with Client(str(tmp_path / "odd.sock"), timeout=30) as client:
        assert client.status() == Fake().status()
    odd.close()


def test_tasks_may_share_one(path: str, fake: Fake) -> None:
    """Many tasks ask at once, and each gets the answer to its own question."""

    async def run() -> None:
        async with AsyncClient(path) as client:
            answers = await asyncio.gather(*(client.ports(port.name) for port in PORTS * 5))
        assert [ports[0].name for ports in answers] == [port.name for port in PORTS * 5]

    asyncio.run(run())
    assert fake.told == []


def test_a_cancelled_call_spoils_no_other(path: str, fake: Fake) -> None:
    """After a call that was given up the next gets its own answer."""
    goes_on, begun = threading.Event(), threading.Event()

    def reloading() -> None:
        begun.set()
        goes_on.wait(30)

    fake.reloading = reloading

    async def run() -> None:
        async with AsyncClient(path) as client:
            task = asyncio.create_task(client.reload())
            await asyncio.to_thread(begun.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.status()).pid == 4711
            goes_on.set()

    asyncio.run(run())


def test_the_environment_names_the_path(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path it is that of VECWIRE_SOCKET, or else the default."""
    monkeypatch.delenv("VECWIRE_SOCKET", raising=False)
    assert Client().path == AsyncClient().path == DEFAULT_PATH
    monkeypatch.setenv("VECWIRE_SOCKET", path)
    with Client() as client:
        assert client.status().pid == 4711


def test_it_needs_little_of_the_service() -> None:
    """Importing it brings neither the file's models nor what moves frames."""
    script = "import sys, vecwire.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"pydantic", "vecwire.service.config", "vecwire.service.daemon", "rich", "pyroute2"}
