"""Where the control socket listens: who may open it, what is there before and after."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import itertools
import os
import signal
import socket
import stat
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from peers.controlled import Fake, Peer, Server, serving
from peers.net import open_descriptors, wait_until
from vecwire.errors import PortError
from vecwire.service import _place as module
from vecwire.service import logs
from vecwire.service._place import listen
from vecwire.service.control import Control
from vecwire.service.daemon import Settings, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def leave(path: Path) -> None:
    """Leaves the socket of a dead process."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def exit_code(do: Callable[[], object]) -> int:
    """Has a process of its own do something; 0 where it has, 1 where it raises, or minus the signal."""
    pid = os.fork()
    if not pid:
        try:
            do()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_only_its_user_may_open_the_path(server: Server) -> None:
    """The socket's mode is 0600."""
    assert stat.S_IMODE(server.control.path.stat().st_mode) == 0o600


def test_the_path_is_gone_at_the_end(fake: Fake, path: Path) -> None:
    """The socket is removed, the clients hung up on, and no descriptor stays open."""
    before = open_descriptors()
    with serving(fake, path):
        peer = Peer(path)
        assert peer.ask("status")["id"] == 1
    assert not path.exists()
    assert peer.read() is None
    peer.close()
    assert open_descriptors() == before


def test_a_path_that_is_anothers_by_now_stays(fake: Fake, path: Path) -> None:
    """What was put in the place of the socket is not removed at the end."""
    with serving(fake, path):
        path.unlink()
        path.touch()
    assert path.exists()


def test_what_a_dead_process_left_is_replaced(fake: Fake, path: Path) -> None:
    """A socket that nobody listens at is no obstacle."""
    leave(path)
    with serving(fake, path), Peer(path) as peer:
        assert peer.ask("status")["id"] == 1


def test_a_socket_of_a_living_process_is_an_error(fake: Fake, server: Server) -> None:
    """The error says who listens there, and the one that listens is not disturbed."""
    with pytest.raises(PortError, match=f"process {os.getpid()} listens"):
        Server(fake, server.control.path)
    with Peer(server.control.path) as peer:
        assert peer.ask("status")["id"] == 1


def test_a_file_at_the_path_is_an_error(fake: Fake, path: Path) -> None:
    """What is no socket is not removed."""
    path.parent.mkdir()
    path.touch()
    with pytest.raises(PortError, match="is no socket"):
        Server(fake, path)
    assert path.exists()


@pytest.mark.parametrize("path_of", ["nothere/nothere/control.sock", "x" * 200])
def test_a_path_that_cannot_be_is_an_error(fake: Fake, tmp_path: Path, path_of: str) -> None:
    """A directory that is not there, or a name too long for the kernel, is told with what to do."""
    with pytest.raises(PortError, match="cannot be made") as raised:
        Server(fake, tmp_path / path_of)
    assert raised.value.remedy


def test_it_is_a_context(fake: Fake, path: Path) -> None:
    """Entering it listens, leaving it does not any more."""

    async def run() -> bool:
        async with Control(fake, path):
            return await asyncio.to_thread(path.exists)

    assert asyncio.run(run())
    assert not path.exists()


def test_an_answer_under_way_goes_out_at_the_end(fake: Fake, path: Path) -> None:
    """A change that was begun when the service ends is still answered."""
    goes_on, begun = threading.Event(), threading.Event()

    def reloading() -> None:
        begun.set()
        goes_on.wait(30)

    fake.reloading = reloading
    with serving(fake, path) as server, Peer(path) as peer:
        peer.send({"jsonrpc": "2.0", "id": 1, "method": "reload"})
        assert begun.wait(30)
        stopping = asyncio.run_coroutine_threadsafe(server.control.stop(), server.loop)
        wait_until(lambda: not path.exists(), timeout=30, what="it stops listening")
        goes_on.set()
        stopping.result(30)
        assert peer.read()["result"]["added"] == ["guest2"]
        assert peer.read() is None


def test_the_path_is_given_to_its_owner_and_not_what_it_leads_to(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose the directory is may put a link at the path before the path is handed over."""
    secret = path.parent.parent / "secret"
    secret.touch()
    hand_over = os.chown

    def exchange_first(what: Path, user: int, group: int, **how: bool) -> None:
        if what == path:
            path.unlink()
            path.symlink_to(secret)
        hand_over(what, user, group, **how)

    before = secret.lstat().st_ctime_ns
    monkeypatch.setattr(os, "chown", exchange_first)
    asyncio.run(listen(path, os.geteuid())).close()
    assert path.is_symlink()
    assert secret.lstat().st_ctime_ns == before


# Its lock.


def lock_of(path: Path) -> Path:
    """The file whose lock a service holds while it makes the socket."""
    return path.with_name(f"{path.name}.lock")


def test_a_lock_of_the_directory_stops_nobody(fake: Fake, path: Path) -> None:
    """Whoever may read the directory may lock it (flock(2)): the service starts all the same."""
    path.parent.mkdir()
    number = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        with serving(fake, path), Peer(path) as peer:
            assert peer.ask("status")["id"] == 1
    finally:
        os.close(number)


def test_nothing_but_the_socket_is_there(server: Server) -> None:
    """The lock's file is gone as soon as the service listens."""
    assert list(server.control.path.parent.iterdir()) == [server.control.path]


@pytest.fixture
def held(path: Path) -> Iterator[Path]:
    """A lock that a process, the test's, does not let go of."""
    path.parent.mkdir()
    number = os.open(lock_of(path), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(number, fcntl.LOCK_EX)
    yield path
    os.close(number)


def test_who_keeps_the_lock_is_told(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries the error names the process, and no descriptor stays open."""
    monkeypatch.setattr(module, "PAUSE", 0.001)
    before = open_descriptors()
    with pytest.raises(PortError, match=f"process {os.getpid()} keeps the lock") as raised:
        asyncio.run(listen(held))
    assert raised.value.remedy
    assert open_descriptors() == before


def test_a_signal_is_heard_while_the_lock_is_waited_for(
    held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM ends a service that would have waited for an hour, before it is ready and without an error."""
    file = tmp_path / "vecwire.toml"
    file.write_text("[ports]\n", encoding="utf-8")
    monkeypatch.setattr(module, "TRIES", 36_000)
    monkeypatch.setattr(module, "_holder", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(logs, "set_up", lambda *_, **__: logs.LimitedHandler(sys.stderr, logs.RateLimit()))
    called: list[object] = []
    serve(file, Settings({"control": str(held)}), ready=called.append, ended=called.append)
    assert not called


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda lock: lock.symlink_to("/dev/null"), id="link"),
        pytest.param(os.mkfifo, id="fifo"),
        pytest.param(leave, id="socket"),
        pytest.param(lambda lock: lock.touch(0o644), id="open to all"),
    ],
)
def test_what_others_could_lock_is_refused(path: Path, put: Callable[[Path], object]) -> None:
    """What is in the place of the lock's file, and is no file of mode 0600, is an error at once."""
    path.parent.mkdir()
    put(lock_of(path))
    with pytest.raises(PortError, match="is no lock file of this service") as raised:
        asyncio.run(listen(path))
    assert raised.value.remedy


def test_whoever_is_killed_stops_nobody(path: Path) -> None:
    """Killed before any call by which it begins to listen, a process leaves the next one nothing to mend."""

    def die_at(step: int) -> None:
        steps = itertools.count()

        def hook(event: str, _: tuple[object, ...]) -> None:
            if event.startswith(("open", "os.", "fcntl.", "socket.")) and next(steps) == step:
                signal.raise_signal(signal.SIGKILL)

        with asyncio.Runner() as runner:
            runner.run(asyncio.sleep(0))
            sys.addaudithook(hook)
            runner.run(listen(path, os.geteuid()))

    leave(path)
    step = 0
    while exit_code(functools.partial(die_at, step)) == -signal.SIGKILL:
        asyncio.run(listen(path, os.geteuid())).close()
        assert list(path.parent.iterdir()) == [path]
        step += 1
    assert step > 8


def test_of_two_that_start_at_once_one_listens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins when the other has found a socket to be replaced does not listen; the other does."""
    monkeypatch.setattr(module, "PAUSE", 0.001)
    ended: list[int] = []

    def second(*_: object) -> None:
        ended.append(exit_code(lambda: asyncio.run(listen(path))))

    leave(path)
    # It is told between looking and removing.
    monkeypatch.setattr(module.logger, "info", second)
    with asyncio.run(listen(path)) as listener, socket.socket(socket.AF_UNIX) as client:
        assert ended == [1]
        client.connect(str(path))
        listener.accept()[0].close()
