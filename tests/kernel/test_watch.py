"""The watcher: it tells of what may bring a port back, from the kernel's events, and of nothing else."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.net import PREFIX, Namespace, open_descriptors, veth
from vecwire import ClosedError
from vecwire.spec import parse
from vecwire.transports import _watch
from vecwire.transports._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 5.0
REACHABLE = "l2tpv3,udp=1,src=10.1.0.1,dst=10.2.0.9,srcport=1701,dstport=1701,rx_session=1,tx_session=2"
REACHABLE_V6 = "gre,v6=1,src=fd01::1,dst=fd02::9"
_numbers = itertools.count()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that the test is in."""
    with Namespace("watch") as made, made.enter():
        yield made


@pytest.fixture
def watch() -> Iterator[Watch]:
    """A watch of nothing yet."""
    with Watch() as made:
        yield made


@pytest.fixture
def later() -> Iterator[str]:
    """The name of a namespace that is not there; gone after the test."""
    name = f"{PREFIX}-{os.getpid()}-later-{next(_numbers)}"
    yield name
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def netns(verb: str, name: str) -> None:
    """Makes or deletes a namespace as users do."""
    subprocess.run(["ip", "netns", verb, name], check=True)


def readable(watch: Watch, seconds: float) -> bool:
    """Whether the watch's descriptor is readable within so many seconds."""
    poll = select.poll()
    poll.register(watch.fileno(), select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def told(watch: Watch, *, until: Callable[[set[object]], bool] = bool) -> set[object]:
    """What the watch tells, waited for by its descriptor, until that is enough."""
    found: set[object] = set()
    deadline = time.monotonic() + PATIENCE
    while not until(found):
        left = deadline - time.monotonic()
        assert left > 0, f"the watch tells nothing more than {found}"
        if readable(watch, left):
            found |= watch.take()
    return found


def all_told(watch: Watch, namespace: Namespace) -> set[object]:
    """What the watch tells of everything up to now: until it tells of an interface that is made for that."""
    with_mark = f"mark{next(_numbers)}"
    watch.add(with_mark, parse(f"raw,ifname={with_mark}"))
    namespace.ip(f"link add {with_mark} type bridge", f"link del {with_mark}")
    found = told(watch, until=lambda found: with_mark in found)
    watch.remove(with_mark)
    return found - {with_mark}


@pytest.mark.parametrize("transport", ["raw", "tap", "hybrid"])
def test_an_interface_that_comes_goes_up_and_goes_is_told(
    watch: Watch, namespace: Namespace, transport: str
) -> None:
    """An interface that is made, set up, deleted and made again is told each time."""
    watch.add("port", parse(f"{transport},ifname=eth7"))
    for _ in range(2):
        namespace.ip("link add eth7 type bridge")
        assert told(watch) == {"port"}
        namespace.ip("link set eth7 up")
        assert told(watch) == {"port"}
        namespace.ip("link set eth7 down")
        assert told(watch) == {"port"}
        namespace.ip("link del eth7")
        assert told(watch) == {"port"}


def test_an_interface_that_gets_the_name_is_told(watch: Watch, namespace: Namespace) -> None:
    """An interface that is given the name, and one that comes from another namespace, are told."""
    namespace.ip("link add other7 type veth peer name far7")
    watch.add("renamed", parse("raw,ifname=eth7"))
    watch.add("moved", parse("raw,ifname=near7"))
    namespace.ip("link set other7 name eth7")
    assert told(watch) == {"renamed"}
    with Namespace("elsewhere") as elsewhere:
        elsewhere.ip("link add near7 type veth peer name away7")
        elsewhere.ip(f"link set near7 netns {namespace.name}")
        assert told(watch) == {"moved"}


def test_a_carrier_is_told(watch: Watch, namespace: Namespace) -> None:
    """An interface whose other end goes up or down is told."""
    veth((namespace, "left7"), (namespace, "right7"))
    watch.add("port", parse("raw,ifname=left7"))
    namespace.ip("link set right7 down")
    assert told(watch) == {"port"}
    namespace.ip("link set right7 up")
    assert told(watch) == {"port"}


def test_what_changes_nothing_for_the_port_is_not_told(watch: Watch, namespace: Namespace) -> None:
    """Other interfaces, and what opening a port does to its own, tell nothing: there is no end to it else."""
    veth((namespace, "left7"), (namespace, "right7"))
    namespace.ip("link add br7 type bridge")
    watch.add("port", parse("raw,ifname=left7"))
    namespace.ip("link set left7 promisc on")
    assert told(watch) == {"port"}
    namespace.ip("link set left7 promisc off", "link set left7 promisc on", "link set left7 promisc off")
    namespace.ip("link set left7 master br7", "link set left7 nomaster")
    namespace.ip("link add left77 type bridge", "link set left77 up", "addr add 10.9.0.1/24 dev left7")
    assert all_told(watch, namespace) == set()


def test_taking_where_nothing_happened_is_empty(watch: Watch, namespace: Namespace) -> None:
    """A watch of nothing, and one whose interface stays as it is, tell nothing and do not block."""
    assert watch.take() == set()
    watch.add("port", parse("raw,ifname=lo"))
    assert watch.take() == set()
    assert not readable(watch, 0)
    assert all_told(watch, namespace) == set()


def test_an_interface_in_another_namespace_is_told(watch: Watch, namespace: Namespace) -> None:
    """Interfaces of one name in several namespaces, given by name and by path, are told apart."""
    with Namespace("b") as b, Namespace("c") as c:
        watch.add("here", parse("raw,ifname=eth7"))
        watch.add("b", parse(f"raw,ifname=eth7,netns={b.name}"))
        watch.add("c", parse(f"raw,ifname=eth7,netns={c.path}"))
        for key, place in (("b", b), ("here", namespace), ("c", c)):
            place.ip("link add eth7 type bridge")
            assert told(watch) == {key}


def test_a_namespace_that_comes_goes_and_comes_again_is_told(watch: Watch, later: str) -> None:
    """A namespace made by ``ip netns add`` is told once it can be entered, and what happens in it then."""
    watch.add("port", parse(f"raw,ifname=eth7,netns={later}"))
    for _ in range(3):
        netns("add", later)
        assert told(watch) == {"port"}
        subprocess.run(["ip", "-n", later, "link", "add", "eth7", "type", "bridge"], check=True)
        assert told(watch) == {"port"}
        netns("del", later)
        assert told(watch) == {"port"}


def test_a_namespace_made_anew_between_two_looks_is_told(watch: Watch, later: str) -> None:
    """Another namespace of the same name is told, and listened to in the place of the first."""
    netns("add", later)
    watch.add("port", parse(f"bess,dst=@vecwire-{later},netns={later}"))
    watch.add("inside", parse(f"raw,ifname=eth7,netns={later}"))
    netns("del", later)
    netns("add", later)
    assert told(watch, until=lambda found: len(found) > 1) == {"port", "inside"}
    watch.remove("port")
    subprocess.run(["ip", "-n", later, "link", "add", "eth7", "type", "bridge"], check=True)
    assert told(watch) == {"inside"}


def test_a_namespace_is_told_when_it_can_be_entered(watch: Watch, later: str) -> None:
    """The file alone, on which the namespace is mounted afterwards, is not told; the mount is."""
    path = Path("/run/netns") / later
    with Namespace("first") as first:
        watch.add("port", parse(f"raw,ifname=eth7,netns={later}"))
        path.touch()
        assert readable(watch, PATIENCE)
        assert watch.take() == set()
        subprocess.run(["mount", "--bind", first.path, path], check=True)
        assert told(watch) == {"port"}


def test_a_link_to_a_namespace_is_told(watch: Watch, namespace: Namespace, tmp_path: Path) -> None:
    """A symbolic link to a namespace, as containers leave them, is told when it is made."""
    link = tmp_path / "run" / "netns" / "guest"
    watch.add("port", parse(f"raw,ifname=eth7,netns={link}"))
    link.parent.mkdir(parents=True)
    link.symlink_to(namespace.path)
    assert told(watch) == {"port"}
    namespace.ip("link add eth7 type bridge")
    assert told(watch) == {"port"}


def test_a_watch_does_not_keep_a_deleted_namespace(watch: Watch, later: str, namespace: Namespace) -> None:
    """The interfaces of a deleted namespace go once that was taken: the far end of a veth pair shows it."""
    netns("add", later)
    watch.add("far", parse(f"raw,ifname=far7,netns={later}"))
    watch.add("near", parse("raw,ifname=near7"))
    namespace.ip(f"link add near7 type veth peer name far7 netns {later}")
    assert told(watch, until=lambda found: len(found) > 1) == {"far", "near"}
    netns("del", later)
    assert told(watch, until=lambda found: len(found) > 1) == {"far", "near"}
    assert not Path("/sys/class/net/near7").exists()


def test_the_path_of_a_server_is_told(watch: Watch, tmp_path: Path) -> None:
    """A socket that a server binds is told, whatever of its directory was missing, and again and again."""
    path = tmp_path / "run" / "guest" / "port"
    watch.add("port", parse(f"bess,dst={path}"))
    path.parent.mkdir(parents=True)
    assert told(watch) == {"port"}
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.bind(str(path))
            assert told(watch) == {"port"}
        path.unlink()
        assert told(watch) == {"port"}
    path.parent.rmdir()
    assert told(watch) == {"port"}
    path.parent.mkdir()
    assert told(watch) == {"port"}
    path.touch()
    assert told(watch) == {"port"}


def test_other_paths_are_not_told(watch: Watch, namespace: Namespace, tmp_path: Path) -> None:
    """What else happens in the directory, and the socket that a port itself serves at, tell nothing."""
    watch.add("client", parse(f"bess,dst={tmp_path}/port"))
    watch.add("server", parse(f"bess,listen={tmp_path}/served"))
    for name in ("port2", "served", "por"):
        (tmp_path / name).touch()
        (tmp_path / name).unlink()
    assert all_told(watch, namespace) == set()


def test_the_directory_of_a_listener_is_told(watch: Watch, tmp_path: Path) -> None:
    """The directory that a server's socket is to be in is told when it is made."""
    watch.add("port", parse(f"bess,listen={tmp_path}/run/port"))
    (tmp_path / "run").mkdir()
    assert told(watch) == {"port"}


def test_routes_to_the_peer_are_told(watch: Watch, namespace: Namespace) -> None:
    """A tunnel is told of a route that leads to its peer, of its address family, and of no other route."""
    veth((namespace, "left7"), (namespace, "right7"), addresses_a=["10.1.0.1/24", "fd01::1/64"])
    watch.add("v4", parse(REACHABLE))
    watch.add("v6", parse(REACHABLE_V6))
    namespace.ip("route add 10.3.0.0/16 via 10.1.0.2", "route add fd03::/64 via fd01::2")
    namespace.ip("route add 10.2.0.10/32 via 10.1.0.2", "route add fd02::a/128 via fd01::2")
    assert all_told(watch, namespace) == set()
    for key, gateway, wide in (("v4", "10.1.0.2", "10.2.0.0/16"), ("v6", "fd01::2", "fd02::/64")):
        for prefix in (wide, "default"):
            namespace.ip(f"route add {prefix} via {gateway}")
            assert told(watch) == {key}
            namespace.ip(f"route del {prefix} via {gateway}")
            assert told(watch) == {key}


def test_addresses_and_rules_are_told(watch: Watch, namespace: Namespace) -> None:
    """A tunnel is told of an address or a rule of its family; one whose peer is a name of any route."""
    veth((namespace, "left7"), (namespace, "right7"))
    watch.add("v4", parse(REACHABLE))
    namespace.ip("addr add 10.1.0.1/24 dev left7")
    assert told(watch) == {"v4"}
    all_told(watch, namespace)
    namespace.ip("rule add from 10.1.0.1 table 7")
    assert told(watch) == {"v4"}
    watch.add("named", parse(REACHABLE.replace("10.2.0.9", "peer.example")))
    namespace.ip("route add 10.3.0.0/16 via 10.1.0.2")
    assert told(watch) == {"named"}


def groups_of(count: int) -> set[int]:
    """The groups of this process's netlink sockets in the namespace; there must be so many sockets."""
    lines = Path("/proc/thread-self/net/netlink").read_text(encoding="ascii").splitlines()[1:]
    ours = {os.fstat(int(number)).st_ino for number in open_descriptors() if _is_open(number)}
    found = [int(line.split()[3], 16) for line in lines if int(line.split()[9]) in ours]
    assert len(found) == count
    return set(found)


def _is_open(number: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(os.fstat(int(number)))
    return False


def test_only_what_is_asked_for_is_listened_to(watch: Watch, namespace: Namespace) -> None:
    """One socket a namespace; it hears of routes while a tunnel waits, and is closed with the last."""
    assert namespace.path.exists()
    groups_of(0)
    watch.add("raw", parse("raw,ifname=eth7"))
    (links,) = groups_of(1)
    watch.add("v4", parse(REACHABLE))
    watch.add("v6", parse(REACHABLE_V6))
    (all_of_it,) = groups_of(1)
    assert all_of_it & links == links
    assert all_of_it != links
    watch.remove("v4")
    watch.remove("v6")
    assert groups_of(1) == {links}
    watch.remove("raw")
    groups_of(0)


def test_lost_news_is_news_for_everybody_there(watch: Watch, namespace: Namespace) -> None:
    """Where the kernel had more to tell than fits, everybody in that namespace is told; then as before."""
    with Namespace("quiet") as quiet:
        watch.add("raw", parse("raw,ifname=eth7"))
        watch.add("v4", parse(REACHABLE))
        watch.add("elsewhere", parse(f"raw,ifname=eth7,netns={quiet.name}"))
        namespace.up("lo", "10.1.0.1/24")
        watch.take()
        routes = [f"route {verb} 10.3.{n % 250}.0/24 dev lo" for n in range(1000) for verb in ("add", "del")]
        namespace.ip(*routes)
        assert told(watch, until=lambda found: "raw" in found) == {"raw", "v4"}
        all_told(watch, namespace)
        namespace.ip("link add eth7 type bridge")
        assert told(watch) == {"raw"}


def test_what_happens_while_the_sources_rest_is_told_at_once(
    watch: Watch, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it told something the descriptor rests, however much happens; what did is one event then."""
    monkeypatch.setattr(_watch, "REST_SECONDS", 3600)
    watch.add("port", parse("raw,ifname=eth7"))
    namespace.ip("link add eth7 type bridge")
    assert told(watch) == {"port"}
    namespace.ip("link set eth7 up", "link del eth7")
    assert not readable(watch, 0)
    monkeypatch.undo()
    assert watch.take() == {"port"}
    namespace.ip("link add eth7 type bridge")
    assert told(watch) == {"port"}


def test_a_key_is_told_of_its_last_spec_only(watch: Watch, namespace: Namespace) -> None:
    """A key that is added again has the new spec; one that is removed is told no more."""
    watch.add("port", parse("raw,ifname=eth7"))
    watch.add("port", parse("raw,ifname=eth8"))
    watch.add("gone", parse("raw,ifname=eth9"))
    namespace.ip("link add eth9 type bridge")
    watch.remove("gone")
    watch.remove("gone")
    namespace.ip("link add eth7 type bridge")
    assert all_told(watch, namespace) == set()
    namespace.ip("link add eth8 type bridge")
    assert told(watch) == {"port"}


def test_a_change_since_the_last_time_it_was_asked_for_is_told(watch: Watch, namespace: Namespace) -> None:
    """What an interface was like before its key was removed does not hide what happens to it later."""
    namespace.ip("link add eth7 type bridge")
    watch.add("other", parse("raw,ifname=eth8"))
    watch.add("port", parse("raw,ifname=eth7"))
    namespace.ip("link set eth7 up")
    assert told(watch) == {"port"}
    watch.remove("port")
    namespace.ip("link set eth7 down")
    all_told(watch, namespace)
    watch.add("port", parse("raw,ifname=eth7"))
    namespace.ip("link set eth7 up")
    assert told(watch) == {"port"}


def test_nothing_is_left_open(namespace: Namespace, later: str, tmp_path: Path) -> None:
    """Every descriptor is given back: by ``remove`` what a key needed, by ``close`` the rest."""
    gc.collect()
    before = open_descriptors()
    with Watch() as watch:
        empty = open_descriptors()
        for _ in range(3):
            watch.add("here", parse("raw,ifname=eth7"))
            watch.add("tunnel", parse(REACHABLE))
            watch.add("client", parse(f"bess,dst={tmp_path}/run/port"))
            watch.add("there", parse(f"tap,ifname=tap7,netns={later}"))
            watch.add("named", parse(f"tap,ifname=tap7,netns={namespace.name}"))
            netns("add", later)
            told(watch, until=lambda found: "there" in found)
            netns("del", later)
            told(watch, until=lambda found: "there" in found)
            assert len(open_descriptors()) > len(empty)
            for key in ("here", "tunnel", "client", "there", "named"):
                watch.remove(key)
            assert open_descriptors() == empty
        watch.add("named", parse(f"tap,ifname=tap7,netns={namespace.name}"))
    assert open_descriptors() == before
    watch.close()


def test_a_closed_watch_says_so() -> None:
    """Every use of a closed watch but closing it, and removing from it, is an error of its own."""
    with Watch() as watch:
        assert "0 ports" in repr(watch)
    assert "closed" in repr(watch)
    watch.remove("port")
    for use in (watch.fileno, watch.take, lambda: watch.add("port", parse("raw,ifname=eth7"))):
        with pytest.raises(ClosedError):
            use()
