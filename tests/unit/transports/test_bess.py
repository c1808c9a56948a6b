"""Whose a path is that a socket is bound to, whatever fails on the way; and users' descriptor of a port."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import vecwire
from vecwire.errors import PortError
from vecwire.spec import BessSpec, parse
from vecwire.transports import bess, hand_over
from vecwire.transports._descriptor import Entry, Opening

if TYPE_CHECKING:
    from pathlib import Path


def spec_of(path: Path) -> BessSpec:
    """The spec of a server at a path."""
    spec = parse(f"bess,listen={path}")
    assert isinstance(spec, BessSpec)
    return spec


def no_memory(*_: object, **__: object) -> Any:
    """What takes memory where there is none."""
    raise MemoryError


def test_a_path_that_cannot_be_looked_at_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no memory to look at what binding has made, that is removed."""
    path = tmp_path / "socket"
    monkeypatch.setattr(Entry, "recognize", no_memory)
    with pytest.raises(MemoryError):
        bess.open_bess(spec_of(path))
    assert not path.exists()


def test_nothing_fails_between_binding_and_noting_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What undoes the binding is registered before it: a registration that fails has bound nothing."""
    path = tmp_path / "socket"
    callback = Opening.callback

    def fails(self: Opening, call: Any, *arguments: Any) -> Any:
        if getattr(call, "__func__", None) is Entry.remove:
            raise MemoryError
        return callback(self, call, *arguments)

    monkeypatch.setattr(Opening, "callback", fails)
    with pytest.raises(MemoryError):
        bess.open_bess(spec_of(path))
    assert not path.exists()


def test_a_path_of_somebody_elses_stays(tmp_path: Path) -> None:
    """A path that binding did not make is left as it is, by the refusal and after it."""
    path = tmp_path / "socket"
    path.write_text("mine", encoding="ascii")
    with pytest.raises(PortError, match="bind to listen="):
        vecwire.open(f"bess,listen={path}")
    assert path.read_text(encoding="ascii") == "mine"


def test_who_serves_a_path_hears_nothing_of_who_would_too(tmp_path: Path) -> None:
    """Starting on a path that is served fails, and is no client: no place is taken, and nobody is lost."""
    path = tmp_path / "socket"
    with vecwire.open(f"bess,listen={path}") as port:
        for _ in range(3):
            with pytest.raises(PortError, match="Address already in use"):
                vecwire.open(f"bess,listen={path}")
        assert not port.wait(timeout=0)
        assert not port.info.up
        batch = port.batch()
        with vecwire.open(f"bess,dst={path}") as client:
            out = client.batch()
            out.append(bytes(60))
            assert client.send(out) == 1
            assert port.wait(timeout=10)
            assert port.recv(batch) == 1
        assert (port.stats.lost, port.stats.recovered) == (0, 1)


def test_the_path_of_a_client_stays_while_it_lives(tmp_path: Path) -> None:
    """A path that a client is bound to is its own, though nobody can connect there; then it is taken over."""
    path, server = tmp_path / "client", tmp_path / "server"
    with (
        vecwire.open(f"bess,listen={server}"),
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client,
    ):
        client.bind(str(path))
        client.connect(str(server))
        with pytest.raises(PortError, match="Address already in use"):
            vecwire.open(f"bess,listen={path}")
        assert path.is_socket()
    with vecwire.open(f"bess,listen={path}") as port:
        assert port.info.descriptors["listen"] >= 0


def test_a_path_that_changed_hands_stays(tmp_path: Path) -> None:
    """At close a path is left where another socket has come in its place."""
    path = tmp_path / "socket"
    with vecwire.open(f"bess,listen={path}"):
        path.rename(tmp_path / "kept")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(str(path))
    assert path.is_socket()


def test_what_nobody_took_over_leaves_no_path(tmp_path: Path) -> None:
    """What was opened, and lost before a port had it, takes its path with it."""
    path = tmp_path / "socket"
    opened = bess.open_bess(spec_of(path))
    assert path.is_socket()
    del opened
    assert not path.exists()


def test_what_is_handed_over_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that cannot be made to outlive exec(2) is given back with its path, and that is told."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    path = tmp_path / "socket"
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 # numbers, not paths
    with monkeypatch.context() as patch:
        patch.setattr(os, "set_inheritable", refused)
        with pytest.raises(PortError, match="cannot hand over"):
            hand_over(spec_of(path))
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
    assert not path.exists()
    handed = hand_over(spec_of(path))
    assert isinstance(handed.fd, int)
    assert os.get_inheritable(handed.fd)
    assert path.is_socket()
    os.close(handed.fd)


def test_a_descriptor_that_cannot_be_owned_is_not_made() -> None:
    """The owner of a descriptor is there before it: where there is no memory for one, nothing was opened."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 # numbers, not paths

    class Full(Opening):
        """One that has no memory left."""

        def callback(self, *_: Any, **__: Any) -> Any:
            """Fails."""
            raise MemoryError

    with pytest.raises(MemoryError), Full() as made:
        made.descriptor(lambda: os.open("/dev/null", os.O_RDONLY), "nothing")
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_users_descriptor_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no memory for the descriptor that users wait on, the next call makes it anew."""

    class Full(contextlib.ExitStack):
        """One that has no memory left."""

        def push(self, *_: Any, **__: Any) -> Any:
            """Fails."""
            raise MemoryError

    with vecwire.open(f"bess,listen={tmp_path}/socket") as port:
        with monkeypatch.context() as patch:
            patch.setattr(contextlib, "ExitStack", Full)
            with pytest.raises(MemoryError):
                port.fileno()
        assert port.fileno() >= 0
