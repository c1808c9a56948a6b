"""Network namespaces without names, and the links in them; gone when the process is."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from vecwire.errors import UnsupportedError
from vecwire.host import apart
from vecwire.transports import _netns
from vecwire.transports._descriptor import Descriptor
from vecwire.transports._refusal import refusal
from vecwire.transports._unshare import closed_by, own_network, own_users, users_refused

T = TypeVar("T")

#: Settings that keep an interface silent until it is spoken to, below /proc/sys/net of a namespace.
_QUIET = (("ipv6/conf/default/disable_ipv6", "1"), ("ipv6/conf/all/disable_ipv6", "1"))


def become_able() -> bool:
    """Makes sure that this process, which has one thread, may make network namespaces.

    Returns:
        Whether it had to become root of a user namespace for that, for good.

    Raises:
        UnsupportedError: It may not, neither as it is nor in a user namespace.
    """
    if may_make_networks():
        return False
    try:
        own_users()
    except OSError as error:
        raise users_refused(error) from error
    if not may_make_networks():
        raise UnsupportedError(
            "root of a user namespace may not make a network namespace here",
            remedy=closed_by() or "run as root",
        )
    return True


def may_make_networks() -> bool:
    """Whether a network namespace can be made, found out by a child process.

    A thread would not do: the kernel sees its end only a moment after Python does, and until then refuses
    this process a user namespace (EINVAL, unshare(2)).
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            own_network()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Namespace:
    """A network namespace of its own, without a name, for as long as this object is open.

    Args:
        name: What it is called here.

    Raises:
        UnsupportedError: It may not be made.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self._descriptor = apart("vecwire-netns", self._make)
        except OSError as error:
            raise refusal(error, "make a network namespace", "a network namespace") from error

    def _make(self) -> Descriptor:
        own_network()
        for setting, value in _QUIET:
            try:
                Path("/proc/sys/net", setting).write_text(value, encoding="ascii")
            except OSError:
                continue  # no IPv6 here, or /proc is read-only: a few frames more are to be seen
        return Descriptor(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), "namespace")

    @property
    def path(self) -> str:
        """Where this process can open it."""
        return f"/proc/self/fd/{self._descriptor.fileno()}"

    def fileno(self) -> int:
        """The descriptor that holds it."""
        return self._descriptor.fileno()

    def inside(self, do: Callable[[], T]) -> T:
        """Calls a function in a thread that has entered it; sockets made there belong to it.

        Raises:
            UnsupportedError: It may not be entered.
        """
        return _netns.inside(self.path, do)

    def add_pair(self, link: str, far: str, elsewhere: "Namespace") -> None:
        """Makes a veth pair: one end here, the other there.

        Raises:
            UnsupportedError: This kernel has none.
            PortError: The kernel refuses.
        """
        peer = {"ifname": far, "net_ns_fd": elsewhere.fileno()}
        self._netlink("make a veth pair", lambda ip: ip.link("add", ifname=link, kind="veth", peer=peer))

    def up(self, link: str, address: str = "", prefix: int = 0, *, mtu: int | None = None) -> None:
        """Sets a link up, with an address if one is given.

        Raises:
            PortError: The kernel refuses.
        """

        def do(ip: Any) -> None:
            index = ip.link_lookup(ifname=link)[0]
            if address:
                ip.addr("add", index=index, address=address, prefixlen=prefix)
            ip.link("set", index=index, state="up", **({"mtu": mtu} if mtu else {}))

        self._netlink(f"set {link} up", do)

    def _netlink(self, doing: str, do: Callable[[Any], object]) -> None:
        def there() -> None:
            with IPRoute() as ip:
                do(ip)

        try:
            self.inside(there)
        except NetlinkError as error:
            told = OSError(error.code, os.strerror(error.code))
            raise refusal(told, doing, "a veth pair") from error

    def close(self) -> None:
        """Lets go of it: it is gone once its last socket is."""
        self._descriptor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
