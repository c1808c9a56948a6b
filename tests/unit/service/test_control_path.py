"""Where the control socket listens: who may open it, what is there before and after."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from peers.controlled import Fake, Peer, Server, serving
from peers.net import open_descriptors, wait_until
from vecwire.errors import PortError
from vecwire.service.control import Control, listen

if TYPE_CHECKING:
    from pathlib import Path


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
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
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
    listen(path, os.geteuid()).close()
    assert path.is_symlink()
    assert secret.lstat().st_ctime_ns == before
