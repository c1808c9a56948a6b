"""Ports in namespaces that are taken down: they do not stay behind, and follow the name."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

import vecwire
from peers.net import Namespace, open_descriptors, wait_until
from vecwire import guard
from vecwire.transports._paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 10.0


def guarded() -> bool:
    """Whether the guard's thread runs."""
    return any(thread.name == "vecwire-guard" for thread in threading.enumerate())


@pytest.fixture
def home() -> Iterator[Namespace]:
    """A namespace for a port."""
    with Namespace("home", ipv6=False) as made:
        yield made


@contextlib.contextmanager
def switched(spec: str) -> Iterator[vecwire.Port]:
    """A port in a running switch."""
    with vecwire.open(spec) as port, vecwire.Switch() as switch:
        switch.add(port)
        yield port


def test_a_port_follows_the_name_of_its_namespace(home: Namespace) -> None:
    """When a namespace is deleted and another made of its name, a port is down, and then up in that one."""
    with switched(f"tap,ifname=tap0,netns={home.name}") as port:
        for count in (1, 2):
            subprocess.run(["ip", "netns", "del", home.name], check=True)
            wait_until(lambda: not port.info.up, timeout=PATIENCE, what="the port is down")
            assert port.stats.lost == count
            subprocess.run(["ip", "netns", "add", home.name], check=True)
            wait_until(lambda: port.info.up, timeout=PATIENCE, what="the port is up")
            assert home.link("tap0")
            assert port.stats.recovered == count


def test_a_port_does_not_keep_a_namespace_that_was_deleted(home: Namespace) -> None:
    """A veth pair into a namespace goes when that is deleted, though a port was open on it."""
    with Namespace("outside", ipv6=False) as outside:
        outside.ip("link add veth0 type veth peer name veth1", f"link set veth1 netns {home.name}")
        home.up("veth1")
        with switched(f"raw,ifname=veth1,netns={home.name}") as port:
            subprocess.run(["ip", "netns", "del", home.name], check=True)
            wait_until(lambda: not port.info.up, timeout=PATIENCE, what="the port is down")

            def gone() -> bool:
                return "veth0" not in outside.run(["ip", "-br", "link"]).stdout

            wait_until(gone, timeout=PATIENCE, what="the pair is gone")


def test_nobody_is_guarded_without_a_namespace_or_for_longer_than_need_be(home: Namespace) -> None:
    """The guard's thread is there while a port in a named namespace is in a switch that runs."""
    gc.collect()
    before = open_descriptors()
    with home.enter(), switched("tap,ifname=tap1"):
        assert not guarded()
    with switched(f"tap,ifname=tap0,netns={home.name}"):
        assert guarded()
    wait_until(lambda: not guarded(), timeout=PATIENCE, what="the guard has ended")
    assert open_descriptors() == before


def test_a_guard_who_cannot_look_tries_again(home: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without descriptors for a while, ports are guarded once there are some again."""
    refusals = 0
    real = Paths

    def paths() -> object:
        nonlocal refusals
        if refusals < 2:
            refusals += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real()

    monkeypatch.setattr(guard, "Paths", paths)
    monkeypatch.setattr(guard, "DELAY", 0.01)
    with switched(f"tap,ifname=tap0,netns={home.name}") as port:
        subprocess.run(["ip", "netns", "del", home.name], check=True)
        wait_until(lambda: not port.info.up, timeout=PATIENCE, what="the port is down")
    assert refusals == 2
    wait_until(lambda: not guarded(), timeout=PATIENCE, what="the guard has ended")


def test_a_guard_who_cannot_look_ends_with_its_ports(
    home: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard who never gets a descriptor holds nobody up."""

    def paths() -> object:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(guard, "Paths", paths)
    with switched(f"tap,ifname=tap0,netns={home.name}"):
        assert guarded()
    wait_until(lambda: not guarded(), timeout=PATIENCE, what="the guard has ended")
