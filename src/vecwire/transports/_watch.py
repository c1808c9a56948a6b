"""Tells when a lost port may come back, from the kernel's events: for each port, what its spec waits for.

====================  ================================================================================
a spec with           is told of
====================  ================================================================================
``ifname=``           that interface: it appears, goes up or down, gains or loses a carrier, goes
``dst=`` of a tunnel  routes that lead to it, and any address or rule of its address family
``dst=`` of bess      the socket's path, and what is missing of the way to it
``listen=``           the same of the directory that the socket is to be in
``netns=``            that namespace: it appears, goes away, or is another one of the same name
====================  ================================================================================

Theory of operation: a namespace that is in use is listened to on one netlink socket, for the groups that
its interests need. Paths are followed by inotify. A namespace's file is there a moment before the namespace
is: ``ip netns add`` makes the file, then mounts the namespace on it, and of a mount inotify says nothing.
/proc/self/mountinfo does, to poll(2) (proc_pid_mountinfo(5)), after the mount; so every named namespace is
looked at when anything is mounted. A socket that listens keeps its namespace alive, and so its inode number
taken: another namespace at the same path has another number.

After each look that found something the sources rest for a moment, and what happens meanwhile is one event.
So a busy host costs a bounded number of looks a second, and so does a port whose failed opening is itself an
event.

What no event tells: a server that listens on a path that it bound before, a name that resolves again, a
namespace of /proc/PID/ns. For those, and for whatever the kernel refuses to tell, an owner keeps trying by
time as well; an event is the reason to begin again with the shortest delay.
"""

import contextlib
import functools
import logging
import operator
import os
import select
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from vecwire.errors import ClosedError, UnsupportedError
from vecwire.spec import BessSpec, Spec
from vecwire.spec.kinds import address_of
from vecwire.transports import _netns
from vecwire.transports._descriptor import Descriptor
from vecwire.transports._paths import Paths
from vecwire.transports._rtnetlink import LINKS, Link, Listener, News, Overrun, Reach, reach_groups
from vecwire.transports._timer import Timer

logger = logging.getLogger("vecwire.watch")

#: How long the sources rest after they told of something, in seconds.
REST_SECONDS = 0.02
MOUNTS = "/proc/self/mountinfo"
NAMESPACE = "/proc/self/ns/net"


class _Source(Protocol):
    """What tells that something happened."""

    def fileno(self) -> int:
        """The descriptor."""
        ...

    def close(self) -> None:
        """Gives it back."""
        ...


S = TypeVar("S", bound=_Source)


@dataclass(frozen=True, slots=True)
class _Interest:
    """What brings a port back.

    Attributes:
        namespace: the path of its network namespace; None for the caller's own.
        ifname: the interface.
        family: the address family of a tunnel's outer packets; 0 without one.
        peer: the address to be reached, as a number; None where it is a name.
        path: the path of a socket, or of the directory that it is to be in.
    """

    namespace: Path | None
    ifname: str | None = None
    family: int = 0
    peer: int | None = None
    path: Path | None = None

    @classmethod
    def of(cls, spec: Spec) -> Self:
        """What brings a port of this spec back."""
        if spec.fd is not None:
            # Nobody can say in which namespace its interface is, and no path leads to it.
            return cls(None)
        namespace = None if spec.netns is None else _netns.path_of(spec.netns).absolute()
        if isinstance(spec, BessSpec):
            path = None
            if spec.listen is not None and not spec.listen.startswith("@"):
                path = Path(spec.listen).absolute().parent
            elif spec.dst is not None and not spec.dst.startswith("@"):
                path = Path(spec.dst).absolute()
            return cls(namespace, path=path)
        if spec.overhead:
            # Only what leaves inside of IP has any.
            family = socket.AF_INET6 if getattr(spec, "v6", False) else socket.AF_INET
            peer = address_of(getattr(spec, "dst", None) or "")
            return cls(namespace, family=family, peer=None if peer is None else int(peer))
        return cls(namespace, ifname=getattr(spec, "ifname", None))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths to be followed for it."""
        return tuple(path for path in (self.path, self.namespace) if path is not None)

    @property
    def groups(self) -> int:
        """The groups of netlink that tell of it."""
        return (LINKS if self.ifname is not None else 0) | (reach_groups(self.family) if self.family else 0)

    def concerns(self, news: News) -> bool:
        """Whether the news may bring the port back."""
        if isinstance(news, Link):
            return news.name == self.ifname
        if isinstance(news, Reach):
            return news.family == self.family and (self.peer is None or news.covers(self.peer))
        return True


@dataclass(slots=True)
class _Place:
    """A network namespace: who waits for something in it, and how it is listened to.

    Attributes:
        path: where it is; None for the caller's own.
        interests: by key.
        identity: the device and inode number of the namespace that is there; None where there is none.
        listener: tells of it, where that could be had.
        links: the interfaces waited for, as they were last told of.
    """

    path: Path | None
    interests: dict[object, _Interest] = field(default_factory=dict)
    identity: tuple[int, int] | None = None
    listener: Listener | None = None
    links: dict[str, Link] = field(default_factory=dict)

    def concerned(self, heard: Iterable[News]) -> set[object]:
        """The keys of those whom the news concerns."""
        # A route that comes and goes is one piece of news; links are told in their order.
        different: set[News] = set()
        for news in heard:
            if isinstance(news, Overrun):
                self.links.clear()
            elif isinstance(news, Link):
                if not any(interest.ifname == news.name for interest in self.interests.values()):
                    continue
                if self.links.get(news.name) == news:
                    # Something of no weight here, as the promiscuous mode that opening a port switches on.
                    continue
                self.links[news.name] = news
            different.add(news)
        return {
            key
            for key, interest in self.interests.items()
            if any(interest.concerns(news) for news in different)
        }


class Watch:
    """Tells for any number of lost ports that something happened which may bring one back.

    One thread at a time may use it. Whoever finds ``fileno`` readable calls ``take``: what poll(2) has told
    of a mount it tells once. There may be nothing in it for anybody.

    Raises:
        OSError: if the kernel gives no descriptors.
    """

    def __init__(self) -> None:
        self._closed = False
        self._places: dict[Path | None, _Place] = {}
        self._paths: Paths | None = None
        self._mounts: Descriptor | None = None
        self._resting = False
        self._untold: set[str] = set()
        # Every namespace is on this one file system, whatever path leads to it (namespaces(7)).
        self._nsfs = Path(NAMESPACE).stat().st_dev
        with contextlib.ExitStack() as made:
            self._timer = made.enter_context(Timer())
            self._sources = made.enter_context(select.epoll())
            self._poll_set = made.enter_context(select.epoll())
            self._poll_set.register(self._sources, select.EPOLLIN)
            self._poll_set.register(self._timer, select.EPOLLIN)
            made.pop_all()

    def _alive(self) -> None:
        if self._closed:
            raise ClosedError("the watch was used after it was closed")

    def fileno(self) -> int:
        """A descriptor that is readable when something happened.

        Raises:
            ClosedError: if the watch is closed.
        """
        self._alive()
        return self._poll_set.fileno()

    def add(self, key: object, spec: Spec) -> None:
        """Watches for what brings a port of this spec back, in the place of what the key had before.

        What is there already is not told: try once after this. What the kernel refuses to tell, as of a
        namespace that this user may not enter, is logged, and left to trying by time.

        Args:
            key: what ``take`` tells; anything that a set can hold.
            spec: the port's.

        Raises:
            ClosedError: if the watch is closed.
        """
        self._alive()
        self.remove(key)
        interest = _Interest.of(spec)
        for path in interest.paths:
            self._watch_path(path)
        if interest.namespace is not None:
            self._watch_mounts()
        place = self._places.get(interest.namespace)
        if place is None:
            place = self._places[interest.namespace] = _Place(interest.namespace)
            self._look(place)
        place.interests[key] = interest
        # What it was like when somebody last asked says nothing of now.
        place.links.pop(interest.ifname or "", None)
        self._listen(place)

    def remove(self, key: object) -> None:
        """Ends watching for a key; one that is not watched for is no error."""
        for place in list(self._places.values()):
            interest = place.interests.pop(key, None)
            if interest is None:
                continue
            self._listen(place)
            if not place.interests:
                del self._places[place.path]
            self._forget_paths(interest)

    def take(self) -> set[object]:
        """The keys for which something happened since the last time; never blocks.

        Raises:
            ClosedError: if the watch is closed.
        """
        self._alive()
        self._timer.clear()
        rested = self._resting
        if rested:
            self._rest(0)
        # From here on: what the line above may have been told of a mount, it is not told again.
        ready = {number for number, _ in self._sources.poll(0)}
        happened: set[object] = set()
        if self._paths is not None and self._paths.fileno() in ready:
            touched = self._paths.read()
            happened.update(key for key, interest in self._interests() if interest.path in touched)
        for place in self._places.values():
            if place.listener is not None and place.listener.fileno() in ready:
                happened |= place.concerned(place.listener.read())
            if self._look(place):
                happened.update(place.interests)
                self._listen(place)
        # Of a mount only the waking tells, and that it was no rest that ended.
        if ready or happened or (self._mounts is not None and not rested):
            self._rest(REST_SECONDS)
        return happened

    def _interests(self) -> Iterator[tuple[object, _Interest]]:
        for place in self._places.values():
            yield from place.interests.items()

    def _rest(self, seconds: float) -> None:
        """Leaves the sources alone for so long; 0 ends that."""
        self._resting = bool(seconds)
        self._poll_set.modify(self._sources, 0 if seconds else select.EPOLLIN)
        self._timer.arm(seconds)

    def _look(self, place: _Place) -> bool:
        """Sees which namespace is there now; whether it is another one than before."""
        if place.path is None:
            return False
        try:
            found = place.path.stat()
        except OSError:
            identity = None
        else:
            # A file on which nothing is mounted yet is on another file system.
            identity = (found.st_dev, found.st_ino) if found.st_dev == self._nsfs else None
        if identity == place.identity:
            return False
        place.identity = identity
        place.links.clear()
        if place.listener is not None:
            # It listens in the namespace that was there before, and keeps it alive.
            self._close_listener(place)
        return True

    def _listen(self, place: _Place) -> None:
        """Brings the listener of a namespace in line with what is wanted of it."""
        groups = functools.reduce(operator.or_, (each.groups for each in place.interests.values()), 0)
        there = place.path is None or place.identity is not None
        # One in a named namespace is of use without a group: nobody else gets its inode number.
        if not there or not place.interests or (place.path is None and not groups):
            if place.listener is not None:
                self._close_listener(place)
            return
        try:
            if place.listener is None:
                path = None if place.path is None else str(place.path)
                place.listener = self._followed(_netns.inside(path, Listener), select.EPOLLIN)
            place.listener.listen(groups)
        except (OSError, UnsupportedError) as error:
            if place.listener is not None:
                self._close_listener(place)
            self._without(f"the network namespace {place.path or 'of this process'}", error)

    def _close_listener(self, place: _Place) -> None:
        if place.listener is not None:
            self._end(place.listener)
            place.listener = None

    def _watch_path(self, path: Path) -> None:
        try:
            if self._paths is None:
                self._paths = self._followed(Paths(), select.EPOLLIN)
        except OSError as error:
            self._without("paths", error)
        else:
            self._paths.add(path)

    def _watch_mounts(self) -> None:
        if self._mounts is not None:
            return
        try:
            mounts = Descriptor(os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC), "table of mounts")
            self._mounts = self._followed(mounts, select.EPOLLPRI)
        except OSError as error:
            self._without("what is mounted", error)

    def _followed(self, source: S, events: int) -> S:
        """Has a source be heard, and gives it back.

        Raises:
            OSError: if the kernel refuses; the source is closed then.
        """
        try:
            self._sources.register(source, events)
        except OSError:
            source.close()
            raise
        return source

    def _end(self, source: "_Source") -> None:
        """Closes a source."""
        with contextlib.suppress(OSError):  # closed already, it is in no set any more
            self._sources.unregister(source)
        with contextlib.suppress(OSError):  # closed all the same (close(2))
            source.close()

    def _without(self, what: str, error: Exception) -> None:
        """Says once that there will be no news of something."""
        if what not in self._untold:
            self._untold.add(what)
            logger.warning("no news of %s: %s", what, error)

    def _forget_paths(self, interest: _Interest) -> None:
        """Ends following the paths that nobody asks for any more, and gives back what served that."""
        wanted = {path for _, other in self._interests() for path in other.paths}
        if self._paths is not None:
            for path in interest.paths:
                if path not in wanted:
                    self._paths.remove(path)
            if not wanted:
                self._end(self._paths)
                self._paths = None
        if self._mounts is not None and not any(path is not None for path in self._places):
            self._end(self._mounts)
            self._mounts = None

    def close(self) -> None:
        """Gives every descriptor back; again and again does no harm."""
        if self._closed:
            return
        for key in [key for key, _ in self._interests()]:
            self.remove(key)
        self._closed = True
        for each in (self._poll_set, self._sources, self._timer):
            with contextlib.suppress(OSError):  # closed all the same (close(2))
                each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"for {sum(1 for _ in self._interests())} ports"
        return f"<Watch {state}>"
